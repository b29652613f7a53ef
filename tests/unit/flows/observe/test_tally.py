"""The tally: what pools, sinks and merge report, and the picture that comes of it."""

import asyncio
import threading

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.observe.picture import DELAY_BUCKETS, Job, TargetPicture
from flows.observe.recent import Recent
from flows.observe.tally import Tally
from operators.events import TaskCompleted, TaskFailed
from operators.merge.coverage import Coverage
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schema.arrow import sample_batch
from operators.schema.metrics import CLUSTER, TOPIC
from operators.ticks import Outcome
from sinks.events import (
    DeadLettersDropped,
    DeliveryRetried,
    SamplesDead,
    SamplesDelivered,
    SamplesWritten,
    SpoolDepth,
)

JOB = Job(
    "run",
    30.0,
    targets=("prod/brokers",),
    sinks=("parquet", "newrelic"),
    spools={"newrelic": 1000},
)


class Clock:
    """Seconds since the epoch, as a test sets them."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(clock: Clock) -> Tally:
    return Tally(JOB, clock=clock)


def batch(ticks: list[int], anomalies: list[str | None], entity: object = TOPIC) -> pa.RecordBatch:
    columns = {"timestamp": ticks, "anomaly": anomalies, "origin": "simulated"}
    return sample_batch(entity, len(ticks), columns)  # type: ignore[arg-type]


def test_expected_targets_are_there_before_their_first_tick(tally: Tally) -> None:
    """A target that has not run yet is shown, without an outcome."""
    assert tally.picture().targets == (TargetPicture("prod/brokers"),)


def failed(outcome: Outcome, error_class: str, error: str, attempts: int = 0) -> TaskFailed:
    return TaskFailed("brokers", "prod/brokers", outcome, attempts, 9.0, error_class, error)


def test_a_target_remembers_its_last_success_through_failures(tally: Tally, clock: Clock) -> None:
    """Failures count up and say why; the last success stays until the next one ends them."""
    tally.hear(TaskCompleted("brokers", "prod/brokers", 1, 0.5))
    clock.now += 30
    for _ in range(2):
        tally.hear(failed(Outcome.FAILED, "timeout", "no answer", 3))
    (target,) = tally.picture().targets
    assert (target.last_success, target.completed, target.failed) == (1_000.0, 1, 2)
    assert (target.failures, target.error_class, target.error) == (2, "timeout", "no answer")
    tally.hear(TaskCompleted("brokers", "prod/brokers", 2, 0.7))
    (target,) = tally.picture().targets
    assert target == TargetPicture(
        "prod/brokers", "brokers", Outcome.COMPLETED, 2, 0.7, 1_030.0, 2, 2
    )


def test_a_tick_that_never_ran_does_not_hide_why_the_last_one_failed(tally: Tally) -> None:
    """With an open breaker the cause that opened it is still shown."""
    tally.hear(failed(Outcome.OVERRUN, "overrun", "still under way"))
    (target,) = tally.picture().targets
    assert (target.error_class, target.duration) == ("overrun", None)
    tally.hear(failed(Outcome.FAILED, "timeout", "no answer", 3))
    tally.hear(failed(Outcome.REFUSED, "breaker_open", "it kept failing"))
    (target,) = tally.picture().targets
    assert (target.outcome, target.failures) == (Outcome.REFUSED, 3)
    assert (target.error_class, target.attempts, target.duration) == ("timeout", 3, 9.0)


def test_tasks_without_a_key_are_no_targets(tally: Tally, clock: Clock) -> None:
    """Other work of a pool is activity, and adds no target."""
    clock.now += 1
    tally.hear(TaskCompleted("simulation", None, 1, 0.5))
    picture = tally.picture()
    assert (len(picture.targets), picture.last_activity) == (1, 1_001.0)


def test_samples_count_by_origin_and_sink(tally: Tally) -> None:
    """Totals add up for each sink and origin apart; a sink nobody announced is added."""
    tally.hear(SamplesWritten("parquet", {"collected": 5, "filled": 1}, {}))
    tally.hear(SamplesWritten("parquet", {"collected": 2}, {}))
    tally.hear(SamplesWritten("kafka", {"simulated": 9}, {}))
    assert {sink.name: dict(sink.written) for sink in tally.picture().sinks} == {
        "parquet": {"collected": 7, "filled": 1},
        "newrelic": {},
        "kafka": {"simulated": 9},
    }


def test_no_count_is_lost_between_threads(tally: Tally) -> None:
    """Workers, senders and pools report at the same time, while pictures are made."""

    def report() -> None:
        for _ in range(2_000):
            tally.hear(SamplesWritten("parquet", {"collected": 1}, {}))
            tally.picture()

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(tally.picture().sinks[0].written) == {"collected": 8_000}


def test_rates_are_of_the_last_minute(tally: Tally, clock: Clock) -> None:
    """What is older than the window no longer counts."""
    tally.hear(SamplesWritten("parquet", {"collected": 600}, {}))
    clock.now += 50
    tally.hear(SamplesWritten("parquet", {"collected": 60}, {}))
    assert tally.picture().sinks[0].rates == {"collected": 660 / 50}
    clock.now += 40
    assert tally.picture().sinks[0].rates == {"collected": 60 / 60}


def test_the_first_tick_of_a_job_stands_for_an_interval(tally: Tally) -> None:
    """A rate right after the start is not that of one instant."""
    tally.hear(SamplesWritten("parquet", {"collected": 600}, {}))
    assert tally.picture().sinks[0].rates == {"collected": 600 / 30}


def test_a_local_sinks_samples_arrive_when_they_are_written(tally: Tally, clock: Clock) -> None:
    """Delay and watermark of Parquet are those of the write."""
    clock.now = 1_003.0
    tally.hear(SamplesWritten("parquet", {"collected": 4}, {"collected": (1_000_000, 1_002_000)}))
    parquet = tally.picture().sinks[0]
    assert dict(parquet.watermarks) == {"collected": 1_002_000}
    delays = parquet.delays["collected"]
    assert (delays.sum, delays.last) == (12.0, 3.0)
    assert delays.buckets[DELAY_BUCKETS.index(5.0)] == 4
    assert parquet.arrived == 4


def test_a_network_sinks_samples_arrive_when_they_are_acknowledged(
    tally: Tally, clock: Clock
) -> None:
    """What lies in the spool has not arrived."""
    ticks = {"collected": (1_000_000, 1_000_000)}
    tally.hear(SamplesWritten("newrelic", {"collected": 4}, ticks))
    waiting = tally.picture().sinks[1]
    assert (waiting.arrived, dict(waiting.watermarks)) == (0, {})
    clock.now = 1_010.0
    tally.hear(SamplesDelivered("newrelic", "events", {"collected": 4}, ticks))
    arrived = tally.picture().sinks[1]
    assert (arrived.arrived, dict(arrived.watermarks)) == (4, {"collected": 1_000_000})
    assert arrived.delays["collected"].last == 10.0


def test_what_only_one_of_two_routes_delivered_has_not_arrived(tally: Tally) -> None:
    """With New Relic's events and metrics, the slower one counts."""
    tally.hear(SamplesDelivered("newrelic", "events", {"collected": 4, "filled": 1}, {}))
    tally.hear(SamplesDelivered("newrelic", "metrics", {"collected": 3}, {}))
    assert tally.picture().sinks[1].arrived == 3


