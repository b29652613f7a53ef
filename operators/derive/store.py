"""Raw measures kept from tick to tick: matched by their keys, carried on, and as bytes."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.schema.arrays import Flags, Floats, Ints
from operators.schema.arrow import one_batch
from operators.schema.dictionaries import only_used
from operators.schema.ipc import as_stream

NOWHERE = -1


Raw = Mapping[str, pa.RecordBatch]
StoredRaw = dict[str, bytes]
"""Raw batches by name, as Arrow IPC streams."""


def match(now: pa.RecordBatch, before: pa.RecordBatch, keys: Sequence[str]) -> Ints:
    """For each row of `now`: the row of `before` that has the same keys, or NOWHERE.

    Keys are unique in `before`, or it is `now` itself: then the first row that has them is found.
    """
    if now is not before and now.num_rows == before.num_rows and same(now, before, keys):
        return in_order(now.num_rows)
    if not before.num_rows:
        return np.full(now.num_rows, NOWHERE, np.int64)
    now_key = np.zeros(now.num_rows, np.int64)
    before_key = np.zeros(before.num_rows, np.int64)
    for name in keys:
        now_codes, before_codes, width = _codes(now.column(name), before.column(name))
        now_key = now_key * width + now_codes
        before_key = before_key * width + before_codes
    order = np.argsort(before_key, kind="stable")
    place = np.searchsorted(before_key[order], now_key)
    found = order[np.minimum(place, len(order) - 1)]
    return np.where(before_key[found] == now_key, found, NOWHERE)


@lru_cache(maxsize=16)
def in_order(count: int) -> Ints:
    """So many rows, each in its own place: the same array as before, by which it is known."""
    rows = np.arange(count)
    rows.flags.writeable = False
    return rows


def same(now: pa.RecordBatch, before: pa.RecordBatch, keys: Sequence[str]) -> bool:
    """Whether nothing came, went or moved, as mostly; to see that is a tenth of the work."""
    return all(now.column(name).equals(before.column(name)) for name in keys)


def differs(now: pa.RecordBatch, before: pa.RecordBatch, matched: Ints, name: str) -> Flags:
    """Whether matched rows have different values in a column; a null differs from none."""
    if matched is in_order(len(matched)) and same(now, before, (name,)):
        return np.zeros(len(matched), np.bool_)
    now_codes, before_codes, _ = _codes(now.column(name), before.column(name))
    valid_before = np.asarray(before.column(name).is_valid())
    known = np.asarray(now.column(name).is_valid()) & at(valid_before, matched, False)
    different: Flags = known & (now_codes != at(before_codes, matched, NOWHERE))
    return different


def carried(
    now: pa.RecordBatch,
    before: pa.RecordBatch,
    keys: Sequence[str],
    known: str,
    partial: bool,
    most: float,
) -> pa.RecordBatch:
    """What is kept for the next tick: the rows of `now` whose `known` column is not null.

    Rows of `before` stay in place of those that are null now, and where the tick was `partial`
    in place of those that did not come; for `most` seconds, after which nothing is compared with
    them. So what is deleted goes, also where every tick lacks something.
    """
    there = now.column(known)
    measured = now.filter(there.is_valid()) if there.null_count else now
    if not before.num_rows or (measured.num_rows == now.num_rows and not partial):
        return measured
    old = match(before, measured, keys) == NOWHERE
    old &= numbers(before, "at") >= numbers(measured, "at").max(initial=0) - 1000 * most
    if not partial:
        old &= match(before, now, keys) != NOWHERE
    return concat([measured, before.filter(pa.array(old))])


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches of one schema as one; its dictionaries name what is in its rows and no more."""
    one = one_batch(batches)
    return pa.RecordBatch.from_arrays([_used(column) for column in one], schema=one.schema)


def numbers(batch: pa.RecordBatch, name: str, unknown: int = NOWHERE) -> Ints:
    """A column of whole numbers, `unknown` in place of nulls."""
    return _filled(batch.column(name), unknown)


def _filled(column: pa.Array, null: int) -> Ints:
    """Whole numbers, `null` in place of nulls."""
    # To look is a twentieth of the work, and mostly there are none.
    filled = pc.fill_null(column, null) if column.null_count else column
    values: Ints = filled.to_numpy(zero_copy_only=False)
    return values.astype(np.int64, copy=False)


