"""What both Parquet sinks share: their partitions, and what an earlier life left behind."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from operators.schema.logs import Log
from operators.schema.names import file_part
from sinks.parquet.files import FileContext, HeldRows
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import Store, StoredFile
from sinks.partitioned import PartitionedSink

log = Log("mqpipe.parquet")

FIRST = 0
"""The sequence number of a partition's first files."""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A file that an earlier life published.

    `position` is the place in the log that it goes up to, empty where it reports none; `siblings`
    is how many files were to be published with it, itself among them; 0 where it does not report it.
    """

    file: StoredFile
    position: str
    siblings: int


class ParquetSink(PartitionedSink):
    """The partitions of a Parquet sink; see `PartitionedSink` for `parts`.

    `metadata` goes into each file, with `mqpipe.` before its keys.

    Raises:
        UnwritableError: the directory cannot be written to.
    """

    def __init__(
        self,
        settings: ParquetSettings,
        parts: Iterable[str],
        run: str,
        metadata: Mapping[str, str],
    ) -> None:
        super().__init__(parts)
        store = Store(settings.path, settings.fsync)
        store.require_folder()
        self._context = FileContext(store, run, metadata, HeldRows())
        self._found: dict[str, list[StoredFile]] | None = None
        self._lock = threading.Lock()

    def left_behind(self, part: str, since: int) -> list[LeftBehind]:
        """Published files of this run and partition whose sequence number is at least `since`.

        Files that were not published are deleted: whoever was writing them is gone.
        """
        published = []
        for file in self._files_of(part):
            if not file.published:
                self._context.store.delete(file.path)
            elif file.sequence >= since and (left := self._left_behind(part, file)) is not None:
                published.append(left)
        return published

    def forget_found(self) -> None:
        """Look again which files there are."""
        with self._lock:
            self._found = None

    def delete(self, files: Sequence[StoredFile]) -> None:
        """Delete files whose rows come again, since the engine did not store that they came."""
        for file in files:
            self._context.store.delete(file.path)
            log.info("uncommitted file deleted", path=file.path)

    def _files_of(self, part: str) -> list[StoredFile]:
        with self._lock:
            if self._found is None:
                self._found = self._context.store.files_of(self._context.run)
        return self._found.get(file_part(part), [])

    def _left_behind(self, part: str, file: StoredFile) -> LeftBehind | None:
        """What a file reports of itself; None where it is another run's or partition's.

        Names alone do not tell run `a`, partition `b-c` from run `a-b`, partition `c`.
        """
        try:
            metadata = self._context.store.metadata(file.path)
        except (pa.ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None) is not None:
                # The store failed, which says nothing of the file: no reason to delete it.
                raise
            log.warning("unreadable file", path=file.path, error=str(error))
            return LeftBehind(file, "", 0)
        if (metadata.get("mqpipe.run"), metadata.get("mqpipe.partition")) != (
            self._context.run,
            part,
        ):
            return None
        position, siblings = metadata.get("mqpipe.position", ""), metadata.get("mqpipe.files", "0")
        return LeftBehind(file, position, int(siblings))
