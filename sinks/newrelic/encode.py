"""From Arrow batches to New Relic's JSON: one object a sample.

A sample becomes one JSON object in either shape: an event, or a block of the Metric API
(`{"common": …, "metrics": [...]}`), so that both are arrays of objects that are cut between two
samples.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    NODE,
    PARTITION_OFFSET,
    QUEUE,
    STRING,
    TOPIC,
    EntityType,
    Metric,
    MetricKind,
)
from sinks.newrelic.entity_names import DISPLAY_NAME, EVENT_NAME, with_names
from sinks.newrelic.fragments import TEXT, Fragment, joined, members, never_null, numbers, rows_of

RABBITMQ = "rabbitmq"
"""The provider whose events and entities are its own."""

_PLACE = "place"

_MAX_NAME = 255
_MAX_EVENT_ATTRIBUTES = 254
_MAX_POINT_ATTRIBUTES = 100

_COMMON = {
    "entity_guid": "entityGuid",
    EVENT_NAME: "entityName",
    "entity_name": "entityPath",
    DISPLAY_NAME: "displayName",
    "cluster_name": "clusterName",
    "cluster_id": "clusterId",
    "provider": "provider",
    "environment": "environment",
    "origin": "origin",
    "anomaly": "anomaly",
}
"""Common columns and their names in New Relic; `entityType` is a constant of the batch."""

_OTEL_COMMON = {
    "instrumentation.provider": "opentelemetry",
    "otel.library.name": (
        "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkametricsreceiver"
    ),
}
"""What the rules for Kafka clusters, brokers and topics ask of a point.

Source: newrelic/entity-definitions, entity-types/infra-kafka{cluster,broker,topic}.
"""

_OTEL_COLUMNS = {
    "cluster_name": "kafka.cluster.name",
    "cluster_id": "kafka.cluster.id",
    "broker_id": "broker.id",
    "consumer_group": "group",
}
_OTEL_ENTITIES = (CLUSTER, BROKER, TOPIC, CONSUMER_GROUP, GROUP_TOPIC, PARTITION_OFFSET)

_RABBITMQ_CLUSTER = "rabbitmqClusterName"
"""What nri-rabbitmq calls the cluster in its events, beside `clusterName`."""

_RABBITMQ_COMMON = {
    **_OTEL_COMMON,
    "otel.library.name": (
        "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/rabbitmqreceiver"
    ),
}
"""What the rules for RabbitMQ's nodes and queues ask of a point; they have none for its clusters.

Source: newrelic/entity-definitions, entity-types/infra-rabbitmq{node,queue}.
"""

_RABBITMQ_COLUMNS = {
    NODE: {"node": "rabbitmq.node.name"},
    QUEUE: {
        "queue.leader": "rabbitmq.node.name",
        "queue": "rabbitmq.queue.name",
        "vhost": "rabbitmq.vhost.name",
    },
}


def events(batch: pa.RecordBatch) -> pa.LargeStringArray:
    """Each sample as an event: a JSON object followed by a comma.

    Nulls, NaN and infinities are left out. Strings over 4,096 characters are cut and end in `…`.

    Raises:
        ValueError: the batch is of no known entity type, or of one that has more attributes, or
            longer names, than an event may have.
    """
    entity_type = entity_type_of(batch)
    check_event(entity_type)
    own = _own_of(batch, RABBITMQ) if entity_type.provider_events else None
    if own is not None:
        # Of several clusters: each sample keeps its place.
        parts = [events(batch.filter(own)), events(batch.filter(pc.invert(own)))]
        return pa.concat_arrays(parts).take(_places(own))
    provider = _provider_of(batch)
    event_type = dict(entity_type.provider_events).get(provider or "", entity_type.event_type)
    return _events(batch, entity_type, event_type, entity_type.metrics_of(provider))


def _own_of(batch: pa.RecordBatch, provider: str) -> pa.BooleanArray | None:
    """Which samples are a provider's, where some are and others are not."""
    theirs = pc.fill_null(pc.equal(batch.column("provider"), provider), False)
    return theirs if 0 < pc.sum(theirs.cast(pa.int64())).as_py() < len(batch) else None


def _places(own: pa.BooleanArray) -> pa.Array:
    """Where each row is once those that are `own` stand before the others."""
    return pa.array(np.argsort(np.argsort(~np.asarray(own), kind="stable")))


def _provider_of(batch: pa.RecordBatch) -> str | None:
    """The provider of a batch that is all RabbitMQ's, or not at all: then any of its samples'."""
    return batch.column("provider")[0].as_py() if len(batch) else None


