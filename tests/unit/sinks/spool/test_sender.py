"""The sender: which samples go first, and what it does when the disk or the destination fails."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from operators.schema.arrow import row_count
from sinks.dead_letters import DeadLetters, dead_letter_files, read_letters
from sinks.delivery import DeadLetter, Parcel, Rejected, RetryLater, SampleBatches
from sinks.events import SpoolDepth
from sinks.patience import Patience
from sinks.segments import BEGINNING
from sinks.settings import DeadLetterSettings
from sinks.spool.sender import ADOPT_AFTER, Sender
from sinks.spool.store import CHUNK_ROWS, Spool
from tests.samples import numbered
from tests.sink_jobs import job_in

CHUNK = CHUNK_ROWS
"""Rows of one batch; more than the sender reads at a time."""


class Gate:
    """A destination that holds back parcels until a test lets them pass, one parcel a batch."""

    name = "gate"

    def __init__(self) -> None:
        self.got: list[int] = []
        self.held: Callable[[int], bool] = lambda _: False
        self.changed = threading.Condition()
        self.answer: Exception | None = None

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        for batch in samples:
            yield Parcel((batch,), route or "only", None)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, parcel: Parcel) -> None:
        first = int(parcel.samples[0].column("entity_name")[0].as_py().rpartition("/")[2])
        if self.held(first):
            raise RetryLater("held")
        if self.answer is not None:
            raise self.answer
        with self.changed:
            self.got.append(first)
            self.changed.notify_all()

    def wait_for(self, *numbers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: set(numbers) <= set(self.got), 30), self.got


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def sender_of(
    gate: Gate,
    directory: Path,
    letters: DeadLetters | None = None,
    adopt_after: float = ADOPT_AFTER,
) -> Sender:
    job = job_in(directory, patience=Patience(factor=0.001, maximum=0.01))
    if letters is not None:
        job = replace(job, letters=letters)
    return Sender(gate, job, directory / "spool", adopt_after)


def write(sender: Sender, spool: Spool, *starts: int) -> None:
    for start in starts:
        spool.append(numbered(range(start, start + CHUNK)))
    spool.release()
    sender.wake(spool)


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def test_new_samples_do_not_wait_for_old_ones(tmp_path: Path) -> None:
    """What an outage left behind is sent oldest first, and new samples pass it."""
    gate, clock = Gate(), Clock()
    spool = Spool(tmp_path / "spool" / "spool-0", clock=clock)
    sender = sender_of(gate, tmp_path)
    gate.held = lambda number: True
    sender.add(spool)
    write(sender, spool, 0, 20_000, 40_000)
    clock.now += 60

    gate.held = lambda number: number in (20_000, 40_000)
    gate.wait_for(0)
    until(lambda: spool.backlog.old is not None)
    write(sender, spool, 60_000)
    gate.wait_for(60_000)

    assert gate.got == [0, 60_000]
    gate.held = lambda number: False
    assert sender.finish(spool, grace_left=lambda: 30)
    assert gate.got == [0, 60_000, 20_000, 40_000]


def test_samples_go_in_order_of_age(tmp_path: Path) -> None:
    """Without an outage each waits for those before it."""
    gate = Gate()
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender = sender_of(gate, tmp_path)
    sender.add(spool)
    starts = [n * 20_000 for n in range(6)]
    write(sender, spool, *starts)
    assert sender.finish(spool, grace_left=lambda: 30)
    assert gate.got == starts


@pytest.mark.parametrize("grace", [[0.0] * 2, [0.05] * 9, [3600.0] * 2 + [0.0]])
def test_a_grace_that_is_over_leaves_the_rest(tmp_path: Path, grace: list[float]) -> None:
    """The end is not waited for, be it cut short meanwhile; the next sender sends what is left."""
    gate = Gate()
    gate.held = lambda number: number == 20_000
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender = sender_of(gate, tmp_path)
    sender.add(spool)
    write(sender, spool, 0, 20_000)
    gate.wait_for(0)
    until(lambda: spool.backlog.start > BEGINNING)

    assert not sender.finish(spool, grace_left=partial(next, iter(grace)))

    gate.held = lambda number: False
    again = Spool(tmp_path / "spool" / "spool-0")
    sender.add(again)
    assert sender.finish(again, grace_left=lambda: 30)
    assert gate.got == [0, 20_000]


def test_a_spool_that_nobody_uses_is_emptied_and_removed(tmp_path: Path) -> None:
    """Its directory may bear any name: a partition that has no items now, or one moved aside."""
    gate = Gate()
    left = Spool(tmp_path / "spool" / "spool-3")
    left.append(numbered([5]))
    left.close()
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender = sender_of(gate, tmp_path, adopt_after=0.0)
    sender.add(spool)

    gate.wait_for(5)

    until(lambda: [path.name for path in (tmp_path / "spool").iterdir()] == ["spool-0"])
    assert sender.finish(spool, grace_left=lambda: 30)


def test_nothing_is_noted_as_delivered_before_its_dead_are_kept(tmp_path: Path) -> None:
    """Where dead letters cannot be written the sender waits for the disk and tries again."""

    class FullDisk(DeadLetters):
        refusals = 1

        def put(self, letters: Iterable[DeadLetter]) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError(28, "No space left on device")
            super().put(letters)

    gate = Gate()
    gate.answer = Rejected("no", 400)
    spool = Spool(tmp_path / "spool" / "spool-0")
    letters = FullDisk(DeadLetterSettings(path=tmp_path / "dead"))
    sender = sender_of(gate, tmp_path, letters)
    sender.add(spool)
    write(sender, spool, 0)

    assert sender.finish(spool, grace_left=lambda: 30)

    [file] = dead_letter_files(tmp_path / "dead")
    assert sum(row_count(letter.samples) for letter in read_letters(file)) == CHUNK


def test_a_sender_can_begin_anew(tmp_path: Path) -> None:
    """When its last spool is finished its thread ends; another spool starts it again."""
    gate = Gate()
    sender = sender_of(gate, tmp_path)
    for start in (0, 20_000):
        spool = Spool(tmp_path / "spool" / "spool-0")
        sender.add(spool)
        write(sender, spool, start)
        assert sender.finish(spool, grace_left=lambda: 30)
    assert gate.got == [0, 20_000]
    assert "gate-sender" not in [thread.name for thread in threading.enumerate()]


def test_a_sender_that_begins_anew_delivers_as_many_at_a_time(tmp_path: Path) -> None:
    """Also where parcels had to wait for each other in its first life."""
    gate = Gate()
    sender = sender_of(gate, tmp_path)
    for life in range(2):
        numbers = range(life * 20, life * 20 + 20)
        tried: set[int] = set()

        def held(number: int, tried: set[int] = tried) -> bool:
            tried.add(number)
            return len(tried) < 8

        gate.held = held
        spool = Spool(tmp_path / "spool" / "spool-0")
        for number in numbers:
            spool.append(numbered([number]))
        spool.release()
        sender.add(spool)
        assert sender.finish(spool, grace_left=lambda: 30)
        assert set(numbers) <= set(gate.got)


@pytest.mark.parametrize("work", ["settle", "end_of_oldest_segment"])
def test_a_spool_is_closed_when_nothing_changes_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    """A grace that is over may find a thread in the middle of it."""
    begun, release = threading.Event(), threading.Event()
    order: list[str] = []
    change, close = getattr(Spool, work), Spool.close

    def slowly(spool: Spool, *args: Any) -> Any:
        begun.set()
        assert release.wait(30)
        order.append("changed")
        return change(spool, *args)

    def noted(spool: Spool) -> None:
        order.append("closed")
        close(spool)

    monkeypatch.setattr(Spool, work, slowly)
    monkeypatch.setattr(Spool, "close", noted)
    gate = Gate()
    gate.held = lambda _: work != "settle"
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender = sender_of(gate, tmp_path)
    sender.add(spool)
    write(sender, spool, 0)
    if work != "settle":
        sender.evict()
    assert begun.wait(30)
    drain = sender._drains[spool.directory]
    with ThreadPoolExecutor(1) as executor:
        finishing = executor.submit(sender.finish, spool, lambda: 0)
        while not all(task.cancelling() for task in drain._tasks):
            time.sleep(0.001)
        sender._submit(turns(20)).result()
        release.set()
        finishing.result()
    assert order == ["changed", "closed"]


def test_nothing_is_evicted_from_a_spool_that_is_closed(tmp_path: Path) -> None:
    """Another worker may ask for it at that moment."""
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender = sender_of(Gate(), tmp_path)
    sender.add(spool)
    drain = sender._drains[spool.directory]
    other = Spool(tmp_path / "spool" / "spool-1")
    sender.add(other)
    write(sender, spool, 0)
    assert sender.finish(spool, grace_left=lambda: 30)
    sender._submit(drain.evict()).result()
    assert sender.finish(other, grace_left=lambda: 30)
    assert dead_letter_files(tmp_path / "dead") == []


async def turns(count: int) -> None:
    """So many turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_depth_is_reported(tmp_path: Path) -> None:
    """After each chunk listeners hear how much is left."""
    heard: list[object] = []
    gate = Gate()
    sender = Sender(gate, job_in(tmp_path, listener=heard.append), tmp_path / "spool")
    spool = Spool(tmp_path / "spool" / "spool-0")
    sender.add(spool)
    write(sender, spool, 0, 20_000)
    assert sender.finish(spool, grace_left=lambda: 30)
    depths = [event.unsent_bytes for event in heard if isinstance(event, SpoolDepth)]
    assert len(depths) == 2
    assert depths[0] > depths[1] == 0
