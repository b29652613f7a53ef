"""Parquet files of a streaming job: rows wait in a segment log until a file is full.

Unit of parallelism: the partition (a shard or cluster). Guarantee: exactly once over the death
of the process at any moment, where the source repeats what was not stored.

A snapshot stores how far the open segment goes and which segments are sealed; it waits for
nothing. A sealed segment becomes Parquet files in the background, and only from the next
snapshot on, for then the engine has stored the seal. Its log is dropped two snapshots after the
files were published, when the engine can come back to no state that needs it.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from bytewax.outputs import StatefulSinkPartition

from sinks.events import Listener, SamplesWritten, count_by_origin, nobody, ticks_by_origin
from sinks.parquet.files import FileContext
from sinks.parquet.retention import delete_expired
from sinks.parquet.settings import ParquetSettings, RollSettings
from sinks.parquet.sink import FIRST, ParquetSink, log
from sinks.parquet.store import file_part
from sinks.parquet.waiting import State, Waiting, position_text
from sinks.segments import Position, SegmentLog

RETRY_MS = 30_000
"""Milliseconds until publishing is tried again after it failed."""

EXPIRE_MS = 3_600_000
"""Milliseconds between two looks for files past their retention."""


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class RolledParquet(ParquetSink):
    """Publishes files by `settings.roll`: when they have enough rows, or their first is old.

    `directory` is where rows wait; it belongs to the job's state and is found again after a
    restart. `run` is part of every file's name, `metadata` of every file's key-value metadata;
    see `ParquetSink` for `parts`. `clock` gives milliseconds since the Unix epoch.
    """

    def __init__(
        self,
        settings: ParquetSettings,
        parts: Sequence[str],
        run: str,
        directory: Path,
        metadata: Mapping[str, str] | None = None,
        listener: Listener = nobody,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__(settings, parts, run, metadata or {})
        self._settings = settings
        self._directory = directory
        self._listener = listener
        self._clock = clock
        self._background = Background(self._context, settings.keep, clock)

    def build_part(
        self, step_id: str, for_part: str, resume_state: State | None
    ) -> "_RolledPartition":
        """Go on exactly where the stored state says; rows that came after it come again.

        Without state nothing of this partition was ever stored: what is there is deleted. But
        where there are files after the first, the recovery store was lost: they are kept, and
        numbers go on after them.
        """
        directory = self._directory / file_part(for_part)
        segments = SegmentLog(directory, sys.maxsize, self._settings.fsync)
        waiting = Waiting(segments, self._context, for_part)
        if resume_state is None:
            waiting.begin(self._first_segment(for_part))
        else:
            end = Position(*resume_state[1])
            files = self.left_behind(for_part, end.segment)
            here = position_text(end)
            self.delete([file for file, position in files if position != here])
            waiting.resume(resume_state, any(position == here for _, position in files))
        return _RolledPartition(
            for_part,
            waiting,
            self._settings.roll,
            self._background,
            self._listener,
            self._clock,
        )

    def _first_segment(self, part: str) -> int:
        files = [file for file, _ in self.left_behind(part, FIRST)]
        last = max((file.sequence for file in files), default=FIRST)
        if last > FIRST:
            log.warning("recovery store lost, published files are kept", partition=part)
            return last + 1
        self.delete(files)
        return FIRST


class Background:
    """The thread of a process that publishes files, and deletes those past their retention."""

    def __init__(self, context: FileContext, keep: float | None, clock: Callable[[], int]) -> None:
        self._context = context
        self._keep = keep
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._lock = threading.Lock()
        self._expire_at = 0

    def publish(self, waiting: Waiting, ends: Sequence[Position]) -> "Future[None]":
        """Publish the files of sealed segments, oldest first."""

        def work() -> None:
            for end in ends:
                waiting.publish(end)

        return self._executor.submit(work)

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

    def _delete_expired(self, keep: float, now: int) -> None:
        try:
            delete_expired(self._context.store, keep, now)
        except OSError as error:
            log.warning("files past their retention are still there", error=str(error))


class _RolledPartition(StatefulSinkPartition[pa.RecordBatch, State]):
    def __init__(
        self,
        part: str,
        waiting: Waiting,
        roll: RollSettings,
        background: Background,
        listener: Listener,
        clock: Callable[[], int],
    ) -> None:
        self._part = part
        self._waiting = waiting
        self._roll = roll
        self._background = background
        self._listener = listener
        self._clock = clock
        self._publishing: tuple[list[Position], Future[None]] | None = None
        self._retry_at = 0
        self._publish_sealed()

    def write_batch(self, values: list[pa.RecordBatch]) -> None:
        for batch in values:
            self._waiting.append(batch, self._clock())
        counts, ticks = count_by_origin(values), ticks_by_origin(values)
        self._listener(SamplesWritten("parquet", counts, ticks))

    def snapshot(self) -> State:
        self._waiting.drop_published()
        self._see_published()
        self._publish_sealed()
        if self._is_due():
            self._waiting.seal()
        self._background.expire()
        return self._waiting.snapshot()

    def close(self) -> None:
        if self._publishing is not None:
            futures.wait([self._publishing[1]])
            self._see_published()
        self._waiting.drain()

    def _is_due(self) -> bool:
        waited = self._clock() - self._waiting.since
        return self._waiting.rows >= self._roll.rows or (
            self._waiting.rows > 0 and waited >= self._roll.every * 1000
        )

    def _see_published(self) -> None:
        if self._publishing is None or not self._publishing[1].done():
            return
        ends, future = self._publishing
        self._publishing = None
        error = future.exception()
        if error is None:
            self._waiting.published(ends)
        else:
            self._retry_at = self._clock() + RETRY_MS
            log.error(
                "files not published, rows wait on disk",
                partition=self._part,
                error=str(error),
                retry_seconds=RETRY_MS / 1000,
            )

    def _publish_sealed(self) -> None:
        """Start publishing what was sealed before this snapshot, whose seal is stored by now."""
        if self._waiting.sealed and self._publishing is None and self._clock() >= self._retry_at:
            ends = list(self._waiting.sealed)
            self._publishing = ends, self._background.publish(self._waiting, ends)
