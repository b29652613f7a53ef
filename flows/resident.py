"""What a job that runs for months keeps resident: what it uses, not what its start has read."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_M_ARENA_MAX = -8
"""Of `mallopt(3)`; glibc's <malloc.h>."""
_MADV_DONTNEED = 4
"""Of `madvise(2)`; Linux's <asm-generic/mman-common.h>."""
_ARENAS = 2

_READ_OF_A_FILE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]")


def few_copies() -> None:
    """Let Arrow and all threads take their memory from where others have given some back.

    Called before Arrow is loaded. Its own allocator keeps pages for each thread, as malloc's arenas
    do; here threads mostly take turns, so that is memory more than speed. What the environment says wins.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(AttributeError):  # a C library that knows no arenas
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give back the pages of libraries that were read to load them, half of what is resident then.

    Symbols, relocations and initialisers are read once. Only pages that are as in their files go,
    and each that is needed again comes back from the page cache. Called while there is one thread
    that loads libraries: one that is being loaded may look unchanged and be so no longer.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with suppress(OSError):
        for begin, end in unchanged(Path("/proc/self/smaps").read_text()):
            madvise(begin, end - begin, _MADV_DONTNEED)


def unchanged(smaps: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each mapping of a file that is read only and has no page of its own.

    `smaps` is as in proc_pid_smaps(5). A page of its own is in memory, or has been swapped out.
    """
    at: tuple[int, int] | None = None
    own = ""
    for line in smaps.splitlines():
        name, _, value = line.partition(":")
        if name == "Anonymous":
            own = value.split()[0]
        elif name == "Swap":
            if at is not None and own == value.split()[0] == "0":
                yield at
            at = None
        elif match := _READ_OF_A_FILE.match(line):
            at = int(match[1], 16), int(match[2], 16)
