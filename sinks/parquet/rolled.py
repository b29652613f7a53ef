"""Parquet files of a streaming job: rows wait in a segment log until a file is full.

Unit of parallelism: the partition (a shard or cluster). Guarantee: exactly once over the death
of the process at any moment, where the source repeats what was not stored.

A snapshot stores how far the open segment goes and which segments are sealed; it waits for
nothing. A sealed segment becomes Parquet files in the background, and only from the next
snapshot on, for then the engine has stored the seal. Its log is dropped two snapshots after the
files were published, when the engine can come back to no state that needs it.

The engine takes no snapshot of a partition to which nothing was written, so a silent one is
looked at from beside the dataflow: what its last snapshot covers is sealed and published as it
is at a drain. A restart sees by the files' position that they hold what its state says.

At a drain the engine closes partitions one after the other, on the thread that then has to store
their last snapshots. So `close` publishes nothing; `finish` does once the engine has ended, the
partitions side by side.
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa
from bytewax.outputs import StatefulSinkPartition

from sinks.events import Listener, SamplesWritten, count_by_origin, nobody, ticks_by_origin
from sinks.parquet.background import Background, now_ms
from sinks.parquet.settings import ParquetSettings, RollSettings
from sinks.parquet.sink import FIRST, ParquetSink, log
from sinks.parquet.store import file_part
from sinks.parquet.waiting import State, Waiting, position_text
from sinks.segments import Position, SegmentLog

RETRY_MS = 30_000
"""Milliseconds until publishing is tried again after it failed."""

LOOK_EVERY = 5.0
"""Seconds between two looks at partitions to which nothing is written."""


class RolledParquet(ParquetSink):
    """Publishes files by `settings.roll`: when they have enough rows, or their first is old.

    `directory` is where rows wait; it belongs to the job's state and is found again after a
    restart. `run` is part of every file's name, `metadata` of every file's key-value metadata;
    see `ParquetSink` for `parts`. `clock` gives milliseconds since the Unix epoch. Every
    `look_every` seconds partitions to which nothing is written are looked at; None is never.
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
        look_every: float | None = LOOK_EVERY,
    ) -> None:
        super().__init__(settings, parts, run, metadata or {})
        self._settings = settings
        self._directory = directory
        self._listener = listener
        self._clock = clock
        self._background = Background(self._context, settings.keep, clock, look_every)
        self._built: list[_RolledPartition] = []

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
            here = [left for left in files if left.position == position_text(end)]
            self.delete([left.file for left in files if left not in here])
            whole = len(here) == here[0].siblings if here else None
            waiting.resume(resume_state, whole)
        partition = _RolledPartition(
            for_part,
            waiting,
            self._settings.roll,
            self._background,
            self._listener,
            self._clock,
        )
        self._built.append(partition)
        return partition

    def finish(self) -> None:
        """Publish all that waits in this process, once the engine has ended well.

        Raises:
            DiskFullError: no room in the store.
            OSError: the store failed. What is not published stays in the log.
        """
        self._background.finish([partition.finish for partition in self._built])

    def _first_segment(self, part: str) -> int:
        files = [left.file for left in self.left_behind(part, FIRST)]
        last = max((file.sequence for file in files), default=FIRST)
        if last > FIRST:
            log.warning("recovery store lost, published files are kept", partition=part)
            return last + 1
        self.delete(files)
        return FIRST


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
        self._lock = threading.Lock()
        self._closed = False
        self._covered_since: int | None = clock()
        """Since when a snapshot covers all rows (ms); None where it does not."""
        self._publish_sealed()
        background.watch(self.look)

    def write_batch(self, values: list[pa.RecordBatch]) -> None:
        with self._lock:
            self._covered_since = None
            for batch in values:
                self._waiting.append(batch, self._clock())
        counts, ticks = count_by_origin(values), ticks_by_origin(values)
        self._listener(SamplesWritten("parquet", counts, ticks))

    def snapshot(self) -> State:
        with self._lock:
            self._waiting.drop_published()
            self._see_published()
            self._publish_sealed()
            if self._is_due():
                self._waiting.seal()
            self._background.expire()
            self._covered_since = self._clock()
            return self._waiting.snapshot()

    def look(self) -> None:
        """Publish what waits where nothing was written for the age at which files are rolled.

        Called from a thread of its own. By then the engine has stored the last snapshot.
        """
        with self._lock:
            if self._closed or self._covered_since is None:
                return
            if self._clock() - self._covered_since < self._roll.every * 1000:
                return
            self._see_published()
            if self._waiting.rows:
                self._waiting.seal()
            self._publish_sealed()

    def close(self) -> None:
        self._background.unwatch(self.look)
        with self._lock:
            self._closed = True
            self._waiting.close()

    def finish(self) -> None:
        """Publish all that waits."""
        if self._publishing is not None and not self._publishing[1].cancel():
            futures.wait([self._publishing[1]])
            self._see_published()
        self._waiting.publish_all()

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
