"""The one place where asyncio meets the engine: ticks go to pools, their results come back."""

from collections import deque
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import TypeAlias
from zlib import crc32

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.drain import Drain
from operators.pool.pool import Pool
from operators.pool.settings import Priority
from operators.pool.task import Result
from operators.schema.clock import utc_now, wall_seconds
from operators.slack import attend
from operators.ticks import Collected, Outcome, TickResult, Ticks

LANES = 64
"""Keys that share the polling: one poll a target does not scale to thousands of them."""

POLL = timedelta(milliseconds=10)
"""How often a lane with work under way looks for results."""

STATE_VERSION = 1


TickWork: TypeAlias = Callable[[Ticks, float], Awaitable[Collected]]
"""The work for a tick: given the tick and the seconds that this attempt has."""

LaneState: TypeAlias = tuple[int, tuple[tuple[str, int, int, str | None], ...]]
"""A lane's snapshot: its version; cluster, start, interval and kind of the ticks under way."""


@dataclass(frozen=True)
class _Service:
    """What the lanes share."""

    work: TickWork
    pools: Mapping[str, Pool]
    drain: Drain
    priorities: Mapping[str, Priority]
    deadline: Callable[[Ticks], float]
    clusters: Container[str] | None
    clock: Callable[[], float]

    def pool(self, tick: Ticks) -> Pool:
        if tick.kind is None or tick.kind not in self.pools:
            raise KeyError(
                f"no pool for kind `{tick.kind}` of cluster `{tick.cluster}`; there are pools "
                f"for {', '.join(sorted(self.pools))}: add one for it"
            )
        return self.pools[tick.kind]

    def begin(self, tick: Ticks, done: Callable[[Result[Collected]], None]) -> None:
        """Hand a tick to its pool, when it is to be asked. Returns at once; `done` is called on the pool's loop."""
        pool = self.pool(tick)
        left = (tick.start + tick.delay) / 1000 - self.clock()
        wait = min(max(left, 0.0), tick.delay / 1000)
        offer = partial(
            pool.offer,
            partial(self.work, tick),
            done,
            key=tick.partition,
            priority=self.priorities.get(tick.cluster, Priority.NORMAL),
            deadline=left - wait + self.deadline(tick),
        )
        if wait:
            pool.loop.call_soon_threadsafe(pool.loop.call_later, wait, offer)
        else:
            pool.loop.call_soon_threadsafe(offer)

    def cancel(self, tick: Ticks) -> None:
        pool = self.pool(tick)
        pool.loop.call_soon_threadsafe(pool.cancel, tick.partition)


def offload(
    step_id: str,
    up: KeyedStream[Ticks],
    work: TickWork,
    pools: Mapping[str, Pool],
    drain: Drain,
    *,
    deadline: Callable[[Ticks], float],
    priorities: Mapping[str, Priority] | None = None,
    clusters: Container[str] | None = None,
    clock: Callable[[], float] = wall_seconds,
) -> KeyedStream[TickResult]:
    """Do the work of each tick in the pool of its kind; keyed by cluster in and out.

    No worker thread waits: the work runs on the pools' loop, and results are emitted within some
    10 ms of their being there. Every tick gives one `TickResult`; the ticks that it says are
    missed give one more, before it.

    Args:
        step_id: Name of the step.
        up: Ticks by cluster, one at a time (`count` is 1), or only missed ones (`count` is 0).
        work: Gives a tick's samples.
        pools: One a kind, all of this process.
        drain: Gets every tick that is under way, so that sources stay open for it. When the
            grace period is over, what is under way is cancelled, and never leaves the drain's
            count, by which one knows a forced end.
        deadline: Seconds that all attempts at a tick have, from its due time and delay.
        priorities: By cluster; normal where it names none.
        clusters: Those that there are; all of them without it.
        clock: Seconds since the epoch.

    State: the ticks under way. What a crash left there is emitted as missed at the next start;
    that of a cluster which is no longer there is dropped.
    """
    service = _Service(work, pools, drain, priorities or {}, deadline, clusters, clock)
    lanes = op.map(f"{step_id}_to_lane", up, _to_lane)
    results = op.stateful_batch(step_id, lanes, partial(_WorkLane, service))
    return op.map(f"{step_id}_to_cluster", results, _to_cluster)


def _to_lane(item: tuple[str, Ticks]) -> tuple[str, Ticks]:
    cluster, tick = item
    return f"lane-{crc32(cluster.encode()) % LANES:02}", tick


def _to_cluster(item: tuple[str, TickResult]) -> tuple[str, TickResult]:
    _, result = item
    return result.tick.cluster, result


class _WorkLane(StatefulBatchLogic[Ticks, TickResult, LaneState]):
    """The ticks of some clusters: under way in the pools, or done and not yet emitted."""

    def __init__(self, service: _Service, resume: LaneState | None) -> None:
        self._service = service
        self._numbers = count()
        self._under_way: dict[int, Ticks] = {}
        self._done: deque[tuple[int, Result[Collected]]] = deque()
        self._cancelled = False
        for cluster, start, interval, kind in resume[1] if resume else ():
            if service.clusters is None or cluster in service.clusters:
                self._accept(Ticks(cluster, start, interval, kind=kind), _LOST)

    def on_batch(self, values: list[Ticks]) -> tuple[Iterable[TickResult], bool]:
        attend()
        missed = [missed_before(tick) for tick in values if tick.missed]
        for tick in values:
            if tick.count:
                self._accept(replace(tick, missed=0))
        return [*missed, *self._take()], StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[TickResult], bool]:
        if self._service.drain.overdue:
            self._cancel()
        return self._take(), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[TickResult], bool]:
        results = self._take()
        # Nobody will ask again. The rest stays in the snapshot: missed, at the next start.
        self._cancel()
        return results, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        if self._done:
            return utc_now()
        return utc_now() + POLL if self._under_way else None

    def snapshot(self) -> LaneState:
        under_way = self._under_way.values()
        return STATE_VERSION, tuple((t.cluster, t.start, t.interval, t.kind) for t in under_way)

    def _accept(self, tick: Ticks, result: Result[Collected] | None = None) -> None:
        number = next(self._numbers)
        self._under_way[number] = tick
        self._service.drain.enter()
        if result is not None:
            self._done.append((number, result))
        else:
            self._service.begin(tick, partial(self._ended, number))

    def _ended(self, number: int, result: Result[Collected]) -> None:
        """On the pool's loop: the deque is what the two threads share."""
        self._done.append((number, result))

    def _take(self) -> list[TickResult]:
        taken = []
        while self._done:
            number, result = self._done.popleft()
            taken.append(tick_result(self._under_way.pop(number), result))
        if not self._cancelled:
            self._service.drain.leave(len(taken))
        return taken

    def _cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            for tick in self._under_way.values():
                self._service.cancel(tick)


_LOST: Result[Collected] = Result(
    Outcome.MISSED, error_class="missed", error="under way when the process ended"
)


def missed_before(tick: Ticks) -> TickResult:
    """The result of the due times that a tick says were missed: of the last, and those before."""
    last = replace(tick, start=tick.start - tick.interval, missed=tick.missed - 1)
    error = "due while the process was not running"
    return TickResult(last, Outcome.MISSED, error_class="missed", error=error)


def tick_result(tick: Ticks, result: Result[Collected]) -> TickResult:
    """The result of a tick from that of its task."""
    collected = result.value or Collected()
    return TickResult(
        tick,
        result.outcome,
        collected.batches,
        collected.raw,
        result.attempts,
        result.duration,
        result.error_class or collected.error_class,
        result.error or collected.error,
    )
