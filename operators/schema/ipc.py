"""Batches as bytes: Arrow's IPC stream format, the batches of one schema in each message.

Batches are encoded this way wherever it leaves memory: in segment logs and in Kafka messages.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import (
    ENTITY_TYPE_KEY,
    SCHEMA_VERSION,
    SCHEMA_VERSION_KEY,
    TIMESTAMP,
    as_only,
    entity_type_of,
    one_batch,
    only,
    row_count,
    schema_of,
)
from operators.schema.dictionaries import fitted
from operators.schema.metrics import BY_NAME

Compression = Literal["lz4", "zstd"]

TOTALS = "totals"
"""A column that a sink may add to samples on their way through its spool: a struct of its own
making. It is kept where they are read again."""

_YEAR_10000 = 253_402_300_800_000
"""Milliseconds since the Unix epoch; no date can be written for a timestamp from there on."""


SMALL = 100_000
"""Bytes up to which one thread reads a batch: for a few rows, to wake others costs six times more."""

LITTLE = 8_192
"""Bytes of memory up to which a batch has no strings that are worth leaving out."""

FEW = 50
"""Rows below which a batch is not compressed: it would not be smaller, and zstd takes 2 ms of any."""

TOGETHER = 20_000
"""Rows after which `decode_all` hands on what it has put together."""


class BatchDecodeError(ValueError):
    """Bytes that are no batch of samples of this or an earlier schema version."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"not a batch of samples: {reason}")

    def __reduce__(self) -> tuple[type["BatchDecodeError"], tuple[str]]:
        return BatchDecodeError, (self.reason,)


def encode(batch: pa.RecordBatch, compression: Compression | None = "lz4") -> bytes:
    """One batch of samples as an Arrow IPC stream that needs nothing else to be read."""
    return as_stream([_without_unused_strings(batch)], compression)


def encode_all(batches: Sequence[pa.RecordBatch], compression: Compression | None = "lz4") -> bytes:
    """Batches of one schema as one stream: a second batch takes a quarter of the first one's time.

    Whoever reads it, by `decode` or `decode_all`, has them as one batch.
    """
    used = [
        batch if batch.get_total_buffer_size() <= LITTLE else _without_unused_strings(batch)
        for batch in batches
    ]
    return as_stream(used, compression)


def as_stream(batches: Sequence[pa.RecordBatch], compression: Compression | None) -> bytes:
    """Any batches of one schema, as they are, as an Arrow IPC stream; of few rows it is not compressed."""
    if row_count(batches) < FEW:
        compression = None
    # By threads a batch of 100 rows takes 4 times the processor's time, one of 10,000 twice.
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def decode(data: bytes) -> pa.RecordBatch:
    """The batch that `encode` was given; shape: `schema_of` its entity type.

    A batch of another schema is fitted: a column that it lacks is null, one that the schema
    lacks is left out, one of another type is cast where no value changes by it.

    Raises:
        BatchDecodeError: whatever is wrong with the bytes, however they were damaged.
    """
    with _clear_errors():
        return _checked(one_batch(_read(data)))


def decode_all(records: Iterable[bytes], together: int = TOGETHER) -> Iterator[pa.RecordBatch]:
    """The batches that `encode` was given, small ones put together; shape: as of `decode`.

    The rows of an entity type keep their order; `together` of them are handed on. To check and
    to fit a batch takes as long for ten rows as for thousands.

    Raises:
        BatchDecodeError: one of the records is no batch.
    """
    held: dict[str, list[pa.RecordBatch]] = defaultdict(list)
    rows: Counter[str] = Counter()
    for data in records:
        with _clear_errors():
            batches = _read(data)
            entity_type = entity_type_of(batches[0]).name
        alike = held[entity_type]
        if alike and (
            rows[entity_type] >= together
            or not alike[0].schema.equals(batches[0].schema, check_metadata=True)
        ):
            yield _joined(alike)
            alike.clear()
            rows[entity_type] = 0
        alike += batches
        rows[entity_type] += row_count(batches)
    for alike in held.values():
        if alike:
            yield _joined(alike)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one schema as one, with one dictionary for each column."""
    with _clear_errors():
        return _checked(one_batch(batches))


def _read(data: bytes) -> Sequence[pa.RecordBatch]:
    """The batches of a stream: one at least."""
    options = pa.ipc.IpcReadOptions(use_threads=len(data) > SMALL)
    with pa.ipc.open_stream(data, options=options) as reader:
        return [reader.read_next_batch(), *reader]


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    batch.validate(full=True)
    return _fitted(batch)


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except BatchDecodeError:
        raise
    except StopIteration:
        raise BatchDecodeError("the stream holds no batch") from None
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, MemoryError) as error:
        raise BatchDecodeError(str(error)) from error


def _without_unused_strings(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A part of a larger batch still has that one's dictionaries; leave out what it can't use."""
    name = (batch.schema.metadata or {}).get(ENTITY_TYPE_KEY, b"").decode()
    for place in _strings_of(name) if name in BY_NAME else range(batch.num_columns):
        if place >= batch.num_columns:
            break
        column = batch.column(place)
        used = fitted(column)
        if used is not column:
            batch = batch.set_column(place, batch.schema.field(place), used)
    return batch


@cache
def _strings_of(name: str) -> Sequence[int]:
    """Where an entity type's columns of strings are: to look at all takes as long as to encode a few rows."""
    types = schema_of(BY_NAME[name]).types
    return [place for place, type_ in enumerate(types) if pa.types.is_dictionary(type_)]


def _fitted(batch: pa.RecordBatch) -> pa.RecordBatch:
    schema = schema_of(entity_type_of(batch))
    version = (batch.schema.metadata or {}).get(SCHEMA_VERSION_KEY, b"")
    if not version.isdigit() or int(version) > SCHEMA_VERSION:
        raise BatchDecodeError(
            f"schema version `{version.decode(errors='replace')}`, and this mqpipe reads up to "
            f"{SCHEMA_VERSION}: update mqpipe"
        )
    for name in ("timestamp", "entity_guid"):
        if name not in batch.schema.names:
            raise BatchDecodeError(f"no column `{name}`")
    if batch.schema.equals(schema):
        fitted = batch.replace_schema_metadata(schema.metadata)
    else:
        fitted = pa.RecordBatch.from_arrays([_column(batch, f) for f in schema], schema=schema)
        if TOTALS in batch.schema.names and pa.types.is_struct(batch.schema.field(TOTALS).type):
            fitted = fitted.append_column(batch.schema.field(TOTALS), batch.column(TOTALS))
    _check_timestamps(fitted.column("timestamp"))
    way = only(batch)
    return fitted if way is None else as_only(fitted, way)


def _check_timestamps(timestamps: pa.Array) -> None:
    range_ = pc.min_max(timestamps.cast(pa.int64())).as_py()
    if timestamps.null_count or (
        len(timestamps) and not 0 <= range_["min"] <= range_["max"] < _YEAR_10000
    ):
        raise BatchDecodeError("a timestamp is null, before 1970 or after 9999")


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(field.name)
    if field.type == TIMESTAMP and not pa.types.is_timestamp(column.type):
        raise BatchDecodeError(f"column `{field.name}` is {column.type}, not a timestamp")
    return column if column.type == field.type else column.cast(field.type)
