"""Ticks of collection targets: each due time once, in real time and over restarts."""

from datetime import timedelta

import pytest
from bytewax.inputs import StatefulSourcePartition
from hypothesis import given
from hypothesis import strategies as st

from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range, RealTime, after, at_or_after
from operators.targets import Target, TargetSource, TargetState
from operators.ticks import Ticks

INTERVAL = 1000


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


Partition = StatefulSourcePartition[tuple[str, Ticks], TargetState | None]


def build(
    clock: Clock,
    state: TargetState | None = None,
    interval: int = INTERVAL,
    until: int | None = None,
) -> Partition:
    targets = {"c/topics": Target("c", "topics", interval)}
    source = TargetSource(targets, RealTime(clock(), clock, until), Drain(settle=0))
    return source.build_part("targets", "c/topics", state)


def emitted(partition: Partition) -> list[tuple[int, int, int]]:
    return [(t.start, t.count, t.missed) for _, t in partition.next_batch()]


def test_first_tick_is_the_next_multiple_of_the_interval() -> None:
    """A run that starts between two ticks waits for the next one."""
    clock = Clock(10_500)
    partition = build(clock)
    assert emitted(partition) == []
    clock.now = 11_000
    assert emitted(partition) == [(11_000, 1, 0)]
    assert emitted(partition) == []


def test_held_up_worker_serves_the_latest_tick_and_reports_the_others() -> None:
    """Due times that passed are not collected one after the other."""
    clock = Clock(10_500)
    partition = build(clock)
    clock.now = 13_100
    assert emitted(partition) == [(13_000, 1, 2)]


def test_restart_reports_missed_ticks_at_once_and_collects_none_of_them() -> None:
    """What fell due while the process was down comes as missed, before the next due time."""
    clock = Clock(10_500)
    before = build(clock)
    clock.now = 11_000
    emitted(before)
    clock.now = 15_200
    resumed = build(clock, before.snapshot())
    assert emitted(resumed) == [(16_000, 0, 4)]
    clock.now = 16_000
    assert emitted(resumed) == [(16_000, 1, 0)]


def test_missed_ticks_not_yet_emitted_are_in_the_state() -> None:
    """A second crash before they were emitted loses none of them."""
    clock = Clock(15_200)
    resumed = build(clock, (1, 12_000))
    again = build(clock, resumed.snapshot())
    assert emitted(again) == [(16_000, 0, 4)]


def test_changed_interval_goes_on_at_its_next_multiple() -> None:
    """The state is a time, so another interval finds its place."""
    clock = Clock(12_100)
    resumed = build(clock, (1, 12_000), interval=5000)
    assert emitted(resumed) == []
    clock.now = 15_000
    assert emitted(resumed) == [(15_000, 1, 0)]


def test_what_fell_due_before_a_kill_that_left_no_state_was_missed() -> None:
    """From the tick with which the target began."""
    targets = {"c/topics": Target("c", "topics", INTERVAL)}
    clock = Clock(15_200)
    source = TargetSource(targets, RealTime(clock(), clock), Drain(), began={"c/topics": 12_000})
    assert emitted(source.build_part("targets", "c/topics", None)) == [(16_000, 0, 4)]
    source = TargetSource(targets, RealTime(clock(), clock), Drain(), began={"c/topics": 16_000})
    assert emitted(source.build_part("targets", "c/topics", None)) == []


def test_a_clock_set_back_behind_the_start_collects_again() -> None:
    """Ticks go on at the next multiple; those that are there come once, and it is said."""
    clock, reported = Clock(20_500), list[int]()
    targets = {"c/topics": Target("c", "topics", INTERVAL)}
    before = build(clock)
    for clock.now in (21_000, 22_000):
        emitted(before)
    clock.now = 10_500
    schedule = RealTime(clock(), clock, there_until=reported.append)
    source = TargetSource(targets, schedule, Drain(settle=0))
    resumed = source.build_part("targets", "c/topics", before.snapshot())
    ticks = []
    for clock.now in range(11_000, 25_000, 500):
        ticks += [(clock.now, *tick) for tick in emitted(resumed)]
    served = [(start, start, 1, 0) for start in range(11_000, 21_000, INTERVAL)]
    assert ticks == [
        *served,
        (20_500, 23_000, 0, 0),
        *[(start, start, 1, 0) for start in (23_000, 24_000)],
    ]
    assert reported == [23_000]


