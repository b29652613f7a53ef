"""Writing samples to Parquet files: one file for each entity type and date."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import SCHEMA_VERSION, entity_type_of
from operators.schema.dictionaries import one_dictionary
from sinks.parquet.store import FileName, Store

ROW_GROUP_ROWS = 100_000
"""Rows after which a row group is written; fewer where memory or a file's end asks for it."""

HELD_ROWS = 500_000
"""Rows that all files of a process together hold back for their next row group (about 125 MB)."""

_DAY = 86_400_000


class HeldRows:
    """How many rows the files of a process hold back, so that memory stays bounded."""

    def __init__(self, limit: int = HELD_ROWS) -> None:
        self._limit = limit
        self._rows = 0
        self._lock = threading.Lock()

    def add(self, rows: int) -> bool:
        """Count rows that are held from now on (or, negative, are not); True within the limit."""
        with self._lock:
            self._rows += rows
            return self._rows <= self._limit


@dataclass(frozen=True, slots=True)
class FileContext:
    """What all files of a sink have in common."""

    store: Store
    run: str
    metadata: Mapping[str, str]
    """Further key-value metadata, such as the seed and the config's hash."""
    held: HeldRows


class SampleFiles:
    """The files of one sequence number of a partition, a file for each entity type and date.

    They are written under other names and appear to readers when `publish` is called. After an
    error nothing of them ever appears.
    """

    def __init__(self, context: FileContext, partition: str, sequence: int) -> None:
        self._context = context
        self._name = FileName(context.run, partition, sequence)
        self._files: dict[tuple[str, str], _File] = {}
        self._whole = False

    def __len__(self) -> int:
        return len(self._files)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add samples of one entity type; shape: `schema_of` it.

        Raises:
            DiskFullError: no room in the store.
        """
        label = entity_type_of(batch).label
        with self._all_or_nothing():
            for date, rows in by_date(batch):
                file = self._files.get((label, date))
                if file is None:
                    file = self._files[label, date] = self._create(label, date, batch.schema)
                file.write(rows)

    def finish(self, position: str | None = None) -> None:
        """Write the files to their ends; `position` is the place in a log up to which they go.

        Raises:
            DiskFullError: no room in the store.
        """
        with self._all_or_nothing():
            metadata = {"mqpipe.files": str(len(self._files))}
            if position is not None:
                metadata["mqpipe.position"] = position
            for file in self._files.values():
                file.close(metadata)
        self._whole = True

    def publish(self) -> None:
        """Let the finished files appear under their own names.

        Raises:
            RuntimeError: they are not finished.
        """
        if not self._whole:
            raise RuntimeError(f"{self._name}: only whole files are published")
        for key in self._files:
            self._context.store.move(self._name.unpublished(*key), self._name.published(*key))

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            with self._context.store.clear_errors():
                yield
        except BaseException:
            for file in self._files.values():
                file.abandon()
            self._files.clear()
            raise

    def _create(self, label: str, date: str, schema: pa.Schema) -> "_File":
        metadata = {
            "mqpipe.schema_version": str(SCHEMA_VERSION),
            "mqpipe.version": _version(),
            "mqpipe.run": self._name.run,
            "mqpipe.partition": self._name.partition,
            "mqpipe.sequence": str(self._name.sequence),
            **{f"mqpipe.{key}": value for key, value in self._context.metadata.items()},
        }
        stream = self._context.store.create(self._name.unpublished(label, date))
        return _File(stream, schema, metadata, self._context)


class _File:
    """One open Parquet file, with the rows of its next row group."""

    def __init__(
        self,
        stream: pa.NativeFile,
        schema: pa.Schema,
        metadata: Mapping[str, str],
        context: FileContext,
    ) -> None:
        self._stream = stream
        self._writer = pq.ParquetWriter(stream, schema, **writer_options(schema))
        self._metadata = metadata
        self._context = context
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._rows += batch.num_rows
        within = self._context.held.add(batch.num_rows)
        if self._rows >= ROW_GROUP_ROWS or not within:
            self._write_row_group()

    def close(self, metadata: Mapping[str, str]) -> None:
        with self._stream, self._writer:
            self._write_row_group()
            self._writer.add_key_value_metadata({**self._metadata, **metadata})

    def abandon(self) -> None:
        """Release what is held; the file is never published."""
        self._take_held()
        with contextlib.suppress(Exception), self._stream:
            self._writer.close()

    def _take_held(self) -> list[pa.RecordBatch]:
        held, self._held = self._held, []
        self._context.held.add(-self._rows)
        self._rows = 0
        return held

    def _write_row_group(self) -> None:
        held = self._take_held()
        if held:
            table = one_dictionary(pa.Table.from_batches(held))
            self._writer.write_table(table, row_group_size=2 * ROW_GROUP_ROWS)


@cache
def _version() -> str:
    return version("mqpipe")


def writer_options(schema: pa.Schema) -> dict[str, Any]:
    """How samples are written, as `pyarrow.parquet.ParquetWriter`'s keyword arguments.

    Strings are dictionaries. Numbers are split by byte, since the high bytes of neighbouring
    values are alike and zstd then finds them; timestamps are deltas. Statistics are kept of the
    columns that queries select by and that differ within a folder; of dictionaries they cost as
    much as writing them. Pages end by their bytes, not by pyarrow's 20,000 rows. Measured: what
    each of these brings is in docs/performance.md.
    """
    strings = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    encodings = {}
    for field in schema:
        if pa.types.is_timestamp(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
    identity = [column.column for column in entity_type_of(schema).identity]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": strings,
        "column_encoding": encodings,
        "write_statistics": ["timestamp", "cluster_name", "entity_name", *identity],
        "max_rows_per_page": 1_048_576,
        "write_batch_size": 65_536,
    }


def by_date(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The batch's rows by their timestamps' date (UTC, `2026-01-31`), in order of dates."""
    if batch.num_rows == 0:
        return
    days = batch.column("timestamp").view(pa.int64()).to_numpy() // _DAY
    first, last = int(days.min()), int(days.max())
    if first == last:
        yield _date(first), batch
        return
    for day in np.unique(days):
        yield _date(int(day)), batch.filter(pa.array(days == day))


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"
