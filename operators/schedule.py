"""When ticks are due: in real time, or a range without pauses.

All times are milliseconds since the Unix epoch; ticks are the multiples of the interval.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from operators.epochs import EpochEnds
from operators.schema.clock import Clock, utc_now, wall_clock, wall_seconds


class ClockSteps:
    """Notices that the wall clock was set, by the monotonic clock, which nobody sets.

    A machine that sleeps sets its clock forward by as much: the monotonic one stands still.
    """

    LEAST = 1.0
    """Seconds below which a difference is no step: clocks are slewed, and read one by one."""

    def __init__(
        self,
        wall: Callable[[], float] = wall_seconds,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._offset = self._look()
        self._total = self._unreported = 0.0

    def look(self) -> float:
        """Seconds by which the clock was set since this was last asked; 0.0 where it was not."""
        with self._lock:
            self._notice()
            step, self._unreported = self._unreported, 0.0
            return step

    @property
    def total_ms(self) -> int:
        """By how much it was set in all by now, in milliseconds; negative: back."""
        with self._lock:
            self._notice()
            return round(self._total * 1000)

    def _notice(self) -> None:
        offset = self._look()
        step, self._offset = offset - self._offset, offset
        if abs(step) >= self.LEAST:
            self._total += step
            self._unreported += step

    def _look(self) -> float:
        # A process that is stopped between the two readings has not seen the clock being set.
        while True:
            before = self._monotonic()
            wall = self._wall()
            after = self._monotonic()
            if after - before < self.LEAST / 10:
                return wall - before


class Alarm:
    """When a source is to be asked again, such that a clock that is set makes it no later.

    The engine waits for what lies between that moment and its own look at the clock, which came
    before the source's; where the clock was set forward between the two, for that much longer.

    With the length of an `epoch` (seconds) it is asked when its epochs end together with others'.
    """

    def __init__(self, steps: ClockSteps | None = None, epoch: float | None = None) -> None:
        self._steps = steps or ClockSteps()
        self._ends = None if epoch is None else EpochEnds(epoch)

    def at(self, moment: datetime) -> datetime | None:
        """`moment`, or when the epoch ends; None, which is at once, where the clock was set since this was last asked."""
        if self._steps.look():
            return None
        if self._ends is None:
            return moment
        return datetime.fromtimestamp(self._ends.awake_at(moment.timestamp()), UTC)

    def epoch_ended(self) -> None:
        """A snapshot is taken: an epoch ends."""
        if self._ends is not None:
            self._ends.ended()


class AwakeClock:
    """Seconds of the monotonic clock in which this process ran: one that is stopped has no time.

    It is asked often while a job runs; where it was not for `LONGEST_BREAK` seconds, the process
    was stopped, or its machine was frozen.
    """

    LONGEST_BREAK = 5.0

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked = monotonic()
        self._stopped = 0.0

    def __call__(self) -> float:
        """Now, in seconds; it means nothing but by differences."""
        with self._lock:
            now = self._monotonic()
            if now - self._asked > self.LONGEST_BREAK:
                self._stopped += now - self._asked
            self._asked = now
            return now - self._stopped


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
    now = utc_now()
    wait = timedelta(milliseconds=max(0, moment - clock()))
    return now + (wait if clock is wall_clock else min(wait, _LOOK))


_LOOK = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class RealTime:
    """Ticks fall due as the clock goes, from after `start`; nothing is due at `until` or later."""

    start: int
    clock: Clock = wall_clock
    until: int | None = None
    set_by: Callable[[], int] = lambda: 0
    """Milliseconds by which the clock was set since the start: a run's end does not go by it."""
    there_until: Callable[[int], None] = lambda _moment: None
    """Gets where a partition has nothing to do for a while: samples are there up to that time (ms),
    for the clock was set back."""

    @property
    def end(self) -> int | None:
        """When the run's end is, by the clock as it is set now; None where it has none."""
        return None if self.until is None else self.until + self.set_by()

    def first(self, interval: int) -> int:
        """The first tick of a partition that has never run; the same for all of them."""
        return after(self.start, interval)

    def due(self, tick: int, interval: int) -> int:
        """How many ticks, from `tick` on, are due by now."""
        horizon = self.clock()
        if (end := self.end) is not None:
            horizon = min(horizon, end - 1)
        return max(0, (horizon - tick) // interval + 1)

    def over(self, tick: int) -> bool:
        """Whether the run's end was reached; `tick` is the next one."""
        now = self.clock()  # before the end, which a clock that is set between the two moves too
        end = self.end
        return end is not None and tick >= end and now >= end

    def owes(self, tick: int) -> bool:
        """Whether the run's end was reached, and `tick`, the next one, was due before it."""
        now = self.clock()
        end = self.end
        return end is not None and tick < end <= now


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
