"""What a pool counts. Plain numbers that any thread may read at any moment."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from operators.ticks import Outcome

DURATION_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0
)  # fmt: skip
"""Upper bounds, in seconds, of the histogram of task durations; one more bucket is above all."""


@dataclass(slots=True)
class PoolStats:
    """Counters since the pool began, and gauges of this moment. Written by the pool's loop only."""

    outcomes: dict[Outcome, int] = field(
        default_factory=lambda: {outcome: 0 for outcome in Outcome if outcome is not Outcome.MISSED}
    )
    """Tasks by how they ended."""
    error_classes: Counter[str] = field(default_factory=Counter)
    """Tasks that did not complete, by error class."""
    attempts: int = 0
    retries: int = 0
    """Attempts after a task's first."""
    abandoned: int = 0
    """Attempts that went on after their time-out: threads, and coroutines that ignore cancelling."""
    abandoned_now: int = 0
    """Those of them that still run."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Completed and failed tasks by duration (`DURATION_BUCKETS`), not cumulated."""
    duration_sum: float = 0.0
    """Seconds of all completed and failed tasks together."""
    limit: int = 0
    """Slots there are; changes with `size: auto`."""
    running: int = 0
    """Slots at work now."""
    queued: int = 0
    """Tasks that wait for a slot now."""
    queued_high: int = 0
    """The most that ever waited."""
    backing_off: int = 0
    """Tasks that wait for their next attempt now."""

    def ended(self, outcome: Outcome, duration: float, error_class: str | None) -> None:
        """An accepted task ended, that many seconds after its submission."""
        self.outcomes[outcome] += 1
        self.durations[bisect_left(DURATION_BUCKETS, duration)] += 1
        self.duration_sum += duration
        if error_class is not None:
            self.error_classes[error_class] += 1

    def refused(self, outcome: Outcome, error_class: str) -> None:
        """A task was not taken, and why."""
        self.outcomes[outcome] += 1
        self.error_classes[error_class] += 1


class SlotState(NamedTuple):
    """What one slot works on; `key` is None when it is free."""

    slot: int
    key: str | None
    busy: float
    """Seconds since the attempt at it began."""


class BreakerState(NamedTuple):
    """A target that fails, or did at its last task."""

    key: str
    failures: int
    """Failed tasks in a row."""
    open: bool
    probe_in: float
    """Seconds until the next probe is let through; 0 when the next task is one."""
    abandoned: int
    """Attempts of it that still run after their time-out."""
