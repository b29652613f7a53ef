"""The rows of one partition that are not published yet, in a segment log.

The open segment takes rows; a sealed one waits to be published.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from operators.schema.arrow import entity_type_of
from operators.schema.ipc import decode_all, encode_all
from operators.schema.names import file_part
from sinks.rolled.owner import ForeignRowsError, Owner, own, owner_of
from sinks.segments import Position, SegmentLog

RolledState = tuple[int, tuple[int, int], int, int, tuple[tuple[int, int], ...]]
"""Version (1), end of the open segment, its rows, when its first row came (ms; 0 without rows),
ends of the sealed segments that are not published."""

HELD_ROWS = 5_000
"""Rows that a partition holds in memory until a snapshot has them written, at most."""

KEPT_SNAPSHOTS = 2
"""Snapshots for which a segment's log stays after it was published."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A segment of one partition to which nothing more is added; it ends at `end`."""

    part: str
    log: SegmentLog
    end: Position

    @property
    def size_bytes(self) -> int:
        """Its size in the log."""
        return self.end.offset

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its samples; each batch of one entity type, whose rows keep their order."""
        records = self.log.read(Position(self.end.segment, 0), self.end)
        return decode_all(payload for _, payload in records)


class Waiting:
    """A partition's segment log in `directory`, and what its segments are waiting for.

    `part` is the partition's name, `rows` are the open segment's, `since` is when its first row
    came (milliseconds; 0 without rows), `sealed` are the sealed segments that are not published,
    oldest first.

    What no snapshot covers comes again after a crash. So rows are held until the next one, which
    writes those of one type together: a record of a row alone takes as long as one of many.
    """

    def __init__(self, part: str, directory: Path, *, fsync: bool = False) -> None:
        self.part = part
        self._directory = directory / file_part(part)
        self._log = SegmentLog(self._directory, sys.maxsize, fsync)
        self._published: list[tuple[int, int]] = []
        self._held: dict[str, list[pa.RecordBatch]] = {}
        """By entity type."""
        self._held_rows = 0
        self.rows = 0
        self.since = 0
        self.sealed: list[Sealed] = []

    def owner(self, owner: Owner, *, stored: bool) -> Owner | None:
        """Who wrote the log; None where nobody did, or one who did not say by which store. `owner` goes on with it.

        `stored` says that there is a position, with which it is its own from now on. Without one
        the log holds only what comes again, unless it was written for another recovery store.

        Raises:
            ForeignRowsError: there is none, and another step wrote the log.
            OSError: it is not known who wrote it.
        """
        before = owner_of(self._directory)
        if before is not None and not stored and before.step != owner.step:
            raise ForeignRowsError(self._directory, before, owner.step)
        if stored:
            mine = replace(owner, first=0 if before is None else before.first)
            if mine != before:
                own(self._directory, mine)
        return before if before is not None and before.store else None

    def everything(self) -> list[Sealed]:
        """All that the log holds, oldest first; it is to be published before the log starts over."""
        return [self._sealed(end) for end in self._log.ends() if end.offset]

    def begin(self, segment: int, owner: Owner) -> None:
        """Start empty, with this number, as this owner's; what the log holds comes again."""
        self._log.truncate(Position(segment, 0))
        self._log.drop_before(segment)
        own(self._directory, replace(owner, first=segment))

    def resume(
        self,
        state: RolledState,
        whole: bool | None,
        segment: int = 0,
        published: Collection[int] = (),
    ) -> None:
        """Go on exactly where `state` says.

        `whole` is None unless the open segment was published with exactly this end after that
        state, at a drain or since nothing more came. False says that it may be only in part:
        it is published again, with the same rows. What comes next goes into a segment whose
        number is at least `segment`. Of the sealed ones, those `published` are so already.
        """
        _, open_end, rows, since, sealed = state
        end = Position(*open_end)
        ends = [Position(*p) for p in sealed]
        self.sealed = [self._sealed(p) for p in ends if p.segment not in published]
        self._published = [(p.segment, KEPT_SNAPSHOTS) for p in ends if p.segment in published]
        if whole is None:
            self._log.truncate(end)
            self.rows, self.since = rows, since
        else:
            self._log.truncate(Position(max(end.segment + 1, segment), 0))
            if whole:
                self._published.append((end.segment, KEPT_SNAPSHOTS))
            else:
                self.sealed.append(self._sealed(end))
        kept = [sealed.end.segment for sealed in self.sealed] + [s for s, _ in self._published]
        self._log.drop_before(min([*kept, end.segment]))

    def append(self, batch: pa.RecordBatch, now: int) -> None:
        """Add samples; they survive the death of the process from the next snapshot on.

        Raises:
            DiskFullError: no room for what is held.
        """
        if batch.num_rows:
            alike = self._held.setdefault(entity_type_of(batch).name, [])
            if alike and not alike[0].schema.equals(batch.schema):
                self._write()
                alike = self._held[entity_type_of(batch).name] = []
            alike.append(batch)
            self._held_rows += batch.num_rows
            self.rows += batch.num_rows
            self.since = self.since or now
            if self._held_rows >= HELD_ROWS:
                self._write()

    def _write(self) -> None:
        """Have the log hold all rows; where that fails, those that it lacks come again."""
        held, self._held, self._held_rows = self._held, {}, 0
        for batches in held.values():
            self._log.append(encode_all(batches))

    def seal(self) -> None:
        """Close the open segment and open the next.

        Raises:
            OSError: there can be no new file; the segment is as it was.
        """
        self._write()
        end = self._log.end
        self._log.roll()
        self.sealed.append(self._sealed(end))
        self.rows = self.since = 0

    def snapshot(self) -> RolledState:
        """What a restart needs to go on from here.

        Raises:
            DiskFullError: no room for what is held.
        """
        self._write()
        end = self._log.flush()
        sealed = tuple((s.end.segment, s.end.offset) for s in self.sealed)
        return 1, (end.segment, end.offset), self.rows, self.since, sealed

    def published(self, segments: Sequence[Sealed]) -> None:
        """These sealed segments are published."""
        self.sealed = [sealed for sealed in self.sealed if sealed not in segments]
        self._published += [(sealed.end.segment, KEPT_SNAPSHOTS) for sealed in segments]

    def drop_published(self) -> None:
        """Once a snapshot: drop the logs of segments that no state needs any more."""
        gone = [segment for segment, left in self._published if left == 0]
        if gone:
            self._log.drop_before(max(gone) + 1)
        self._published = [(segment, left - 1) for segment, left in self._published if left]

    def close(self) -> None:
        """Take no more samples; what is not published stays in the log.

        It raises nothing: the engine also closes what is left when something else has failed, and a second
        failure then would abort the process.
        """
        with suppress(OSError):
            self._write()
        self._log.close()

    def left(self) -> list[Sealed]:
        """Everything that waits, the rows of the open segment too, once the log is closed."""
        return [*self.sealed, *([self._sealed(self._log.end)] if self.rows else [])]

    def _sealed(self, end: Position) -> Sealed:
        return Sealed(self.part, self._log, end)


def position_text(position: Position) -> str:
    """A position as it is written in files' metadata."""
    return f"{position.segment}:{position.offset}"