def test_a_watermark_never_goes_back(tally: Tally) -> None:
    """An older tick that is delivered late leaves the watermark where it is."""
    for tick in (2_000, 1_000):
        tally.hear(SamplesWritten("parquet", {"collected": 1}, {"collected": (tick, tick)}))
    assert dict(tally.picture().watermarks) == {"collected": 2_000}


def test_the_jobs_watermark_is_that_of_its_slowest_sink(tally: Tally) -> None:
    """A tick has passed when every sink that has samples of its origin delivered it."""
    tally.hear(SamplesWritten("parquet", {"collected": 1}, {"collected": (9_000, 9_000)}))
    ticks = {"collected": (3_000, 3_000)}
    tally.hear(SamplesDelivered("newrelic", "events", {"collected": 1}, ticks))
    assert dict(tally.picture().watermarks) == {"collected": 3_000}


def test_spools_retries_and_dead_letters_count(tally: Tally) -> None:
    """A spool's depth is the sum of its partitions' last reports."""
    tally.hear(SpoolDepth("newrelic", "spool-0", 10, 20))
    tally.hear(SpoolDepth("newrelic", "spool-1", 1, 2))
    tally.hear(SpoolDepth("newrelic", "spool-0", 5, 20))
    tally.hear(DeliveryRetried("newrelic", "events", "429", 1, 2.0))
    tally.hear(SamplesDead("newrelic", "events", {"collected": 3}, "too old", 400))
    tally.hear(DeadLettersDropped("dead-letters/a.parquet", 8))
    picture = tally.picture()
    newrelic = picture.sinks[1]
    assert (newrelic.unsent_bytes, newrelic.spool_bytes, newrelic.spool_limit) == (6, 22, 1000)
    assert (newrelic.retries, dict(newrelic.dead)) == (1, {("events", "collected"): 3})
    assert picture.dead_letters_dropped == 8


