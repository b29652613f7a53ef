"""The ticks of collection targets, as a Bytewax source: one input partition a target."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.drain import Drain
from operators.schedule import RealTime, at_or_after, awake_at
from operators.ticks import Ticks

_STATE_VERSION = 1

TargetState = tuple[int, int]
"""Version, next due time (ms)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is collected on its own: one cluster x one kind, at an interval (ms)."""

    cluster: str
    kind: str
    interval: int

    @property
    def partition(self) -> str:
        """The input partition's name."""
        return f"{self.cluster}/{self.kind}"


class TargetSource(FixedPartitionedSource[tuple[str, Ticks], TargetState | None]):
    """Due times of targets, each once, keyed by the cluster.

    Unit of parallelism: the target. After a restart a target goes on at the next multiple of its
    interval; the due times that passed meanwhile come at once as one `Ticks` with `count` 0 and
    `missed` set: they are reported or filled, never collected. Due times that pass while the
    worker is held up are reported as `missed` with the tick that is served.

    `retired` are partitions that earlier runs had: they stay listed, for a stored partition that
    is not listed stops the start, and end at once.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        schedule: RealTime,
        drain: Drain,
        retired: frozenset[str] = frozenset(),
    ) -> None:
        self._targets = targets
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
            return RetiredPartition()
        return _TargetPartition(self._targets[for_part], self._schedule, self._drain, resume_state)


class _TargetPartition(StatefulSourcePartition[tuple[str, Ticks], TargetState | None]):
    def __init__(
        self, target: Target, schedule: RealTime, drain: Drain, resume: TargetState | None
    ) -> None:
        self._target = target
        self._schedule = schedule
        self._drain = drain
        self._next = schedule.first(target.interval)
        self._missed = 0
        if resume is not None:
            left_at = at_or_after(resume[1], target.interval)
            self._missed = max(0, (self._next - left_at) // target.interval)
            # The clock may have gone back: a tick is never served twice.
            self._next = max(self._next, left_at)

    def next_batch(self) -> list[tuple[str, Ticks]]:
        target = self._target
        if self._missed:
            missed, self._missed = self._missed, 0
            return [(target.cluster, self._ticks(self._next, count=0, missed=missed))]
        if self._drain.has_ended(self._schedule, self._next):
            return []
        due = self._schedule.due(self._next, target.interval)
        if due == 0:
            return []
        tick = self._next + (due - 1) * target.interval
        self._next = tick + target.interval
        return [(target.cluster, self._ticks(tick, count=1, missed=due - 1))]

    def _ticks(self, start: int, count: int, missed: int) -> Ticks:
        target = self._target
        return Ticks(target.cluster, start, target.interval, count, missed, target.kind)

    def next_awake(self) -> datetime:
        now = datetime.now(UTC)
        if self._missed:
            return now
        due = awake_at(self._next, self._schedule.clock)
        return min(max(due, now + timedelta(milliseconds=1)), self._drain.next_look())

    def snapshot(self) -> TargetState:
        left_at = self._next - self._missed * self._target.interval
        return (_STATE_VERSION, left_at)


class RetiredPartition(StatefulSourcePartition[tuple[str, Ticks], TargetState | None]):
    """A partition that an earlier run had and this one has not: it ends at once."""

    def next_batch(self) -> list[tuple[str, Ticks]]:
        """Nothing, ever."""
        raise StopIteration

    def snapshot(self) -> None:
        """No state, so that the name starts anew should it come back."""
        return
