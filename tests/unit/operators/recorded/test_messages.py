"""Recorded messages: batches and New Relic's JSON become samples, anything else a reason."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.recorded.message import read_message, within
from operators.recorded.plan import OffsetStretch, ReplayPlan
from operators.schema.arrow import Only, entity_type_of, only, sample_batch, schema_of
from operators.schema.guid import entity_guid
from operators.schema.ipc import encode
from operators.schema.metrics import ENTITY_TYPES, EVENTS_ALONE, STRING, TOPIC, EntityType
from sinks.newrelic.encode import events
from tests.samples import INTERVAL, NEW_YEAR, numbered

BROKER_EVENT = {
    "event_type": "KafkaBrokerSample",
    "clusterName": "prod",
    "displayName": "kafka-1:9092",
    "entityName": "broker:kafka-1:9092",
    "timestamp": 1_767_225_600,
    "broker.IOInPerSecond": 12.5,
    "broker.partitionCount": 7,
    "broker.isController": True,
    "broker.somethingElse": 1,
}
OFFSET_EVENT = {
    "event_type": "KafkaOffsetSample",
    "clusterName": "prod",
    "clientID": "c",
    "clientHost": "/10.0.0.1",
    "consumerGroup": "billing",
    "topic": "orders",
    "partition": "3",
    "consumer.offset": 10,
    "consumer.hwm": 12,
    "consumer.lag": 2,
}


def read(document: Any, timestamp: int = NEW_YEAR, account_id: int | None = None) -> Any:
    return read_message(json.dumps(document).encode(), timestamp, account_id)


def sample_of(entity_type: EntityType) -> pa.RecordBatch:
    """One sample with a value in every column."""
    identity = {
        i.column: 3 if pa.types.is_integer(i.type) else i.column for i in entity_type.identity
    }
    parts = [f"broker-{v}" if c == "broker_id" else str(v) for c, v in identity.items()]
    common = {
        "cluster_name": "prod",
        "entity_name": "/".join(["prod", *parts]),
        "provider": "kafka",
    }
    metrics = {
        m.name: "word" if m.type == STRING else 1 if m.type == pa.int8() else n
        for n, m in enumerate(entity_type.metrics, 1)
    }
    given = {"timestamp": NEW_YEAR, "entity_guid": "0|x", "origin": "collected", "late": False}
    row = given | common | identity | metrics
    return sample_batch(entity_type, 1, {name: [value] for name, value in row.items()})


def encode_event(batch: pa.RecordBatch) -> bytes:
    """The sample as an event of New Relic's."""
    (text,) = events(batch).to_pylist()
    return str(text).rstrip(",").encode()


def rows(document: Any) -> list[dict[str, Any]]:
    batches, reasons = read(document)
    assert reasons == []
    for batch in batches:
        schemas = [schema_of(t) for t in ENTITY_TYPES]
        assert any(batch.schema.equals(s, check_metadata=True) for s in schemas)
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_batch_is_read_as_it_was_recorded() -> None:
    """Arrow IPC, with the exact rows."""
    batch = numbered(range(5))
    ((found,), reasons) = read_message(encode(batch), 0, None)
    assert found.equals(batch)
    assert reasons == []


def test_a_brokers_event_becomes_a_sample() -> None:
    """nri-kafka names brokers by host, and gives times in seconds."""
    (row,) = rows(BROKER_EVENT)
    filled = {name: value for name, value in row.items() if value is not None}
    assert filled.pop("timestamp").timestamp() == 1_767_225_600
    assert filled == {
        "entity_guid": entity_guid(None, "MESSAGE_QUEUE_BROKER", "kafka", "prod", "kafka-1:9092"),
        "entity_type": "MESSAGE_QUEUE_BROKER",
        "entity_name": "prod/kafka-1:9092",
        "cluster_name": "prod",
        "provider": "kafka",
        "origin": "collected",
        "late": False,
        "broker.IOInPerSecond": 12.5,
        "broker.partitionCount": 7,
        "broker.isController": 1,
        "broker.host": "kafka-1:9092",
    }


def test_an_offset_event_is_of_a_partition_or_of_a_group() -> None:
    """Both have the same event type; numbers may be strings."""
    group = {
        "event_type": "KafkaOffsetSample",
        "clusterName": "prod",
        "consumerGroup": "billing",
        "consumerGroup.totalLag": 5,
    }
    partition_row, group_row = rows([OFFSET_EVENT, group])
    assert partition_row["entity_name"] == "prod/billing/orders/3"
    assert (partition_row["partition"], partition_row["consumer.lag"]) == (3, 2)
    assert group_row["entity_name"] == "prod/billing"
    assert group_row["consumerGroup.totalLag"] == 5


