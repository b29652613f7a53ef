"""From Arrow batches to OTLP's metrics in protobuf: one request of a batch, without an object a point.

A request is resources (clusters), in each a scope, in it metrics, in each its points. All points of
a batch are made at once: what they share with the other points of their row (its attributes), and
what is theirs (times and value). They are ordered by metric and resource, so the points of a metric
of a resource lie side by side, and the request is put together from such runs and the headers
before them.

Source of the format: opentelemetry-proto 1.4, `metrics/v1/metrics.proto`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import STRING, Metric
from sinks.otlp.attributes import (
    attribute,
    by_names,
    by_resource,
    point_attributes,
    resources,
    side_by_side,
    words_of,
)
from sinks.otlp.names import unit, word_attribute
from sinks.otlp.totals import counts_of, totals_of
from sinks.otlp.wire import (
    BYTES,
    FIXED64,
    LENGTH,
    VARINT,
    Pieces,
    as_pieces,
    data_of,
    fixed_rows,
    nested,
    offsets_of,
    pieces,
    tag,
    varint,
    with_lengths,
)

_NANOSECONDS = 1_000_000
"""In a millisecond."""

_GAUGE, _SUM = 5, 7
"""The fields of `Metric` that hold points."""
_DELTA, _CUMULATIVE = 1, 2
"""Aggregation temporalities."""
_DOUBLE, _INTEGER = tag(4, FIXED64)[0], tag(6, FIXED64)[0]
"""The fields of a point that hold its value."""

Numbers = npt.NDArray[np.int64]


def encode(samples: Sequence[pa.RecordBatch], interval: int, *, cumulative: bool = False) -> bytes:
    """The request with all points of these samples.

    `interval` is the time between two ticks in milliseconds, over which counts are. Sums are of
    that interval; with `cumulative`, where the samples have running totals (`totals`), they are
    these. Nulls, NaN and infinities have no points. Text over 4,095 characters is cut and ends in
    `…`.

    Raises:
        ValueError: a batch is of no known entity type.
    """
    # Requests one after the other are one request that has the resources of all.
    return b"".join(
        _request(part, interval, cumulative=cumulative)
        for batch in samples
        for part in by_names(batch)
        if part.num_rows
    )


def _request(batch: pa.RecordBatch, interval: int, *, cumulative: bool) -> memoryview:
    batch, of_row, firsts = by_resource(batch)
    columns = _columns(batch, interval, cumulative=cumulative)
    if not columns:
        return memoryview(b"")
    names = list(dict.fromkeys(column.name for column in columns))
    points = _points(columns, names, of_row, len(firsts))
    return _assembled(resources(batch, firsts), names, _runs(batch, columns, points))


@dataclass(frozen=True, slots=True)
class _MetricName:
    """What a metric of OTLP is but for its points; several metrics of the table may be one."""

    head: bytes
    """What stands in `Metric` before the field with the points, and that field's tag."""
    lead: bytes
    """What stands in that field before the points."""


@cache
def _name_of(metric: Metric, temporality: int | None) -> _MetricName:
    head = nested(1, metric.point.encode()) + nested(3, unit(metric).encode())
    if temporality is None:
        return _MetricName(head + tag(_GAUGE, LENGTH), b"")
    # What a sum is: of which temporality, and monotonic.
    lead = tag(2, VARINT) + varint(temporality) + tag(3, VARINT) + varint(1)
    return _MetricName(head + tag(_SUM, LENGTH), lead)


@dataclass(frozen=True, slots=True)
class _Column:
    """One metric of the table: the rows where it has a point, and what is in them."""

    metric: Metric
    name: _MetricName
    rows: Numbers
    bits: Numbers
    """Values as they are on the wire."""
    is_double: bool
    starts: Numbers | None
    """Of sums: the beginning of each row's interval, in milliseconds."""


