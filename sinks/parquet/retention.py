"""Deleting files whose date is long past (`sinks.parquet.keep`)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog

from sinks.parquet.store import Store

log = structlog.get_logger("mqpipe.parquet")


def delete_expired(store: Store, keep: float, now: int) -> int:
    """Delete the Parquet files of dates that ended more than `keep` seconds before `now` (ms).

    All samples in the store are meant, whichever run wrote them; today's never. Gives the
    number of files that were deleted.
    """
    deleted = 0
    for folder, ended in _dates(store):
        if now / 1000 - ended <= keep:
            continue
        for path in store.files(folder):
            if path.endswith(".parquet"):
                store.delete(path)
                deleted += 1
        store.delete_folder_if_empty(folder)
    if deleted:
        log.info("files past their retention deleted", files=deleted, keep_seconds=keep)
    return deleted


def _dates(store: Store) -> Iterator[tuple[str, float]]:
    """Each date's folder, and when that date ended (seconds since the Unix epoch)."""
    types = [folder for folder in store.folders() if folder.startswith("type=")]
    for folder in (date for type_ in types for date in store.folders(type_)):
        try:
            day = datetime.strptime(folder.rpartition("/date=")[2], "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            continue
        yield folder, (day + timedelta(days=1)).timestamp()
