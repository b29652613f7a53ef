"""The sender: one thread a sink and process that delivers what waits in its spools."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from operators.schema.logs import Log
from sinks.delivery import Destination
from sinks.job import JobContext
from sinks.spool.backlog import Backlog, Lane
from sinks.spool.chunks import ChunkDelivery
from sinks.spool.errors import SpoolInUseError
from sinks.spool.store import Chunk, Spool, left_behind

T = TypeVar("T")

_log = Log("mqpipe.sinks")

_BEHIND = 30.0
"""Seconds that new samples may wait for older ones before they get a lane of their own."""

_PAUSE = 1.0
"""Seconds before a disk that failed is tried again."""

_LOOK = 0.5
"""Seconds between two looks how much grace is left: it may be cut short."""

ADOPT_AFTER = 30.0
"""Seconds after the start until spools that nobody uses any more are looked for."""


class Sender:
    """Delivers the spools of one sink in a thread of its own, all concurrently and bounded.

    The thread runs from the first `add` until the last spool is finished.
    """

    _delivery: ChunkDelivery
    """Of the thread's own, for a courier lives on one event loop."""

    def __init__(
        self,
        destination: Destination,
        job: JobContext,
        directory: Path,
        adopt_after: float = ADOPT_AFTER,
    ) -> None:
        self._destination = destination
        self._job = job
        self._directory = directory
        self._adopt_after = adopt_after
        self._lock = threading.Lock()
        self._drains: dict[Path, _SpoolDrain] = {}
        self._thread: _LoopThread | None = None
        self._adoption: asyncio.Task[None] | None = None
        self._eviction: Future[None] | None = None

    def add(self, spool: Spool) -> None:
        """Deliver this spool from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread(f"{self._destination.name}-sender")
                self._submit(self._start()).result()
            drain = _SpoolDrain(spool, self._delivery)
            self._submit(drain.start()).result()
            self._drains[spool.directory] = drain

    def wake(self, spool: Spool) -> None:
        """More of this spool is released; nothing, once it is finished."""
        drain = self._drains.get(spool.directory)
        if drain is not None and self._thread is not None:
            self._thread.loop.call_soon_threadsafe(drain.wake)

    def finish(self, spool: Spool, grace_left: Callable[[], float]) -> bool:
        """Deliver what is released while there is grace left, then close the spool.

        `grace_left` gives seconds: at first the most that this takes; it may be cut short later.
        Gives whether everything was delivered; what was not stays for the next start.
        """
        delivered = self._submit(self._drains[spool.directory].finish(grace_left)).result()
        with self._lock:
            del self._drains[spool.directory]
            if not self._drains and self._thread is not None:
                self._submit(self._stop()).result()
                self._thread.stop()
                self._thread = None
        return delivered

    def evict(self) -> None:
        """Move the oldest segment of all spools to dead letters, unless that is under way."""
        with self._lock:
            if self._eviction is None or self._eviction.done():
                oldest = min(self._drains.values(), key=lambda drain: drain.spool.oldest)
                self._eviction = self._submit(oldest.evict())

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._thread is None:
            work.close()
            raise RuntimeError("the sender has no spools")
        return self._thread.submit(work)

    async def _start(self) -> None:
        self._delivery = ChunkDelivery(self._destination, self._job)
        await self._destination.start()
        self._adoption = asyncio.create_task(self._adopt())

    async def _stop(self) -> None:
        if self._adoption is not None:
            self._adoption.cancel()
            await asyncio.wait([self._adoption])
        await self._destination.stop()

    async def _adopt(self) -> None:
        """Deliver spools that no live process uses: partitions that moved, or have no items."""
        await asyncio.sleep(self._adopt_after)
        for directory in left_behind(self._directory):
            try:
                spool = await asyncio.to_thread(Spool.adopt, directory)
            except SpoolInUseError:
                continue
            except (OSError, ValueError) as error:
                _log.error("a spool that was left cannot be read", error=str(error))
                continue
            try:
                await self._delivery.deliver_all(spool)
            finally:
                spool.close()
            spool.remove()


class _SpoolDrain:
    """Empties one spool by two tasks: its open lane, and what an outage left behind."""

    def __init__(self, spool: Spool, delivery: ChunkDelivery) -> None:
        self.spool = spool
        self._delivery = delivery
        self._more: list[asyncio.Event] = []
        self._delivered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False

    async def start(self) -> None:
        for lane_of in (_live, _old):
            more = asyncio.Event()
            self._more.append(more)
            self._tasks.append(asyncio.create_task(self._run(lane_of, more)))

    def wake(self) -> None:
        self._delivered.clear()
        for more in self._more:
            more.set()

    async def finish(self, grace_left: Callable[[], float]) -> bool:
        self.wake()
        now = asyncio.get_running_loop().time
        end = now() + grace_left()
        while not self._delivered.is_set() and (left := min(end - now(), grace_left())) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK)):
                    await self._delivered.wait()
        self._ended = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        delivered = self.spool.is_delivered
        self.spool.close()
        return delivered

    async def evict(self) -> None:
        """Move the oldest segment to dead letters; nothing, once the spool is closed."""
        if self._ended:
            return
        task = asyncio.create_task(self._delivery.evict(self.spool))
        self._tasks.append(task)
        try:
            await task
        finally:
            self._tasks.remove(task)

    async def _run(self, lane_of: Callable[[Backlog], Lane | None], more: asyncio.Event) -> None:
        while True:
            more.clear()
            try:
                lane = lane_of(self.spool.backlog)
                chunk = await self._delivery.deliver(self.spool, lane) if lane else None
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


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        self.submit(self.loop.shutdown_default_executor()).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
