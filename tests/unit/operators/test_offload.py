"""The offloading operator in a real dataflow."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from operators.background import Background
from operators.drain import Drain
from operators.offload import TickWork, offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings, Priority
from operators.ticks import Collected, Outcome, TickResult, Ticks

Out = list[tuple[str, TickResult]]
NEVER = 3600.0


class _Entered(Drain):
    """A drain that has no need to settle: it counts all that ever entered."""

    def __init__(self, grace: float = 25.0) -> None:
        super().__init__(grace, settle=0.0)
        self.entered = 0

    def enter(self, pieces: int = 1) -> None:
        super().enter(pieces)
        with self._lock:
            self.entered += pieces


class _Patient(StatefulSourcePartition[tuple[str, Ticks], int]):
    def __init__(
        self,
        items: list[Any],
        drain: _Entered,
        resume: int | None,
        ready: Callable[[], bool],
    ) -> None:
        self._items = items
        self._at = resume or 0
        self._drain = drain
        self._ready = ready
        self._to_enter = sum(tick.count for _, tick in items[self._at :])

    def next_batch(self) -> list[tuple[str, Ticks]]:
        left = self._items[self._at :]
        if left:
            self._at = len(self._items)
            return left
        if self._drain.entered < self._to_enter or not self._ready():
            return []
        self._drain.request()
        if self._drain.may_end:
            raise StopIteration
        return []

    def snapshot(self) -> int:
        return self._at


class PatientSource(FixedPartitionedSource[tuple[str, Ticks], int]):
    """All items at once, then open until the drain lets it end, as the sources of a run do.

    The drain is asked for when all of them have entered, and `ready` says so.
    """

    def __init__(
        self, items: list[Ticks], drain: _Entered, ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._items = [(tick.cluster, tick) for tick in items]
        self._drain = drain
        self._ready = ready

    def list_parts(self) -> list[str]:
        return ["all"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Patient:
        return _Patient(self._items, self._drain, resume_state, self._ready)


@pytest.fixture
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


@pytest.fixture
def pool(background: Background) -> Iterator[Callable[..., Pool]]:
    """Makes pools that end before their loop does."""
    pools = []

    def make(**settings: Any) -> Pool:
        pools.append(Pool("topics", PoolSettings(**settings), loop=background.loop))
        return pools[-1]

    yield make
    for made in pools:
        background.run(made.close())


def tick(cluster: str, start: int | None = None, missed: int = 0) -> Ticks:
    """A tick that is due now, or at `start`."""
    due = int(time.time() * 1000) if start is None else start
    return Ticks(cluster, due, 30_000, missed=missed, kind="topics")


def flow_of(source: Any, out: Out, work: Any, pool: Pool, drain: Drain, **options: Any) -> Dataflow:
    """A dataflow of a source, the operator and a list."""
    flow = Dataflow("test")
    ticks = op.input("ticks", flow, source)
    options.setdefault("deadline", lambda _: 30.0)
    results = offload("collect", ticks, work, {"topics": pool}, drain, **options)
    op.output("out", results, TestingSink(out))
    return flow


BATCH = pa.RecordBatch.from_pydict({"x": [1]})


async def answer(tick: Ticks, left: float) -> Collected:
    """A target that answers after a moment."""
    await asyncio.sleep(0.005)
    return Collected((BATCH,))


async def hang(tick: Ticks, left: float) -> Collected:
    """A target that never answers."""
    await asyncio.sleep(NEVER)
    raise AssertionError("it answered")


def until(pool: Pool, outcome: Outcome) -> TickWork:
    """A target that answers once a task of the pool has ended like that."""

    async def work(tick: Ticks, left: float) -> Collected:
        while not pool.stats.outcomes[outcome]:
            await asyncio.sleep(0.001)
        return Collected()

    return work


def by_cluster(out: Out) -> list[tuple[str, Outcome]]:
    """Cluster and outcome of each result, sorted."""
    return sorted((key, result.outcome) for key, result in out)


def test_each_tick_gives_one_result_keyed_by_its_cluster(pool: Callable[..., Pool]) -> None:
    """What is offloaded comes back under its own cluster, with its batches."""
    drain, out = _Entered(), Out()
    ticks = [tick(f"c{n}") for n in range(20)]

    run_main(flow_of(PatientSource(ticks, drain), out, answer, pool(), drain))

    assert by_cluster(out) == sorted((t.cluster, Outcome.COMPLETED) for t in ticks)
    assert sorted(result.tick.cluster for _, result in out) == sorted(t.cluster for t in ticks)
    assert all(result.batches == (BATCH,) for _, result in out)
    assert drain.under_way == 0


def test_results_come_back_with_several_workers(pool: Callable[..., Pool]) -> None:
    """Workers share the process's pool, and each tick still gives one result."""
    drain, out = _Entered(), Out()
    ticks = [tick(f"c{n}") for n in range(20)]
    flow = flow_of(PatientSource(ticks, drain), out, answer, pool(), drain)

    cluster_main(flow, [], 0, worker_count_per_proc=2)

    assert by_cluster(out) == sorted((t.cluster, Outcome.COMPLETED) for t in ticks)


