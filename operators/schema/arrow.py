"""Arrow schemas of samples, made from the metric table, and the making of batches."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.schema.dictionaries import one_dictionary
from operators.schema.metrics import BY_NAME, STRING, EntityType

SCHEMA_VERSION = 2
"""Raised when a column changes its meaning; added columns leave it as it is."""

TIMESTAMP = pa.timestamp("ms", tz="UTC")

COMMON: tuple[tuple[str, pa.DataType, str], ...] = (
    ("timestamp", TIMESTAMP, "the tick"),
    ("entity_guid", STRING, "one recipe for collected, simulated and filled"),
    ("entity_type", STRING, "MESSAGE_QUEUE_…"),
    ("entity_name", STRING, "path of the entity: <cluster>[/<entity>]"),
    ("cluster_name", STRING, "the cluster"),
    ("cluster_id", STRING, "the id that the cluster gave itself, or null"),
    ("provider", STRING, "kafka, rabbitmq, nats, sqs, azure_service_bus, pubsub"),
    ("environment", STRING, "production, staging, …"),
    ("origin", STRING, "collected, simulated or filled"),
    ("anomaly", STRING, "label of the anomaly that shaped the sample, or null"),
    ("late", pa.bool_(), "a collected sample that came after its fill"),
)
"""Name, Arrow type and meaning of the columns that every sample has."""

ENTITY_TYPE_KEY = b"mqpipe.entity_type"
SCHEMA_VERSION_KEY = b"mqpipe.schema_version"


class Only(StrEnum):
    """What samples are sent as that are rows nowhere."""

    POINTS = "points"
    EVENTS = "events"

    @property
    def key(self) -> bytes:
        """What says so in a schema's metadata."""
        return f"mqpipe.only_{self}".encode()


@cache
def schema_of(entity_type: EntityType) -> pa.Schema:
    """The Arrow schema of one entity type's samples.

    Common columns first, then those that identify the entity, then metrics in the table's order.
    The schema's metadata names the entity type and the schema version.
    """
    fields = [pa.field(name, type_) for name, type_, _ in COMMON]
    fields += [pa.field(i.column, i.type) for i in entity_type.identity]
    fields += [pa.field(m.name, m.type) for m in entity_type.metrics]
    metadata = {
        ENTITY_TYPE_KEY: entity_type.name.encode(),
        SCHEMA_VERSION_KEY: str(SCHEMA_VERSION).encode(),
    }
    return pa.schema(fields, metadata)


def entity_type_of(batch: pa.RecordBatch | pa.Schema) -> EntityType:
    """Which entity type a batch (or its schema) is of.

    Raises:
        ValueError: the schema's metadata names no entity type of the table.
    """
    schema = batch if isinstance(batch, pa.Schema) else batch.schema
    name = (schema.metadata or {}).get(ENTITY_TYPE_KEY, b"").decode()
    if name not in BY_NAME:
        raise ValueError(f"no entity type `{name}` in the metric table (schema metadata)")
    return BY_NAME[name]


def as_only(batch: pa.RecordBatch, way: Only) -> pa.RecordBatch:
    """The batch, marked as no rows of anyone's: it is sent in this way, and nowhere else."""
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), way.key: b"1"})


def only(batch: pa.RecordBatch | pa.Schema) -> Only | None:
    """What a batch is there to be sent as alone; None where it is rows, for everyone."""
    schema = batch if isinstance(batch, pa.Schema) else batch.schema
    metadata = schema.metadata or {}
    return next((way for way in Only if way.key in metadata), None)


class NoSamplesError(ValueError):
    """What was given is no batch of samples."""


def row_count(batches: Iterable[pa.RecordBatch]) -> int:
    """How many rows batches have in all."""
    return sum(batch.num_rows for batch in batches)