def _events(
    batch: pa.RecordBatch,
    entity_type: EntityType,
    event_type: str,
    metrics: Sequence[Metric],
) -> pa.LargeStringArray:
    """Events of one type, with the metrics' second names where they have such."""
    columns = {
        "timestamp": "timestamp",
        **_COMMON,
        **{i.column: i.attribute for i in entity_type.identity},
        **{m.name: m.name for m in metrics},
    }
    columns |= {m.event_alias: m.event_alias for m in metrics if m.event_alias}
    batch = _as_events(with_names(batch), entity_type)
    if event_type.startswith("Rabbitmq"):
        columns[_RABBITMQ_CLUSTER] = _RABBITMQ_CLUSTER
        batch = batch.append_column(_RABBITMQ_CLUSTER, batch.column("cluster_name"))
    parts: list[Fragment] = [f'{{"eventType":"{event_type}","entityType":"{entity_type.name}"']
    parts += members(batch, columns.items())
    return rows_of([*parts, "},"], len(batch))


def _as_events(batch: pa.RecordBatch, entity_type: EntityType) -> pa.RecordBatch:
    """The batch in the units that events have, with second names as columns."""
    for metric in entity_type.metrics:
        if metric.name not in batch.schema.names:
            continue
        values = batch.column(metric.name)
        if metric.event_factor != 1:
            place = batch.schema.get_field_index(metric.name)
            batch = batch.set_column(place, metric.name, pc.multiply(values, metric.event_factor))
        if metric.event_alias:
            batch = batch.append_column(metric.event_alias, values)
    return batch


def metric_blocks(
    batch: pa.RecordBatch, interval: int, *, known_only: bool = False
) -> tuple[pa.LargeStringArray, pa.RecordBatch]:
    """Each sample as a block of metric points, a JSON object followed by a comma; and the samples.

    A metric that OpenTelemetry knows has its name there, and a rate that is a counter there is
    the count over `interval` (milliseconds), which is the time between two ticks; all others
    are gauges under their own names, or counts; with `known_only` they are left out. Words are
    attributes. Samples without any number have no points: they are left out of both. See `events`
    for what is left out and cut.

    Raises:
        ValueError: see `events`.
    """
    entity_type = entity_type_of(batch)
    check_points(entity_type)
    own = _own_of(batch, RABBITMQ) if entity_type.provider_events else None
    if own is not None:
        numbered = batch.append_column(_PLACE, pa.array(range(len(batch))))
        parts = [numbered.filter(own), numbered.filter(pc.invert(own))]
        both = [metric_blocks(part, interval, known_only=known_only) for part in parts]
        left = pa.concat_batches([samples for _, samples in both])
        order = pc.sort_indices(left.column(_PLACE))
        rows = pa.concat_arrays([rows for rows, _ in both]).take(order)
        return rows, left.take(order).drop_columns([_PLACE])
    named = with_names(batch)
    metrics, batch = _metrics(_points(named, entity_type, interval, known_only), named)
    if len(batch) == 0 or not metrics:
        return pa.array([], TEXT), batch.slice(0, 0).drop_columns([EVENT_NAME, DISPLAY_NAME])
    parts = [
        f'{{"common":{{"interval.ms":{interval},"timestamp":',
        *numbers([batch.column("timestamp")]),
        ',"attributes":{',
        *_point_attributes(batch, entity_type),
        '}},"metrics":[',
        *metrics,
        "]},",
    ]
    return rows_of(parts, len(batch)), batch.drop_columns([EVENT_NAME, DISPLAY_NAME])


def point_count(batch: pa.RecordBatch, *, known_only: bool = False) -> int:
    """How many data points `metric_blocks` makes of a batch."""
    entity_type = entity_type_of(batch)
    own = _own_of(batch, RABBITMQ) if entity_type.names_of else None
    if own is not None:
        parts = (batch.filter(own), batch.filter(pc.invert(own)))
        return sum(point_count(part, known_only=known_only) for part in parts)
    metrics = _numeric(entity_type, batch)
    columns = [batch.column(m.name) for m in metrics if m.otel is not None or not known_only]
    return sum(len(column) - column.null_count for column in columns)


def _metrics(
    points: Sequence[Sequence[Fragment]], batch: pa.RecordBatch
) -> tuple[list[Fragment], pa.RecordBatch]:
    """Points with commas between them, and the samples that have any."""
    always: list[Sequence[Fragment]] = []
    seldom: list[Sequence[Fragment]] = []
    for point in points:
        (always if all(never_null(part) for part in point) else seldom).append(point)
    if always:
        parts = [part for point in always for part in (",", *point)]
        return [*parts[1:], *(joined([",", *point]) for point in seldom)], batch
    joins: list[pa.Array] = [joined(point) for point in seldom]
    some = reduce(pc.or_, (join.is_valid() for join in joins), pa.repeat(False, len(batch)))
    if not pc.all(some).as_py():
        # Arrow's join loses rows of which every part is null.
        joins, batch = [join.filter(some) for join in joins], batch.filter(some)
    return [joined(joins, ",", nulls="skip")], batch


