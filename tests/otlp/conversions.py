"""What samples are as points, said row by row: the conversions that docs/otlp.md states."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import STRING, MetricKind
from tests.otlp.reading import Point
from tests.samples import INTERVAL


def expected(batch: pa.RecordBatch, interval: int = INTERVAL) -> Iterator[tuple[Any, ...]]:
    """The points that samples have, said again row by row: what the table's conversions are."""
    entity_type = entity_type_of(batch)
    for row in batch.to_pylist():
        time = int(row["timestamp"].timestamp() * 1000) * 10**6
        attributes = {
            {"broker_id": "broker.id", "consumer_group": "group"}.get(i.column, i.attribute): (
                str(row[i.column])
                if i.column == "broker_id" and row[i.column] is not None
                else row[i.column]
            )
            for i in entity_type.identity
        }
        attributes |= {"origin": row["origin"], "anomaly": row["anomaly"]}
        attributes = {k: v for k, v in attributes.items() if v is not None}
        for metric in entity_type.metrics_of(row["provider"]):
            value = row[metric.name]
            if value is None:
                continue
            own = dict(metric.otel_attributes)
            kind, start = "gauge", 0
            if metric.type == STRING:
                own, value = {metric.name.rpartition(".")[2]: value}, 1
            elif metric.kind is MetricKind.COUNT or (
                metric.kind is MetricKind.RATE and metric.otel
            ):
                kind, start = "delta", time - interval * 10**6
                value = value * (interval / 1000) if metric.kind is MetricKind.RATE else value
            elif metric.otel_factor != 1:
                value = value * metric.otel_factor
            if not math.isfinite(value):
                continue
            yield (
                metric.otel or metric.name,
                kind,
                value,
                start,
                time,
                tuple(sorted((attributes | own).items(), key=str)),
                row["cluster_name"],
            )


def reported(points: Iterable[Point]) -> Iterator[tuple[Any, ...]]:
    """What points say, in the same words."""
    for p in points:
        cluster = p.resource.get("kafka.cluster.name", p.resource.get("messaging.cluster"))
        attributes = tuple(sorted(p.attributes.items(), key=str))
        yield p.name, p.kind, p.value, p.start, p.time, attributes, cluster


def batches_below(path: Path) -> list[pa.RecordBatch]:
    """The samples of the Parquet files of a run."""
    files = sorted(path.glob("type=*/**/*.parquet"))
    return [batch for file in files for batch in pq.ParquetFile(file).read().to_batches()]
