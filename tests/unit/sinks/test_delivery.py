"""The courier: what follows from how an attempt ended."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.schema.arrow import row_count
from sinks.delivery import (
    Courier,
    DeadLetter,
    Parcel,
    Rejected,
    RetryLater,
    SampleBatches,
    TooLarge,
    Undelivered,
    halve,
    slice_of,
)
from sinks.events import DeliveryRetried, SamplesDead, SamplesDelivered
from sinks.patience import Patience
from tests import virtual_time
from tests.samples import INTERVAL, NEW_YEAR, numbered

AT_ONCE = Patience(factor=0.0)


@dataclass
class Scripted:
    """A destination that takes parcels of `size` samples and answers by a script."""

    script: list[Exception | None] = field(default_factory=list)
    size: int = 10
    largest: int = 1_000
    stuck: int | None = None
    """A sample whose parcel is never taken."""
    got: list[int] = field(default_factory=list)
    crowd: int = 1
    """Nothing is answered before so many parcels were under way at once."""
    crowded: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0
    name: str = "scripted"

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        for start in range(0, row_count(samples), self.size):
            yield Parcel(slice_of(samples, start, start + self.size), route or "only", None)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, parcel: Parcel) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.under_way >= self.crowd:
            self.crowded.set()
        await self.crowded.wait()
        self.under_way -= 1
        if row_count(parcel.samples) > self.largest:
            raise TooLarge("too large", 413)
        if self.stuck in numbers(parcel.samples):
            raise RetryLater("stuck")
        answer = self.script.pop(0) if self.script else None
        if answer is not None:
            raise answer
        self.got += numbers(parcel.samples)


def numbers(samples: SampleBatches) -> list[int]:
    return [
        int(name.rpartition("/")[2])
        for batch in samples
        for name in batch.column("entity_name").to_pylist()
    ]


def deliver(
    destination: Scripted,
    samples: SampleBatches,
    patience: Patience = AT_ONCE,
    slots: int = 8,
    heard: list[object] | None = None,
) -> list[DeadLetter]:
    async def run() -> list[DeadLetter]:
        listener = (heard if heard is not None else []).append
        courier = Courier(destination, patience, slots, listener, clock=lambda: 100.0)
        return await courier.deliver(samples)

    return asyncio.run(run())


def test_what_is_delivered_is_reported_with_its_origins_and_ticks() -> None:
    """A delivered parcel is one event: how many of which origin, and their ticks."""
    destination, heard = Scripted(), list[object]()

    letters = deliver(destination, (numbered(range(10)),), heard=heard)

    assert letters == []
    ticks = {"simulated": (NEW_YEAR, NEW_YEAR + 9 * INTERVAL)}
    assert heard == [SamplesDelivered("scripted", "only", {"simulated": 10}, ticks)]


@given(st.lists(st.integers(1, 20), max_size=4), st.integers(1, 30), st.integers(1, 7))
def test_every_sample_is_delivered_once(sizes: list[int], size: int, largest: int) -> None:
    """However samples are packed, and however small parcels must be split, each arrives once."""
    samples, start = [], 0
    for rows in sizes:
        samples.append(numbered(range(start, start + rows)))
        start += rows
    destination = Scripted(size=size, largest=largest)

    assert deliver(destination, tuple(samples)) == []
    assert sorted(destination.got) == list(range(start))


def test_a_failure_that_may_pass_is_tried_again() -> None:
    """Each retry is reported, and the parcel arrives in the end."""
    destination = Scripted([RetryLater("one"), RetryLater("two")])
    heard: list[object] = []

    assert deliver(destination, (numbered(range(3)),), heard=heard) == []

    assert destination.got == [0, 1, 2]
    retried = [event for event in heard if isinstance(event, DeliveryRetried)]
    assert [(event.reason, event.attempt) for event in retried] == [("one", 1), ("two", 2)]


class AtOnce(ThreadPoolExecutor):
    """Does work where it is handed over: a thread takes real time."""

    def submit(self, work: Any, /, *arguments: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(work(*arguments, **named))
        return future


def test_a_destination_is_left_alone_for_as_long_as_it_asks() -> None:
    """By the parcel that was sent away, and by all that come after it."""
    times: list[float] = []

    class Timed(Scripted):
        async def send(self, parcel: Parcel) -> None:
            times.append(asyncio.get_running_loop().time())
            await super().send(parcel)

    async def run() -> list[DeadLetter]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(AtOnce())
        courier = Courier(destination, AT_ONCE, slots=2, clock=loop.time)
        return await courier.deliver((numbered(range(3)),))

    destination = Timed([RetryLater("429", after=7.0)], size=1)
    assert virtual_time.run(run()) == []
    assert times == [0.0, 7.0, 7.0, 7.0]
    assert sorted(destination.got) == [0, 1, 2]


def test_waits_grow_to_their_maximum_and_the_first_is_none() -> None:
    """Retry n waits at most min(maximum, factor · 2^(n-1)) seconds."""
    patience = Patience(factor=1.0, maximum=30.0)
    assert patience.wait(1) == 0
    for retry, bound in [(2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (10_000, 30)]:
        waits = [patience.wait(retry) for _ in range(200)]
        assert 0 <= min(waits) < bound / 4
        assert bound * 3 / 4 < max(waits) <= bound


def test_what_is_rejected_is_a_letter_and_stops_nothing() -> None:
    """A rejected parcel is given back with reason, status and answer; the others arrive."""
    destination = Scripted([Rejected("no", 400, "because")], size=2)
    heard: list[object] = []

    [letter] = deliver(destination, (numbered(range(6)),), slots=1, heard=heard)

    assert numbers(letter.samples) == [0, 1]
    assert (letter.reason, letter.status, letter.answer) == ("no", 400, "because")
    assert (letter.attempts, letter.at) == (1, 100_000)
    assert destination.got == [2, 3, 4, 5]
    assert SamplesDead("scripted", "only", {"simulated": 2}, "no", 400) in heard


def test_one_sample_that_is_too_large_is_a_letter() -> None:
    """A parcel of one is never split again."""
    letters = deliver(Scripted(largest=0), (numbered(range(3)),))

    assert [numbers(letter.samples) for letter in letters] == [[0], [1], [2]]
    assert {letter.status for letter in letters} == {413}


def test_a_parcel_that_alone_keeps_failing_is_given_up() -> None:
    """It is a letter once it failed often while many others were delivered."""
    patience = Patience(factor=0.0, stuck_attempts=5, stuck_others=10)
    destination = Scripted(stuck=3, size=1)

    [letter] = deliver(destination, (numbered(range(200)),), patience)

    assert numbers(letter.samples) == [3]
    assert letter.attempts >= 5
    assert "stuck" in letter.reason
    assert sorted(destination.got) == [n for n in range(200) if n != 3]


def test_a_bounded_patience_gives_up() -> None:
    """With a bound on attempts the samples stay where they were."""
    destination = Scripted([RetryLater("down")] * 3)
    with pytest.raises(Undelivered, match="down"):
        deliver(destination, (numbered(range(3)),), Patience(factor=0.0, attempts=3))
    assert destination.got == []


def test_parcels_under_way_are_bounded() -> None:
    """Never more than `slots`, over all calls."""
    destination = Scripted(size=1, crowd=3)
    deliver(destination, (numbered(range(50)),), slots=3)
    assert destination.most_under_way == 3
    assert sorted(destination.got) == list(range(50))


def test_a_fault_of_our_own_makes_letters() -> None:
    """What cannot be packed or sent for an unforeseen reason is kept, not lost."""

    class Broken(Scripted):
        def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
            raise KeyError("a bug")

    [packing] = deliver(Broken(), (numbered(range(3)),))
    [sending] = deliver(Scripted([ValueError("a bug")]), (numbered(range(3)),))

    assert "a bug" in packing.reason
    assert "a bug" in sending.reason
    assert row_count(packing.samples) == row_count(sending.samples) == 3


@given(st.lists(st.integers(0, 5), max_size=5), st.integers(0, 30), st.integers(0, 30))
def test_slices_go_through_all_batches(sizes: list[int], start: int, stop: int) -> None:
    """A slice of batches is the slice of their rows."""
    samples: list[pa.RecordBatch] = []
    rows: list[int] = []
    for size in sizes:
        samples.append(numbered(range(len(rows), len(rows) + size)))
        rows += range(len(rows), len(rows) + size)
    stop = max(start, stop)

    assert numbers(slice_of(samples, start, stop)) == rows[start:stop]
    assert [numbers(half) for half in halve(samples)] == (
        [rows[: len(rows) // 2], rows[len(rows) // 2 :]] if len(rows) > 1 else []
    )