def _points(
    batch: pa.RecordBatch, entity_type: EntityType, interval: int, known_only: bool
) -> list[list[Fragment]]:
    """Each metric's points, in pieces; a piece is null where the metric is.

    Counts bear the start of their interval, whose length is common to all.
    """
    metrics = [m for m in _numeric(entity_type, batch) if m.name in batch.schema.names]
    if known_only:
        metrics = [m for m in metrics if m.otel is not None]
    metrics = [m for m in metrics if batch.column(m.name).null_count < len(batch)]
    columns = [_column_of(batch, metric, interval) for metric in metrics]
    starts, *values = numbers(
        [pc.subtract(batch.column("timestamp").cast(pa.int64()), interval), *columns]
    )
    points = []
    for metric, value in zip(metrics, values, strict=True):
        # What names no type is a gauge.
        head: list[Fragment] = [f'{{"name":{json.dumps(metric.point)},']
        if metric.counts:
            head += ['"type":"count","timestamp":', starts, ","]
        head.append('"value":')
        points.append([*head, value, _attributes_of(metric) + "}"])
    return points


def _numeric(entity_type: EntityType, batch: pa.RecordBatch) -> list[Metric]:
    """The metrics that are numbers, of a batch that is all one provider's, under their names."""
    return [m for m in entity_type.metrics_of(_provider_of(batch)) if m.type != STRING]


def _column_of(batch: pa.RecordBatch, metric: Metric, interval: int) -> pa.Array:
    """A metric's values; a rate that is a counter in New Relic is the count over the interval."""
    values = batch.column(metric.name)
    if metric.kind is MetricKind.RATE and metric.counts:
        return pc.multiply(values, interval / 1000)
    return values if metric.otel_factor == 1 else pc.multiply(values, metric.otel_factor)


def _attributes_of(metric: Metric) -> str:
    if not metric.otel_attributes:
        return ""
    return f',"attributes":{json.dumps(dict(metric.otel_attributes), separators=(",", ":"))}'


def _point_attributes(batch: pa.RecordBatch, entity_type: EntityType) -> list[Fragment]:
    columns = [
        *_COMMON.items(),
        *((i.column, i.attribute) for i in entity_type.identity),
        *((m.name, m.name) for m in entity_type.metrics if m.type == STRING),
    ]
    common, theirs = _otel_of(entity_type, _provider_of(batch))
    constants = "".join(f',"{key}":"{value}"' for key, value in common.items())
    attributes: list[Fragment] = [f'"entityType":"{entity_type.name}"{constants}']
    # All words at once, for those of one entity are spread over the rows together.
    words = [(c, name) for c, name in theirs.items() if _is_word(batch, c)]
    numbers_ = {c: name for c, name in theirs.items() if not _is_word(batch, c)}
    attributes += members(batch, [*columns, *words])
    attributes += members(batch, numbers_.items(), quoted=True)
    return attributes


def _is_word(batch: pa.RecordBatch, column: str) -> bool:
    there = column in batch.schema.names
    return there and pa.types.is_dictionary(batch.schema.field(column).type)


def _otel_of(
    entity_type: EntityType, provider: str | None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What New Relic's rules ask of a point: constants, and the names of columns."""
    if provider == RABBITMQ:
        columns = _RABBITMQ_COLUMNS.get(entity_type)
        return (_RABBITMQ_COMMON, columns) if columns else ({}, {})
    return (_OTEL_COMMON, _OTEL_COLUMNS) if entity_type in _OTEL_ENTITIES else ({}, {})


@cache
def check_event(entity_type: EntityType) -> None:
    """Raise ValueError where New Relic would drop this type's events."""
    _check(entity_type, event_attributes(entity_type), _MAX_EVENT_ATTRIBUTES, "an event")


def event_attributes(entity_type: EntityType) -> list[str]:
    """Names of all that an entity type's events may have."""
    names = ["eventType", "timestamp", "entityType", *_COMMON.values()]
    return (
        names
        + [i.attribute for i in entity_type.identity]
        + [metric.name for metric in entity_type.metrics]
        + [metric.event_alias for metric in entity_type.metrics if metric.event_alias]
    )


@cache
def check_points(entity_type: EntityType) -> None:
    """Raise ValueError where New Relic would drop this type's metric points."""
    words = [m.name for m in entity_type.metrics if m not in entity_type.numeric]
    names = [
        "entityType",
        *_COMMON.values(),
        *_OTEL_COMMON,
        *_OTEL_COLUMNS.values(),
        *_RABBITMQ_COLUMNS.get(entity_type, {}).values(),
    ]
    names += [i.attribute for i in entity_type.identity] + words
    names += [key for m in entity_type.metrics for key, _ in m.otel_attributes]
    _check(entity_type, list(dict.fromkeys(names)), _MAX_POINT_ATTRIBUTES, "a metric point")


def _check(entity_type: EntityType, names: Sequence[str], limit: int, what: str) -> None:
    if len(names) > limit:
        raise ValueError(
            f"{entity_type.name} makes {len(names)} attributes of {what}; New Relic drops one "
            f"with more than {limit}: take metrics out of the table, or split the entity type"
        )
    long = [name for name in names if len(name) > _MAX_NAME]
    if long:
        raise ValueError(
            f"{entity_type.name}: New Relic drops {what} with a name of more than {_MAX_NAME} "
            f"characters: shorten {long}"
        )
