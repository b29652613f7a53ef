"""Columns that are growth of counters which a provider reports of each entity: `totals`.

A column of kind RATE is what its counter grew by a second between two readings of the entity, one of kind
COUNT what it grew by. It is null at an entity's first reading, where readings are more than `most`
seconds apart, and where the counter started over (a restart, something deleted and made again under its
name), so it is never negative.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    carried,
    differs,
    grown_between,
    match,
    nullable,
    seconds_between,
    with_columns,
)
from operators.schema.arrays import Floats
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, QUEUE, STRING, MetricKind

TOTALS = pa.schema(
    [
        ("entity_name", STRING),
        ("column", STRING),
        ("born", STRING),
        ("value", pa.int64()),
        ("at", pa.int64()),
    ]
)
"""One row a counter: of which entity and for which column, when it began (one that is recreated begins at another time), its
value, and when it was read (ms)."""

SCHEMAS = {"totals": TOTALS}
_KEYS = ("entity_name", "column")


def totals_batch(rows: Iterable[tuple[str, str, str, int, int]]) -> pa.RecordBatch:
    """Raw counters; shape: TOTALS."""
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True)) or [()] * len(TOTALS)
    arrays = [
        pa.array(column, pa.string()).dictionary_encode().cast(STRING)
        if field.type == STRING
        else pa.array(column, field.type)
        for column, field in zip(columns, TOTALS, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=TOTALS)


def derive_totals(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """The batches with the columns of which there are counters, and the cluster's sum of its queues'."""
    counters, earlier = now["totals"], before["totals"]
    places = match(counters, earlier, _KEYS)
    recreated = differs(counters, earlier, places, "born")
    grown = np.where(recreated, np.nan, grown_between(counters, earlier, "value", places))
    seconds = seconds_between(counters, earlier, places, most)
    grown[np.isnan(seconds)] = np.nan
    derived = [_with(batch, counters, grown, seconds) for batch in batches]
    published = [
        value
        for batch in derived
        if entity_type_of(batch) is QUEUE
        for value in batch.column("queue.messagesInPerSecond").drop_null().to_pylist()
    ]
    if not published:
        return tuple(derived)
    total = {"cluster.messagesInPerSecond": [sum(published)]}
    return tuple(
        with_columns(b, total) if entity_type_of(b) is CLUSTER and b.num_rows == 1 else b
        for b in derived
    )


def kept_totals(now: Raw, before: Raw, partial: bool, most: float) -> Raw:
    """What the next tick needs: the last reading of each entity."""
    return {"totals": carried(now["totals"], before["totals"], _KEYS, "value", partial, most)}


def _with(
    batch: pa.RecordBatch, counters: pa.RecordBatch, grown: Floats, seconds: Floats
) -> pa.RecordBatch:
    names = np.asarray(counters.column("column").cast(pa.string()))
    columns = dict(_columns(batch, counters, names, grown, seconds))
    return with_columns(batch, columns) if columns else batch


def _columns(
    batch: pa.RecordBatch,
    counters: pa.RecordBatch,
    names: np.ndarray,
    grown: Floats,
    seconds: Floats,
) -> Iterator[tuple[str, pa.Array]]:
    for metric in entity_type_of(batch).metrics:
        mine = names == metric.name
        if not mine.any():
            continue
        places = match(batch, counters.filter(pa.array(mine)), _KEYS[:1])
        if (places == NOWHERE).all():
            continue
        values = grown[mine] / seconds[mine] if metric.kind is MetricKind.RATE else grown[mine]
        column = nullable(at(values, places, np.nan).astype(np.float64))
        yield metric.name, column.cast(metric.type)
