"""Attributes in protobuf: those of resources, and those that the points of a sample share."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.dictionaries import fitted
from sinks.otlp.names import RESOURCE_COLUMNS, SCOPES, VERSION, point_columns, resource_attributes
from sinks.otlp.wire import BYTES, VARINT, Pieces, nested, tag, varint

MAX_VALUE = 4_095
"""The most characters of an attribute's value that New Relic takes."""
_CUT_MARK = "…"


def by_names(batch: pa.RecordBatch) -> Sequence[pa.RecordBatch]:
    """The batch in parts in each of which metrics have the same names."""
    names_of = entity_type_of(batch).names_of
    if names_of is None:
        return (batch,)
    theirs = pc.fill_null(pc.equal(batch.column("provider"), names_of), False)
    if pc.all(theirs).as_py() or not pc.any(theirs).as_py():
        return (batch,)
    return batch.filter(theirs), batch.filter(pc.invert(theirs))


def by_resource(
    batch: pa.RecordBatch,
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows ordered by resource, the number of each row's, and the first row of each."""
    key = np.zeros(len(batch), np.int64)
    for name in RESOURCE_COLUMNS:
        if name in batch.schema.names:
            values = batch.column(name)
            words = len(values.dictionary) + 1
            key = key * words + pc.fill_null(values.indices, words - 1).to_numpy()
    changes = np.diff(key)
    if (changes < 0).any():
        order = np.argsort(key, kind="stable")
        batch, changes = batch.take(pa.array(order)), np.diff(key[order])
    numbers = np.append(0, np.cumsum(changes != 0))
    return batch, numbers, np.append(0, np.flatnonzero(changes) + 1)


def resources(batch: pa.RecordBatch, starts: npt.NDArray[np.int64]) -> list[tuple[bytes, bytes]]:
    """Of each resource: its own bytes in `ResourceMetrics`, and those of its scope."""
    there = [name for name in RESOURCE_COLUMNS if name in batch.schema.names]
    rows = batch.select(there).take(pa.array(starts)).to_pylist()
    return [(_resource(tuple(row.items())), _scope(row["provider"] or "kafka")) for row in rows]


@cache
def _scope(provider: str) -> bytes:
    name = SCOPES.get(provider, "mqpipe")
    return nested(1, nested(1, name.encode()) + nested(2, VERSION.encode()))


def _resource(row: tuple[tuple[str, str | None], ...]) -> bytes:
    attributes = resource_attributes(dict(row))
    return nested(1, b"".join(attribute(1, name, value) for name, value in attributes.items()))


def attribute(field: int, name: str, value: str | int) -> bytes:
    """A `KeyValue` in a field."""
    if isinstance(value, str):
        if len(value) > MAX_VALUE:
            value = value[: MAX_VALUE - len(_CUT_MARK)] + _CUT_MARK
        any_value = nested(1, value.encode(errors="replace"))
    else:
        any_value = tag(3, VARINT) + varint(value % 2**64)
    return nested(field, nested(1, name.encode()) + nested(2, any_value))


def point_attributes(batch: pa.RecordBatch) -> Pieces:
    """The attributes that all points of a row have, as fields of `NumberDataPoint`."""
    theirs = pc.fill_null(pc.equal(batch.column("provider"), "rabbitmq"), False)
    if pc.all(theirs).as_py():
        return _point_attributes(batch, "rabbitmq")
    others = _point_attributes(batch, None)
    if not pc.any(theirs).as_py():
        return others
    return pc.if_else(theirs, _point_attributes(batch, "rabbitmq"), others)


def _point_attributes(batch: pa.RecordBatch, provider: str | None) -> Pieces:
    """Those that samples of a provider have."""
    parts = [
        spread(name, batch.column(column), text=text)
        for column, (name, text) in point_columns(entity_type_of(batch), provider).items()
        if column in batch.schema.names
    ]
    return side_by_side(parts, len(batch))


def spread(name: str, values: pa.Array, *, text: bool) -> Pieces:
    """One attribute a row; empty where the value is null."""
    words, indices = words_of(name, values, text=text)
    return pa.array(words, BYTES).take(pa.array(indices))


def words_of(
    name: str, values: pa.Array, *, text: bool
) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """An attribute made once for each word or number, and which of them each row has.

    The last is empty: that of null.
    """
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    values = fitted(values)
    words = values.dictionary.to_pylist()
    spelled = [attribute(7, name, str(word) if text else word) for word in words]
    indices = pc.fill_null(values.indices.cast(pa.int64()), len(words)).to_numpy()
    return [*spelled, b""], indices


def side_by_side(parts: Sequence[Pieces], rows: int) -> Pieces:
    """Parts put together, row by row."""
    if not parts:
        return pa.repeat(pa.scalar(b"", BYTES), rows)
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", BYTES))


def series_of(batch: pa.RecordBatch) -> Pieces:
    """What distinguishes the series of a row from all others but for the metric: resource and attributes."""
    batch_columns = [name for name in RESOURCE_COLUMNS if name in batch.schema.names]
    words = [spread(name, batch.column(name), text=True) for name in batch_columns]
    return side_by_side([*words, point_attributes(batch)], len(batch))