def test_a_hanging_target_delays_no_other(pool: Callable[..., Pool]) -> None:
    """The hung target's slot alone is lost: all others come first."""
    drain, out = _Entered(), Out()
    ticks = [tick("hung"), *(tick(f"c{n}") for n in range(49))]

    async def work(tick: Ticks, left: float) -> Collected:
        while tick.cluster == "hung" and len(out) < 49:
            await asyncio.sleep(0.001)
        return await answer(tick, left)

    run_main(flow_of(PatientSource(ticks, drain), out, work, pool(size=2, timeout=30), drain))

    assert [key for key, _ in out].index("hung") == 49
    assert {result.outcome for _, result in out} == {Outcome.COMPLETED}


def test_a_target_that_never_answers_fails_at_its_time_out(pool: Callable[..., Pool]) -> None:
    """The result says so."""
    drain, out = _Entered(), Out()
    one = pool(timeout=0.05, attempts=1)

    run_main(flow_of(PatientSource([tick("hung")], drain), out, hang, one, drain))

    ((_, result),) = out
    assert (result.outcome, result.error_class) == (Outcome.FAILED, "timeout")


def test_a_tick_that_finds_its_last_one_running_is_an_overrun(pool: Callable[..., Pool]) -> None:
    """Ticks of one target do not pile up."""
    drain, out = _Entered(), Out()
    now = int(time.time() * 1000)
    ticks = [tick("a", now), tick("a", now + 1)]
    one = pool()

    run_main(flow_of(PatientSource(ticks, drain), out, until(one, Outcome.OVERRUN), one, drain))

    assert sorted((r.tick.start - now, r.outcome) for _, r in out) == [
        (0, Outcome.COMPLETED),
        (1, Outcome.OVERRUN),
    ]


def test_a_tick_that_finds_the_queue_full_is_refused(pool: Callable[..., Pool]) -> None:
    """Beyond size and queue the answer is immediate and says why."""
    drain, out = _Entered(), Out()
    ticks = [tick(f"c{n}") for n in range(3)]
    one = pool(size=1, queue=1)

    run_main(flow_of(PatientSource(ticks, drain), out, until(one, Outcome.REFUSED), one, drain))

    refused = [result for _, result in out if result.outcome is Outcome.REFUSED]
    assert [result.error_class for result in refused] == ["queue_full"]
    assert len(out) == 3


def test_missed_ticks_are_reported_before_the_tick_that_reports_them(
    pool: Callable[..., Pool],
) -> None:
    """One result for all that were missed; it is about those due times and no others."""
    drain, out = _Entered(), Out()
    due = tick("a", missed=3)

    run_main(flow_of(PatientSource([due], drain), out, answer, pool(), drain))

    (_, missed), (_, served) = out
    assert (missed.outcome, missed.missed) == (Outcome.MISSED, 3)
    assert missed.tick.start == due.start - due.interval
    assert missed.tick.start - missed.tick.missed * due.interval == due.start - 3 * due.interval
    assert (served.outcome, served.missed, served.tick.start) == (Outcome.COMPLETED, 0, due.start)


