"""An append-only log on disk, cut into segments, each record with its checksum.

What waits on disk lies in such a log: batches that no Parquet file holds yet, and batches that
a network sink has not delivered. A segment is one file, `<directory>/<segment>.log`; a record
is its payload's length, a CRC-32 (both little-endian uint32) and the payload. The checksum
covers the length too, so neither a wrong length nor a tail of zeros passes for a record.
"""

import errno
import os
import re
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from isal.isal_zlib import crc32

from operators.schema.logs import Log
from sinks.disk import PRIVATE, DiskFullError, make_private, sync_to_disk

DEFAULT_SEGMENT_BYTES = 64 * 2**20

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<II")
_SEGMENT = re.compile(r"\d{10,}\.log", re.ASCII)


class Position(NamedTuple):
    """A place in a log, between two records; later places are greater."""

    segment: int
    offset: int
    """Bytes from the segment's start."""


BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a segment that cannot be read: a torn record, or one whose checksum is wrong.

    What follows in the same segment is lost with it; the next segment is not.
    """

    path: Path
    offset: int
    lost: int
    """Bytes from the damage to the segment's end."""
    reason: str


def log_damage(damage: Damage) -> None:
    """Say in the log what was lost."""
    Log("mqpipe.sinks").warning(
        "segment damaged",
        path=str(damage.path),
        offset=damage.offset,
        lost_bytes=damage.lost,
        reason=damage.reason,
    )


