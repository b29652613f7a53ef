"""What samples are at New Relic, said row by row: the conversions that the metric table states."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, STRING, TOPIC, EntityType, MetricKind

COMMON = {
    "entity_guid": "entityGuid",
    "entity_type": "entityType",
    "entity_name": "entityPath",
    "cluster_name": "clusterName",
    "cluster_id": "clusterId",
    "provider": "provider",
    "environment": "environment",
    "origin": "origin",
    "anomaly": "anomaly",
}
"""Common columns by what they are called there."""

_ENTITIES = {"cluster", "broker", "topic", "consumer_group", "group_topic", "partition_offset"}
"""Labels of the entity types of whose points New Relic makes entities."""
_RECEIVER = (
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkametricsreceiver"
)
_OPENTELEMETRY = {
    "cluster_name": "kafka.cluster.name",
    "cluster_id": "kafka.cluster.id",
    "broker_id": "broker.id",
    "consumer_group": "group",
}

Said = tuple[tuple[str, Any], ...]
"""Attributes, sorted by name."""


def said(attributes: Mapping[str, Any]) -> Said:
    """Attributes as what compares; numbers in which no digit is lost, as they travelled as text."""
    return tuple(sorted((name, value) for name, value in attributes.items() if _is_there(value)))


def expected_events(batch: pa.RecordBatch) -> Iterator[Said]:
    """The event that each sample becomes."""
    entity_type = entity_type_of(batch)
    for row in batch.to_pylist():
        event = _named(row, entity_type)
        event["timestamp"] = _milliseconds(row)
        event["eventType"] = entity_type.event_type
        for metric in entity_type.metrics:
            value = row[metric.name]
            if metric.event_alias:
                event[metric.event_alias] = value
            converts = value is not None and metric.event_factor != 1
            event[metric.name] = value * metric.event_factor if converts else value
        yield said(event)


def expected_points(batch: pa.RecordBatch, interval: int) -> Iterator[tuple[Any, ...]]:
    """The points that each sample becomes by default: those that OpenTelemetry has a name for."""
    entity_type = entity_type_of(batch)
    for row in batch.to_pylist():
        shared = _named(row, entity_type)
        shared |= {m.name: row[m.name] for m in entity_type.metrics if m.type == STRING}
        if entity_type.label in _ENTITIES:
            shared["instrumentation.provider"] = "opentelemetry"
            shared["otel.library.name"] = _RECEIVER
            for column, name in _OPENTELEMETRY.items():
                value = row.get(column)
                shared[name] = None if value is None else str(value)
        for metric in entity_type.metrics:
            value = row[metric.name]
            if metric.otel is None or not _is_there(value):
                continue
            counter = metric.kind in (MetricKind.RATE, MetricKind.COUNT)
            if metric.kind is MetricKind.RATE:
                value = value * (interval / 1000)
            elif metric.otel_factor != 1:
                value = value * metric.otel_factor
            time = _milliseconds(row) - (interval if counter else 0)
            own = said({**shared, **dict(metric.otel_attributes)})
            yield metric.otel, "count" if counter else "gauge", value, time, own


def reported(points: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What points say, in the same words."""
    for point in points:
        own = said(point["attributes"])
        yield point["name"], point["type"], point["value"], point["timestamp"], own


def _named(row: Mapping[str, Any], entity_type: EntityType) -> dict[str, Any]:
    found = {name: row[column] for column, name in COMMON.items()}
    found |= {i.attribute: row[i.column] for i in entity_type.identity}
    path = row["entity_name"]
    if entity_type is BROKER:
        display = row["broker.host"] or str(row["broker_id"])
        return {**found, "displayName": display, "entityName": f"broker:{display}"}
    if entity_type is TOPIC:
        return {**found, "displayName": row["topic"], "entityName": f"topic:{row['topic']}"}
    return {**found, "displayName": path.split("/", 1)[-1], "entityName": path}


def _milliseconds(row: Mapping[str, Any]) -> int:
    milliseconds: int = round(row["timestamp"].timestamp() * 1000)
    return milliseconds


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