def test_missed_ticks_without_one_that_is_due_are_reported_and_not_collected(
    pool: Callable[..., Pool],
) -> None:
    """What passed while nothing ran is reported alone, at a restart: no work is done for it."""
    drain, out = _Entered(), Out()
    due = replace(tick("a", missed=3), count=0)

    run_main(flow_of(PatientSource([due], drain), out, answer, pool(), drain))

    assert [(result.outcome, result.missed) for _, result in out] == [(Outcome.MISSED, 3)]


def test_a_partial_scrape_is_delivered_with_its_error(pool: Callable[..., Pool]) -> None:
    """What answered is there, and what did not is named."""
    drain, out = _Entered(), Out()

    async def work(tick: Ticks, left: float) -> Collected:
        return Collected((BATCH,), {"offsets": BATCH}, "timeout", "broker 2 did not answer")

    run_main(flow_of(PatientSource([tick("a")], drain), out, work, pool(), drain))

    ((_, result),) = out
    assert result.outcome is Outcome.COMPLETED
    assert (result.batches, result.raw) == ((BATCH,), {"offsets": BATCH})
    assert (result.error_class, result.error) == ("timeout", "broker 2 did not answer")


def test_the_deadline_runs_from_the_due_time(pool: Callable[..., Pool]) -> None:
    """A tick that comes late has the rest of its time; one that comes too late is not begun."""
    drain, out, lefts = _Entered(), Out(), []

    async def work(tick: Ticks, left: float) -> Collected:
        lefts.append(left)
        return Collected()

    ticks = [tick("late", start=100_000), tick("too-late", start=70_000)]
    flow = flow_of(
        PatientSource(ticks, drain), out, work, pool(timeout=60), drain, clock=lambda: 110.0
    )
    run_main(flow)

    assert by_cluster(out) == [("late", Outcome.COMPLETED), ("too-late", Outcome.FAILED)]
    (left,) = lefts
    assert 10 < left <= 20, "30 s from the due time, which was 10 s ago"


def test_a_tick_with_a_delay_is_begun_after_it_and_has_all_its_time_from_there(
    pool: Callable[..., Pool],
) -> None:
    """Clusters are not asked in one moment; one that is asked later has no less time."""
    drain, out = _Entered(), Out()
    begun: dict[str, tuple[float, float]] = {}

    async def work(tick: Ticks, left: float) -> Collected:
        begun[tick.cluster] = time.time() - tick.start / 1000, left
        return Collected()

    ticks = [replace(tick(f"c{delay}"), delay=delay) for delay in (0, 150)]
    run_main(flow_of(PatientSource(ticks, drain), out, work, pool(timeout=60), drain))

    assert by_cluster(out) == [("c0", Outcome.COMPLETED), ("c150", Outcome.COMPLETED)]
    after, left = begun["c150"]
    assert after >= 0.149
    assert left + after > 30.1 >= left


def test_a_cluster_of_high_priority_goes_first(pool: Callable[..., Pool]) -> None:
    """While the slots are taken, priority decides who is next."""
    drain, out = _Entered(), Out()
    ticks = [tick("low"), tick("normal"), tick("high")]
    one = pool(size=1)
    order = []

    async def work(tick: Ticks, left: float) -> Collected:
        order.append(tick.cluster)
        return Collected()

    async def until_all_wait(left: float) -> None:
        while one.stats.queued < len(ticks):
            await asyncio.sleep(0.001)

    one.loop.call_soon_threadsafe(one.offer, until_all_wait, lambda _: None)
    priorities = {"high": Priority.HIGH, "low": Priority.LOW}
    run_main(flow_of(PatientSource(ticks, drain), out, work, one, drain, priorities=priorities))

    assert order == ["high", "normal", "low"]