def test_a_clock_set_back_into_what_was_served_waits() -> None:
    """All samples up to where it was are there."""
    clock = Clock(10_500)
    before = build(clock)
    for clock.now in range(11_000, 16_000, INTERVAL):
        emitted(before)
    clock.now = 12_500
    resumed = build(clock, before.snapshot())
    assert emitted(resumed) == [(16_000, 0, 0)]
    for clock.now in (13_000, 14_000, 15_000):
        assert emitted(resumed) == []
    clock.now = 16_000
    assert emitted(resumed) == [(16_000, 1, 0)]


def test_what_a_clock_set_forward_skipped_is_collected_when_it_is_set_right() -> None:
    """But for the tick of the row that said that they were missed; and none comes twice."""
    clock = Clock(10_500)
    wrong = build(clock)
    for clock.now in (11_000, 12_000, 22_000, 23_000):
        emitted(wrong)
    clock.now = 12_800
    right = build(clock, wrong.snapshot())
    ticks = [tick for clock.now in range(13_000, 26_000, 500) for tick in emitted(right)]
    assert [start for start, count, _ in ticks if count] == [
        *range(13_000, 21_000, INTERVAL),
        24_000,
        25_000,
    ]
    assert not any(missed for *_, missed in ticks)


def test_missed_ticks_are_none_of_those_that_are_there() -> None:
    """A stop between two lives' ticks, and a start after both."""
    clock = Clock(20_500)
    first = build(clock)
    for clock.now in (21_000, 22_000):
        emitted(first)
    clock.now = 10_500
    second = build(clock, first.snapshot())
    clock.now = 11_000
    emitted(second)
    clock.now = 25_500
    third = build(clock, second.snapshot())
    assert [emitted(third) for _ in range(4)] == [
        [(21_000, 0, 9)],
        [(23_000, 0, 0)],
        [(26_000, 0, 3)],
        [],
    ]


def test_a_held_up_worker_collects_no_tick_of_long_ago() -> None:
    """Where ticks that are there lie between, those before them were missed."""
    clock = Clock(20_500)
    first = build(clock)
    for clock.now in (21_000, 22_000):
        emitted(first)
    clock.now = 17_500
    second = build(clock, first.snapshot())
    clock.now = 24_100
    assert [emitted(second) for _ in range(3)] == [
        [(21_000, 0, 3)],
        [(23_000, 0, 0)],
        [(24_000, 1, 1)],
    ]


def test_a_state_that_does_not_say_since_when_holds_its_due_time() -> None:
    """After a restart with an earlier clock, that of an earlier version serves no tick twice."""
    clock = Clock(9_000)
    resumed = build(clock, (1, 12_000))
    assert emitted(resumed) == [(12_000, 0, 0)]
    clock.now = 11_000
    assert emitted(resumed) == []
    clock.now = 12_000
    assert emitted(resumed) == [(12_000, 1, 0)]


def test_limited_run_has_the_ticks_of_its_range() -> None:
    """Nothing is due at the run's end, and the source asks for the drain."""
    clock = Clock(10_500)
    partition = build(clock, until=13_000)
    starts = []
    try:
        for now in range(10_500, 20_000, 500):
            clock.now = now
            starts += [start for start, _, _ in emitted(partition)]
    except StopIteration:
        pass
    assert (starts, clock.now) == ([11_000, 12_000], 13_000)


def test_a_held_up_partition_of_a_limited_run_still_has_its_last_tick() -> None:
    """Another partition that is through asks for the drain; what was due by then is served."""
    clock, drain = Clock(10_500), Drain(settle=0)
    targets = {f"c/{kind}": Target("c", kind, INTERVAL) for kind in ("brokers", "topics")}
    source = TargetSource(targets, RealTime(clock(), clock, 12_000), drain)
    prompt, held_up = (source.build_part("targets", name, None) for name in targets)
    clock.now = 11_000
    assert emitted(prompt) == [(11_000, 1, 0)]
    clock.now = 12_000
    with pytest.raises(StopIteration):
        prompt.next_batch()
    assert drain.requested
    assert emitted(held_up) == [(11_000, 1, 0)]
    with pytest.raises(StopIteration):
        held_up.next_batch()


