"""One partition of a sink whose rows wait until enough of them are published together."""

import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass

import pyarrow as pa
from bytewax.outputs import StatefulSinkPartition

from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from sinks.events import PublishFailed, SamplesWritten, by_origin
from sinks.job import JobContext
from sinks.rolled.publisher import Publisher
from sinks.rolled.settings import RollSettings
from sinks.rolled.waiting import RolledState, Sealed, Waiting

log = Log("mqpipe.sinks")

RETRY_MS = 30_000
"""Milliseconds until publishing is tried again after it failed."""
STORED_MS = 1_000
"""Milliseconds after a snapshot in which the engine has certainly stored it."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """What the partitions of a sink whose rows wait have in common."""

    sink: str
    """Its name."""
    roll: RollSettings
    """When rows that wait are sealed."""
    publisher: Publisher
    """Publishes what is sealed, in the background."""
    clock: Callable[[], int] = wall_clock
    """Milliseconds since 1970."""
    final: bool = False
    """Whether what is published cannot be taken back."""
    soon: bool = True
    """Whether the first rows are published as soon as a snapshot covers them, so that whoever starts
    a job sees them; `roll` says when those that follow are."""
    after_snapshot: Callable[[], None] = lambda: None
    """Called with each snapshot."""


class RolledPartition(StatefulSinkPartition[pa.RecordBatch, RolledState]):
    """Seals rows that wait, has them published, and reports to the job what it took over."""

    def __init__(self, rolling: Rolling, job: JobContext, waiting: Waiting) -> None:
        self._rolling = rolling
        self._soon = rolling.soon
        self._listener = job.listener
        self._waiting = waiting
        self._publishing: tuple[list[Sealed], Future[None]] | None = None
        self._retry_at = 0
        self._lock = threading.Lock()
        self._closed = False
        self._covered_since: int | None = rolling.clock()
        """Since when a snapshot covers all rows (ms); None where it does not."""
        self._covered_in = -1
        """The epoch of that snapshot; the one that was resumed is of an earlier life."""
        self._publish_sealed()
        with self._lock:
            self._epochs = rolling.publisher.opened(self)

    def write_batch(self, values: list[pa.RecordBatch]) -> None:
        """Add samples to those that wait.

        Raises:
            DiskFullError: no room for them.
        """
        with self._lock:
            self._covered_since = None
            self._epochs.write()
            for batch in values:
                self._waiting.append(batch, self._rolling.clock())
        counts, ticks = by_origin(values)
        self._listener(SamplesWritten(self._rolling.sink, counts, ticks))

    def snapshot(self) -> RolledState:
        """What a restart needs to go on from here; waits for nothing.

        Raises:
            DiskFullError: no room for what was written since the last one.
        """
        with self._lock:
            self._waiting.drop_published()
            self._see_published()
            self._publish_sealed()
            if self._is_due():
                self._waiting.seal()
            self._rolling.after_snapshot()
            self._covered_since, self._covered_in = self._rolling.clock(), self._epochs.snapshot()
            return self._waiting.snapshot()

    def look(self) -> None:
        """Publish what waits where nothing was written for the age at which rows are published.

        The first rows wait no longer than until their snapshot is stored. Called from a thread of
        its own. By then the engine has stored the last snapshot; what is final waits until that is
        certain.
        """
        with self._lock:
            if self._closed or self._covered_since is None:
                return
            age = STORED_MS if self._soon else self._rolling.roll.every * 1000
            if self._rolling.clock() - self._covered_since < age:
                return
            if self._rolling.final and self._epochs.ended == self._covered_in:
                return
            self._see_published()
            if self._waiting.rows:
                self._waiting.seal()
            self._publish_sealed()

    def close(self) -> None:
        """Take no more samples. The engine has not stored the last snapshot: nothing is published."""
        with self._lock:
            self._closed = True
            self._waiting.close()
        self._rolling.publisher.closed()

    def left(self) -> list[Sealed]:
        """All that is still to be published, once the partition is closed.

        Waits for what is being published at the moment.
        """
        if self._publishing is not None and not self._publishing[1].cancel():
            futures.wait([self._publishing[1]])
            self._see_published()
        return self._waiting.left()

    def _is_due(self) -> bool:
        waited = self._rolling.clock() - self._waiting.since
        # Rows of a time to come are of before the clock was set back, for who knows how long.
        old = waited < 0 or waited >= self._rolling.roll.every * 1000
        return self._waiting.rows >= self._rolling.roll.rows or (
            self._waiting.rows > 0 and (self._soon or old)
        )

    def _see_published(self) -> None:
        if self._publishing is None or not self._publishing[1].done():
            return
        segments, future = self._publishing
        self._publishing = None
        error = future.exception()
        if error is None:
            self._waiting.published(segments)
        else:
            self._retry_at = self._rolling.clock() + RETRY_MS
            self._listener(PublishFailed(self._rolling.sink, str(error)))
            log.error(
                "rows not published, they wait on disk",
                sink=self._rolling.sink,
                partition=self._waiting.part,
                error=str(error),
                retry_seconds=RETRY_MS / 1000,
            )

    def _publish_sealed(self) -> None:
        """Start publishing what was sealed before this snapshot, whose seal is stored by now."""
        if (
            self._waiting.sealed
            and self._publishing is None
            and self._rolling.clock() >= self._retry_at
        ):
            segments = list(self._waiting.sealed)
            self._soon = False
            self._publishing = segments, self._rolling.publisher.publish(segments)
