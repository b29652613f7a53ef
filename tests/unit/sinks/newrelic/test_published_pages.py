"""What New Relic's published entities, golden metrics and dashboards ask for is sent by default.

The facts are of newrelic/entity-definitions (e4353fdc, August 2026) and of the quickstart for
nri-kafka, in words of our own.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster
from operators.ticks import Ticks
from sinks.newrelic.encode import events, metric_blocks
from tests.samples import INTERVAL, NEW_YEAR
from tests.unit.sinks.newrelic.test_encode import objects

RECEIVER = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkametricsreceiver"

OF_CLUSTERS: dict[str, tuple[dict[str, str], ...]] = {
    "kafka.brokers": ({},),
    "kafka.cluster.topic.count": ({},),
    "kafka.cluster.partition.count": ({},),
    "kafka.partition.offline": ({},),
    "kafka.partition.non_preferred_leader": ({},),
    "kafka.leader.election.rate": ({},),
    "kafka.unclean.election.rate": ({},),
    "kafka.broker.fenced.count": ({},),
    "kafka.consumer_group.members": ({},),
}
OF_BROKERS: dict[str, tuple[dict[str, str], ...]] = {
    "kafka.message.count": ({},),
    "kafka.network.io": ({"direction": "in"}, {"direction": "out"}),
    "kafka.request.failed": ({"type": "produce"}, {"type": "fetch"}),
    "kafka.request.count": ({"type": "produce"}, {"type": "fetch"}),
    "kafka.request.time.99p": (
        {"type": "Produce"},
        {"type": "FetchConsumer"},
        {"type": "FetchFollower"},
    ),
    "kafka.purgatory.size": ({"type": "produce"}, {"type": "fetch"}),
    "kafka.partition.count": ({},),
    "kafka.broker.leader.count": ({},),
    "kafka.controller.active.count": ({},),
    "kafka.partition.under_replicated": ({},),
    "kafka.partition.under_min_isr": ({},),
    "kafka.isr.operation.count": ({"operation": "shrink"}, {"operation": "expand"}),
    "kafka.max.lag": ({},),
    "kafka.broker.uptime": ({},),
    "jvm.memory.heap.used": ({},),
    "jvm.memory.heap.max": ({},),
    "jvm.gc.collections.count": ({},),
    "jvm.thread.count": ({},),
    "jvm.system.cpu.utilization": ({},),
}
OF_TOPICS: dict[str, tuple[dict[str, str], ...]] = {
    "kafka.topic.partitions": ({},),
    "kafka.topic.replication_factor": ({},),
    "kafka.topic.min_insync_replicas": ({},),
    "kafka.partition.replicas_in_sync.total": ({},),
    "kafka.prod.msg.count": ({},),
    "kafka.topic.io": ({"direction": "in"}, {"direction": "out"}),
    "kafka.consumer_group.lag_sum": ({},),
}

EVENTS = {
    "KafkaBrokerSample": (
        "broker:",
        {
            "broker.messagesInPerSecond",
            "broker.IOInPerSecond",
            "broker.IOOutPerSecond",
            "replication.leaderElectionPerSecond",
            "replication.uncleanLeaderElectionPerSecond",
            "replication.unreplicatedPartitions",
            "request.produceRequestsFailedPerSecond",
            "request.produceTime99Percentile",
        },
    ),
    "KafkaTopicSample": (
        "topic:",
        {"topic.underReplicatedPartitions", "topic.partitionsWithNonPreferredLeader"},
    ),
}
"""By event type: what the name of an entity begins with, and the attributes that pages read."""


@pytest.fixture(scope="module")
def batches() -> list[Any]:
    """Samples of a simulated cluster in which a broker dies."""
    simulation = SimulationSettings.model_validate(
        {"fleets": [{"name": "f"}], "anomalies": [{"kind": "broker_down", "rate": 20.0}]}
    )
    (spec,) = by_cluster(simulation).values()
    return list(Shard(spec, 1).step(Ticks(spec.cluster, NEW_YEAR, INTERVAL, 120)))


@pytest.fixture(scope="module")
def points(batches: list[Any]) -> list[dict[str, Any]]:
    """Every point as New Relic has it: the block's attributes, then its own."""
    return [point for batch in batches for point in _points(batch)]


def _points(batch: Any) -> Iterator[dict[str, Any]]:
    rows, _ = metric_blocks(batch, INTERVAL, known_only=True)
    for block in objects(rows):
        for point in block["metrics"]:
            yield {
                **block["common"]["attributes"],
                **point.get("attributes", {}),
                "metricName": point["name"],
            }


def entity_of(point: dict[str, Any]) -> tuple[str, ...] | None:
    """The entity that the published rules make of a point; None where they make none."""
    if point.get("instrumentation.provider") != "opentelemetry" or not point["kafka.cluster.name"]:
        return None
    cluster = point["kafka.cluster.name"]
    if "topic" in point:
        by_rule = point["otel.library.name"] == RECEIVER
        return ("KAFKATOPIC", point["topic"], cluster) if by_rule else None
    if "broker.id" in point:
        return "KAFKABROKER", point["broker.id"], cluster
    kafka = point["metricName"].startswith("kafka") and point["otel.library.name"] == RECEIVER
    return ("KAFKACLUSTER", cluster) if kafka and "client-id" not in point else None


@pytest.mark.parametrize(
    ("kind", "needs"),
    [("KAFKACLUSTER", OF_CLUSTERS), ("KAFKABROKER", OF_BROKERS), ("KAFKATOPIC", OF_TOPICS)],
)
def test_every_server_side_need_has_points_on_its_entity(
    points: list[dict[str, Any]], kind: str, needs: dict[str, tuple[dict[str, str], ...]]
) -> None:
    """Each name with each attribute that a widget or golden metric filters by."""
    of_entity = defaultdict(list)
    for point in points:
        if (entity := entity_of(point)) is not None:
            of_entity[entity[0], point["metricName"]].append(point)
    lacking = [
        (name, attributes)
        for name, wanted in needs.items()
        for attributes in wanted
        if not any(attributes.items() <= point.items() for point in of_entity[kind, name])
    ]
    assert lacking == []


def test_every_entity_of_the_fleet_is_made(points: list[dict[str, Any]]) -> None:
    """One cluster, three brokers, ten topics, and nothing else."""
    made = {entity for point in points if (entity := entity_of(point)) is not None}
    kinds = [kind for kind, *_ in made]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "KAFKACLUSTER": 1,
        "KAFKABROKER": 3,
        "KAFKATOPIC": 10,
    }


def test_lag_by_group_lies_on_the_topic(points: list[dict[str, Any]]) -> None:
    """The golden metric is `lag_sum` by `group`; without a topic it would land on the cluster."""
    sums = [p for p in points if p["metricName"] == "kafka.consumer_group.lag_sum"]
    assert sums
    assert all(point["group"] and point["topic"] for point in sums)


@pytest.mark.parametrize("event_type", EVENTS)
def test_events_are_found_by_the_names_that_nri_kafkas_pages_filter_by(
    batches: list[Any], event_type: str
) -> None:
    """`entityName LIKE 'broker:%'`, and each attribute that a widget averages."""
    prefix, wanted = EVENTS[event_type]
    sent = [e for b in batches for e in objects(events(b)) if e["eventType"] == event_type]
    assert sent
    assert all(event["entityName"] == f"{prefix}{event['displayName']}" for event in sent)
    assert all(event["entityPath"].startswith("f/") for event in sent)
    assert wanted <= set().union(*(event.keys() for event in sent))
