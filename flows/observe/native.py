"""What native code writes to standard error, as log lines like all others.

Bytewax's engine (in Rust) and librdkafka (in C) know nothing of Python's logging. What they
write would tear the live table and break the JSON.
"""

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from flows.standard_streams import PeopleStream

_STDERR = 2
_READ_BYTES = 65_536
_PIPE_BYTES = 2**20
"""The most that Linux gives without privileges."""


@contextmanager
def real_stderr() -> Iterator[PeopleStream]:
    """A stream to what standard error is now, whatever becomes of it meanwhile."""
    _flush()
    real = os.dup(_STDERR)
    stream = PeopleStream(real)
    try:
        yield stream
    finally:
        drained = stream.drain()
        stream.close()
        if drained:  # Or something still waits to be written, and nobody else may get the number.
            os.close(real)


@contextmanager
def captured_stderr(report: Callable[[str], None]) -> Iterator[None]:
    """Until the block ends, `report` what is written to standard error.

    Whole lines that come at once are reported together, from a thread; all of them before the block
    has ended. `report` must write to `real_stderr` and not to `sys.stderr`, which comes back here.
    """
    _flush()
    before = os.dup(_STDERR)
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        # Native code that writes while it holds the interpreter's lock must find room at once.
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.dup2(writing, _STDERR)
    os.close(writing)
    reader = threading.Thread(
        target=_read, args=(reading, report), name="mqpipe-stderr", daemon=True
    )
    reader.start()
    try:
        yield
    finally:
        _flush()
        os.dup2(before, _STDERR)
        os.close(before)
        # The pipe is at its end now, unless a child process still has it.
        reader.join(timeout=1.0)


def _flush() -> None:
    """Have what Python wrote so far go to where standard error is now."""
    if isinstance(sys.stderr, PeopleStream):
        sys.stderr.drain()
    else:
        sys.stderr.flush()


def _read(reading: int, report: Callable[[str], None]) -> None:
    def said(text: bytes) -> None:
        # Whatever is wrong with a line: were the pipe not read on, all who write would wait.
        with suppress(Exception):
            report(text.decode(errors="backslashreplace"))

    with os.fdopen(reading, "rb", buffering=0) as pipe:
        begun = b""
        while part := pipe.read(_READ_BYTES):
            lines, newline, begun = (begun + part).rpartition(b"\n")
            if newline and lines.strip():
                said(lines)
        if begun.strip():
            said(begun)
