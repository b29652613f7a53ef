"""Files that a job keeps: replaced as a whole, locked, private; what is wrong with a disk, in words."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
}
"""How a directory says that nothing can be written into it."""


class DiskFullError(OSError):
    """The disk, or the user's quota, has no room; what was on it before is whole."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        super().__init__(
            errno.ENOSPC,
            f"no room on disk for {what} in {path}; what is there is whole, nothing is lost: free "
            "some space, or move the directory to a larger disk, and start again",
        )

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[type["DiskFullError"], tuple[Path, str]]:
        return DiskFullError, (self.path, self.what)


class UnwritableError(OSError):
    """Something cannot be written where it belongs; `number` is the system's errno."""

    def __init__(self, path: Path | str, what: str, number: int) -> None:
        self.path = path
        self.what = what
        super().__init__(number, os.strerror(number))

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.what} cannot be written there: {self.strerror}; name another "
            "directory, or let this user write to it"
        )

    def __reduce__(self) -> tuple[type["UnwritableError"], tuple[Path | str, str, int]]:
        return UnwritableError, (self.path, self.what, self.errno or 0)


@contextmanager
def clear_errors(path: Path | str, what: str) -> Iterator[None]:
    """While `what` is written in `path`: a full disk or a closed directory is said clearly.

    Raises:
        DiskFullError, UnwritableError: see there.
    """
    try:
        yield
    except (DiskFullError, UnwritableError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(Path(path), what) from None
        if error.errno in _CLOSED:
            raise UnwritableError(path, what, error.errno) from None
        raise


def make_private(directory: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone (0700).

    Raises:
        OSError: there can be none.
    """
    if not directory.parent.exists():
        make_private(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def write_private(file: Path, text: str) -> None:
    """Write a file for its owner alone (0600); one that is there keeps who may read it.

    Raises:
        OSError: it cannot be written.
    """
    with open(file, "w", encoding="utf-8", opener=open_private) as target:
        target.write(text)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A draft beside a file, which takes its place as the block ends: readers see one or the other.

    Nothing is left of it where the block fails.

    Raises:
        OSError: it cannot take the place.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(file)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def replace_private(file: Path, text: str) -> None:
    """Write or replace a file as a whole, for its owner alone (0600).

    Raises:
        OSError: it cannot be written; what was there before is.
    """
    with replacing(file) as draft:
        write_private(draft, text)


def lock(file: Path, *, wait: bool = False) -> int:
    """A descriptor that holds a file's lock until it is closed; the file is made where there is none.

    Raises:
        BlockingIOError: another process holds it, and it is not waited for.
        OSError: there can be no such file, or no lock on it.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(file: Path) -> bool:
    """Whether a process holds a file's lock; of one on another machine it is not known.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def open_private(path: str, flags: int) -> int:
    """What `open` opens a file by that it makes for its owner alone."""
    return os.open(path, flags, PRIVATE)


PRIVATE = 0o600
"""Who may read what a job keeps: its owner alone."""


def require_writable(directory: Path, what: str) -> None:
    """Make a directory, so that a job which could write nothing ends before it begins.

    Raises:
        DiskFullError, UnwritableError: there cannot be one, or this user may not write to it.
    """
    with clear_errors(directory, what):
        directory.mkdir(parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UnwritableError(directory, what, errno.EACCES)


def sync_to_disk(path: Path) -> None:
    """Force a file's content, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
