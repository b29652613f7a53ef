"""The ticks of collection targets, as a Bytewax source: one input partition a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.drain import Drain
from operators.retired import RetiredPartition
from operators.schedule import Alarm, RealTime, at_or_after, awake_at
from operators.schema.clock import utc_now
from operators.served import Served, Stretch
from operators.ticks import Ticks, input_partition

_STATE_VERSION = 2

TargetState = tuple[int, int] | tuple[int, int, tuple[Stretch, ...]]
"""Version, next due time (ms), the stretches of time that were served; version 1 has no third."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is collected on its own: one cluster x one kind, at an interval (ms).

    It is asked `delay` ms after each due time.
    """

    cluster: str
    kind: str
    interval: int
    delay: int = 0

    @property
    def partition(self) -> str:
        """The input partition's name."""
        return input_partition(self.cluster, self.kind)


class TargetSource(FixedPartitionedSource[tuple[str, Ticks], TargetState | None]):
    """Due times of targets, each once, keyed by the cluster.

    Unit of parallelism: the target. After a restart a target goes on at the next multiple of its
    interval; the due times that passed meanwhile come at once as one `Ticks` with `count` 0 and
    `missed` set: they are reported or filled, never collected. Due times that pass while the
    worker is held up are reported as `missed` with the tick that is served.

    Where the clock was set back behind what was served, the due times that were not come again, and
    of the others the samples are there: a `Ticks` with `count` and `missed` 0 says that.

    `retired` are partitions that earlier runs had: they stay listed, for a stored partition that
    is not listed stops the start, and end at once. `began` are the ticks (ms) with which partitions
    without state may have begun before a kill: from there on their due times were missed.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        schedule: RealTime,
        drain: Drain,
        retired: frozenset[str] = frozenset(),
        began: Mapping[str, int] | None = None,
    ) -> None:
        self._targets = targets
        self._began = began or {}
        self._schedule = schedule
        self._drain = drain
        self._retired = retired - targets.keys()

    def list_parts(self) -> list[str]:
        """Every target, and what earlier runs had."""
        return sorted(self._targets.keys() | self._retired)

    def build_part(
        self, step_id: str, for_part: str, resume_state: TargetState | None
    ) -> StatefulSourcePartition[tuple[str, Ticks], TargetState | None]:
        """Build a target's partition, or one that ends at once for a retired name."""
        if for_part in self._retired:
            return RetiredPartition(for_part, resume_state)
        target = self._targets[for_part]
        if resume_state is None and for_part in self._began:
            first = min(self._began[for_part], self._schedule.first(target.interval))
            resume_state = (_STATE_VERSION, first, ())
        return _TargetPartition(target, self._schedule, self._drain, resume_state)


class _TargetPartition(StatefulSourcePartition[tuple[str, Ticks], TargetState | None]):
    def __init__(
        self, target: Target, schedule: RealTime, drain: Drain, resume: TargetState | None
    ) -> None:
        self._target = target
        self._schedule = schedule
        self._drain = drain
        self._first = schedule.first(target.interval)
        """Due times before it are not collected any more."""
        self._next = self._first
        self._served = Served()
        self._silent = False
        """Whether it has no more and waits for the drain: it need not look at what is due."""
        self._alarm = Alarm(epoch=drain.epoch)
        self._there = False
        """Whether to say that the samples of the due times before `_next` are there."""
        if resume is not None:
            self._resume(*resume)

    def _resume(self, version: int, left_at: int, stretches: Sequence[Stretch] = ()) -> None:
        # The first version did not say since when it had served.
        self._served = Served([(0, left_at)] if version == 1 else stretches)
        left_at = at_or_after(left_at, self._target.interval)
        if left_at <= self._first:
            self._next = left_at
        else:
            self._go_on_at(self._first)

    def next_batch(self) -> list[tuple[str, Ticks]]:
        target = self._target
        if self._there:
            self._there = False
            return [(target.cluster, self._ticks(self._next, count=0))]
        if self._next < self._first:
            return [self._missed_until(self._first)]
        self._silent = self._drain.has_ended(self._schedule, self._next)
        if self._silent:
            return []
        due = self._schedule.due(self._next, target.interval)
        if due == 0:
            return []
        tick = self._next + (due - 1) * target.interval
        there = self._served.free_until(self._next)
        if there is not None and there <= tick:
            return [self._missed_until(there)]
        self._served.add(tick - min(due - 1, 1) * target.interval, tick + target.interval)
        self._go_on_at(tick + target.interval)
        return [(target.cluster, self._ticks(tick, count=1, missed=due - 1))]

    def _missed_until(self, moment: int) -> tuple[str, Ticks]:
        """Those before `moment`, or before the next ones that are there, were missed."""
        interval = self._target.interval
        there = self._served.free_until(self._next)
        until = at_or_after(moment if there is None else min(moment, there), interval)
        missed = (until - self._next) // interval
        # Of the last of them there is a row that says so.
        self._served.add(until - interval, until)
        self._go_on_at(until)
        return self._target.cluster, self._ticks(until, count=0, missed=missed)

    def _go_on_at(self, tick: int) -> None:
        self._next = self._served.next_after(tick, self._target.interval)
        if self._next != tick:
            self._there = True
            self._schedule.there_until(self._next)

    def _ticks(self, start: int, count: int, missed: int = 0) -> Ticks:
        target = self._target
        return Ticks(
            target.cluster, start, target.interval, count, missed, target.kind, target.delay
        )

    def next_awake(self) -> datetime | None:
        now = utc_now()
        if self._there or self._next < self._first:
            return now
        look = self._drain.next_look()
        if not self._silent:
            due = awake_at(self._next, self._schedule.clock)
            look = min(look, max(due, now + timedelta(milliseconds=1)))
        return self._alarm.at(look)

    def snapshot(self) -> TargetState:
        self._alarm.epoch_ended()
        return _STATE_VERSION, self._next, self._served.stretches
