"""OTLP requests: read back by opentelemetry-proto they say what the samples say."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from operators.schema.arrow import sample_batch
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    PARTITION_OFFSET,
    QUEUE,
    TOPIC,
    EntityType,
)
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster
from operators.ticks import Ticks
from sinks.otlp.encode import encode
from sinks.otlp.names import unit
from tests.otlp.conversions import expected, reported
from tests.otlp.reading import points_of
from tests.samples import INTERVAL, NEW_YEAR, numbered, tick

KAFKA_SCOPE = (
    "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkametricsreceiver"
)


def fleet(**more: Any) -> list[pa.RecordBatch]:
    """Samples of a simulated fleet, ticks in which much happens among them."""
    shape: Mapping[str, Any] = {"name": "f", **more}
    simulation = SimulationSettings.model_validate(
        {"fleets": [shape], "anomalies": [{"kind": "spike", "rate": 100.0}]}
    )
    return [
        batch
        for spec in by_cluster(simulation).values()
        for batch in Shard(spec, 1).step(Ticks(spec.cluster, NEW_YEAR, INTERVAL, 50))
    ]


@pytest.mark.parametrize(
    "shape", [{"topics": 4, "groups": 2}, {"provider": "sqs", "queues": 5}], ids=["kafka", "sqs"]
)
def test_a_request_has_every_value_of_the_samples(shape: dict[str, Any]) -> None:
    """Of all entity types of several clusters, and nothing more."""
    batches = fleet(clusters=3, **shape)
    wanted = Counter(point for batch in batches for point in expected(batch))
    assert len(wanted) > 1000
    assert Counter(reported(points_of(encode(batches, INTERVAL)))) == wanted


def test_attributes_are_those_that_new_relic_makes_entities_of() -> None:
    """By the rules of newrelic/entity-definitions for Kafka clusters, brokers and topics."""
    points = list(points_of(encode(fleet(environment="production"), INTERVAL)))
    assert {p.scope for p in points} == {KAFKA_SCOPE}
    resource = {
        "kafka.cluster.name": "f",
        "messaging.system": "kafka",
        "deployment.environment.name": "production",
    }
    assert all(p.resource == resource for p in points)
    of_brokers = {p.attributes["broker.id"] for p in points if p.name == "kafka.message.count"}
    assert of_brokers == {"1", "2", "3"}
    assert {"direction"} <= next(
        p for p in points if p.name == "kafka.network.io"
    ).attributes.keys()
    of_cluster = next(p for p in points if p.name == "kafka.brokers").attributes
    assert not of_cluster.keys() & {"broker.id", "topic", "client-id"}


def test_the_identity_of_a_partition_of_a_group() -> None:
    """Topic and group by name, the partition as a number."""
    points = points_of(encode([tick(NEW_YEAR, 1, PARTITION_OFFSET)], INTERVAL))
    attributes = next(iter(points)).attributes
    assert attributes == {"group": "0", "topic": "0", "partition": 0, "origin": "simulated"}


def test_metrics_of_one_name_are_one_metric() -> None:
    """What tells their points apart are attributes."""
    request = ExportMetricsServiceRequest.FromString(encode(fleet(), INTERVAL))
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            names = [metric.name for metric in scope.metrics]
            assert len(names) == len(set(names))


@pytest.mark.parametrize("entity_type", [CLUSTER, CONSUMER_GROUP, COLLECTION, QUEUE, TOPIC])
def test_what_was_not_measured_has_no_point(entity_type: EntityType) -> None:
    """Nulls, NaN and infinities; samples without any number make an empty request."""
    nothing = sample_batch(
        entity_type,
        2,
        {"timestamp": [NEW_YEAR, NEW_YEAR], "entity_guid": ["a", "b"], "cluster_name": "c"},
    )
    assert encode([nothing], INTERVAL) == b""
    metric = next(m for m in entity_type.metrics if m.type == pa.float64())
    odd = sample_batch(
        entity_type,
        4,
        {
            "timestamp": [NEW_YEAR] * 4,
            "entity_guid": list("abcd"),
            "cluster_name": ["c", "c", "d", "d"],
            metric.name: [float("nan"), None, float("-inf"), 1.5],
        },
    )
    (point,) = points_of(encode([odd], INTERVAL))
    assert (point.value, next(iter(point.resource.values()))) in {(1.5, "d"), (45.0, "d")}


def test_text_that_is_too_long_is_cut() -> None:
    """New Relic takes 4,095 characters of a value."""
    batch = tick(NEW_YEAR, 1, COLLECTION, "c", **{"collection.error": ["x" * 5_000]})
    points = points_of(encode([batch], INTERVAL))
    (error,) = (p.attributes["error"] for p in points if p.name == "collection.error")
    assert (len(error), error[-1]) == (4_095, "…")


def test_units_are_those_of_ucum() -> None:
    """As the semantic conventions ask: annotations in braces, bytes as `By`."""
    units = {m.point: unit(m) for t in ENTITY_TYPES for m in t.metrics}
    assert units["kafka.network.io"] == "By"
    assert units["kafka.message.count"] == "{messages}"
    assert units["cluster.messagesInPerSecond"] == "{messages}/s"
    assert units["cluster.bytesInPerSecond"] == "By/s"
    assert units["consumer.lagSeconds"] == "s"
    assert units["cluster.availability"] == "%"
    assert all(u.isascii() and u for u in units.values())


def test_one_name_has_one_kind_and_unit() -> None:
    """Or a receiver would see two metrics that quarrel."""
    seen: dict[str, tuple[bool, str]] = {}
    for metric in (m for t in ENTITY_TYPES for m in t.metrics):
        said = (metric.counts, unit(metric))
        assert seen.setdefault(metric.point, said) == said


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["test", "production", None]),
            st.integers(0, 2**31 - 1),
            st.integers(0, 200),
            st.one_of(st.none(), st.floats()),
            st.one_of(st.none(), st.text(max_size=20)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_any_samples_are_read_back(rows: list[tuple[Any, ...]]) -> None:
    """Whatever their order, resources, values and words."""
    clusters, environments, brokers, ticks, values, anomalies = zip(*rows, strict=True)
    batch = sample_batch(
        BROKER,
        len(rows),
        {
            "timestamp": [NEW_YEAR + n * INTERVAL for n in ticks],
            "entity_guid": [str(n) for n in range(len(rows))],
            "cluster_name": list(clusters),
            "environment": list(environments),
            "provider": "kafka",
            "origin": "collected",
            "broker_id": list(brokers),
            "anomaly": list(anomalies),
            "broker.messagesInPerSecond": list(values),
            "request.handlerIdle": list(reversed(values)),
        },
    )
    got = Counter(reported(points_of(encode([batch], INTERVAL))))
    assert got == Counter(expected(batch))


def test_slices_and_many_batches_are_encoded_as_they_are() -> None:
    """A part of a batch has that part's points only."""
    whole = numbered(range(100))
    parts = [whole.slice(0, 30), whole.slice(30, 0), whole.slice(30, 70)]
    assert Counter(reported(points_of(encode(parts, INTERVAL)))) == Counter(expected(whole))