def test_a_limited_run_that_is_asked_to_end_has_no_new_tick() -> None:
    """Not even one that was due before its end, which comes while it drains."""
    clock, drain = Clock(11_100), Drain(settle=0)
    targets = {"c/topics": Target("c", "topics", INTERVAL)}
    source = TargetSource(targets, RealTime(clock(), clock, until=13_000), drain)
    partition = source.build_part("targets", "c/topics", None)
    drain.enter()
    drain.request()
    assert emitted(partition) == []
    clock.now = 13_000
    assert emitted(partition) == []
    drain.leave()
    with pytest.raises(StopIteration):
        partition.next_batch()


def test_retired_partition_stays_listed_and_ends() -> None:
    """The name of a removed target is listed, for its stored state, and gives nothing."""
    source = TargetSource({}, RealTime(0, Clock(0)), Drain(), frozenset({"gone/topics"}))
    assert source.list_parts() == ["gone/topics"]
    partition = source.build_part("targets", "gone/topics", (1, 5))
    try:
        partition.next_batch()
    except StopIteration:
        pass
    else:
        raise AssertionError("a retired partition emitted")
    assert partition.snapshot() is None


def test_state_that_a_configuration_without_it_gives_up_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of targets and fleets, by name: the ticks of the time without them are nowhere reported as missed."""
    names = frozenset({"gone/topics", "sim"})
    targets = TargetSource({}, RealTime(0, Clock(0)), Drain(), names)
    fleets = FleetSource({}, 1000, RealTime(0, Clock(0)), Drain(), retired=names)
    stored = targets.build_part("targets", "gone/topics", (2, 5_000, ())).snapshot()
    fleets.build_part("fleets", "sim", (2, "fingerprint", 5_000, None, ()))
    reported = [(record.getMessage(), record.__dict__) for record in caplog.records]
    assert [message for message, _ in reported] == ["state forgotten"] * 2
    caplog.clear()
    targets.build_part("targets", "gone/topics", stored)
    assert not caplog.records


def test_source_waits_for_work_under_way() -> None:
    """After the drain was asked for, the source stays open until nothing is under way."""
    drain = Drain(settle=0)
    source = TargetSource(
        {"c/topics": Target("c", "topics", 1000)}, RealTime(0, Clock(5000)), drain
    )
    partition = source.build_part("targets", "c/topics", None)
    drain.enter()
    drain.request()
    assert partition.next_batch() == []
    before = drain.next_look()
    awake = partition.next_awake()
    assert awake is not None
    assert awake >= before, "a tick that is due keeps no processor busy"
    drain.leave()
    try:
        partition.next_batch()
    except StopIteration:
        return
    raise AssertionError("the source stayed open with nothing under way")


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), st.data())
def test_every_due_time_is_served_or_reported_once(steps: list[int], data: st.DataObject) -> None:
    """Whatever the clock does and whenever the process restarts, no due time is lost or doubled."""
    clock = Clock(10_500)
    partition = build(clock)
    seen: list[int] = []
    for step in steps:
        clock.now += step
        for start, count, missed in emitted(partition):
            seen += [start - n * INTERVAL for n in range(missed, 0, -1)]
            seen += [start] * count
        if data.draw(st.booleans()):
            partition = build(clock, partition.snapshot())
    for start, count, missed in emitted(partition):
        seen += [start - n * INTERVAL for n in range(missed, 0, -1)] + [start] * count
    assert seen == list(range(11_000, clock.now + 1, INTERVAL))


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4), st.integers(0, 10**6))
def test_range_counts_its_multiples(start: int, interval: int, length: int) -> None:
    """A range [start, end) has exactly the multiples of the interval in it."""
    schedule = Range(start, start + length)
    first = schedule.first(interval)
    expected = [t for t in range(start, start + length) if t % interval == 0][:50]
    due = schedule.due(first, interval)
    assert [first + n * interval for n in range(due)][:50] == expected
    assert at_or_after(start, interval) == first
    assert after(start, interval) > start


def test_partition_wakes_in_time_for_its_tick_and_for_a_drain() -> None:
    """The next wake-up is never later than a fraction of a second away."""
    partition = build(Clock(10_500))
    first, second = partition.next_awake(), partition.next_awake()
    assert first is not None
    assert second is not None
    assert second - first < timedelta(seconds=1)