class SegmentLog:
    """Records appended to segments of about `segment_bytes`; the last segment is the open one.

    What `append` was given survives the death of the process at once (`kill -9`); only with
    `fsync` does it also survive a power loss, from the next `flush` on. Opening a log cuts off
    what a crash left torn at the open segment's end. Nothing that is wrong with a segment's
    content is ever raised: it goes to `on_damage`, once for each place.

    One thread writes (append, flush, roll, truncate); `read`, `drop_before` and `size_bytes`
    may be called from others.

    Raises:
        OSError: the directory cannot be made or read.
    """

    def __init__(
        self,
        directory: Path,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        fsync: bool = False,
        on_damage: Callable[[Damage], None] = log_damage,
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._on_damage = on_damage
        self._reported: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        make_private(directory)
        self._sizes = dict(_segments_in(directory))
        self._open(max(self._sizes, default=0))
        self._cut(self._valid_end(self._end.segment))

    @property
    def end(self) -> Position:
        """The place after the last record."""
        return self._end

    @property
    def segments(self) -> tuple[int, ...]:
        """The segments that are there, oldest first; the last is the open one."""
        with self._lock:
            return tuple(sorted(self._sizes))

    @property
    def size_bytes(self) -> int:
        """The size of all segments."""
        with self._lock:
            return sum(self._sizes.values())

    def append(self, payload: bytes | memoryview) -> None:
        """Write one record; a segment that is full is closed first.

        Raises:
            DiskFullError: no room; the log is as it was.
            OSError: the write failed otherwise; the log is as it was.
            ValueError: a payload of 4 GiB or more.
        """
        length = memoryview(payload).nbytes
        if length >= 2**32:
            raise ValueError(f"a record holds less than 4 GiB, this one has {length} bytes")
        header = _HEADER.pack(length, _checksum(length, payload))
        try:
            if self._end.offset >= self._segment_bytes:
                self.roll()
            self._write(header, payload)
        except OSError as error:
            self._cut(self._end.offset)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                path = self._path(self._end.segment)
                raise DiskFullError(path, f"a record of {length} bytes") from None
            raise
        self._end_at(Position(self._end.segment, self._end.offset + len(header) + length))

    def flush(self) -> Position:
        """Make what was appended durable (`fsync`), and say how far that is."""
        if self._fsync:
            _sync(self._file)
        return self.end

    def read(
        self, start: Position = BEGINNING, end: Position | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        """The records from `start` on, each with the place after it.

        Ends at `end`, or where the log ends now. Damage ends the reading of its segment, and
        reading goes on with the next. Segments that are dropped meanwhile are passed over.
        """
        end = self.end if end is None else end
        for segment in self.segments:
            if start.segment <= segment <= end.segment:
                offset = start.offset if segment == start.segment else 0
                limit = end.offset if segment == end.segment else None
                yield from self._read_segment(segment, offset, limit)

    def ends(self) -> list[Position]:
        """Where each segment's records end, oldest first."""
        return [Position(segment, self._valid_end(segment)) for segment in self.segments]

    def truncate(self, position: Position) -> None:
        """Drop all that lies after `position`; its segment becomes the open one.

        Where the log ends before `position` (records were lost), it stays as it is, and the
        difference is reported as damage.
        """
        for segment in self.segments:
            if segment > position.segment:
                self._remove(segment)
        if position.segment != self._end.segment:
            self._open_instead(position.segment)
        end = self._valid_end(position.segment, position.offset)
        if end < position.offset:
            self._damaged(position.segment, end, position.offset - end, "records are missing")
        self._cut(min(end, position.offset))

    def roll(self) -> int:
        """Close the open segment and open the next; gives its number.

        Raises:
            OSError: there can be no new file; the log is as it was.
        """
        self.flush()
        self._open_instead(self._end.segment + 1)
        return self._end.segment

    def drop_before(self, segment: int) -> None:
        """Remove the segments before `segment`; the open one is never removed."""
        for old in self.segments:
            if old < min(segment, self._end.segment):
                self._remove(old)

    def close(self) -> None:
        """Close the open segment's file; the log can be opened again."""
        self.flush()
        os.close(self._file)

    def _path(self, segment: int) -> Path:
        return self._directory / f"{segment:010d}.log"

    def _open(self, segment: int) -> None:
        path = self._path(segment)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        if self._fsync:
            sync_to_disk(self._directory)
        self._file = file
        self._end_at(Position(segment, os.fstat(file).st_size))

    def _open_instead(self, segment: int) -> None:
        # The old file is closed last: where there can be no new one, the log goes on in it.
        before = self._file
        self._open(segment)
        os.close(before)

    def _end_at(self, end: Position) -> None:
        with self._lock:
            self._sizes[end.segment] = end.offset
        self._end = end

    def _cut(self, offset: int) -> None:
        os.ftruncate(self._file, offset)
        self._end_at(Position(self._end.segment, offset))

    def _write(self, header: bytes, payload: bytes | memoryview) -> None:
        written = os.writev(self._file, [header, payload])
        if written < len(header):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = memoryview(payload).cast("B")[written - len(header) :]
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _remove(self, segment: int) -> None:
        self._path(segment).unlink(missing_ok=True)
        with self._lock:
            self._sizes.pop(segment, None)

    def _valid_end(self, segment: int, limit: int | None = None) -> int:
        end = 0
        for position, _ in self._read_segment(segment, 0, limit):
            end = position.offset
        return end

    def _read_segment(
        self, segment: int, offset: int, limit: int | None
    ) -> Iterator[tuple[Position, bytes]]:
        try:
            file = self._path(segment).open("rb")
        except FileNotFoundError:
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            limit = size if limit is None else min(limit, size)
            file.seek(offset)
            while offset < limit:
                payload = _read_record(file.read, limit - offset)
                if isinstance(payload, str):
                    self._damaged(segment, offset, limit - offset, payload)
                    return
                offset += _HEADER.size + len(payload)
                yield Position(segment, offset), payload

    def _damaged(self, segment: int, offset: int, lost: int, reason: str) -> None:
        if (segment, offset) not in self._reported:
            self._reported.add((segment, offset))
            self._on_damage(Damage(self._path(segment), offset, lost, reason))


def _sync(file: int) -> None:
    """Have the disk hold a file; not every system has the cheaper way."""
    sync = os.fdatasync if hasattr(os, "fdatasync") else os.fsync
    sync(file)


def records_of(file: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole records of a segment's file from an offset on, each with the offset after it.

    For who reads beside the process that writes: what it is just writing is left for later.

    Raises:
        FileNotFoundError: it is gone.
    """
    with file.open("rb") as source:
        source.seek(start)
        left = os.fstat(source.fileno()).st_size - start
        while left > 0 and not isinstance(payload := _read_record(source.read, left), str):
            start += _HEADER.size + len(payload)
            left -= _HEADER.size + len(payload)
            yield start, payload


def _segments_in(directory: Path) -> Iterator[tuple[int, int]]:
    """The segments' numbers and sizes; a file of another name is none, and is left alone."""
    for file in directory.glob("*.log"):
        if _SEGMENT.fullmatch(file.name) and file.is_file():
            yield int(file.stem), file.stat().st_size
        else:
            Log("mqpipe.sinks").warning("stray file left alone", path=str(file))


def _read_record(read: Callable[[int], bytes], room: int) -> bytes | str:
    """The next record's payload, or what is wrong with it."""
    header = read(_HEADER.size)
    if room < _HEADER.size or len(header) < _HEADER.size:
        return "a record's header is cut short"
    length, checksum = _HEADER.unpack(header)
    if length > room - _HEADER.size:
        return "a record is cut short, or its length is wrong"
    payload = read(length)
    if _checksum(length, payload) != checksum:
        return "a record's checksum is wrong"
    return payload


def _checksum(length: int, payload: bytes | memoryview) -> int:
    return crc32(payload, crc32(_LENGTH.pack(length)))
