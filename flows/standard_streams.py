"""Standard streams by which no job can be stopped.

A log on a full disk, a terminal that is held, a pipe whose reader died or reads no more: whoever
writes for people neither waits nor hears of an error.
"""

import atexit
import io
import os
import select
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STDOUT, _STDERR = 1, 2
_ROOM_BYTES = 2**20
"""What may wait for a stream that does not take it; more is lost, and counted."""
_PATIENCE = 1.0
"""Seconds that the end of a process waits for what it said last."""


class _Outlet(io.RawIOBase):
    """Bytes to a descriptor, in their order, by a thread that alone waits and fails."""

    def __init__(self, descriptor: int, room: int) -> None:
        self._descriptor = descriptor
        self._room = room
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        part = bytes(data)
        with self._changed:
            if self._bytes + len(part) > self._room:
                self._lost += _lines(part)
                return len(part)
            self._waiting.append(part)
            self._bytes += len(part)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="outlet", daemon=True)
                self._thread.start()
        return len(part)

    def close(self) -> None:
        super().close()
        with self._changed:
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def take_lost(self) -> int:
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self.closed)
                if not self._waiting:
                    return
                part = self._waiting[0]
            written = self._put(part)
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(part)
                self._lost += 0 if written else _lines(part)
                self._changed.notify_all()

    def _put(self, part: bytes) -> bool:
        while part:
            try:
                part = part[os.write(self._descriptor, part) :]
            except BlockingIOError:
                # Whoever started this process shares the descriptor and made it so.
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll()
            except OSError:
                return False
        return True


def _lines(part: bytes) -> int:
    return max(1, part.count(b"\n"))


class PeopleStream(io.TextIOWrapper):
    """Text to a descriptor for people to read: writing returns at once and never fails.

    What waits longer than a descriptor takes it is kept up to `room` bytes; the rest is lost.
    """

    def __init__(self, descriptor: int, room: int = _ROOM_BYTES) -> None:
        self._outlet = _Outlet(descriptor, room)
        super().__init__(
            self._outlet,  # type: ignore[arg-type]
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )
        _streams.add(self)

    def drain(self, seconds: float = _PATIENCE) -> bool:
        """Wait until all is written, but no longer than so many seconds; whether it is."""
        return self._outlet.drain(seconds)

    def take_lost(self) -> int:
        """How many lines were lost since this was last asked."""
        return self._outlet.take_lost()


_streams: "weakref.WeakSet[PeopleStream]" = weakref.WeakSet()


_before_end: list[Callable[[], None]] = []


@contextmanager
def before_end(work: Callable[[], None]) -> Iterator[None]:
    """Have work done at the process's end, where that comes before the block's."""
    _before_end.append(work)
    try:
        yield
    finally:
        _before_end.remove(work)


@atexit.register
def drain_all() -> None:
    """Give what this process said last a moment to be written, before it ends."""
    for work in _before_end:
        work()
    until = time.monotonic() + _PATIENCE
    for stream in list(_streams):
        stream.drain(max(0.0, until - time.monotonic()))


def prepare() -> None:
    """Make this process's standard streams such; the first thing that a process does.

    One that was closed is opened to nowhere: or the next file to be opened, such as a database,
    would get its number, and what native code prints for people would be written into it.
    """
    for number in (0, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stderr = PeopleStream(_STDERR)
