"""New Relic's events as JSON, such as nri-kafka makes, to batches of samples.

A message holds one event, a list of events, or an integration's whole output (`data` with
`metrics` in it). An event names its type as `eventType` or `event_type`; its metrics have the
names of the metric table, what else it has that the table lacks is left out.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from operators.schema.arrow import sample_batch, schema_of
from operators.schema.guid import entity_guid
from operators.schema.metrics import (
    BROKER_ID,
    BY_NAME,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    PARTITION_OFFSET,
    STRING,
    EntityType,
    Origin,
)

Event = Mapping[str, Any]

_SECONDS_BEFORE = 100_000_000_000
"""A timestamp below is in seconds: as seconds it is the year 5138, as milliseconds 1973."""


def batches_of(
    value: bytes, timestamp: int, account_id: int | None
) -> tuple[list[pa.RecordBatch], list[str]]:
    """The samples of a JSON message, a batch an entity type, and what is wrong with it.

    An event that is no sample costs none of the others. `timestamp` (ms) is for those that have
    none; `account_id` is part of the GUIDs of those that have none. Never raises.
    """
    try:
        events = list(_events(json.loads(value)))
    except (ValueError, RecursionError) as error:
        return [], [f"not JSON: {error}"]
    rows: dict[str, list[dict[str, Any]]] = {}
    reasons = [] if events else ["no event in it"]
    for number, event in enumerate(events):
        try:
            entity_type = _entity_type(event)
            row = _row(entity_type, event, timestamp, account_id)
        except (ValueError, TypeError, OverflowError) as error:
            reasons.append(f"event {number}: {error}")
        else:
            rows.setdefault(entity_type.name, []).append(row)
    return [_batch(BY_NAME[name], found) for name, found in rows.items()], reasons


def _batch(entity_type: EntityType, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    return sample_batch(entity_type, len(rows), columns)


def _events(document: Any) -> Iterator[Event]:
    if isinstance(document, list):
        for item in document:
            yield from _events(item)
    elif isinstance(document, dict) and "data" in document:
        for entity in document["data"] if isinstance(document["data"], list) else ():
            yield from _events(entity.get("metrics", []) if isinstance(entity, dict) else [])
    elif isinstance(document, dict):
        yield document
    else:
        raise ValueError(f"an event is an object, not {type(document).__name__}")


def _entity_type(event: Event) -> EntityType:
    name = event.get("eventType", event.get("event_type"))
    found = [t for t in ENTITY_TYPES if t.event_type == name]
    if not found:
        raise ValueError(f"no entity type has events `{name}`")
    if CONSUMER_GROUP in found:
        return PARTITION_OFFSET if "partition" in event else CONSUMER_GROUP
    return found[0]


def _row(
    entity_type: EntityType, event: Event, timestamp: int, account_id: int | None
) -> dict[str, Any]:
    cluster = _word(event, "clusterName")
    if cluster is None:
        raise ValueError("it has no `clusterName`")
    identity = _identity(entity_type, event)
    provider = _word(event, "provider") or "kafka"
    parts = _path(entity_type, identity, event)
    row: dict[str, Any] = {
        "timestamp": _timestamp(event.get("timestamp", timestamp)),
        "entity_guid": _word(event, "entityGuid")
        or entity_guid(account_id, entity_type.name, provider, cluster, *parts),
        "entity_type": entity_type.name,
        "entity_name": "/".join((cluster, *parts)),
        "cluster_name": cluster,
        "provider": provider,
        "environment": _word(event, "environment"),
        "origin": _origin(event),
        "anomaly": _word(event, "anomaly"),
        "late": bool(event.get("late", False)),
        **identity,
    }
    types = schema_of(entity_type)
    for metric in entity_type.metrics:
        row[metric.name] = _value(event.get(metric.name), types.field(metric.name).type)
    return row


def _identity(entity_type: EntityType, event: Event) -> dict[str, Any]:
    identity = {}
    for column in entity_type.identity:
        value = event.get(column.attribute)
        if value is None and column.column == "topic":
            value = event.get("displayName")
        if value is None and column is not BROKER_ID:
            raise ValueError(f"it has no `{column.attribute}`")
        identity[column.column] = _value(value, column.type)
    return identity


def _path(entity_type: EntityType, identity: Mapping[str, Any], event: Event) -> tuple[str, ...]:
    """What of the entity's path comes after its cluster. nri-kafka gives brokers no id, a name."""
    if BROKER_ID in entity_type.identity:
        number = identity[BROKER_ID.column]
        name = _word(event, "displayName") or _word(event, "entityName")
        if number is None and name is None:
            raise ValueError("it has neither `brokerId` nor `displayName`")
        return (name or "" if number is None else f"broker-{number}",)
    return tuple(str(value) for value in identity.values())


def _timestamp(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2.5e14:
        raise ValueError(f"`timestamp` is {value!r}")
    return round(value * 1000) if value < _SECONDS_BEFORE else round(value)


def _origin(event: Event) -> str:
    origin = event.get("origin", Origin.COLLECTED)
    try:
        return Origin(origin)
    except ValueError:
        raise ValueError(f"`origin` is {origin!r}") from None


def _word(event: Event, attribute: str) -> str | None:
    value = event.get(attribute)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{attribute}` is {value!r}, not a string")
    return _text(value) if value else None


def _text(value: Any) -> str:
    """A string that can be encoded; JSON may hold half of a character.

    Raises:
        UnicodeEncodeError: it cannot.
    """
    text = str(value)
    text.encode()
    return text


def _value(value: Any, type_: pa.DataType) -> Any:
    """A value of JSON as the column has it; numbers may be written as strings."""
    if value is None:
        return None
    if type_ == STRING:
        return _text(value)
    number = float(value)
    if pa.types.is_floating(type_):
        return number
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{value!r} is no whole number")
    whole = int(value) if isinstance(value, int | str) and "." not in str(value) else int(number)
    pa.scalar(whole, type_)
    return whole
