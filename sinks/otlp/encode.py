"""From Arrow batches to OTLP's metrics in protobuf: one request of a batch, without an object a point.

A request is resources (clusters), in each a scope, in it metrics, in each its points. Points of one
metric are made for all rows at once: what they have in common with the row's other points (its
attributes), and 27 bytes or less that are theirs (times and value). Rows are ordered by resource
first, so a metric's points of one resource lie side by side, and a request is put together from
whole runs of points and the headers before them.

Source of the format: opentelemetry-proto 1.4, `metrics/v1/metrics.proto`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import STRING, Metric
from sinks.otlp.attributes import (
    attribute,
    by_resource,
    point_attributes,
    resources,
    side_by_side,
    spread,
)
from sinks.otlp.names import is_counter, metric_name, unit, word_attribute
from sinks.otlp.totals import counts_of, totals_of
from sinks.otlp.wire import (
    BYTES,
    FIXED64,
    LENGTH,
    VARINT,
    WIDE,
    Pieces,
    data_of,
    nested,
    offsets_of,
    pieces,
    put_wide,
    rows_as_pieces,
    tag,
    varint,
)

_NANOSECONDS = 1_000_000
"""In a millisecond."""

_GAUGE, _SUM = 5, 7
"""The fields of `Metric` that hold points."""
_DELTA, _CUMULATIVE = 1, 2
"""Aggregation temporalities."""

Bytes = npt.NDArray[np.uint8]
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
        _request(batch, interval, cumulative=cumulative) for batch in samples if batch.num_rows
    )


@dataclass(frozen=True, slots=True)
class _Points:
    """All points of one metric, as pieces of `Gauge` or `Sum`: one a resource, which may be empty."""

    head: bytes
    """What stands before them in `Metric`."""
    field: bytes
    """The tag of the field of `Metric` that they are in."""
    lead: bytes
    """What stands before them in that field."""
    runs: Pieces


def _request(batch: pa.RecordBatch, interval: int, *, cumulative: bool) -> memoryview:
    batch, starts = by_resource(batch)
    bounds = np.append(starts, len(batch))
    metrics = _by_name(_metrics(batch, bounds, interval, cumulative=cumulative))
    return _assembled(resources(batch, starts), metrics) if metrics else memoryview(b"")


def _by_name(metrics: Iterable[_Points]) -> list[_Points]:
    """Metrics of one name as one, whose points are told apart by their attributes."""
    alike: dict[bytes, list[_Points]] = {}
    for points in metrics:
        alike.setdefault(points.head + points.field + points.lead, []).append(points)
    return [
        replace(first, runs=side_by_side([p.runs for p in (first, *others)], len(first.runs)))
        if others
        else first
        for first, *others in alike.values()
    ]


def _assembled(resources: Sequence[tuple[bytes, bytes]], metrics: Sequence[_Points]) -> memoryview:
    """The request: for each resource its header, then each metric's header and run of points."""
    sizes = np.stack([np.diff(offsets_of(points.runs)) for points in metrics], axis=1)
    there = sizes > 0
    of_metrics = np.zeros(len(resources), np.int64)
    parts = []
    for n, points in enumerate(metrics):
        headers = _metric_headers(points, sizes[:, n])
        of_metrics += np.where(there[:, n], headers.shape[1] + sizes[:, n], 0)
        parts += [rows_as_pieces(headers), points.runs]
    first = [_resource_header(*each, int(n)) for each, n in zip(resources, of_metrics, strict=True)]
    everything = pa.concat_arrays([pa.array(first, BYTES), *parts])
    order = np.arange(len(everything)).reshape(-1, len(resources)).T
    wanted = np.column_stack([there.any(axis=1), np.repeat(there, 2, axis=1)])
    return data_of(everything.take(pa.array(order[wanted])))


def _metric_headers(points: _Points, sizes: Numbers) -> Bytes:
    """What stands before the points of each resource: a field `metrics` of `ScopeMetrics`."""
    content = sizes + len(points.lead)
    before = len(points.head) + len(points.field) + WIDE
    parts = (tag(2, LENGTH), before + content, points.head, points.field, content, points.lead)
    return _rows(len(sizes), parts)


