"""How what lies in a spool is delivered and settled, chunk by chunk."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from operators.schema.logs import Log
from sinks.delivery import Courier, DeadLetter, Destination
from sinks.events import SamplesDead, SpoolDepth, count_by_origin
from sinks.job import JobContext
from sinks.spool.backlog import Lane
from sinks.spool.store import Chunk, Spool

T = TypeVar("T")

_log = Log("mqpipe.sinks")

_PAUSE = 1.0
"""Seconds before a disk that failed is tried again."""


class ChunkDelivery:
    """Delivers and settles chunks of spools: what every way of emptying a spool shares.

    `courier` delivers samples that are in no spool. Lives on one event loop.
    """

    def __init__(self, destination: Destination, job: JobContext) -> None:
        self.courier = Courier(destination, job.patience, listener=job.listener)
        self._sink = destination.name
        self._letters = job.letters
        self._listener = job.listener

    async def deliver(self, spool: Spool, lane: Lane) -> Chunk | None:
        """Deliver a lane's next chunk, and give it; None where the lane has nothing."""
        chunk = await asyncio.to_thread(spool.read, lane)
        if chunk is not None:
            letters = await self.courier.deliver(chunk.samples)
            await self._settle(spool, chunk, letters)
        return chunk

    async def deliver_all(self, spool: Spool) -> None:
        """Deliver everything, oldest first.

        Raises:
            Undelivered: the courier's patience has a bound and it is reached.
        """
        while await self.deliver(spool, spool.backlog.lanes[0]):
            pass

    async def evict(self, spool: Spool) -> None:
        """Move a spool's oldest segment to dead letters."""
        _log.warning("oldest samples go to dead letters: the spool is full", sink=self._sink)
        try:
            end = await _to_its_end(spool.end_of_oldest_segment)
        except OSError as error:
            _log.error("the oldest segment cannot be closed", sink=self._sink, error=str(error))
            return
        while (lane := spool.backlog.lanes[0]).start < end:
            part = Lane(lane.start, end if lane.end is None else min(lane.end, end))
            if (chunk := await asyncio.to_thread(spool.read, part)) is not None:
                await self._give_up(spool, chunk)

    async def _give_up(self, spool: Spool, chunk: Chunk) -> None:
        reason = "the spool was full and these were the oldest"
        now = round(spool.now * 1000)
        letter = DeadLetter(chunk.samples, self._sink, "", reason, at=now)
        await self._settle(spool, chunk, [letter])
        counts = count_by_origin(chunk.samples)
        self._listener(SamplesDead(self._sink, "", counts, reason, None))

    async def _settle(self, spool: Spool, chunk: Chunk, letters: list[DeadLetter]) -> None:
        """Keep what died, then note the rest as delivered; a full disk is waited for."""
        if letters:
            await self._on_disk(lambda: self._letters.put(letters))
        if chunk.unreadable:
            await self._on_disk(lambda: self._letters.put_unreadable(chunk.unreadable))
        await self._on_disk(lambda: spool.settle(chunk))
        self._listener(SpoolDepth(self._sink, spool.name, spool.unsent_bytes, spool.disk_bytes))

    async def _on_disk(self, work: Callable[[], None]) -> None:
        """Do work that needs the disk; where that fails, say so once and try until it does not."""
        failed = False
        while True:
            try:
                return await _to_its_end(work)
            except OSError as error:
                if not failed:
                    _log.error("delivery waits for the disk", sink=self._sink, error=str(error))
                failed = True
                await asyncio.sleep(_PAUSE)


async def _to_its_end(work: Callable[[], T]) -> T:
    """Do work on a thread, and wait for its end also where the caller is cancelled meanwhile.

    A spool is closed, and left to others, only when nothing changes it any more.
    """
    doing = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    finally:
        await asyncio.wait([doing])
