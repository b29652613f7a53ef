"""The spool: samples on disk that wait for a network sink to deliver them.

Each partition is a directory with a segment log, the backlog (what of the log is undelivered)
and a lock. A record is when it was written (milliseconds since the epoch, uint64) and a batch.
"""

import math
import os
import secrets
import shutil
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from operators.schema.clock import wall_seconds
from operators.schema.ipc import BatchDecodeError, decode, encode
from operators.schema.logs import Log
from operators.schema.unreadable import UnreadableMessage
from sinks.delivery import SampleBatches
from sinks.disk import clear_errors, lock, make_private
from sinks.segments import DEFAULT_SEGMENT_BYTES, Position, SegmentLog
from sinks.spool.backlog import Backlog, Lane, load, save
from sinks.spool.errors import SpoolInUseError

CHUNK_ROWS = 16_384
"""Rows from which on a chunk is large enough: what is encoded at a time."""
_CHUNK_BYTES = 4 * 2**20
_LEFT = "left-"
_STAMP = struct.Struct("<Q")
STAMP_BYTES = _STAMP.size
"""Bytes of a record that stand before its batch."""

SpoolState = tuple[str, int, int]
"""Identity of the log, segment and offset after the last sample that a snapshot covers."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of a spool."""

    samples: SampleBatches
    end: Position
    newest: float
    """When the last of them was written, in seconds since the epoch."""
    unreadable: tuple[UnreadableMessage, ...] = ()