def _resource_header(resource: bytes, scope: bytes, of_metrics: int) -> bytes:
    """What stands before the metrics of a resource: a field `resource_metrics` of the request."""
    inside = resource + tag(2, LENGTH) + varint(len(scope) + of_metrics) + scope
    return tag(1, LENGTH) + varint(len(inside) + of_metrics) + inside


def _metrics(
    batch: pa.RecordBatch, bounds: Numbers, interval: int, *, cumulative: bool
) -> Iterator[_Points]:
    """The points of each metric that has any; `bounds` are the rows where resources begin and end."""
    attributes = point_attributes(batch)
    times = batch.column("timestamp").cast(pa.int64()).to_numpy()
    totals = totals_of(batch) if cumulative else None
    for metric in entity_type_of(batch).metrics:
        if metric.name not in batch.schema.names:
            continue
        values, starts, temporality = batch.column(metric.name), None, _DELTA
        if is_counter(metric) and totals is not None:
            values, starts, temporality = totals.of(metric), totals.starts, _CUMULATIVE
        elif is_counter(metric):
            values, starts = counts_of(metric, values, interval), times - interval
        numbers, there = _numbers(_ones(values) if metric.type == STRING else values)
        if not len(numbers):
            continue
        shared = [attributes]
        if metric.type == STRING:
            shared.append(spread(word_attribute(metric), values, text=True))
        if there is not None:
            mask = pa.array(there)
            shared = [part.filter(mask) for part in shared]
            times_there, starts = times[there], None if starts is None else starts[there]
        else:
            times_there = times
        points = _joined(shared, _own(metric, numbers, starts, times_there))
        offsets = offsets_of(points)
        at = bounds if there is None else np.append(0, np.cumsum(there))[bounds]
        yield _Points(
            _head(metric),
            tag(_GAUGE if starts is None else _SUM, LENGTH),
            b"" if starts is None else _sum_lead(temporality),
            pieces(offsets[at], points.buffers()[2]),
        )


@cache
def _head(metric: Metric) -> bytes:
    return nested(1, metric_name(metric).encode()) + nested(3, unit(metric).encode())


@cache
def _sum_lead(temporality: int) -> bytes:
    """What a sum is: of which temporality, and monotonic."""
    return tag(2, VARINT) + varint(temporality) + tag(3, VARINT) + varint(1)


def _own(
    metric: Metric,
    values: npt.NDArray[np.int64 | np.float64],
    starts: Numbers | None,
    times: Numbers,
) -> Bytes:
    """What no other point of a row has: what tells metrics of one name apart, times, the value."""
    parts: list[bytes | npt.NDArray[np.generic]] = [
        b"".join(attribute(7, key, value) for key, value in metric.otel_attributes)
    ]
    if starts is not None:
        parts += [tag(2, FIXED64), starts * _NANOSECONDS]
    parts += [tag(3, FIXED64), times * _NANOSECONDS]
    parts += [tag(4 if values.dtype == np.float64 else 6, FIXED64), values]
    return _rows(len(values), parts, fixed=True)


def _joined(shared: Sequence[Pieces], own: Bytes) -> Pieces:
    """Points, each a field `data_points`: what rows share with other points, then their own."""
    sizes = sum(np.diff(offsets_of(part)) for part in shared) + own.shape[1]
    heads = _rows(len(own), (tag(1, LENGTH), sizes))
    return side_by_side([rows_as_pieces(heads), *shared, rows_as_pieces(own)], len(own))


def _rows(count: int, parts: Sequence[bytes | npt.NDArray[Any]], *, fixed: bool = False) -> Bytes:
    """Bytes that are alike in all rows, and numbers between them; shape: (count, size).

    Numbers are lengths of `WIDE` bytes, or with `fixed` 64 bits each.
    """
    width = 8 if fixed else WIDE
    template = b"".join(part if isinstance(part, bytes) else bytes(width) for part in parts)
    rows = np.empty((count, len(template)), np.uint8)
    rows[:] = np.frombuffer(template, np.uint8)
    at = 0
    for part in parts:
        if isinstance(part, bytes):
            at += len(part)
            continue
        into = rows[:, at : at + width]
        if fixed:
            into[:] = np.ascontiguousarray(part).view(np.uint8).reshape(count, 8)
        else:
            put_wide(into, part)
        at += width
    return rows


def _ones(words: pa.Array) -> pa.Array:
    """1 for each word that is there."""
    return pc.if_else(words.is_valid(), 1, pa.scalar(None, pa.int64()))


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