def test_a_group_and_its_topics_are_rows_of_their_own() -> None:
    """nri-kafka has one event type for all: none of them says another's figures again."""
    group = {"event_type": "KafkaOffsetSample", "clusterName": "prod", "consumerGroup": "billing"}
    found = rows(
        [
            group | {"consumerGroup.totalLag": 7, "consumerGroup.activeConsumers": 2},
            group | {"topic": "orders", "consumerGroup.totalLag": 5},
            group | {"topic": "bills", "consumerGroup.totalLag": 2},
        ]
    )
    assert [(row["entity_name"], row["consumerGroup.totalLag"]) for row in found] == [
        ("prod/billing", 7),
        ("prod/billing/orders", 5),
        ("prod/billing/bills", 2),
    ]
    assert len({(row["entity_guid"], row["timestamp"]) for row in found}) == 3


def test_a_brokers_rows_of_a_topic_are_added_up_to_the_topics() -> None:
    """With what else the message has of the topic; another topic is another row."""
    written = "broker.bytesWrittenToTopicPerSecond"
    broker = {"event_type": "KafkaBrokerSample", "clusterName": "prod", "entityName": "broker:a"}
    topic = {"event_type": "KafkaTopicSample", "clusterName": "prod", "entityName": "topic:orders"}
    orders, bills = rows(
        [
            {**broker, "topic": "orders", written: 10.5},
            {**topic, "topic.underReplicatedPartitions": 1},
            {**broker, "entityName": "broker:b", "topic": "orders", written: 4.5},
            {**broker, "topic": "bills", written: 3.0},
        ]
    )
    assert (orders["entity_name"], bills["entity_name"]) == ("prod/orders", "prod/bills")
    assert (orders["topic.bytesInPerSecond"], bills["topic.bytesInPerSecond"]) == (15.0, 3.0)
    assert orders["topic.underReplicatedPartitions"] == 1


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            {"event_type": "KafkaOffsetSample", "clientID": "c", "consumer.totalLag": 3},
            "a client's lag is an event of New Relic's, and goes nowhere else",
        ),
        (
            {"event_type": "KafkaOffsetSample", "consumerGroup": "g"},
            "none of what it has is a metric of MESSAGE_QUEUE_CONSUMER_GROUP",
        ),
        (
            {"event_type": "KafkaConsumerSample", "clientID": "c"},
            "no entity type has events `KafkaConsumerSample`",
        ),
        (
            {"event_type": "KafkaBrokerSample", "broker.bytesWrittenToTopicPerSecond": 1},
            "it has `broker.bytesWrittenToTopicPerSecond` and no `topic`",
        ),
    ],
)
def test_what_cannot_be_kept_is_no_sample(event: dict[str, Any], reason: str) -> None:
    """A client's sum, a client's own metrics, and bytes of no topic."""
    batches, (found,) = read({"clusterName": "prod", **event})
    assert batches == []
    assert reason in found


def test_rows_that_are_events_alone_come_where_somebody_takes_them() -> None:
    """Each broker's row of a topic besides their sum, and a client's lag of whatever group."""
    event = {
        "event_type": "KafkaBrokerSample",
        "clusterName": "prod",
        "displayName": "a:9092",
        "entityName": "broker:a:9092",
        "topic": "orders",
        "broker.bytesWrittenToTopicPerSecond": 10.5,
        "topic.diskSize": 7,
    }
    other = {**event, "displayName": "b:9092", "topic.diskSize": 5}
    lag = {"event_type": "KafkaOffsetSample", "clusterName": "prod", "clientID": "c"}
    value = json.dumps([event, other, {**lag, "consumer.totalLag": 3}]).encode()
    batches, reasons = read_message(value, 0, None, events_alone=True)
    assert reasons == []
    by_type = {entity_type_of(batch): batch for batch in batches}
    (topic,) = by_type.pop(TOPIC).to_pylist()
    assert (topic["topic.bytesInPerSecond"], topic["topic.diskSize"]) == (21.0, 12)
    assert {only(batch) for batch in by_type.values()} == {Only.EVENTS}
    sent = [
        e
        for b in by_type.values()
        for e in json.loads("[" + "".join(events(b).to_pylist())[:-1] + "]")
    ]
    names = (
        "eventType",
        "entityName",
        "topic",
        "clientID",
        "broker.bytesWrittenToTopicPerSecond",
        "topic.diskSize",
        "consumer.totalLag",
    )
    assert [{k: e[k] for k in names if k in e} for e in sent] == [
        {
            "eventType": "KafkaBrokerSample",
            "entityName": "broker:a:9092",
            "topic": "orders",
            "broker.bytesWrittenToTopicPerSecond": 10.5,
            "topic.diskSize": 7,
        },
        {
            "eventType": "KafkaBrokerSample",
            "entityName": "broker:b:9092",
            "topic": "orders",
            "broker.bytesWrittenToTopicPerSecond": 10.5,
            "topic.diskSize": 5,
        },
        {
            "eventType": "KafkaOffsetSample",
            "entityName": "prod/c",
            "clientID": "c",
            "consumer.totalLag": 3,
        },
    ]