def test_a_picture_stays_as_it_was_while_the_tally_counts_on(tally: Tally) -> None:
    """Who shows it reads it outside of the tally's lock."""

    def count() -> None:
        ticks = {"collected": (900_000, 990_000)}
        tally.hear(SamplesWritten("parquet", {"collected": 5}, ticks))
        tally.hear(SamplesDelivered("newrelic", "events", {"collected": 5}, ticks))
        tally.hear(SamplesDead("newrelic", "events", {"collected": 1}, "too old", 400))
        tally.hear(SpoolDepth("newrelic", "spool-0", 10, 20))
        tally.hear(Coverage("prod", 1_000, expected=10, collected=7, filled=3))
        tally.saw("prod", batch([1_000_000], ["spike"]))
        tally.hear(TaskFailed("prod", "prod/brokers", Outcome.FAILED, 1, 0.1, "timeout", "late"))
        tally.hear(DeadLettersDropped("dead-letters/a.parquet", 8))

    count()
    picture = tally.picture()
    before = repr(picture)
    count()
    assert repr(picture) == before != repr(tally.picture())


def test_coverage_adds_up_by_cluster(tally: Tally, clock: Clock) -> None:
    """Totals go back to the start, the recent part to the window's."""
    tally.hear(Coverage("prod", 1_000, expected=10, collected=7, filled=3))
    clock.now += 100
    tally.hear(Coverage("prod", 2_000, expected=10, collected=9, filled=1, late=2))
    (prod,) = tally.picture().clusters
    assert (prod.expected, prod.collected, prod.filled, prod.late) == (20, 16, 4, 2)
    assert prod.recent == (10, 9, 1)


def test_anomalies_are_active_while_they_shape_the_last_tick(tally: Tally) -> None:
    """A label that only an earlier tick of a block bears is over."""
    tally.saw("sim", batch([1_000_000, 1_030_000], ["spike", None]))
    assert tally.picture().anomalies == ()
    tally.saw("sim", batch([1_060_000] * 3, [None, "lag", "lag"]))
    tally.saw("other", batch([1_060_000], ["broker_down"]))
    assert tally.picture().anomalies == ("broker_down", "lag")
    tally.saw("sim", batch([1_090_000], [None]))
    assert tally.picture().anomalies == ("broker_down",)


def test_an_entity_type_that_went_silent_has_no_anomalies(tally: Tally) -> None:
    """Its last labels end when the cluster's ticks have gone on without it."""
    tally.saw("sim", batch([1_000_000], ["spike"]))
    tally.saw("sim", batch([1_030_000], [None], CLUSTER))
    assert tally.picture().anomalies == ("spike",)
    tally.saw("sim", batch([1_060_000], [None], CLUSTER))
    assert tally.picture().anomalies == ()


def test_clusters_show_their_samples_and_last_tick(tally: Tally) -> None:
    """Batches on their way to the sinks count for their cluster; empty ones change nothing."""
    tally.saw("sim", batch([1_000, 2_000], [None, None]))
    tally.saw("sim", batch([], []))
    (sim,) = tally.picture().clusters
    assert (sim.name, sim.samples, sim.last_tick) == ("sim", 2, 2_000)


def test_draining_is_asked_for_at_each_picture() -> None:
    """The picture says whether the job was asked to end."""
    draining = False
    tally = Tally(JOB, draining=lambda: draining)
    assert not tally.picture().draining
    draining = True
    assert tally.picture().draining


