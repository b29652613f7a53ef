"""Whether there is room left on the disk of a job's state."""

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
