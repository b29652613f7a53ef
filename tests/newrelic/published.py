"""What New Relic's published entities, golden metrics and dashboards ask for.

The facts are of newrelic/entity-definitions (e4353fdc, August 2026) and of the quickstart for
nri-kafka, in words of our own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

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
    "kafka.consumer_group.lag": ({},),
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
            "broker.bytesWrittenToTopicPerSecond",
        },
    ),
    "KafkaTopicSample": (
        "topic:",
        {"topic.underReplicatedPartitions", "topic.partitionsWithNonPreferredLeader"},
    ),
}
"""By event type: what the name of an entity begins with, and the attributes that pages read."""


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


NEEDS = {"KAFKACLUSTER": OF_CLUSTERS, "KAFKABROKER": OF_BROKERS, "KAFKATOPIC": OF_TOPICS}
"""By the type of entity: each name with each attribute that a widget or golden metric filters by."""


def attributes_of(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point as queries see it: its attributes, and its name."""
    return {**point["attributes"], "metricName": point["name"]}


def unmet(points: Iterable[dict[str, Any]], kind: str) -> list[tuple[str, dict[str, str]]]:
    """The needs of a type of entity that none of these points meets; see `attributes_of`."""
    of_name = defaultdict(list)
    for point in points:
        entity = entity_of(point)
        if entity is not None and entity[0] == kind:
            of_name[point["metricName"]].append(point)
    return [
        (name, attributes)
        for name, wanted in NEEDS[kind].items()
        for attributes in wanted
        if not any(attributes.items() <= point.items() for point in of_name[name])
    ]
