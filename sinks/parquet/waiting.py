"""The rows of one partition that no published file holds yet, in a segment log.

A segment's number is its files' sequence number. The open segment takes rows; a sealed one
waits to become files.
"""

import pyarrow as pa

from operators.schema.ipc import decode, encode
from sinks.parquet.files import FileContext, SampleFiles
from sinks.segments import Position, SegmentLog

State = tuple[int, tuple[int, int], int, int, tuple[tuple[int, int], ...]]
"""Version (1), end of the open segment, its rows, when its first row came (ms; 0 without rows),
ends of the sealed segments that are not published."""

KEPT_SNAPSHOTS = 2
"""Snapshots for which a segment's log stays after its files were published."""


class Waiting:
    """A partition's segment log and what its segments are waiting for.

    `rows` are the open segment's, `since` is when its first row came (milliseconds; 0 without
    rows), `sealed` are the ends of the sealed segments, oldest first.
    """

    def __init__(self, segments: SegmentLog, context: FileContext, part: str) -> None:
        self._segments = segments
        self._context = context
        self._part = part
        self._published: list[tuple[int, int]] = []
        self.rows = 0
        self.since = 0
        self.sealed: list[Position] = []

    def begin(self, segment: int) -> None:
        """Start empty, with this number; what the log holds was never stored."""
        self._segments.truncate(Position(segment, 0))
        self._segments.drop_before(segment)

    def resume(self, state: State, whole: bool | None) -> None:
        """Go on exactly where `state` says.

        `whole` is None unless files of the open segment with exactly this end are there: it was
        published after that state, at a drain or since nothing more came. False tells that some
        of its files are missing: they are all written again, with the same rows.
        """
        _, open_end, rows, since, sealed = state
        end = Position(*open_end)
        self.sealed = [Position(*p) for p in sealed]
        if whole is None:
            self._segments.truncate(end)
            self.rows, self.since = rows, since
        else:
            self._segments.truncate(Position(end.segment + 1, 0))
            if whole:
                self._published = [(end.segment, KEPT_SNAPSHOTS)]
            else:
                self.sealed.append(end)
        kept = [p.segment for p in (*self.sealed, end)]
        self._segments.drop_before(min(kept))

    def append(self, batch: pa.RecordBatch, now: int) -> None:
        """Add samples; they survive the death of the process at once.

        Raises:
            DiskFullError: no room; nothing of the batch was added.
        """
        if batch.num_rows:
            self._segments.append(encode(batch))
            self.rows += batch.num_rows
            self.since = self.since or now

    def seal(self) -> None:
        """Close the open segment and open the next."""
        self.sealed.append(self._segments.end)
        self._segments.roll()
        self.rows = self.since = 0

    def snapshot(self) -> State:
        """What a restart needs to go on from here."""
        end = self._segments.flush()
        sealed = tuple((p.segment, p.offset) for p in self.sealed)
        return 1, (end.segment, end.offset), self.rows, self.since, sealed

    def publish(self, end: Position) -> None:
        """Write and publish the files of the segment that ends there; again does no harm.

        Raises:
            DiskFullError: no room in the store.
            OSError: the store failed.
        """
        files = SampleFiles(self._context, self._part, end.segment)
        for _, payload in self._segments.read(Position(end.segment, 0), end):
            files.write(decode(payload))
        files.finish(position_text(end))
        files.publish()

    def published(self, ends: list[Position]) -> None:
        """These sealed segments have all their files."""
        self.sealed = [end for end in self.sealed if end not in ends]
        self._published += [(end.segment, KEPT_SNAPSHOTS) for end in ends]

    def drop_published(self) -> None:
        """Once a snapshot: drop the logs of segments that no state needs any more."""
        gone = [segment for segment, left in self._published if left == 0]
        if gone:
            self._segments.drop_before(max(gone) + 1)
        self._published = [(segment, left - 1) for segment, left in self._published if left]

    def close(self) -> None:
        """Take no more samples; what is not published stays in the log."""
        self._segments.close()

    def publish_all(self) -> None:
        """Publish every row that waits, those of the open segment among them.

        Raises:
            DiskFullError: no room in the store.
            OSError: the store failed; what is not published stays in the log.
        """
        for end in self.sealed:
            self.publish(end)
        if self.rows:
            self.publish(self._segments.end)


def position_text(position: Position) -> str:
    """A position as it is written in files' metadata."""
    return f"{position.segment}:{position.offset}"