def one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one schema as one, with one dictionary a column."""
    if len(batches) == 1:
        return batches[0]
    parts = one_dictionary(pa.Table.from_batches(batches)).combine_chunks().to_batches()
    return parts[0] if parts else batches[0]


def require_samples(given: Any, maker: str) -> pa.RecordBatch:
    """What code that is not mqpipe's gave, if it is a batch of samples; `maker` makes such.

    Raises:
        NoSamplesError: it is none; says what was given instead.
    """
    if not isinstance(given, pa.RecordBatch):
        raise NoSamplesError(f"gave a {type(given).__name__} in place of a RecordBatch")
    try:
        expected = schema_of(entity_type_of(given))
    except ValueError as error:
        raise NoSamplesError(f"gave a batch of {error}; make it by `{maker}`") from error
    if given.schema != expected:
        odd = [field.name for field in given.schema if field not in expected]
        raise NoSamplesError(f"gave columns that its entity type has not: {odd or 'too few'}")
    return given


def repeated(value: str | bool | int | None, rows: int, type_: pa.DataType = STRING) -> pa.Array:
    """One value in every row; a string is dictionary-encoded."""
    # Small batches are made many times a second, most of their columns like the ones before.
    return _kept(value, rows, type_) if rows <= _SMALL else _repeated(value, rows, type_)


_SMALL = 2_000
"""Rows up to which a column of one value is kept for the next batch of as many rows."""


def _repeated(value: str | bool | int | None, rows: int, type_: pa.DataType) -> pa.Array:
    if value is None:
        return pa.nulls(rows, type_)
    if type_ != STRING:
        # A typed scalar: to infer a type pyarrow first looks for dateutil, half a millisecond.
        return pa.repeat(pa.scalar(value, type_), rows)
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([str(value)], pa.string()))


_kept = lru_cache(maxsize=2_000)(_repeated)


def from_numpy(
    values: NDArray[Any], type_: pa.DataType, mask: NDArray[np.bool_] | None = None
) -> pa.Array:
    """A numpy array as Arrow's; null where `mask` is true. Not copied if it is of that type.

    pa.array does it too, and loads numpy's masked arrays to do so, which takes a tenth of a start.
    """
    if values.dtype.kind not in "iuf":
        return pa.array(values, type_, mask=mask)
    flat = np.ascontiguousarray(values)
    valid = None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little"))
    own = pa.from_numpy_dtype(flat.dtype)
    array = pa.Array.from_buffers(own, len(flat), [valid, pa.py_buffer(flat)])
    return array if own == type_ else array.cast(type_)


SampleColumns: TypeAlias = Mapping[str, pa.Array | Sequence[Any] | str | bool | None]
"""Columns of samples by name, as `sample_batch` takes them."""


def sample_batch(
    entity_type: EntityType,
    rows: int,
    columns: SampleColumns,
) -> pa.RecordBatch:
    """A batch of samples of one entity type; shape: `schema_of(entity_type)`, `rows` rows.

    A column is an Arrow or numpy array, a sequence, or one value for every row. Columns that are
    not named are null, but for `entity_type` (known) and `late` (false). What was not measured
    is left out, so it is null, never 0.

    Raises:
        KeyError: a column that the schema does not have.
        pa.ArrowInvalid: a column of another length or type.
    """
    others = _bare(entity_type, rows) if rows <= _SMALL else _bare_columns(entity_type, rows)
    return batch_with(entity_type, rows, columns, others)


def batch_with(
    entity_type: EntityType, rows: int, columns: SampleColumns, others: Sequence[pa.Array]
) -> pa.RecordBatch:
    """As `sample_batch`; columns that are not named are those of `others`, another such batch's."""
    schema, places = schema_of(entity_type), _places(entity_type)
    arrays = list(others)
    for name, value in columns.items():
        if name not in places:
            unknown = columns.keys() - places.keys()
            raise KeyError(f"{entity_type.name} has no column {sorted(unknown)}")
        place, type_ = places[name]
        arrays[place] = _column(value, type_, rows)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@cache
def _places(entity_type: EntityType) -> Mapping[str, tuple[int, pa.DataType]]:
    """By column: where it is in the schema, and its type."""
    return {field.name: (n, field.type) for n, field in enumerate(schema_of(entity_type))}


def _bare_columns(entity_type: EntityType, rows: int) -> Sequence[pa.Array]:
    """The columns of samples of which nothing is known but what they are of."""
    known: Mapping[str, str | bool] = {"entity_type": entity_type.name, "late": False}
    return [repeated(known.get(of.name), rows, of.type) for of in schema_of(entity_type)]


_bare = lru_cache(maxsize=200)(_bare_columns)


def _is_common(value: Any) -> bool:
    """Whether it is likely to come again in another batch of one row."""
    return value is None or isinstance(value, str) or (type(value) is int and 0 <= value < 256)


def _column(value: Any, type_: pa.DataType, rows: int) -> pa.Array:
    if value is None or isinstance(value, str | bool):
        return repeated(value, rows, type_)
    if isinstance(value, pa.Array):
        return value if value.type == type_ else value.cast(type_)
    if rows == 1 and isinstance(value, list) and len(value) == 1 and _is_common(value[0]):
        return repeated(value[0], 1, type_)
    if type_ == STRING:
        return pa.array(value, pa.string()).dictionary_encode()
    return pa.array(value, type_)
