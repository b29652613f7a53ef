"""Shards in real time where the clock is not as it was: each tick once, none too many."""

from typing import Any

import pyarrow as pa
from bytewax.inputs import StatefulSourcePartition

from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import RealTime
from tests.simulated_fleets import INTERVAL, START, spec_of

Partition = StatefulSourcePartition[tuple[str, pa.RecordBatch], Any]


class Clock:
    def __init__(self, tick: float) -> None:
        self.tick = tick

    def __call__(self) -> int:
        """Milliseconds; `tick` counts intervals."""
        return START + round(self.tick * INTERVAL)


def build(clock: Clock, state: Any = None, reported: list[int] | None = None) -> Partition:
    there = [] if reported is None else reported
    schedule = RealTime(clock(), clock, there_until=there.append)
    source = FleetSource(
        {"sim": spec_of()}, INTERVAL, schedule, Drain(settle=0), catch_up=240 * INTERVAL
    )
    return source.build_part("fleets", "sim", state)


def ticks(partition: Partition) -> list[int]:
    """The ticks of a batch, each counted once."""
    found: set[int] = set()
    for _, batch in partition.next_batch():
        times = batch.column("timestamp").cast(pa.int64()).to_pylist()
        found |= {(time - START) // INTERVAL for time in times}
    return sorted(found)


def run(partition: Partition, clock: Clock, first: int, last: int) -> list[int]:
    found = []
    for tick in range(first, last + 1):
        clock.tick = tick + 0.5
        found += ticks(partition)
    return found


def test_a_clock_set_back_behind_the_first_tick_starts_anew() -> None:
    """Up to what is there, which is passed over; it is said until when."""
    clock, reported = Clock(20.5), list[int]()
    before = build(clock)
    assert run(before, clock, 21, 23) == [21, 22, 23]
    clock.tick = 10.5
    resumed = build(clock, before.snapshot(), reported)
    assert run(resumed, clock, 11, 25) == [*range(11, 21), 24, 25]
    assert reported == [START + 24 * INTERVAL]


def test_a_clock_set_back_into_what_was_made_waits() -> None:
    """The shard goes on where it was, with the samples of an uninterrupted run."""
    clock, reported = Clock(0.5), list[int]()
    before = build(clock)
    run(before, clock, 1, 10)
    clock.tick = 5.5
    resumed = build(clock, before.snapshot(), reported)
    assert run(resumed, clock, 6, 12) == [11, 12]
    assert reported == [START + 11 * INTERVAL]


def test_a_state_that_does_not_say_since_when_waits_too() -> None:
    """One of an earlier version."""
    clock = Clock(20.5)
    before = build(clock)
    run(before, clock, 21, 23)
    _, fingerprint, tick, shard, _ = before.snapshot()
    clock.tick = 10.5
    resumed = build(clock, (1, fingerprint, tick, shard))
    assert run(resumed, clock, 11, 25) == [24, 25]


def test_a_clock_set_forward_by_a_year_does_not_make_a_years_samples() -> None:
    """But those of the last hours, as after a start."""
    clock = Clock(0.5)
    partition = build(clock)
    run(partition, clock, 1, 2)
    clock.tick = 1_000_000.5
    found = []
    while more := ticks(partition):
        found += more
    assert found == list(range(1_000_000 - 239, 1_000_001))


def test_a_kill_that_left_no_state_costs_no_tick() -> None:
    """The shard begins where it began before, and makes the same samples."""
    clock = Clock(0.5)
    first = build(clock)
    clock.tick = 3.5
    made = first.next_batch()
    schedule = RealTime(clock(), clock)
    source = FleetSource(
        {"sim": spec_of()},
        INTERVAL,
        schedule,
        Drain(settle=0),
        catch_up=240 * INTERVAL,
        began={"sim": START + INTERVAL},
    )
    again = source.build_part("fleets", "sim", None).next_batch()
    assert [batch for _, batch in again] == [batch for _, batch in made]


def test_a_shard_that_waits_for_a_drain_keeps_no_processor_busy() -> None:
    """Though ticks are due: they are made after the next start."""
    clock, drain = Clock(20.5), Drain(settle=0)
    schedule = RealTime(clock(), clock)
    source = FleetSource({"sim": spec_of()}, INTERVAL, schedule, drain)
    partition = source.build_part("fleets", "sim", None)
    clock.tick = 30.5
    drain.enter()
    drain.request()
    assert partition.next_batch() == []
    before = drain.next_look()
    awake = partition.next_awake()
    assert awake is not None
    assert awake >= before
