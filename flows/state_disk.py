"""Whether there is room left on the disk of a job's state, and what to say where there is none."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from operators.schema.units import mebibytes

LEAST_BYTES = 32 * 2**20
"""Free bytes with which a job goes on: its recovery store's write-ahead logs grow to as much."""


def no_room(path: str | Path) -> str | None:
    """What the user is to read where the disk of a directory is nearly full; None where it is not."""
    try:
        free = shutil.disk_usage(path).free
    except FileNotFoundError:
        return (
            f"the state in {path} is gone: someone removed it while the job ran; what had reached "
            "its sinks is there, what waited in it is lost: start again, and it starts over"
        )
    if free >= LEAST_BYTES:
        return None
    return (
        f"no room on disk for the state in {path}: {mebibytes(free):.1f} MiB are free, "
        f"{mebibytes(LEAST_BYTES):.0f} are needed; nothing is lost: free some space, or set recovery.path "
        "to a larger disk, and start again"
    )


_SQLITE = re.compile(r'SqliteFailure\(.*Some\("(?P<reason>.+?)"\)\)')
"""How the engine's panics show what its recovery store's library said."""


def store_failure(store: str | Path, panic: str) -> str | None:
    """What the user is to read where the engine ended for its recovery store; None where it did not.

    A quota that is used up shows only here: `no_room` sees the disk, not what of it one may have.
    """
    failure = _SQLITE.search(panic)
    if failure is None:
        return None
    if broken := broken_parts(Path(store)):
        return (
            f"{', '.join(map(str, broken))}: damaged: {failure['reason']}; restore the whole folder "
            f"{store} from a copy, or move it away: the job then starts over, and what waits for "
            "its sinks on disk is kept"
        )
    return (
        f"the recovery store in {store} cannot be read or written: {failure['reason']}; where the "
        "disk or this user's quota has no room, free some; nothing that was stored is lost: start "
        "again"
    )


def broken_parts(store: Path) -> list[Path]:
    """The files of a recovery store that are no databases, or damaged ones."""
    return [part for part in sorted(store.glob("part-*.sqlite3")) if not _is_whole(part)]


def _is_whole(part: Path) -> bool:
    try:
        with closing(sqlite3.connect(part, timeout=1)) as database:
            return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        return True  # It is busy, or may not be written: that says nothing of what is in it.
    except sqlite3.DatabaseError:
        return False