def test_events_units_are_the_tables_again() -> None:
    """nri-kafka sends the idle share of request handlers as a fraction."""
    (row,) = rows(BROKER_EVENT | {"request.handlerIdle": 0.25})
    assert row["request.handlerIdle"] == 25.0


@pytest.mark.parametrize("entity_type", [*ENTITY_TYPES, *EVENTS_ALONE], ids=lambda t: t.label)
def test_every_number_of_our_own_events_is_read_as_it_was(entity_type: EntityType) -> None:
    """What the sink for New Relic writes of a sample is the same sample when it is read."""
    batch = sample_of(entity_type)
    batches, reasons = read_message(encode_event(batch), 0, None, events_alone=True)
    assert reasons == []
    (found,) = [b for b in batches if entity_type_of(b) is entity_type]
    (before,), (after,) = batch.to_pylist(), found.to_pylist()
    numbers = [m.name for m in entity_type.numeric]
    assert {n: after[n] for n in numbers} == pytest.approx({n: before[n] for n in numbers})
    assert after["entity_name"] == before["entity_name"]
    assert after["entity_guid"] == before["entity_guid"]


def test_lines_a_mark_and_connects_envelope_are_read() -> None:
    """JSON lines, a byte-order mark, and JsonConverter's schema beside the payload."""
    two = json.dumps(BROKER_EVENT) + "\n" + json.dumps(OFFSET_EVENT) + "\n\n"
    wanted = rows([BROKER_EVENT, OFFSET_EVENT])
    ((*batches,), reasons) = read_message(two.encode(), NEW_YEAR, None)
    assert reasons == []
    assert [row for batch in batches for row in batch.to_pylist()] == wanted
    ((batch,), reasons) = read_message(
        b"\xef\xbb\xbf" + json.dumps(BROKER_EVENT).encode(), NEW_YEAR, None
    )
    assert (batch.to_pylist(), reasons) == (wanted[:1], [])
    schema = {"type": "struct", "fields": []}
    assert rows({"schema": schema, "payload": BROKER_EVENT}) == wanted[:1]
    text = {"schema": {"type": "string"}, "payload": json.dumps([BROKER_EVENT])}
    assert rows(text) == wanted[:1]


def test_a_line_that_is_broken_costs_none_of_the_others() -> None:
    """It is named by its number."""
    value = json.dumps(BROKER_EVENT) + "\n{oops\n" + json.dumps(BROKER_EVENT)
    batches, (reason,) = read_message(value.encode(), NEW_YEAR, None)
    assert sum(batch.num_rows for batch in batches) == 2
    assert reason.startswith("line 2: not JSON")


@pytest.mark.parametrize(
    "time", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01", "1767225600000"]
)
def test_times_may_be_iso(time: str) -> None:
    """UTC where no offset stands; numbers may be written as strings."""
    (row,) = rows(BROKER_EVENT | {"timestamp": time})
    assert row["timestamp"].timestamp() * 1000 == NEW_YEAR


def test_our_own_events_come_back_with_what_they_had() -> None:
    """GUID, origin, anomaly and milliseconds are kept."""
    (row,) = rows(
        {
            "eventType": "KafkaTopicSample",
            "timestamp": NEW_YEAR,
            "entityGuid": "7|INFRA|MESSAGE_QUEUE_TOPIC|abc",
            "clusterName": "sim",
            "provider": "kafka",
            "environment": "test",
            "origin": "simulated",
            "anomaly": "spike",
            "topic": "orders",
            "topic.offset": 2**53 + 1,
        }
    )
    assert row["timestamp"].timestamp() * 1000 == NEW_YEAR
    assert row["entity_guid"] == "7|INFRA|MESSAGE_QUEUE_TOPIC|abc"
    assert (row["origin"], row["anomaly"]) == ("simulated", "spike")
    assert row["topic.offset"] == 2**53 + 1


def test_one_event_a_list_and_an_integrations_output_are_read() -> None:
    """They give the same samples."""
    output = {
        "name": "com.newrelic.kafka",
        "protocol_version": "3",
        "data": [
            {"entity": {"name": "kafka-1:9092"}, "metrics": [BROKER_EVENT], "events": []},
            {"entity": {"name": "3"}, "metrics": [OFFSET_EVENT]},
        ],
    }
    assert rows([BROKER_EVENT]) == rows(BROKER_EVENT)
    assert rows(output) == rows([BROKER_EVENT, OFFSET_EVENT])