def until_a_crash(lost: Ticks) -> TestingSource[Any]:
    """A tick, time for its snapshot, and the death of the process; then nothing more."""
    # Each pause is a turn of the engine, in which the snapshot goes on to the store.
    pauses = [TestingSource.PAUSE(timedelta(milliseconds=1))] * 50
    return TestingSource([(lost.cluster, lost), *pauses, TestingSource.ABORT()])


def recovering(flow: Dataflow, folder: Path) -> None:
    """Run a dataflow that has its state in a folder."""
    run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(folder)))


def test_a_tick_under_way_at_a_crash_is_missed_and_not_collected_again(
    pool: Callable[..., Pool], tmp_path: Path
) -> None:
    """After a restart it is reported once, at once, and its work is not begun again."""
    init_db_dir(tmp_path, 1)
    lost = tick("a")
    first, second, again = Out(), Out(), Drain()
    begun = []

    async def work(tick: Ticks, left: float) -> Collected:
        begun.append(tick)
        return Collected()

    recovering(flow_of(until_a_crash(lost), first, hang, pool(), Drain()), tmp_path)
    recovering(flow_of(until_a_crash(lost), second, work, pool(), again), tmp_path)

    assert first == []
    ((key, result),) = second
    assert (key, result.tick, result.outcome, result.missed) == ("a", lost, Outcome.MISSED, 1)
    assert begun == []
    assert again.under_way == 0


def test_a_tick_under_way_at_a_crash_goes_with_its_cluster(
    pool: Callable[..., Pool], tmp_path: Path
) -> None:
    """Of a cluster that is no longer there nothing is reported, and the drain has no part in it."""
    init_db_dir(tmp_path, 1)
    lost = tick("a")
    out, again = Out(), Drain()

    recovering(flow_of(until_a_crash(lost), Out(), hang, pool(), Drain()), tmp_path)
    left = flow_of(until_a_crash(lost), out, answer, pool(), again, clusters={"b"})
    recovering(left, tmp_path)

    assert (out, again.under_way) == ([], 0)


def test_when_the_grace_is_over_what_is_under_way_is_reported_and_never_lost(
    pool: Callable[..., Pool], tmp_path: Path
) -> None:
    """A forced end leaves each tick reported once: cancelled now, or missed at the next start."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    ticks = [tick("hung"), tick("well")]
    drain = _Entered(grace=0.2)
    stuck = pool()

    async def work(tick: Ticks, left: float) -> Collected:
        return await (hang if tick.cluster == "hung" else answer)(tick, left)

    first: Out = []
    source = PatientSource(ticks, drain, ready=lambda: bool(first))
    run_main(flow_of(source, first, work, stuck, drain), recovery_config=recovery)
    second: Out = []
    again = _Entered()
    source = PatientSource(ticks, again)
    run_main(flow_of(source, second, work, pool(), again), recovery_config=recovery)

    assert ("well", Outcome.COMPLETED) in by_cluster(first)
    reported = [r for key, r in first + second if key == "hung"]
    assert [(r.outcome, r.error_class) for r in reported] in (
        [(Outcome.FAILED, "cancelled")],
        [(Outcome.MISSED, "missed")],
    )
    assert drain.under_way == 1
    while stuck.stats.running:
        time.sleep(0.001)


def test_a_kind_without_a_pool_is_named(pool: Callable[..., Pool]) -> None:
    """The message says which kind has no pool, and which have."""
    drain, out = _Entered(), Out()
    alien = Ticks("a", 0, 1000, kind="queues")

    with pytest.raises(BytewaxRuntimeError) as raised:
        run_main(flow_of(PatientSource([alien], drain), out, answer, pool(), drain))

    assert "no pool for kind `queues` of cluster `a`; there are pools for topics" in str(
        raised.value.__cause__
    )
