"""Parquet files written as the samples come: for exports and replays, where an epoch fills a file.

Unit of parallelism: the partition (a shard or cluster). Guarantee: exactly once over the death
of the process at any moment, where the source repeats what was not stored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
from bytewax.outputs import StatefulSinkPartition

from operators.schema.events import Listener, nobody
from sinks.events import (
    SamplesPublished,
    SamplesWritten,
    by_origin,
)
from sinks.parquet.files import FileContext, SampleFiles
from sinks.parquet.partitions import FIRST, ParquetSink
from sinks.parquet.settings import ParquetSettings

MAX_OPEN_FILES = 512
"""Files that all partitions together keep open, where dates are many in an epoch."""

_State = tuple[int, int]
"""Version of the state (1), sequence number of the next file."""


class DirectParquet(ParquetSink):
    """Writes an epoch's samples into files that its snapshot publishes.

    `run` is part of every file's name, `metadata` of every file's key-value metadata; see
    `ParquetSink` for `parts`. `settings.roll` and `settings.keep` are not for this sink: an
    epoch is a file, and what is written on purpose about the past is not deleted for its age.
    """

    def __init__(
        self,
        settings: ParquetSettings,
        parts: Iterable[str],
        run: str,
        metadata: Mapping[str, str] | None = None,
        listener: Listener = nobody,
    ) -> None:
        super().__init__(settings, parts, run, metadata or {})
        self._listener = listener

    def build_part(
        self, step_id: str, for_part: str, resume_state: _State | None
    ) -> "_DirectPartition":
        """Go on after the last file that was stored as published; later ones are deleted.

        Without state the run starts over, so all that it had published is deleted.
        """
        _, sequence = resume_state or (1, FIRST)
        self.delete([left.file for left in self.left_behind(for_part, sequence)])
        limit = max(8, MAX_OPEN_FILES // len(self.list_parts()))
        return _DirectPartition(self._context, for_part, sequence, limit, self._listener)


class _DirectPartition(StatefulSinkPartition[pa.RecordBatch, _State]):
    def __init__(
        self, context: FileContext, part: str, sequence: int, max_open: int, listener: Listener
    ) -> None:
        self._context = context
        self._part = part
        self._max_open = max_open
        self._finished: list[SampleFiles] = []
        self._sequence = sequence
        self._open = SampleFiles(context, part, sequence)
        self._listener = None if listener is nobody else listener
        self._unpublished: Counter[str] = Counter()

    def write_batch(self, values: list[pa.RecordBatch]) -> None:
        for batch in values:
            self._open.write(batch)
            if len(self._open) >= self._max_open:
                self._finish()
        if self._listener is not None:
            counts, ticks = by_origin(values)
            self._unpublished.update(counts)
            self._listener(SamplesWritten("parquet", counts, ticks))

    def snapshot(self) -> _State:
        self._publish()
        return 1, self._sequence

    def close(self) -> None:
        self._publish()

    def _finish(self) -> None:
        """Close the open files; further rows of this epoch go into the next sequence number."""
        if len(self._open):
            self._open.finish()
            self._finished.append(self._open)
            self._sequence += 1
            self._open = SampleFiles(self._context, self._part, self._sequence)

    def _publish(self) -> None:
        self._finish()
        for files in self._finished:
            files.publish()
        self._finished = []
        if self._listener is not None and self._unpublished:
            self._listener(SamplesPublished("parquet", dict(self._unpublished)))
            self._unpublished.clear()