def at(values: NDArray[Any], rows: Ints, otherwise: float) -> NDArray[Any]:
    """The values of rows; `otherwise` for NOWHERE."""
    if len(values) == len(rows) and rows is in_order(len(rows)):
        return values
    if not len(values):
        return np.full(len(rows), otherwise)
    return np.where(rows == NOWHERE, otherwise, values[rows])


def grown_between(now: pa.RecordBatch, before: pa.RecordBatch, name: str, rows: Ints) -> Floats:
    """Growth of a column between matched rows; NaN where it is not known twice, or went back."""
    values, earlier = numbers(now, name), at(numbers(before, name), rows, NOWHERE)
    grown: Floats = (values - earlier).astype(np.float64)
    grown[(values < 0) | (earlier < 0) | (grown < 0)] = np.nan
    return grown


def seconds_between(now: pa.RecordBatch, before: pa.RecordBatch, rows: Ints, most: float) -> Floats:
    """Seconds between matched rows by their column `at` (ms).

    NaN where there is no match, no time between them, or more than `most` seconds.
    """
    seconds: Floats = (numbers(now, "at") - at(numbers(before, "at"), rows, 0)) / 1000
    seconds[(rows == NOWHERE) | (seconds <= 0) | (seconds > most)] = np.nan
    return seconds


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """The batch with some of its columns put in; values as Arrow arrays or sequences."""
    schema = batch.schema
    placed = {}
    for name, values in columns.items():
        index = schema.get_field_index(name)
        field = schema.field(index)
        array = values if isinstance(values, pa.Array) else pa.array(values)
        if array.type != field.type:
            if pa.types.is_dictionary(field.type):
                array = array.cast(pa.string()).dictionary_encode()
            array = array.cast(field.type)
        placed[index] = array
    # To put one in takes as long as to take eight out.
    if 8 * len(placed) > batch.num_columns:
        arrays = [placed[n] if n in placed else batch.column(n) for n in range(batch.num_columns)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    for index, array in placed.items():
        batch = batch.set_column(index, schema.field(index), array)
    return batch


def nullable(values: Floats) -> pa.Array:
    """Numbers, null in place of NaN."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def frozen(raw: Raw) -> StoredRaw:
    """Raw batches as bytes."""
    return {name: as_stream([batch], "zstd") for name, batch in raw.items()}


def thawed(state: StoredRaw, schemas: Mapping[str, pa.Schema]) -> dict[str, pa.RecordBatch]:
    """The raw batches that `frozen` was given, of these shapes.

    Columns that an earlier version did not have are null.
    """
    batches = {}
    for name, data in state.items():
        with pa.ipc.open_stream(data) as reader:
            batches[name] = _fitted(reader.read_next_batch(), schemas[name])
    return batches


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    there = set(batch.schema.names)
    return pa.RecordBatch.from_arrays(
        [
            batch.column(field.name)
            if field.name in there
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def _used(column: pa.Array) -> pa.Array:
    """The column, its dictionary without the names that no row has."""
    if not pa.types.is_dictionary(column.type):
        return column
    if len(pc.unique(column.indices).drop_null()) == len(column.dictionary):
        return column
    return only_used(column)


def _codes(now: pa.Array, before: pa.Array) -> tuple[Ints, Ints, int]:
    """Whole numbers that are equal where the values are, and one more than the greatest."""
    if pa.types.is_dictionary(now.type):
        width = len(now.dictionary) + 2
        # Null is one code, a value that is not there now another.
        null, other = width - 2, width - 1
        names, known = now.dictionary, before.dictionary
        if known.equals(names):
            mapped = np.arange(len(names))
        else:
            mapped = _filled(pc.index_in(known, value_set=names), other)
        now_codes, indices = _filled(now.indices, null), _filled(before.indices, NOWHERE)
        return now_codes, at(mapped, indices, null).astype(np.int64), width
    now_values = np.asarray(now).astype(np.int64)
    before_values = np.asarray(before).astype(np.int64)
    greatest = max(now_values.max(initial=0), before_values.max(initial=0))
    return now_values, before_values, int(greatest) + 1
