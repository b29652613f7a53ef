"""New Relic's events as JSON, such as nri-kafka makes, to batches of samples.

A message holds one event, a list of events, an integration's whole output (`data` with `metrics` in
it), several of these a line each, or one in the envelope of Kafka Connect's JsonConverter. An event
names its type as `eventType` or `event_type`; its metrics have the names and units that events have by the
metric table, what else it has that the table lacks is left out. What has nothing that the table has is
no sample.

Of nri-kafka's rows of one event type some are of other entities: those of a group and a topic, of a
partition, of a client, and those of a broker that name a topic, whose bytes are the topic's. Those of one
message are added up, for each broker has its own. Rows of clients, and of topics on brokers as they
are, are events alone (`Only`).
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from operators.schema.arrow import Only, as_only, sample_batch, schema_of
from operators.schema.guid import broker_name, entity_guid, entity_path
from operators.schema.metrics import (
    BROKER,
    BROKER_ID,
    BROKER_TOPIC,
    BY_NAME,
    CONSUMER_GROUP,
    CONSUMER_GROUP_ID,
    EVENTS_ALONE,
    GROUP_CLIENT,
    GROUP_TOPIC,
    PARTITION_OFFSET,
    STRING,
    TOPIC,
    EntityType,
    Metric,
    Origin,
)

Event = Mapping[str, Any]

_SECONDS_BEFORE = 100_000_000_000
"""A timestamp below is in seconds: as seconds it is the year 5138, as milliseconds 1973."""
_OF_TOPICS = {
    "broker.bytesWrittenToTopicPerSecond": "topic.bytesInPerSecond",
    "topic.diskSize": "topic.diskSize",
}
"""What a broker's row that names a topic has, and the topic's metric of which it is a part."""
_HOST = "broker.host"
_ENVELOPE = {"schema", "payload"}
MARK = b"\xef\xbb\xbf"
"""The byte-order mark of UTF-8, with which some write it."""

EventRow = dict[str, Any]


def is_json(value: bytes) -> bool:
    """Whether a message is JSON rather than a batch."""
    return value.removeprefix(MARK).lstrip()[:1] in (b"{", b"[")


def batches_of(
    value: bytes, timestamp: int, account_id: int | None, *, events_alone: bool = False
) -> tuple[list[pa.RecordBatch], list[str]]:
    """The samples of a JSON message, a batch an entity type, and what is wrong with it.

    An event that is no sample costs none of the others. `timestamp` (ms) is for those that have
    none; `account_id` is part of the GUIDs of those that have none. Without `events_alone` nobody
    takes what is an event alone. Never raises.
    """
    try:
        documents, reasons = _documents(value.removeprefix(MARK))
        events = [event for document in documents for event in _events(document)]
    except (ValueError, RecursionError) as error:
        return [], [f"not JSON: {error}"]
    if not events and not reasons:
        reasons = ["no event in it"]
    rows: dict[str, list[EventRow]] = {}
    written: dict[tuple[Any, ...], EventRow] = {}
    for number, event in enumerate(events):
        try:
            if _is_of_topic_on_broker(event):
                _add(written, _row(TOPIC, _of_topic(event), timestamp, account_id))
                if not events_alone:
                    continue
                entity_type = BROKER_TOPIC
            else:
                entity_type = _entity_type(event, events_alone=events_alone)
            row = _row(entity_type, event, timestamp, account_id)
        except (ValueError, TypeError, OverflowError) as error:
            reasons.append(f"event {number}: {error}")
        else:
            rows.setdefault(entity_type.name, []).append(row)
    if written:
        topics = rows.setdefault(TOPIC.name, [])
        for row in topics:
            _fill(row, written.pop(_key(row), {}))
        topics += written.values()
    return [_batch(BY_NAME[name], found) for name, found in rows.items()], reasons


def _documents(value: bytes) -> tuple[list[Any], list[str]]:
    """What is written in a message: one JSON document, or one a line; and the lines that are none."""
    try:
        return [json.loads(value)], []
    except ValueError:
        lines = [line for line in value.splitlines() if line.strip()]
        documents, reasons = [], []
        for number, line in enumerate(lines, 1):
            try:
                documents.append(json.loads(line))
            except ValueError as error:
                reasons.append(f"line {number}: not JSON: {error}")
        if not documents:
            raise
        return documents, reasons


def _key(row: EventRow) -> tuple[Any, ...]:
    return row["entity_guid"], row["timestamp"], row["origin"]


def _add(rows: dict[tuple[Any, ...], EventRow], row: EventRow) -> None:
    """Put in a topic's bytes on one broker, or add them to those on others."""
    before = rows.setdefault(_key(row), row)
    if before is not row:
        for metric in _OF_TOPICS.values():
            if row[metric] is not None:
                before[metric] = row[metric] + (before[metric] or 0)


def _fill(row: EventRow, more: EventRow) -> None:
    for column, value in more.items():
        if row[column] is None:
            row[column] = value


def _is_of_topic_on_broker(event: Event) -> bool:
    written, size = _OF_TOPICS
    reported = event.get(written) is not None or (
        event.get("topic") and event.get(size) is not None
    )
    return _type(event) == BROKER.event_type and bool(reported)


def _of_topic(event: Event) -> Event:
    """A broker's row of a topic as the topic's own."""
    if event.get("topic") is None:
        raise ValueError(f"it has `{next(iter(_OF_TOPICS))}` and no `topic`")
    kept = ("timestamp", "clusterName", "provider", "environment", "origin", "anomaly", "topic")
    return {name: event[name] for name in kept if name in event} | {
        "eventType": TOPIC.event_type,
        **{own: event.get(theirs) for theirs, own in _OF_TOPICS.items()},
    }


