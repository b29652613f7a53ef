"""Clocks that go wrong: what of it is noticed, and what is not there for a process."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from operators.schedule import Alarm, AwakeClock, ClockSteps, RealTime


class Time:
    """A wall clock and a monotonic one that go on together until one is set."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.offset = 1_000_000.0
        self.between: Callable[[], None] = lambda: None
        """What happens once, between two readings."""

    def wall(self) -> float:
        between, self.between = self.between, lambda: None
        between()
        return self.monotonic + self.offset

    def steady(self) -> float:
        return self.monotonic


def test_a_clock_that_is_set_is_noticed_once() -> None:
    """Forward as back, with the seconds; all of them add up."""
    time = Time()
    steps = ClockSteps(time.wall, time.steady)
    found = []
    for change in (0.0, -300.0, 0.0, 3600.0, 0.2):
        time.monotonic += 0.1
        time.offset += change
        found.append(round(steps.look(), 3))
    assert found == [0.0, -300.0, 0.0, 3600.0, 0.0]
    assert steps.total_ms == 3_300_000


def test_a_clock_that_is_slewed_is_not_set() -> None:
    """However far it is in the end."""
    time = Time()
    steps = ClockSteps(time.wall, time.steady)
    for _ in range(100):
        time.monotonic += 60
        time.offset -= 0.03
        assert steps.look() == 0.0


def test_a_stop_between_two_readings_is_no_step() -> None:
    """It is read again."""
    time = Time()
    steps = ClockSteps(time.wall, time.steady)

    def stopped() -> None:
        time.monotonic += 60

    time.between = stopped
    assert steps.look() == 0.0
    assert steps.look() == 0.0


def test_a_process_that_is_stopped_has_no_time() -> None:
    """Its grace goes on when it does."""
    time = Time()
    clock = AwakeClock(time.steady)
    start = clock()
    for seconds in (0.1, 4.0, 60.0, 0.5):
        time.monotonic += seconds
        clock()
    assert clock() - start == pytest.approx(4.6)


def test_a_runs_end_does_not_go_by_the_clock_that_was_set() -> None:
    """`--for 90s` takes 90 s."""
    set_by = [0]
    schedule = RealTime(0, clock=lambda: 3_600_050, until=90_000, set_by=lambda: set_by[0])
    assert schedule.over(3_601_000)
    set_by[0] = 3_600_000
    assert not schedule.over(3_601_000)
    assert schedule.due(3_600_000, 1000) == 1


def test_a_runs_end_is_put_off_before_anyone_has_said_that_the_clock_was_set() -> None:
    """A source may be asked before who watches for steps looks, and he sees the step all the same."""
    time = Time()
    steps = ClockSteps(time.wall, time.steady)
    start = round(time.wall() * 1000)
    schedule = RealTime(
        start,
        clock=lambda: round(time.wall() * 1000),
        until=start + 90_000,
        set_by=lambda: steps.total_ms,
    )
    time.offset += 3600
    assert not schedule.over(start + 3_600_000)
    assert steps.look() == pytest.approx(3600)
    time.monotonic += 90
    assert schedule.over(start + 3_690_000)


def test_a_source_is_asked_at_once_where_the_clock_was_set_since_it_was_asked() -> None:
    """The engine would wait from its own look at the clock, which may have come before the step."""
    time = Time()
    alarm = Alarm(ClockSteps(time.wall, time.steady))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert alarm.at(moment) == moment
    for change in (300.0, -300.0):
        time.offset += change
        assert alarm.at(moment) is None
        assert alarm.at(moment) == moment
