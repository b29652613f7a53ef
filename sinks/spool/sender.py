"""The sender: one thread a sink and process that delivers what waits in its spools."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import structlog

from sinks.dead_letters import DeadLetters
from sinks.delivery import Courier, DeadLetter, Destination, Patience
from sinks.events import Listener, SamplesDead, SpoolDepth, count_by_origin, nobody
from sinks.spool.backlog import Backlog, Lane
from sinks.spool.store import Chunk, Spool, SpoolInUseError, left_behind

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_BEHIND = 30.0
"""Seconds that new samples may wait for older ones before they get a lane of their own."""

_PAUSE = 1.0
"""Seconds before a disk that failed is tried again."""

ADOPT_AFTER = 30.0
"""Seconds after the start until spools that nobody uses any more are looked for."""


class Sender:
    """Delivers the spools of one sink in a thread of its own, all concurrently and bounded.

    The thread runs from the first `add` until the last spool is finished.
    """

    def __init__(
        self,
        destination: Destination,
        dead_letters: DeadLetters,
        directory: Path,
        patience: Patience = Patience(),  # noqa: B008 - immutable
        listener: Listener = nobody,
        adopt_after: float = ADOPT_AFTER,
    ) -> None:
        self._destination = destination
        self._adopt_after = adopt_after
        self._directory = directory
        courier = Courier(destination, patience, listener=listener)
        self._chunks = Chunks(courier, dead_letters, destination.name, listener)
        self._lock = threading.Lock()
        self._drains: dict[Path, _Drain] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._adoption: Future[None] | None = None
        self._eviction: Future[None] | None = None

    def add(self, spool: Spool) -> None:
        """Deliver this spool from now on."""
        with self._lock:
            if self._loop is None:
                self._loop = _loop_in_a_thread(f"{self._destination.name}-sender")
                self._submit(self._destination.start()).result()
                self._adoption = self._submit(self._adopt())
            drain = _Drain(spool, self._chunks)
            self._submit(drain.start()).result()
            self._drains[spool.directory] = drain

    def wake(self, spool: Spool) -> None:
        """More of this spool is released."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drains[spool.directory].wake)

    def finish(self, spool: Spool, grace: float) -> bool:
        """Deliver what is released for at most `grace` seconds, then close the spool.

        Gives whether everything was delivered; what was not stays for the next start.
        """
        delivered = self._submit(self._drains[spool.directory].finish(grace)).result()
        with self._lock:
            del self._drains[spool.directory]
            if not self._drains and self._loop is not None:
                self._submit(self._stop()).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None
        return delivered

    def evict(self) -> None:
        """Move the oldest segment of all spools to dead letters, unless that is under way."""
        with self._lock:
            if self._eviction is None or self._eviction.done():
                oldest = min(self._drains.values(), key=lambda drain: drain.spool.oldest)
                self._eviction = self._submit(self._chunks.evict(oldest.spool))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            work.close()
            raise RuntimeError("the sender has no spools")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _stop(self) -> None:
        for future in (self._adoption, self._eviction):
            if future is not None:
                future.cancel()
        await self._destination.stop()
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _adopt(self) -> None:
        """Deliver spools that no live process uses: partitions that moved, or have no items."""
        await asyncio.sleep(self._adopt_after)
        for directory in left_behind(self._directory):
            try:
                spool = await asyncio.to_thread(Spool.adopt, directory)
            except SpoolInUseError:
                continue
            try:
                await self._chunks.deliver_all(spool)
            finally:
                spool.close()
            spool.remove()


class Chunks:
    """Delivers and settles chunks of spools: what every way of emptying a spool shares."""

    def __init__(
        self,
        courier: Courier,
        dead_letters: DeadLetters,
        sink: str,
        listener: Listener = nobody,
    ) -> None:
        self._courier = courier
        self._dead_letters = dead_letters
        self._sink = sink
        self._listener = listener

    async def deliver(self, spool: Spool, lane: Lane) -> Chunk | None:
        """Deliver a lane's next chunk, and give it; None where the lane has nothing."""
        chunk = await asyncio.to_thread(spool.read, lane)
        if chunk is not None:
            letters = await self._courier.deliver(chunk.samples, chunk.oldest)
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
        chunk = await asyncio.to_thread(spool.oldest_segment)
        reason = "the spool was full and these were the oldest"
        letter = DeadLetter(chunk.samples, self._sink, "", reason, at=round(spool.now * 1000))
        _log.warning("oldest samples moved to dead letters: the spool is full", sink=self._sink)
        await self._settle(spool, chunk, [letter])
        counts = count_by_origin(chunk.samples)
        self._listener(SamplesDead(self._sink, "", counts, reason, None))

    async def _settle(self, spool: Spool, chunk: Chunk, letters: list[DeadLetter]) -> None:
        """Keep what died, then note the rest as delivered; a full disk is waited for."""
        reported = False
        while True:
            try:
                if letters or chunk.unreadable:
                    await asyncio.to_thread(self._dead_letters.put, letters)
                    letters = []
                    await asyncio.to_thread(self._dead_letters.put_unreadable, chunk.unreadable)
                spool.settle(chunk)
                break
            except OSError as error:
                if not reported:
                    _log.error("delivery waits for the disk", sink=self._sink, error=str(error))
                reported = True
                await asyncio.sleep(_PAUSE)
        self._listener(SpoolDepth(self._sink, spool.name, spool.unsent_bytes, spool.disk_bytes))


class _Drain:
    """Empties one spool by two tasks: its open lane, and what an outage left behind."""

    def __init__(self, spool: Spool, chunks: Chunks) -> None:
        self.spool = spool
        self._chunks = chunks
        self._more: list[asyncio.Event] = []
        self._delivered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for lane_of in (_live, _old):
            more = asyncio.Event()
            self._more.append(more)
            self._tasks.append(asyncio.create_task(self._run(lane_of, more)))

    def wake(self) -> None:
        self._delivered.clear()
        for more in self._more:
            more.set()

    async def finish(self, grace: float) -> bool:
        self.wake()
        try:
            async with asyncio.timeout(grace):
                await self._delivered.wait()
        except TimeoutError:
            pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        delivered = self.spool.is_delivered
        self.spool.close()
        return delivered

    async def _run(self, lane_of: Callable[[Backlog], Lane | None], more: asyncio.Event) -> None:
        while True:
            more.clear()
            try:
                lane = lane_of(self.spool.backlog)
                chunk = await self._chunks.deliver(self.spool, lane) if lane else None
                if chunk is not None and lane_of is _live:
                    self._let_new_samples_pass(chunk)
            except Exception:
                _log.exception("delivery failed unexpectedly", spool=str(self.spool.directory))
                await asyncio.sleep(_PAUSE)
                continue
            if self.spool.is_delivered:
                self._delivered.set()
            if chunk is None:
                await more.wait()

    def _let_new_samples_pass(self, chunk: Chunk) -> None:
        if self.spool.now - chunk.newest > _BEHIND:
            self.spool.split()
            self.wake()


def _live(backlog: Backlog) -> Lane:
    return backlog.live


def _old(backlog: Backlog) -> Lane | None:
    return backlog.old


def _loop_in_a_thread(name: str) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        loop.close()

    threading.Thread(target=run, name=name, daemon=True).start()
    return loop