class Spool:
    """One partition on disk: its log, and what of it is not delivered.

    One thread writes (`resume`, `append`); any others release and deliver.

    Raises:
        SpoolInUseError: another process has it.
        ValueError: its backlog file is damaged or of another version.
        OSError: the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        clock: Callable[[], float] = wall_seconds,
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._lock = _locked(directory)
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._file = directory / "backlog.json"
        try:
            self.backlog = load(self._file)
            self._log = SegmentLog(directory, segment_bytes)
            save(self._file, self.backlog)
        except BaseException:
            os.close(self._lock)
            raise
        self._released = self._log.end

    @classmethod
    def adopt(cls, directory: Path, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> "Spool":
        """The spool of a directory that no one uses, moved aside so that its name is free.

        Raises:
            SpoolInUseError: someone uses it.
        """
        lock = _locked(directory, attempts=1)
        aside = directory
        if not directory.name.startswith(_LEFT):
            aside = directory.with_name(f"{_LEFT}{secrets.token_hex(8)}")
            directory.rename(aside)
        os.close(lock)
        return cls(aside, segment_bytes)

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    @property
    def oldest(self) -> float:
        """When the oldest record was written that is not delivered, in seconds since the epoch."""
        lane = self.backlog.lanes[0]
        for _, payload in self._log.read(lane.start, lane.end):
            return float(_STAMP.unpack_from(payload)[0]) / 1000
        return math.inf

    @property
    def name(self) -> str:
        """The partition's name."""
        return self.directory.name

    @property
    def state(self) -> SpoolState:
        """What a snapshot keeps: how far samples are released."""
        return (self.backlog.log, *self._released)

    @property
    def is_delivered(self) -> bool:
        """Whether nothing that was released waits."""
        return self.backlog.old is None and self.backlog.live.start >= self._released

    @property
    def disk_bytes(self) -> int:
        """What the log takes on disk."""
        return self._log.size_bytes

    @property
    def unsent_bytes(self) -> int:
        """About how much is not delivered yet."""
        return sum(self._between(i.start, i.end or self._log.end) for i in self.backlog.lanes)

    def resume(self, state: SpoolState) -> None:
        """Drop what lies beyond a snapshot, which is made again, but for what is delivered.

        The state of another log (the spool was emptied, or lies on another machine) means
        nothing here, and everything stays.
        """
        log, segment, offset = state
        if log != self.backlog.log:
            Log("mqpipe.sinks").warning(
                "the spool is not the one of the last snapshot; what waits in it is sent",
                path=str(self.directory),
            )
            return
        end = max(Position(segment, offset), self.backlog.start)
        self._log.truncate(end)
        self._released = self._log.end
        self._change(lambda backlog: backlog.resumed(self._log.end))

    def append(self, batch: pa.RecordBatch) -> None:
        """Write one batch of samples.

        Raises:
            DiskFullError: no room; nothing of it was written.
        """
        payload = _STAMP.pack(round(self._clock() * 1000)) + encode(batch)
        with self._writing:
            self._log.append(payload)

    def release(self) -> None:
        """Let everything that was appended be delivered; it survives the process's death."""
        with self._writing:
            self._released = self._log.flush()

    def read(self, lane: Lane) -> Chunk | None:
        """The next records of a lane, or None where none is released."""
        end = self._released if lane.end is None else lane.end
        if lane.start >= end:
            return None
        return self._chunk(lane.start, end)

    def end_of_oldest_segment(self) -> Position:
        """Where the oldest undelivered segment ends; it is closed if it is the open one."""
        segment = self.backlog.start.segment
        with self._writing:
            if segment == self._log.end.segment:
                self._log.roll()
                self._released = self._log.end
        return Position(segment + 1, 0)

    def settle(self, chunk: Chunk) -> None:
        """A chunk is delivered, or in dead letters; segments without anything else go.

        Raises:
            OSError: the backlog cannot be saved.
        """
        self._change(lambda backlog: backlog.delivered(chunk.end))
        with self._writing:
            if self._log.end.offset >= self._segment_bytes:
                self._drop_open_segment()
        self._log.drop_before(self.backlog.start.segment)

    def split(self) -> None:
        """The open lane is behind: what waits in it becomes an old lane."""
        self._change(lambda backlog: backlog.split(self._released))

    def close(self) -> None:
        """Leave the spool to others; what is delivered takes no room any more."""
        with self._writing:
            if self._log.end.offset:
                self._drop_open_segment()
        self._log.close()
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the directory of a spool that is closed."""
        shutil.rmtree(self.directory)

    def _drop_open_segment(self) -> None:
        """Remove the open segment, where everything in it is delivered."""
        if self.backlog.old is None and self.backlog.live.start == self._log.end:
            self._log.roll()
            self._released = self._log.end
            self._change(lambda backlog: backlog.delivered(self._log.end))
            self._log.drop_before(self._log.end.segment)

    def _change(self, change: Callable[[Backlog], Backlog]) -> None:
        with self._changing:
            changed = change(self.backlog)
            if changed != self.backlog:
                save(self._file, changed)
                self.backlog = changed

    def _chunk(self, start: Position, end: Position) -> Chunk:
        samples: list[pa.RecordBatch] = []
        unreadable: list[UnreadableMessage] = []
        newest = self._clock()
        rows = size = 0
        for position, payload in self._log.read(start, end):
            newest = _STAMP.unpack_from(payload)[0] / 1000
            size += len(payload)
            try:
                samples.append(decode(payload[_STAMP.size :]))
                rows += samples[-1].num_rows
            except BatchDecodeError as error:
                unreadable.append(self._unreadable(position, payload, error.reason))
            if rows >= CHUNK_ROWS or size >= _CHUNK_BYTES:
                end = position
                break
        return Chunk(tuple(samples), end, newest, tuple(unreadable))

    def _unreadable(self, position: Position, payload: bytes, reason: str) -> UnreadableMessage:
        now = round(self._clock() * 1000)
        data = payload[_STAMP.size :]
        return UnreadableMessage(
            str(self.directory), position.segment, position.offset, data, reason, now
        )

    def _between(self, start: Position, end: Position) -> int:
        return (end.segment - start.segment) * self._segment_bytes + end.offset - start.offset


def left_behind(path: Path) -> list[Path]:
    """The partitions' directories in a spool's directory."""
    return sorted(file.parent for file in path.glob("*/backlog.json"))


def _locked(directory: Path, attempts: int = 20) -> int:
    """A descriptor that holds the directory's lock until it is closed.

    Another process may just be moving the directory away to deliver what was left in it, so a
    taken lock is tried again for a second.
    """
    file = directory / "lock"
    for _ in range(attempts):
        with (
            suppress(BlockingIOError),
            clear_errors(directory, "samples that wait for their delivery"),
        ):
            make_private(directory)
            descriptor = lock(file)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    return descriptor
            os.close(descriptor)
        time.sleep(0.05)
    raise SpoolInUseError(directory)
