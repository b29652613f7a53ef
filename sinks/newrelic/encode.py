"""From Arrow batches to New Relic's JSON: one object a sample, cut into payloads by size.

A sample becomes one JSON object in either shape: an event, or a block of the Metric API
(`{"common": …, "metrics": [...]}`), so that both are arrays of objects that are cut between two
samples. Objects are put together column by column with Arrow's string kernels, which leave out
what is null.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import isal_zlib

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    PARTITION_OFFSET,
    TOPIC,
    EntityType,
    Kind,
    Metric,
)

PAYLOAD_BYTES = 1_000_000
"""The most bytes that New Relic takes in one POST."""

TEXT = pa.large_string()

Part: TypeAlias = pa.Array | str
"""A piece of JSON: one string a row, or one that is the same in all rows."""

_MAX_STRING = 4_096
_MAX_NAME = 255
_MAX_EVENT_ATTRIBUTES = 255
_MAX_POINT_ATTRIBUTES = 100
_CUT_MARK = "…"

_COMMON = {
    "entity_guid": "entityGuid",
    "entity_name": "entityName",
    "cluster_name": "clusterName",
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
    "broker_id": "broker.id",
    "consumer_group": "group",
}
_OTEL_ENTITIES = (CLUSTER, BROKER, TOPIC, CONSUMER_GROUP, PARTITION_OFFSET)


@dataclass(frozen=True, slots=True)
class Payload:
    """A compressed body and which rows are in it: `start` to `stop` of what was cut.

    `raw_bytes` is its size before compression.
    """

    start: int
    stop: int
    body: bytes
    raw_bytes: int


def events(batch: pa.RecordBatch) -> pa.LargeStringArray:
    """Each sample as an event: a JSON object followed by a comma.

    Nulls, NaN and infinities are left out. Strings over 4,096 characters are cut and end in `…`.

    Raises:
        ValueError: the batch is of no known entity type, or of one that has more attributes, or
            longer names, than an event may have.
    """
    entity_type = entity_type_of(batch)
    check_event(entity_type)
    columns = {
        "timestamp": "timestamp",
        **_COMMON,
        **{i.column: i.attribute for i in entity_type.identity},
        **{m.name: m.name for m in entity_type.metrics},
    }
    parts: list[Part] = [
        f'{{"eventType":"{entity_type.event_type}","entityType":"{entity_type.name}"'
    ]
    parts += _members(batch, columns)
    return _rows([*parts, "},"], len(batch))


def metric_blocks(
    batch: pa.RecordBatch, interval: int
) -> tuple[pa.LargeStringArray, pa.RecordBatch]:
    """Each sample as a block of metric points, a JSON object followed by a comma; and the samples.

    A metric that OpenTelemetry knows has its name there, and a rate that is a counter there is
    the count over `interval` (milliseconds), which is the time between two ticks; all others
    are gauges under their own names, or counts. Words are attributes. Samples without any
    number have no points: they are left out of both. See `events` for what is left out and cut.

    Raises:
        ValueError: see `events`.
    """
    entity_type = entity_type_of(batch)
    check_points(entity_type)
    points = _points(batch, entity_type, interval)
    if not points:
        return pa.array([], TEXT), batch.slice(0, 0)
    nullable = [point for point in points if not isinstance(point, str)]
    if len(nullable) == len(points):
        some = reduce(pc.or_, [point.is_valid() for point in nullable])
        if not pc.all(some).as_py():
            # Arrow's join loses rows of which every part is null.
            points, batch = [point.filter(some) for point in nullable], batch.filter(some)
    parts = [
        '{"common":{"timestamp":',
        _number(batch.column("timestamp")),
        ',"attributes":{',
        *_point_attributes(batch, entity_type),
        '}},"metrics":[',
        _joined(points, ",", nulls="skip"),
        "]},",
    ]
    return _rows(parts, len(batch)), batch


def payloads(
    rows: pa.LargeStringArray,
    max_bytes: int = PAYLOAD_BYTES,
    max_raw_bytes: int = PAYLOAD_BYTES,
) -> Iterator[Payload]:
    """Cut rows (JSON objects, each with its comma) into gzipped JSON arrays.

    A payload holds as many rows as fit into `max_raw_bytes` before and `max_bytes` after
    compression, and at least one: a single row may be larger than either.
    """
    if len(rows) == 0:
        return
    offsets = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset : rows.offset + len(rows) + 1]
    data = memoryview(rows.buffers()[2])
    start = 0
    while start < len(rows):
        # Brackets add two bytes, the last comma takes one away.
        fits = np.searchsorted(offsets, offsets[start] + max_raw_bytes - 1, side="right") - 1
        stop = max(start + 1, int(fits))
        while True:
            raw = b"".join((b"[", data[offsets[start] : offsets[stop] - 1], b"]"))
            body = isal_zlib.compress(raw, 1, wbits=31)
            if len(body) <= max_bytes or stop - start == 1:
                break
            fraction = 0.95 * max_bytes / len(body)
            stop = start + max(1, int((stop - start) * fraction))
        yield Payload(start, stop, body, len(raw))
        start = stop


def _members(batch: pa.RecordBatch, columns: dict[str, str], quoted: bool = False) -> list[Part]:
    """`,"name":value` of each column that is there; null where the value is."""
    parts: list[Part] = []
    for column, name in columns.items():
        if column not in batch.schema.names:
            continue
        values = batch.column(column)
        if pa.types.is_dictionary(values.type):
            parts += _string_member(name, values)
            continue
        quote = '"' if quoted else ""
        parts += _fragment(f",{json.dumps(name)}:{quote}", _number(values), quote)
    return parts


def _fragment(before: str, values: Part, after: str) -> list[Part]:
    """Values between two constants, as one nullable part, or as cheaper ones without nulls."""
    if isinstance(values, str) or values.null_count == 0:
        return [before, values, after]
    return [] if values.null_count == len(values) else [_joined([before, values, after])]


def _string_member(name: str, values: pa.DictionaryArray) -> list[Part]:
    if values.null_count == len(values):
        return []
    if len(values.dictionary) > len(values):
        values = values.dictionary_decode().dictionary_encode()
    key = f",{json.dumps(name)}:"
    words = values.dictionary
    if _needs_care(words):
        members = pa.array(
            [None if w is None else key + _quoted(w) for w in words.to_pylist()], TEXT
        )
    else:
        members = _joined([f'{key}"', words.cast(TEXT), '"'])
    if len(members) == 1 and values.null_count == 0:
        return [members[0].as_py()]
    return [members.take(values.indices)]


def _needs_care(words: pa.LargeStringArray) -> bool:
    lengths = pc.max(pc.utf8_length(words)).as_py() or 0
    escapes = pc.any(pc.match_substring_regex(words, r'["\\\x00-\x1f\x7f]')).as_py()
    return lengths > _MAX_STRING or bool(escapes)


def _quoted(word: str) -> str:
    if len(word) > _MAX_STRING:
        word = word[: _MAX_STRING - len(_CUT_MARK)] + _CUT_MARK
    return json.dumps(word, ensure_ascii=False)


def _number(values: pa.Array) -> Part:
    """Numbers as JSON; null where they are null or not finite. Times are integer milliseconds."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    elif pa.types.is_floating(values.type):
        finite = pc.is_finite(values)
        if not pc.all(finite).as_py():
            values = pc.if_else(finite, values, None)
    if values.null_count == 0 and len(values):
        bounds = pc.min_max(values).as_py()
        if bounds["min"] == bounds["max"]:
            return json.dumps(bounds["min"])
    if pa.types.is_floating(values.type):
        # Polars writes doubles three times as fast as Arrow, as exactly.
        # Half a second of a start: only those wait for it who send to New Relic.
        import polars as pl

        return pl.Series(values).cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
    return values.cast(TEXT)