def _batch(entity_type: EntityType, rows: list[EventRow]) -> pa.RecordBatch:
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    batch = sample_batch(entity_type, len(rows), columns)
    return as_only(batch, Only.EVENTS) if entity_type in EVENTS_ALONE else batch


def _events(document: Any) -> Iterator[Event]:
    if isinstance(document, list):
        for item in document:
            yield from _events(item)
    elif isinstance(document, dict) and document.keys() == _ENVELOPE:
        payload = document["payload"]
        yield from _events(json.loads(payload) if isinstance(payload, str) else payload or [])
    elif isinstance(document, dict) and "data" in document:
        for entity in document["data"] if isinstance(document["data"], list) else ():
            yield from _events(entity.get("metrics", []) if isinstance(entity, dict) else [])
    elif isinstance(document, dict):
        yield document
    else:
        raise ValueError(f"an event is an object, not {type(document).__name__}")


def _type(event: Event) -> Any:
    return event.get("eventType", event.get("event_type"))


def _entity_type(event: Event, *, events_alone: bool) -> EntityType:
    found = _own_type(event)
    if found is GROUP_CLIENT and not events_alone:
        raise ValueError("a client's lag is an event of New Relic's, and goes nowhere else")
    return found


def _own_type(event: Event) -> EntityType:
    name = _type(event)
    found = [t for t in BY_NAME.values() if t.event_type == name]
    if not found:
        raise ValueError(f"no entity type has events `{name}`")
    own = [t for t in found if t.name == event.get("entityType")]
    if own:
        return own[0]
    if CONSUMER_GROUP not in found:
        return found[0]
    if event.get("partition") is not None:
        return PARTITION_OFFSET
    if event.get(GROUP_CLIENT.metrics[0].name) is not None:
        return GROUP_CLIENT
    return CONSUMER_GROUP if event.get("topic") is None else GROUP_TOPIC


def _row(entity_type: EntityType, event: Event, timestamp: int, account_id: int | None) -> EventRow:
    cluster = _word(event, "clusterName")
    if cluster is None:
        raise ValueError("it has no `clusterName`")
    identity = _identity(entity_type, event)
    provider = _word(event, "provider") or "kafka"
    parts = _path(entity_type, identity, event)
    row: EventRow = {
        "timestamp": _timestamp(event.get("timestamp", timestamp)),
        "entity_guid": _word(event, "entityGuid")
        or entity_guid(account_id, entity_type.name, provider, cluster, *parts),
        "entity_type": entity_type.name,
        "entity_name": entity_path(cluster, *parts),
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
        row[metric.name] = _metric(metric, event, types.field(metric.name).type)
    if BROKER_ID in entity_type.identity and identity[BROKER_ID.column] is None:
        row[_HOST] = row[_HOST] or parts[0]  # the one name that nri-kafka gives a broker
    if "entityType" not in event and all(row[m.name] is None for m in entity_type.numeric):
        raise ValueError(f"none of what it has is a metric of {entity_type.name}")
    return row


def _metric(metric: Metric, event: Event, type_: pa.DataType) -> Any:
    """A metric in the table's unit, by any of its names in events."""
    for name in (metric.name, metric.event_alias):
        if name is not None and event.get(name) is not None:
            value = _value(event[name], type_)
            return value if metric.event_factor == 1 else value / metric.event_factor
    return None


def _identity(entity_type: EntityType, event: Event) -> dict[str, Any]:
    identity = {}
    for column in entity_type.identity:
        value = event.get(column.attribute)
        if value is None and column.column == "topic":
            value = _unprefixed(event.get("displayName") or event.get("entityName"), "topic:")
        # nri-kafka gives a broker no id, and does not say of which group a client's lag is.
        lacks = column is BROKER_ID or (column is CONSUMER_GROUP_ID and entity_type is GROUP_CLIENT)
        if value is None and not lacks:
            raise ValueError(f"it has no `{column.attribute}`")
        identity[column.column] = _value(value, column.type)
    return identity


def _path(entity_type: EntityType, identity: Mapping[str, Any], event: Event) -> tuple[str, ...]:
    """What of the entity's path comes after its cluster. nri-kafka gives brokers no id, a name."""
    if BROKER_ID in entity_type.identity:
        number = identity[BROKER_ID.column]
        name = _word(event, "displayName") or _word(event, "entityName")
        name = _unprefixed(name, "broker:")
        if number is None and name is None:
            raise ValueError("it has neither `brokerId` nor `displayName`")
        rest = [str(v) for column, v in identity.items() if column != BROKER_ID.column]
        return (name or "" if number is None else broker_name(number), *rest)
    return tuple(str(value) for value in identity.values() if value is not None)


def _unprefixed(name: Any, prefix: str) -> Any:
    """A name without what nri-kafka puts before it."""
    return name.removeprefix(prefix) if isinstance(name, str) else name


def _timestamp(value: Any) -> int:
    """Milliseconds of a number of seconds or milliseconds, or of a time by ISO 8601 (else UTC)."""
    number = _of_iso(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 2.5e14:
        raise ValueError(f"`timestamp` is {value!r}")
    return round(number * 1000) if number < _SECONDS_BEFORE else round(number)


def _of_iso(value: str) -> float | None:
    """Seconds, or what a number is that is written as a string; None where it is neither."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


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
