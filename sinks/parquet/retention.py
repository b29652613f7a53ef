"""Deleting files whose date is long past (`sinks.parquet.keep`)."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from operators.schema.logs import Log
from sinks.parquet.store import Store

log = Log("mqpipe.parquet")

EXPIRE_MS = 3_600_000
"""Milliseconds between two looks for files past their retention."""


class Retention:
    """Has files past `keep` seconds deleted, by work that it gives to `submit`; None keeps all.

    `clock` gives milliseconds since the Unix epoch.
    """

    def __init__(
        self,
        store: Store,
        keep: float | None,
        clock: Callable[[], int],
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._keep = keep
        self._clock = clock
        self._submit = submit
        self._lock = threading.Lock()
        self._at = 0

    def look(self) -> None:
        """Look for such files, if it is time to; returns at once."""
        keep, now = self._keep, self._clock()
        if keep is None:
            return
        with self._lock:
            if now < self._at:
                return
            self._at = now + EXPIRE_MS
        self._submit(lambda: self._delete(keep, now))

    def _delete(self, keep: float, now: int) -> None:
        try:
            delete_expired(self._store, keep, now)
        except OSError as error:
            log.warning("files past their retention are still there", error=str(error))


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