def _columns(batch: pa.RecordBatch, interval: int, *, cumulative: bool) -> list[_Column]:
    everywhere = np.arange(len(batch))
    times = batch.column("timestamp").cast(pa.int64()).to_numpy()
    totals = totals_of(batch) if cumulative else None
    columns = []
    provider = batch.column("provider")[0].as_py()
    for metric in entity_type_of(batch).metrics_of(provider):
        if metric.name not in batch.schema.names:
            continue
        values, starts, temporality = batch.column(metric.name), None, None
        if values.null_count == len(values):
            continue
        if metric.type == STRING:
            values = pc.if_else(values.is_valid(), 1, pa.scalar(None, pa.int64()))
        elif metric.counts and totals is not None:
            values, starts, temporality = totals.of(metric), totals.starts, _CUMULATIVE
        elif metric.counts:
            values, starts = counts_of(metric, values, interval), times - interval
            temporality = _DELTA
        if metric.otel_factor != 1:
            values = pc.multiply(values, metric.otel_factor)
        numbers, there = _numbers(values)
        if len(numbers):
            rows = everywhere if there is None else np.flatnonzero(there)
            name, is_double = _name_of(metric, temporality), numbers.dtype == np.float64
            bits = np.ascontiguousarray(numbers).view(np.int64)
            columns.append(_Column(metric, name, rows, bits, is_double, starts))
    return columns


def _numbers(
    column: pa.Array,
) -> tuple[npt.NDArray[np.int64 | np.float64], npt.NDArray[np.bool_] | None]:
    """Values that are there and finite, as 64 bits each, and where; None is everywhere."""
    there = None
    if column.null_count:
        there = column.is_valid().to_numpy(zero_copy_only=False)
        column = column.drop_null()
    if not pa.types.is_floating(column.type):
        return column.cast(pa.int64()).to_numpy(), there
    values = column.to_numpy()
    finite = np.isfinite(values)
    if finite.all():
        return values, there
    everywhere = finite
    if there is not None:
        everywhere = there.copy()
        everywhere[there] = finite
    return values[finite], everywhere


@dataclass(frozen=True, slots=True)
class _Points:
    """All points of a batch, by name and resource: of which column and row each is."""

    columns: Numbers
    rows: Numbers
    bits: Numbers
    ends: Numbers
    """Where each name's points of each resource begin and end; shape: names · resources + 1."""


def _points(
    columns: Sequence[_Column], names: Sequence[_MetricName], of_row: Numbers, count: int
) -> _Points:
    """`of_row` is the resource of each row, one of so many."""
    numbers = {name: n for n, name in enumerate(names)}
    sizes = [len(column.rows) for column in columns]
    of_column = np.repeat(np.arange(len(columns)), sizes)
    rows = np.concatenate([column.rows for column in columns])
    bits = np.concatenate([column.bits for column in columns])
    name = np.repeat([numbers[column.name] for column in columns], sizes)
    run = name * count + of_row[rows]
    if (np.diff(run) < 0).any():
        order = np.argsort(run, kind="stable")
        of_column, rows, bits, run = (part[order] for part in (of_column, rows, bits, run))
    ends = np.searchsorted(run, np.arange(len(names) * count + 1))
    return _Points(of_column, rows, bits, ends)


def _runs(batch: pa.RecordBatch, columns: Sequence[_Column], points: _Points) -> Pieces:
    """The bytes of the points, each a field `data_points`; a piece is a name's of a resource."""
    times = batch.column("timestamp").cast(pa.int64()).to_numpy() * _NANOSECONDS
    values = np.array([_DOUBLE if column.is_double else _INTEGER for column in columns], np.uint8)
    time = fixed_rows(len(points.rows), (tag(3, FIXED64), times[points.rows], b"\0", points.bits))
    time[:, 9] = values[points.columns]
    parts = [
        point_attributes(batch).take(pa.array(points.rows)),
        *_own_attributes(batch, columns, points),
        *_starts(columns, points),
        as_pieces(time),
    ]
    sizes = np.sum([np.diff(offsets_of(part)) for part in parts], axis=0)
    whole = side_by_side([with_lengths(tag(1, LENGTH), sizes), *parts], len(points.rows))
    return pieces(offsets_of(whole)[points.ends], whole.buffers()[2])


