"""The threads of a process that work for its rolled Parquet files beside the dataflow."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sinks.parquet.files import FileContext
from sinks.parquet.retention import delete_expired
from sinks.parquet.sink import log
from sinks.parquet.waiting import Waiting
from sinks.segments import Position

SIDE_BY_SIDE = 4
"""Partitions that are published at a time when nothing else is left to do."""

EXPIRE_MS = 3_600_000
"""Milliseconds between two looks for files past their retention."""


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class Background:
    """Publishes files, deletes those past their retention, and looks after silent partitions.

    Every `look_every` seconds it calls what was given to `watch`; where that is None, nobody
    looks.
    """

    def __init__(
        self,
        context: FileContext,
        keep: float | None,
        clock: Callable[[], int],
        look_every: float | None,
    ) -> None:
        self._context = context
        self._keep = keep
        self._clock = clock
        self._look_every = look_every
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._lock = threading.Lock()
        self._expire_at = 0
        self._looks: list[Callable[[], None]] = []
        self._nobody = threading.Event()

    def publish(self, waiting: Waiting, ends: Sequence[Position]) -> "Future[None]":
        """Publish the files of sealed segments, oldest first."""

        def work() -> None:
            for end in ends:
                waiting.publish(end)

        return self._executor.submit(work)

    def finish(self, works: Sequence[Callable[[], None]]) -> None:
        """Do what is left for each partition, some side by side; raises the first error."""
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="parquet-finish") as executor:
            done = [executor.submit(work) for work in works]
        for future in done:
            future.result()

    def expire(self) -> None:
        """Delete files past their retention, if it is time to look for them again."""
        if self._keep is None:
            return
        now = self._clock()
        with self._lock:
            if now < self._expire_at:
                return
            self._expire_at = now + EXPIRE_MS
        self._executor.submit(self._delete_expired, self._keep, now)

    def watch(self, look: Callable[[], None]) -> None:
        """Call this now and then from another thread, until `unwatch`."""
        if self._look_every is None:
            return
        with self._lock:
            self._looks.append(look)
            if len(self._looks) == 1:
                self._nobody = threading.Event()
                arguments = (self._look_every, self._nobody)
                threading.Thread(
                    target=self._look, args=arguments, name="parquet-age", daemon=True
                ).start()

    def unwatch(self, look: Callable[[], None]) -> None:
        """Call this no more."""
        with self._lock:
            if look in self._looks:
                self._looks.remove(look)
            if not self._looks:
                self._nobody.set()

    def _look(self, every: float, nobody: threading.Event) -> None:
        while not nobody.wait(every):
            for look in list(self._looks):
                try:
                    look()
                except OSError as error:
                    log.warning("rows wait longer than roll.every", error=str(error))

    def _delete_expired(self, keep: float, now: int) -> None:
        try:
            delete_expired(self._context.store, keep, now)
        except OSError as error:
            log.warning("files past their retention are still there", error=str(error))
