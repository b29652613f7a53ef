"""Where tests write: in memory, where a file system there has room.

Jobs sync their state to disk at each epoch, of which tests have many, and a worker of the engine
that waits for another one's spins: on a disk that all tests share, half of a crash test's work was
waiting. What a killed process leaves is the same in either, and so are the calls that sync.
"""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that have to be free there, in memory and below what the file system may take of it."""


def write_in_memory() -> None:
    """Have this process's temporary files there, and its children's, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _has_room() -> bool:
    """False too where nothing may be executed, as in containers: tests write programs."""
    try:
        system = os.statvfs(MEMORY)
    except OSError:
        return False
    free = min(system.f_bavail * system.f_frsize, _available())
    return free >= ROOM and not system.f_flag & os.ST_NOEXEC


def _available() -> int:
    """Bytes of memory that programs can still have."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
