"""From Arrow batches to New Relic's JSON."""

import gzip
import json
import math
import random
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.arrow import sample_batch
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    NODE,
    PARTITION_OFFSET,
    QUEUE,
    STRING,
    TOPIC,
    EntityType,
    Metric,
    MetricKind,
)
from sinks.newrelic.encode import check_event, events, metric_blocks
from sinks.newrelic.payloads import payloads
from tests.newrelic.conversions import COMMON
from tests.newrelic.samples import sort_events, sort_points
from tests.samples import tick

T = 1_700_000_000_000
EACH_COLUMN = settings(max_examples=50)
"""Of laws that hold for each column by itself: one batch has a hundred of them."""
TEXT = (
    st.none() | st.text(max_size=6) | st.sampled_from(['"', "\\", "\n", "é𝄞", "a" * 4_097, "\x7f"])
)


def objects(rows: pa.StringArray) -> list[dict[str, Any]]:
    """What is in the payloads of these rows, checked to be strict JSON."""
    return [item for payload in payloads(rows) for item in read(payload.body)]


def read(body: bytes) -> list[Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    items: list[Any] = json.loads(gzip.decompress(body), parse_constant=refuse)
    return items


@st.composite
def any_batch(draw: st.DrawFn) -> pa.RecordBatch:
    """A batch of any entity type with any values, null and not finite ones among them."""
    entity_type = draw(st.sampled_from(ENTITY_TYPES))
    rows = draw(st.integers(1, 5))

    def column(type_: pa.DataType) -> list[Any]:
        if type_ == STRING:
            value: st.SearchStrategy[Any] = TEXT
        elif pa.types.is_floating(type_):
            value = st.none() | st.floats()
        else:
            bound = 2 ** (type_.bit_width - 1)
            value = st.none() | st.integers(-bound, bound - 1)
        return draw(st.lists(value, min_size=rows, max_size=rows))

    columns = {m.name: column(m.type) for m in entity_type.metrics}
    columns |= {i.column: column(i.type) for i in entity_type.identity}
    names = ("entity_guid", "entity_name", "cluster_name", "provider", "environment", "anomaly")
    columns |= {name: column(STRING) for name in names}
    times = st.integers(0, 2**41)
    columns["timestamp"] = draw(st.lists(times, min_size=rows, max_size=rows))
    return sample_batch(entity_type, rows, columns)


def event_names(entity_type: EntityType, row: dict[str, Any]) -> tuple[str | None, str | None]:
    """`entityName` and `displayName`, as nri-kafka and nri-rabbitmq have them."""
    path = row["entity_name"]
    if entity_type is BROKER:
        display = row["broker_id"] if row["broker.host"] is None else row["broker.host"]
        return (None, None) if display is None else (f"broker:{display}", str(display))
    if entity_type is TOPIC:
        topic = row["topic"]
        return (None, None) if topic is None else (f"topic:{topic}", topic)
    if entity_type is NODE:
        node = row["node"]
        return (None, None) if node is None else (f"node:{node}", node)
    vhost, queue = (row.get(name) for name in ("vhost", "queue"))
    if entity_type is QUEUE and vhost is not None and queue is not None:
        joined = vhost + ("" if vhost.endswith("/") else "/") + queue
        return f"queue:{joined}", joined
    return path, path if path is None else re.sub("^[^/]*/", "", path)


def expected_event(entity_type: EntityType, row: dict[str, Any]) -> dict[str, Any]:
    """A sample's event, made in the plainest way."""
    names = {
        **COMMON,
        **{i.column: i.attribute for i in entity_type.identity},
        **{m.name: m.name for m in entity_type.metrics},
    }
    event_type = dict(entity_type.provider_events).get(row["provider"], entity_type.event_type)
    event = {
        "eventType": event_type,
        "timestamp": round(row["timestamp"].timestamp() * 1000),
    }
    values = {name: row[column] for column, name in names.items()}
    for metric in entity_type.metrics:
        if metric.event_factor != 1 and row[metric.name] is not None:
            values[metric.name] = row[metric.name] * metric.event_factor
        if metric.event_alias and entity_type.names_of in (None, row["provider"]):
            values[metric.event_alias] = row[metric.name]
    values["entityName"], values["displayName"] = event_names(entity_type, row)
    if event_type in ("RabbitmqNodeSample", "RabbitmqQueueSample", "RabbitmqClusterSample"):
        values["rabbitmqClusterName"] = row["cluster_name"]
    for name, value in values.items():
        if isinstance(value, str) and len(value) > 4_096:
            value = value[:4_095] + "…"
        if value is not None and not (isinstance(value, float) and not math.isfinite(value)):
            event[name] = value
    return event


@EACH_COLUMN
@given(any_batch())
def test_an_event_holds_what_the_sample_holds(batch: pa.RecordBatch) -> None:
    """Values come through exactly; null, NaN and infinities are left out, long strings cut."""
    entity_type = next(t for t in ENTITY_TYPES if t.name == batch.column("entity_type")[0].as_py())

    found = objects(events(batch))

    assert found == [expected_event(entity_type, row) for row in batch.to_pylist()]


@EACH_COLUMN
@given(any_batch())
def test_points_hold_every_finite_number_of_the_sample(batch: pa.RecordBatch) -> None:
    """Each finite number is one point of its sample's block; a sample without any has none."""
    blocks, left = metric_blocks(batch, 30_000)
    entity_type = next(t for t in ENTITY_TYPES if t.name == batch.column("entity_type")[0].as_py())

    found = objects(blocks)

    numbers = [
        [
            m
            for m in entity_type.metrics_of(row["provider"])
            if m.type != STRING
            and row[m.name] is not None
            and (m.type != pa.float64() or finite(m, row[m.name]))
        ]
        for row in batch.to_pylist()
    ]
    expected = batch.filter(pa.array([bool(ms) for ms in numbers]))
    keys = ["timestamp", "entity_guid", "entity_name"]
    assert left.select(keys).equals(expected.select(keys))
    assert [sorted(p["name"] for p in block["metrics"]) for block in found] == [
        sorted(m.otel or m.name for m in ms) for ms in numbers if ms
    ]


def finite(metric: Metric, value: float) -> bool:
    counter = metric.kind is MetricKind.RATE and metric.otel is not None
    return math.isfinite(value * (30 if counter else metric.otel_factor))


@given(
    st.lists(st.integers(2, 300), min_size=1, max_size=60),
    st.integers(30, 500),
    st.integers(10, 2_000),
    st.integers(0, 2**32),
)
def test_payloads_keep_both_limits_and_every_row(
    sizes: list[int], max_bytes: int, max_raw_bytes: int, seed: int
) -> None:
    """All rows are there, once, in order; only a payload of one row may be over a limit."""
    letters = random.Random(seed)
    texts = ["".join(letters.choices("abcdefghij", k=size)) for size in sizes]
    rows = pa.array(
        [json.dumps(text) + "," for text in ["dropped", *texts]], pa.large_string()
    ).slice(1)

    cut = list(payloads(rows, max_bytes, max_raw_bytes))

    assert [text for payload in cut for text in read(payload.body)] == texts
    assert [(p.start, p.stop) for p in cut] == list(
        zip([0, *(p.stop for p in cut[:-1])], [p.stop for p in cut], strict=True)
    )
    for payload in cut:
        if payload.stop - payload.start > 1:
            assert len(payload.body) <= max_bytes
            assert len(gzip.decompress(payload.body)) <= max_raw_bytes


@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_new_relic_keeps_what_is_encoded(entity_type: EntityType) -> None:
    """The documented rules drop neither an event nor a point of any entity type."""
    batch = tick(T, 3, entity_type)

    kept = sort_events(objects(events(batch)), T)
    points = sort_points(objects(metric_blocks(batch, 30_000)[0]), T)

    assert (len(kept.kept), kept.dropped) == (3, [])
    assert (len(points.kept), points.dropped) == (3, [])


def attributes_of(entity_type: EntityType) -> dict[str, Any]:
    [block] = objects(metric_blocks(tick(T, 1, entity_type), 30_000)[0])
    attributes: dict[str, Any] = block["common"]["attributes"]
    return attributes


def test_new_relic_makes_kafka_entities_of_points() -> None:
    """Points have what the synthesis rules ask for, and lack what they forbid."""
    cluster, broker, topic = (attributes_of(t) for t in (CLUSTER, BROKER, TOPIC))
    for attributes in (cluster, broker, topic):
        assert attributes["instrumentation.provider"] == "opentelemetry"
        assert attributes["otel.library.name"].endswith("kafkametricsreceiver")
        assert attributes["kafka.cluster.name"] == "c"
    assert not {"broker.id", "topic", "client-id"} & cluster.keys()
    assert broker["broker.id"] == "0"
    assert "topic" not in broker
    assert topic["topic"] == "0"
    assert attributes_of(CONSUMER_GROUP)["group"] == "0"
    assert attributes_of(PARTITION_OFFSET).keys() >= {"group", "topic", "partition"}
    assert "instrumentation.provider" not in attributes_of(QUEUE)


def test_a_rate_that_opentelemetry_counts_is_a_count_over_the_interval() -> None:
    """`broker.IOInPerSecond` becomes `kafka.network.io` with direction, from the interval's start."""
    columns: dict[str, Any] = {"broker.messagesInPerSecond": None, "broker.IOInPerSecond": [2.0]}
    [block] = objects(metric_blocks(tick(T, 1, **columns), 30_000)[0])

    assert block["common"]["interval.ms"] == 30_000
    assert block["metrics"] == [
        {
            "name": "kafka.network.io",
            "type": "count",
            "timestamp": T - 30_000,
            "value": 60,
            "attributes": {"direction": "in"},
        }
    ]


def test_an_entity_type_over_the_limits_is_refused() -> None:
    """Too many attributes, or too long a name, are an error: New Relic would drop each sample."""
    many = EntityType(
        "MANY",
        "many",
        "Many",
        (),
        tuple(Metric(f"m{i}", MetricKind.GAUGE, "", "") for i in range(250)),
    )
    long = EntityType("LONG", "long", "Long", (), (Metric("m" * 256, MetricKind.GAUGE, "", ""),))
    for entity_type in (many, long):
        with pytest.raises(ValueError, match="New Relic drops"):
            check_event(entity_type)
