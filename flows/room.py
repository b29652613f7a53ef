"""Whether there is room left on the disk of a job's state, and what to say where there is none."""

import re
import shutil
from pathlib import Path

LEAST_BYTES = 32 * 2**20
"""Free bytes with which a job goes on: its recovery store's write-ahead logs grow to as much."""


def no_room(path: str | Path) -> str | None:
    """What to tell the user where the disk of a directory is nearly full; None where it is not."""
    free = shutil.disk_usage(path).free
    if free >= LEAST_BYTES:
        return None
    return (
        f"no room on disk for the state in {path}: {free / 2**20:.1f} MiB are free, "
        f"{LEAST_BYTES // 2**20} are needed; nothing is lost: free some space, or set recovery.path "
        "to a larger disk, and start again"
    )


_SQLITE = re.compile(r'SqliteFailure\(.*Some\("(?P<reason>.+?)"\)\)')
"""How the engine's panics show what its recovery store's library said."""


def store_failure(store: str | Path, panic: str) -> str | None:
    """What to tell the user where the engine ended for its recovery store; None where it did not.

    A quota that is used up shows only here: `no_room` sees the disk, not what of it one may have.
    """
    failure = _SQLITE.search(panic)
    if failure is None:
        return None
    return (
        f"the recovery store in {store} cannot be read or written: {failure['reason']}; where the "
        "disk or this user's quota has no room, free some; nothing that was stored is lost: start "
        "again"
    )
