"""When ticks are due: in real time, or a range without pauses.

All times are milliseconds since the Unix epoch; ticks are the multiples of the interval.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Clock = Callable[[], int]


def wall_clock() -> int:
    """Now, in milliseconds."""
    return time.time_ns() // 1_000_000


def at_or_after(moment: int, interval: int) -> int:
    """The first multiple of `interval` that is not before `moment`."""
    return -(-moment // interval) * interval


def after(moment: int, interval: int) -> int:
    """The first multiple of `interval` that comes after `moment`."""
    return (moment // interval + 1) * interval


def awake_at(moment: int, clock: Clock) -> datetime:
    """When to look whether a clock has come to `moment`; not in the past.

    Only of the wall clock is it known; any other, such as a faster one, is looked at every 10 ms.
    """
    now = datetime.now(UTC)
    wait = timedelta(milliseconds=max(0, moment - clock()))
    return now + (wait if clock is wall_clock else min(wait, _LOOK))


_LOOK = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class RealTime:
    """Ticks fall due as the clock goes, from after `start`; nothing is due at `until` or later."""

    start: int
    clock: Clock = wall_clock
    until: int | None = None

    def first(self, interval: int) -> int:
        """The first tick of a partition that has never run; the same for all of them."""
        return after(self.start, interval)

    def due(self, tick: int, interval: int) -> int:
        """How many ticks, from `tick` on, are due by now."""
        horizon = self.clock()
        if self.until is not None:
            horizon = min(horizon, self.until - 1)
        return max(0, (horizon - tick) // interval + 1)

    def over(self, tick: int) -> bool:
        """Whether the run's end was reached; `tick` is the next one."""
        return self.until is not None and tick >= self.until and self.clock() >= self.until

    def owes(self, tick: int) -> bool:
        """Whether the run's end was reached, and `tick`, the next one, was due before it."""
        return self.until is not None and tick < self.until <= self.clock()


@dataclass(frozen=True, slots=True)
class Range:
    """Every tick in [start, end), at once."""

    start: int
    end: int

    def first(self, interval: int) -> int:
        """The first tick of a partition that has never run."""
        return at_or_after(self.start, interval)

    def due(self, tick: int, interval: int) -> int:
        """How many ticks there are from `tick` to the range's end."""
        return max(0, -(-(self.end - tick) // interval))

    def over(self, tick: int) -> bool:
        """Whether the range was exhausted; `tick` is the next one."""
        return tick >= self.end

    def owes(self, _tick: int) -> bool:
        """Never: what a range has is due until it is exhausted, or given up."""
        return False


Schedule = RealTime | Range