def test_an_event_without_a_time_has_the_messages() -> None:
    """nri-kafka leaves the time to the agent."""
    (row,) = rows(OFFSET_EVENT)
    assert row["timestamp"].timestamp() * 1000 == NEW_YEAR


def test_the_account_is_part_of_the_guid() -> None:
    """As in everything else that mqpipe makes."""
    ((batch,), _) = read(BROKER_EVENT, account_id=42)
    assert batch["entity_guid"][0].as_py().startswith("42|INFRA|MESSAGE_QUEUE_BROKER|")


def test_a_bad_event_costs_none_of_the_others() -> None:
    """Its number and its fault are in the reason."""
    batches, reasons = read([BROKER_EVENT, {"event_type": "SystemSample"}, BROKER_EVENT])
    assert sum(batch.num_rows for batch in batches) == 2
    assert reasons == ["event 1: no entity type has events `SystemSample`"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the message is empty"),
        (None, "the message is empty"),
        (b"\x00\x01garbage", "not a batch of samples"),
        (b"hello", "not a batch of samples"),
        (b"{", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[[[[" * 50_000, "not JSON"),
        (b"[]", "no event in it"),
        (b"[1]", "an event is an object, not int"),
        (b'{"data": [7]}', "no event in it"),
    ],
)
def test_what_is_no_sample_has_a_reason(value: bytes | None, reason: str) -> None:
    """Nothing is raised, whatever it is."""
    batches, (found,) = read_message(value, NEW_YEAR, None)
    assert batches == []
    assert reason in found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clusterName": None}, "it has no `clusterName`"),
        ({"clusterName": 7}, "`clusterName` is 7, not a string"),
        ({"clusterName": "\ud800"}, "surrogates not allowed"),
        ({"timestamp": -5}, "`timestamp` is -5"),
        ({"timestamp": "yesterday"}, "`timestamp` is 'yesterday'"),
        ({"timestamp": 1e300}, "`timestamp` is 1e+300"),
        ({"origin": "invented"}, "`origin` is 'invented'"),
        ({"broker.partitionCount": 1.5}, "1.5 is no whole number"),
        ({"broker.partitionCount": float("nan")}, "nan is no whole number"),
        ({"broker.partitionCount": 10**30}, "too large"),
        ({"broker.IOInPerSecond": "fast"}, "could not convert string to float"),
        ({"broker.IOInPerSecond": [1]}, "float() argument"),
        ({"displayName": None, "entityName": None}, "neither `brokerId` nor `displayName`"),
    ],
)
def test_a_wrong_attribute_is_named(change: dict[str, Any], reason: str) -> None:
    """One reason, and no sample of it."""
    batches, (found,) = read({**BROKER_EVENT, **change})
    assert batches == []
    assert reason in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*BROKER_EVENT, "data", "metrics"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(JSON | st.dictionaries(st.sampled_from([*BROKER_EVENT, *OFFSET_EVENT]), JSON))
@settings(max_examples=200)
def test_any_json_is_samples_or_reasons(document: Any) -> None:
    """Never neither, and never an exception."""
    batches, reasons = read(document)
    assert batches or reasons


@given(
    st.dictionaries(st.sampled_from(sorted(BROKER_EVENT)), JSON, max_size=3),
    st.sampled_from([BROKER_EVENT, OFFSET_EVENT]),
)
@settings(max_examples=200)
def test_any_changed_event_is_a_sample_or_a_reason(
    change: dict[str, Any], event: dict[str, Any]
) -> None:
    """One or the other."""
    batches, reasons = read({**event, **change})
    assert len(batches) + len(reasons) >= 1
    for batch in batches:
        batch.validate(full=True)
        batch.to_pylist()


def test_samples_outside_the_range_are_left_out() -> None:
    """The range is [start, end), of samples' timestamps."""
    batch = numbered(range(10))

    def kept(first: int, after: int) -> list[str]:
        start, end = NEW_YEAR + first * INTERVAL, NEW_YEAR + after * INTERVAL
        names: list[str] = within(batch, start, end)["entity_name"].to_pylist()
        return names

    assert kept(3, 5) == ["sim-eu/3", "sim-eu/4"]
    assert kept(10, 20) == []
    assert len(kept(0, 10)) == 10
    assert within(batch, 0, 2 * NEW_YEAR) is batch
    assert within(batch.slice(0, 0), 0, 1).num_rows == 0


def test_a_plan_comes_back_from_its_document() -> None:
    """It is kept in the job's state, so that a resumed replay ends where the first would have."""
    plan = ReplayPlan("samples", 5, 7, (OffsetStretch(0, 10, 20), OffsetStretch(1, 0, 0)))
    assert ReplayPlan.from_document(json.loads(json.dumps(plan.document()))) == plan
    assert plan.messages == 10
