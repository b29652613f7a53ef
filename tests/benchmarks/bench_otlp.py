"""How fast samples become OTLP requests, against opentelemetry-proto's own classes.

    python -m tests.benchmarks.bench_otlp [--rounds 5] [--json FILE]

The samples are those of `bench_encode`: 240 ticks of a simulated fleet of 20 brokers, 200 topics
and 50 groups, as Arrow batches, with the attributes that are really sent. Both sides make the same
request, which is checked, and neither compresses it. The classes are used as one would who wants
them fast: attributes of a row are made once and handed to all its points, a resource and a metric
are made once. They begin with Python rows, whose making (`to_pylist`) counts for `ratio`, and is
left out for `ratio_from_rows`, as if samples were born so. Rates are points a second of CPU time on
one core, medians.
"""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, NumberDataPoint

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import STRING, EntityType, MetricKind
from sinks.otlp.encode import encode
from sinks.otlp.names import (
    RESOURCE_COLUMNS,
    SCOPES,
    VERSION,
    point_columns,
    resource_attributes,
    unit,
    word_attribute,
)
from tests.benchmarks.bench_encode import INTERVAL, chunks, samples
from tests.benchmarks.options import keep, parser_of
from tests.otlp.reading import Point, points_of

REQUIRED_RATIO = 10.0
Rows = Sequence[dict[str, Any]]


def rows_of(batch: pa.RecordBatch) -> Rows:
    """Samples as Python rows, times in milliseconds."""
    times = batch.column("timestamp").cast(pa.int64())
    rows: Rows = batch.set_column(0, "timestamp", times).to_pylist()
    return rows


def by_classes(entity_type: EntityType, rows: Rows) -> bytes:
    """The request with all points of some rows of one resource."""
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    resource = resource_attributes({name: rows[0].get(name) for name in RESOURCE_COLUMNS})
    of_resource.resource.attributes.extend(_pair(k, v) for k, v in resource.items())
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name, of_scope.scope.version = SCOPES["kafka"], VERSION
    columns = point_columns(entity_type).items()
    attributes = [
        [
            _pair(name, str(row[column]) if text else row[column])
            for column, (name, text) in columns
            if row[column] is not None
        ]
        for row in rows
    ]
    metrics: dict[str, Any] = {}
    for metric in entity_type.metrics:
        name, own = metric.point, [_pair(k, v) for k, v in metric.otel_attributes]
        found = metrics.get(name)
        if found is None:
            found = metrics[name] = of_scope.metrics.add(name=name, unit=unit(metric))
        points = found.gauge.data_points
        counter, word = metric.counts, metric.type == STRING
        scale = INTERVAL / 1000 if metric.kind is MetricKind.RATE else 1
        if counter:
            found.sum.is_monotonic = True
            found.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
            points = found.sum.data_points
        for row, shared in zip(rows, attributes, strict=True):
            value = row[metric.name]
            if value is None:
                continue
            point = points.add(time_unix_nano=row["timestamp"] * 1_000_000)
            point.attributes.extend(shared)
            if own:
                point.attributes.extend(own)
            if counter:
                point.start_time_unix_nano = (row["timestamp"] - INTERVAL) * 1_000_000
                value *= scale
            if word:
                point.attributes.append(_pair(word_attribute(metric), value))
                value = 1
            _set(point, value)
    body: bytes = request.SerializeToString()
    return body


def _set(point: NumberDataPoint, value: float) -> None:
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value


def _pair(key: str, value: str | int) -> KeyValue:
    typed = AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    return KeyValue(key=key, value=typed)


def same(ours: bytes, theirs: bytes) -> int:
    """How many points both requests have.

    Raises:
        AssertionError: they do not say the same.
    """
    one, other = Counter(_reported(points_of(ours))), Counter(_reported(points_of(theirs)))
    if one != other:
        raise AssertionError(
            f"both sides must say the same: {list((one - other) + (other - one))[:3]}"
        )
    return one.total()


def _reported(points: Iterator[Point]) -> Iterator[tuple[Any, ...]]:
    for p in points:
        yield *p.series, p.unit, p.kind, p.value, p.start, p.time, p.scope


def rate(work: Callable[[], object], points: int, rounds: int) -> float:
    """Points a CPU second, the median of several rounds after one to warm up."""
    work()
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        rates.append(points / (time.process_time() - start))
    return statistics.median(rates)


def measure(rounds: int) -> dict[str, Any]:
    """Points a second of both sides, and the ratios."""
    batches = samples()
    few = [batch.slice(0, batch.num_rows // 20) for batch in batches]
    rows = [(entity_type_of(batch), rows_of(batch)) for batch in few]
    pairs = [(encode([b], INTERVAL), by_classes(*r)) for b, r in zip(few, rows, strict=True)]
    few_points = sum(same(*pair) for pair in pairs)
    parts = chunks(batches)
    points = sum(1 for part in parts for _ in points_of(encode([part], INTERVAL)))

    def ours() -> None:
        for part in parts:
            encode([part], INTERVAL)

    def theirs() -> None:
        for batch in few:
            by_classes(entity_type_of(batch), rows_of(batch))

    def from_rows() -> None:
        for entity_type, given in rows:
            by_classes(entity_type, given)

    # Before and after the classes, and the slower counts: machines are noisy.
    before = rate(ours, points, rounds)
    slow, born = rate(theirs, few_points, rounds), rate(from_rows, few_points, rounds)
    fast = min(before, rate(ours, points, rounds))
    return {
        "points": points,
        "points_per_second": round(fast),
        "classes_points_per_second": round(slow),
        "classes_points_per_second_from_rows": round(born),
        "bytes_a_point": round(sum(len(encode([p], INTERVAL)) for p in parts) / points, 1),
        "classes_bytes_a_point": round(sum(len(theirs_) for _, theirs_ in pairs) / few_points, 1),
        "ratio": round(fast / slow, 1),
        "ratio_from_rows": round(fast / born, 1),
    }


def main() -> int:
    """Measure and print; 1 where the ratio is not reached."""
    arguments = parser_of(__doc__, rounds=5).parse_args()
    result = {**measure(arguments.rounds), "required_ratio": REQUIRED_RATIO}
    for key, value in result.items():
        print(f"{key:36} {value}")
    keep(result, arguments.json)
    return 0 if result["ratio_from_rows"] >= REQUIRED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
