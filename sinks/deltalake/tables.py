"""Delta tables of samples, and commits to them that may be repeated."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import ENTITY_TYPES, EntityType
from sinks.disk import DiskFullError, UnwritableError, clear_errors, require_writable
from sinks.rolled.waiting import Sealed

COMMIT_BYTES = 32 * 2**20
"""Bytes of logs after which a commit takes no further segment."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How the library's errors, which carry no number, say what the system said."""

_SealedSamples = list[tuple[Sealed, pa.RecordBatch]]


class DeltaTableError(OSError):
    """A table could not be read or written; `path` is where, `reason` the library's words."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"Delta table in {path}: {reason}")

    def __reduce__(self) -> tuple[type["DeltaTableError"], tuple[str, str]]:
        return DeltaTableError, (self.path, self.reason)


class DeltaTables:
    """The tables below `path`, one for each entity type that had samples.

    A commit carries the number of the last segment of each partition whose rows it holds: a
    Delta transaction whose application is `<run>/<partition>` and whose version is the segment.
    So a table says which segments it has, and they are not committed to it again. `committed` is
    called with what a commit holds.
    """

    def __init__(
        self,
        path: str,
        run: str,
        committed: Callable[[Sequence[pa.RecordBatch]], None] = lambda _batches: None,
    ) -> None:
        self.path = path if "://" in path else str(Path(path).absolute())
        self._run = run
        self._reported = committed

    def require_folder(self) -> None:
        """Make a local folder, so that a job which could write nothing ends before it begins.

        An object store is not asked: it may be away for a while.

        Raises:
            UnwritableError: there cannot be one, or this user may not write to it.
        """
        if "://" not in self.path:
            require_writable(Path(self.path), "samples")

    def there(self) -> list[str]:
        """The labels of the entity types that have a table.

        Raises:
            UnwritableError, DeltaTableError: they cannot be looked for.
        """
        return [entity_type.label for entity_type in ENTITY_TYPES if self._table(entity_type)]

    def probe(self) -> str:
        """Look for the tables, so that what stands in the way shows; which there are, in words.

        Raises:
            UnwritableError, DeltaTableError: see there.
        """
        self.require_folder()
        there = self.there()
        return f"there are {', '.join(there)}" if there else "no tables yet"

    def last_committed(self, parts: Sequence[str]) -> dict[str, int]:
        """The last segment of each partition that any table has; -1 where none has one.

        Raises:
            UnwritableError, DeltaTableError: a table cannot be read.
        """
        tables = [self._table(entity_type) for entity_type in ENTITY_TYPES]
        return {part: max(self._committed(table, part) for table in tables) for part in parts}

    def commit(self, segments: Sequence[Sealed]) -> None:
        """Commit segments, those of a partition oldest first; again does no harm.

        There is one commit for each table and `COMMIT_BYTES` of segments. After an error some
        of them may be there.

        Raises:
            DiskFullError, UnwritableError: see there.
            DeltaTableError: a table cannot be read or written.
        """
        for group in _by_size(segments):
            for entity_type, samples in _by_type(group).items():
                with _clear_errors(self._path(entity_type)):
                    self._append_patiently(entity_type, samples)

    def _append_patiently(self, entity_type: EntityType, samples: _SealedSamples) -> None:
        """Append; once more where another process made or changed the table at the same moment."""
        try:
            self._append(entity_type, samples)
        except DeltaError:
            self._append(entity_type, samples)

    def _append(self, entity_type: EntityType, samples: _SealedSamples) -> None:
        """One commit of samples with the segments that they lie in, but for those it has."""
        table = self._table(entity_type)
        committed = {s.part: self._committed(table, s.part) for s, _ in samples}
        new = [(s, batch) for s, batch in samples if s.end.segment > committed[s.part]]
        if not new:
            return
        versions = {self._application(s.part): s.end.segment for s, _ in new}
        transactions = [Transaction(name, version) for name, version in versions.items()]
        write_deltalake(
            table or self._path(entity_type),
            rows_of([batch for _, batch in new]),
            mode="append",
            schema_mode="merge",
            partition_by=["date"],
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
            commit_properties=CommitProperties(app_transactions=transactions),
        )
        self._reported([batch for _, batch in new])

    def _table(self, entity_type: EntityType) -> DeltaTable | None:
        path = self._path(entity_type)
        with _clear_errors(path):
            try:
                return DeltaTable(path)
            except TableNotFoundError:
                return None

    def _committed(self, table: DeltaTable | None, part: str) -> int:
        version = None if table is None else table.transaction_version(self._application(part))
        return -1 if version is None else version

    def _application(self, part: str) -> str:
        return f"{self._run}/{part}"

    def _path(self, entity_type: EntityType) -> str:
        return f"{self.path}/{entity_type.label}"


def rows_of(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """Samples of one entity type as its Delta table holds them.

    The columns are those of `schema_of` it, strings without dictionaries, which Delta does not
    have, and `date`, the timestamp's (UTC).
    """
    samples = pa.Table.from_batches(batches)
    columns = {
        name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(samples.column_names, samples.columns, strict=True)
    }
    return pa.table({**columns, "date": samples["timestamp"].cast(pa.date32())}).combine_chunks()


def _by_size(segments: Sequence[Sealed]) -> Iterator[list[Sealed]]:
    group: list[Sealed] = []
    for sealed in segments:
        group.append(sealed)
        if sum(s.size_bytes for s in group) >= COMMIT_BYTES:
            yield group
            group = []
    if group:
        yield group


def _by_type(segments: Sequence[Sealed]) -> dict[EntityType, _SealedSamples]:
    samples: dict[EntityType, _SealedSamples] = defaultdict(list)
    for sealed in segments:
        for batch in sealed.batches():
            samples[entity_type_of(batch)].append((sealed, batch))
    return samples


@contextmanager
def _clear_errors(path: str) -> Iterator[None]:
    """Say what the library could not do, where, and by the system's own words where it has some.

    Raises:
        DiskFullError, UnwritableError, DeltaTableError: see there.
    """
    with clear_errors(path, "samples"):
        try:
            yield
        except (DeltaError, OSError, ValueError) as error:
            if isinstance(error, DeltaTableError | DiskFullError | UnwritableError):
                raise
            if number := _OS_ERROR.search(str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise DeltaTableError(path, str(error)) from error