def test_a_pool_shows_what_its_slots_work_on(tally: Tally) -> None:
    """A watched pool's slots, queue and targets are in the picture while its tasks run."""

    async def job() -> None:
        settings = PoolSettings(size=1, queue=5)
        async with Pool("brokers", settings, observer=tally.observer) as pool:
            tally.watch(pool)
            gate = asyncio.Event()

            async def work(_left: float) -> None:
                await gate.wait()

            tasks = [
                asyncio.create_task(pool.submit(work, key=key))
                for key in ("a/brokers", "b/brokers")
            ]
            while not pool.stats.running:
                await asyncio.sleep(0)
            (running,) = tally.picture().pools
            assert [slot.key for slot in running.busy] == ["a/brokers"]
            assert (running.stats.queued, running.queue) == (1, 5)
            gate.set()
            await asyncio.gather(*tasks)
        (ended,) = tally.picture().pools
        assert (ended.busy, ended.stats.outcomes[Outcome.COMPLETED]) == ([], 2)

    asyncio.run(job())
    completed = {target.key: target.completed for target in tally.picture().targets}
    assert completed == {"prod/brokers": 0, "a/brokers": 1, "b/brokers": 1}


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 100)),
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_a_recent_sum_is_that_of_the_window(parts: list[tuple[float, int]], window: int) -> None:
    """Within the second it is kept at, the sum is that of all amounts in the window."""
    recent = Recent(window)
    now, added = 0.0, []
    for pause, amount in parts:
        now += pause
        recent.add(now, amount)
        added.append((int(now), amount))
    assert recent.sum(now) == sum(amount for at, amount in added if at > now - window)


def test_a_sinks_delay_is_that_of_the_last_samples_to_arrive(tally: Tally, clock: Clock) -> None:
    """Filled samples, which wait on purpose, count only where there are no others."""
    assert tally.picture().sinks[0].delay(clock.now, 30.0) is None
    clock.now = 1_020.0
    ticks = {"filled": (1_000_000, 1_000_000)}
    tally.hear(SamplesWritten("parquet", {"filled": 1}, ticks))
    assert tally.picture().sinks[0].delay(clock.now, 30.0) == 20.0
    ticks = {"collected": (1_019_000, 1_019_000)}
    tally.hear(SamplesWritten("parquet", {"collected": 1}, ticks))
    assert tally.picture().sinks[0].delay(clock.now, 30.0) == 1.0


def test_a_sink_to_which_nothing_gets_through_falls_behind(tally: Tally, clock: Clock) -> None:
    """Its delay grows once the next tick is due."""
    ticks = {"collected": (1_000_000, 1_000_000)}
    tally.hear(SamplesDelivered("newrelic", "events", {"collected": 1}, ticks))
    assert tally.picture().sinks[1].delay(1_030.0, 30.0) == 0.0
    assert tally.picture().sinks[1].delay(1_500.0, 30.0) == 470.0


def test_a_clock_that_is_set_makes_nothing_older(tally: Tally, clock: Clock) -> None:
    """Ages, rates and silence are as before."""
    tally.hear(TaskCompleted("brokers", "prod/brokers", 1, 0.5))
    tally.hear(SamplesWritten("parquet", {"collected": 600}, {}))
    before = tally.picture()
    clock.now += 3600
    tally.clock_set(3600)
    after = tally.picture()
    assert after.now - after.started == before.now - before.started
    assert (after.last_activity, after.targets[0].last_success) == (clock.now, clock.now)
    assert after.sinks[0].rates == before.sinks[0].rates
    clock.now -= 7200
    tally.clock_set(-7200)
    assert tally.picture().sinks[0].rates == before.sinks[0].rates


def test_the_first_partition_that_goes_on_counts(tally: Tally, clock: Clock) -> None:
    """Samples are there for some longer than for others; what is over is forgotten."""
    for seconds in (300, 60, 120):
        tally.there_until(round((clock.now + seconds) * 1000))
    assert tally.picture().there_until == clock.now + 60
    clock.now += 61
    tally.there_until(round((clock.now + 300) * 1000))
    assert tally.picture().there_until == clock.now + 300
