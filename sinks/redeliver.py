"""Redelivery: dead letters, and what waits in a spool, are sent once more."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from operators.schema.arrow import row_count
from sinks.dead_letters import (
    dead_letter_files,
    letters_table,
    read_letters,
    write_file,
)
from sinks.delivery import Courier, DeadLetter, Destination, Undelivered
from sinks.events import SamplesDelivered
from sinks.job import JobContext
from sinks.spool.chunks import ChunkDelivery
from sinks.spool.settings import SpoolSettings
from sinks.spool.store import Spool, left_behind


@dataclass(frozen=True, slots=True)
class Redelivery:
    """What became of it, in samples by route: each route sends those that it has a form for."""

    delivered_by: Mapping[str, int]
    dead_by: Mapping[str, int]
    """Dead letters of this destination that are kept."""
    spool_bytes: int
    """About what is left in the spool."""
    problem: str | None
    """Why it ended early: the destination cannot be reached. None where all was tried."""

    @property
    def delivered(self) -> int:
        """Deliveries: of a sample by two routes, two."""
        return sum(self.delivered_by.values())

    @property
    def dead(self) -> int:
        """Letters that are kept: of a sample by two routes, two."""
        return sum(self.dead_by.values())


def redeliver(destination: Destination, spool: SpoolSettings, job: JobContext) -> Redelivery:
    """Send one destination's spool and dead letters again, and keep what fails.

    Nothing else may use the spool or write dead letters meanwhile. `job.patience` should have a
    bound.

    Raises:
        SpoolInUseError: a live process delivers the spool.
        OSError: spool or dead letters cannot be read or written.
    """
    return asyncio.run(_redeliver(destination, spool, job))


async def _redeliver(destination: Destination, spool: SpoolSettings, job: JobContext) -> Redelivery:
    delivered: Counter[str] = Counter()

    def count(event: object) -> None:
        if isinstance(event, SamplesDelivered):
            delivered[event.route] += sum(event.by_origin.values())
        job.listener(event)

    # What dies now goes into files of its own, which are not tried again in this call.
    letters = job.letters.apart(count)
    delivery = ChunkDelivery(destination, replace(job, letters=letters, listener=count))
    files = dead_letter_files(job.letters.path)
    problem = None
    await destination.start()
    try:
        for directory in left_behind(spool.directory_of(destination.name)):
            await _empty(directory, delivery)
        for file in files:
            await _send_again(file, destination.name, delivery.courier)
    except Undelivered as undelivered:
        problem = undelivered.reason
    finally:
        await destination.stop()
    return Redelivery(
        delivered,
        _dead(job.letters.path, destination.name),
        _left(spool.directory_of(destination.name)),
        problem,
    )


async def _empty(directory: Path, delivery: ChunkDelivery) -> None:
    spool = Spool(directory)
    try:
        await delivery.deliver_all(spool)
    finally:
        spool.close()


async def _send_again(file: Path, sink: str, courier: Courier) -> None:
    """Send a file's letters again; those that fail, and those of other sinks, stay in it.

    Raises:
        Undelivered: the destination cannot be reached; what was not delivered stays.
    """
    letters = await asyncio.to_thread(lambda: list(read_letters(file)))
    kept = [letter for letter in letters if letter.sink != sink]
    waiting = [letter for letter in letters if letter.sink == sink]
    try:
        while waiting:
            failed = await courier.deliver(waiting[0].samples, waiting[0].route or None)
            kept += [
                replace(again, attempts=again.attempts + waiting[0].attempts) for again in failed
            ]
            del waiting[0]
    finally:
        await asyncio.to_thread(_rewrite, file, kept + waiting)


def _rewrite(file: Path, letters: list[DeadLetter]) -> None:
    if letters:
        write_file(file, letters_table(letters))
    else:
        file.unlink()


def _dead(path: Path, sink: str) -> Mapping[str, int]:
    dead: Counter[str] = Counter()
    for file in dead_letter_files(path):
        for letter in read_letters(file):
            if letter.sink == sink:
                dead[letter.route] += row_count(letter.samples)
    return dead


def _left(directory: Path) -> int:
    total = 0
    for partition in left_behind(directory):
        spool = Spool(partition)
        total += spool.unsent_bytes
        spool.close()
    return total