def _points(batch: pa.RecordBatch, entity_type: EntityType, interval: int) -> list[Part]:
    """Each metric's points; null where the metric is. Counts bear the start of their interval."""
    starts = _number(pc.subtract(batch.column("timestamp").cast(pa.int64()), interval))
    points = []
    for metric in entity_type.numeric:
        if metric.name not in batch.schema.names:
            continue
        values = batch.column(metric.name)
        if values.null_count == len(values):
            continue
        counter = _is_counter(metric)
        if metric.kind is Kind.RATE and counter:
            values = pc.multiply(values, interval / 1000)
        head: list[Part] = [f'{{"name":{json.dumps(metric.otel or metric.name)},"type":']
        if counter:
            head += [f'"count","interval.ms":{interval},"timestamp":', starts, ',"value":']
        else:
            head += ['"gauge","value":']
        points.append(_joined([*head, _number(values), _attributes_of(metric) + "}"]))
    return points


def _is_counter(metric: Metric) -> bool:
    return metric.kind is Kind.COUNT or (metric.kind is Kind.RATE and metric.otel is not None)


def _attributes_of(metric: Metric) -> str:
    if not metric.otel_attributes:
        return ""
    return f',"attributes":{json.dumps(dict(metric.otel_attributes))}'


def _point_attributes(batch: pa.RecordBatch, entity_type: EntityType) -> list[Part]:
    identity = {i.column: i.attribute for i in entity_type.identity}
    words = {m.name: m.name for m in entity_type.metrics if m not in entity_type.numeric}
    attributes: list[Part] = [f'"entityType":"{entity_type.name}"']
    attributes += _members(batch, {**_COMMON, **identity, **words})
    if entity_type in _OTEL_ENTITIES:
        attributes += [f',"{key}":"{value}"' for key, value in _OTEL_COMMON.items()]
        columns = {c: a for c, a in _OTEL_COLUMNS.items() if c in batch.schema.names}
        attributes += _members(batch, columns, quoted=True)
    return attributes


def _rows(parts: Sequence[Part], rows: int) -> pa.LargeStringArray:
    """One string a row; null parts are left out, and one part at least is never null."""
    joined = _joined(parts, nulls="skip")
    return pa.repeat(pa.scalar(joined, TEXT), rows) if isinstance(joined, str) else joined


def _joined(
    parts: Sequence[Part], separator: str = "", nulls: Literal["skip", "emit_null"] = "emit_null"
) -> Part:
    """Parts put together, row by row; neighbours that are the same in all rows beforehand."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += separator + part
        else:
            merged.append(part)
    if len(merged) == 1 and isinstance(merged[0], str):
        return merged[0]
    # Scalars that are Arrow's already cost a tenth of those that it makes of Python's.
    arguments = [pa.scalar(p, TEXT) if isinstance(p, str) else p for p in (*merged, separator)]
    return pc.binary_join_element_wise(*arguments, null_handling=nulls)


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