def _own_attributes(
    batch: pa.RecordBatch, columns: Sequence[_Column], points: _Points
) -> list[Pieces]:
    """What tells metrics of one name apart, and words; nothing where no point has such."""
    words, index = [b""], np.zeros(len(points.rows), np.int64)
    for n, column in enumerate(columns):
        own = b"".join(attribute(7, key, value) for key, value in column.metric.otel_attributes)
        if column.metric.type == STRING:
            spelled, of_row = words_of(
                word_attribute(column.metric), batch.column(column.metric.name), text=True
            )
            here = points.columns == n
            index[here] = of_row[points.rows[here]] + len(words)
            words += [own + word for word in spelled]
        elif own:
            index[points.columns == n] = len(words)
            words.append(own)
    return [pa.array(words, BYTES).take(pa.array(index))] if len(words) > 1 else []


def _starts(columns: Sequence[_Column], points: _Points) -> list[Pieces]:
    """The starts of sums; nothing where there is none."""
    summed = np.array([column.starts is not None for column in columns])[points.columns]
    if not summed.any():
        return []
    starts = np.zeros(len(points.rows), np.int64)
    for n, column in enumerate(columns):
        if column.starts is not None:
            here = points.columns == n
            starts[here] = column.starts[points.rows[here]]
    rows = fixed_rows(int(summed.sum()), (tag(2, FIXED64), starts[summed] * _NANOSECONDS))
    return [pieces(np.append(0, np.cumsum(summed * rows.shape[1])), pa.py_buffer(rows))]


def _assembled(
    resources: Sequence[tuple[bytes, bytes]], names: Sequence[_MetricName], runs: Pieces
) -> memoryview:
    """The request: for each resource its header, then each metric's header and run of points."""
    count, number = len(names), len(resources)
    sizes = np.diff(offsets_of(runs))
    headers = _headers(names, np.repeat(np.arange(count), number), sizes)
    there = (sizes > 0).reshape(count, number).T
    of_metrics = (np.diff(offsets_of(headers)) + sizes).reshape(count, number).T * there
    firsts = [
        _resource_header(*each, int(size))
        for each, size in zip(resources, of_metrics.sum(axis=1), strict=True)
    ]
    everything = pa.concat_arrays([pa.array(firsts, BYTES), headers, runs])
    order = np.empty((number, 1 + 2 * count), np.int64)
    order[:, 0] = np.arange(number)
    order[:, 1::2] = number + np.arange(count * number).reshape(count, number).T
    order[:, 2::2] = order[:, 1::2] + count * number
    wanted = np.column_stack([there.any(axis=1), np.repeat(there, 2, axis=1)])
    return data_of(everything.take(pa.array(order[wanted])))


def _headers(names: Sequence[_MetricName], of_run: Numbers, sizes: Numbers) -> Pieces:
    """What stands before each run of points: a field `metrics` of `ScopeMetrics`."""
    number = pa.array(of_run)
    heads = pa.array([name.head for name in names], BYTES).take(number)
    leads = pa.array([name.lead for name in names], BYTES).take(number)
    content = with_lengths(b"", sizes + np.diff(offsets_of(leads)))
    parts = [heads, content, leads]
    whole = sizes + np.sum([np.diff(offsets_of(part)) for part in parts], axis=0)
    return side_by_side([with_lengths(tag(2, LENGTH), whole), *parts], len(sizes))


def _resource_header(resource: bytes, scope: bytes, of_metrics: int) -> bytes:
    """What stands before the metrics of a resource: a field `resource_metrics` of the request."""
    inside = resource + tag(2, LENGTH) + varint(len(scope) + of_metrics) + scope
    return tag(1, LENGTH) + varint(len(inside) + of_metrics) + inside
