"""RabbitMQ in New Relic's events, by the names of its own integration of RabbitMQ."""

import json
from typing import Any

import pyarrow as pa
import pytest

from operators.schema.arrow import sample_batch
from operators.schema.metrics import CLUSTER, NODE, QUEUE
from sinks.newrelic.encode import events, metric_blocks
from sinks.otlp.encode import encode
from tests.otlp.reading import points_of


def reported(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The events of a batch, in its order."""
    return [json.loads(row.rstrip(",")) for row in events(batch).to_pylist()]


def queues(*providers: str) -> pa.RecordBatch:
    """One sample a provider; the depth is its place."""
    return sample_batch(
        QUEUE,
        len(providers),
        {
            "timestamp": pa.array(range(len(providers)), pa.timestamp("ms", "UTC")),
            "entity_name": [f"c/q{n}" for n in range(len(providers))],
            "cluster_name": ["c"] * len(providers),
            "queue": [f"q{n}" for n in range(len(providers))],
            "vhost": ["/" if provider == "rabbitmq" else None for provider in providers],
            "provider": list(providers),
            "queue.depth": list(range(len(providers))),
            "queue.messagesUnacknowledged": [3] * len(providers),
            "queue.consumers": [2] * len(providers),
        },
    )


def test_queues_of_rabbitmq_have_its_integrations_names() -> None:
    """The golden metrics of RABBITMQQUEUE are there, and mqpipe's own names."""
    (event,) = reported(queues("rabbitmq"))
    assert event["eventType"] == "RabbitmqQueueSample"
    assert event["queue.totalMessages"] == event["queue.depth"] == 0
    assert event["queue.messagesReadyUnacknowledged"] == 3
    assert event["queue.consumers"] == 2


@pytest.mark.parametrize(
    ("vhost", "path", "name"),
    [("/", "c/a%2Fb", "/a/b"), ("eu/west", "c/eu%2Fwest/a%2Fb", "eu/west/a/b")],
)
def test_a_queue_is_called_as_by_its_integration(vhost: str, path: str, name: str) -> None:
    """As nri-rabbitmq's `joinVhostName` makes it; the path stays beside it."""
    own = {"queue": ["a/b"], "vhost": [vhost], "entity_name": [path], "cluster_name": ["c"]}
    (event,) = reported(a_queue(**own))
    assert event["entityName"] == f"queue:{name}"
    assert event["displayName"] == name
    assert event["entityPath"] == path
    assert event["rabbitmqClusterName"] == event["clusterName"] == "c"


def test_each_provider_keeps_its_events_and_its_place() -> None:
    """Where a batch is of several clusters."""
    found = reported(queues("sqs", "rabbitmq", "pubsub", "rabbitmq"))
    assert [event["queue.depth"] for event in found] == [0, 1, 2, 3]
    assert [event["eventType"] for event in found] == [
        "MessageQueueSample",
        "RabbitmqQueueSample",
        "MessageQueueSample",
        "RabbitmqQueueSample",
    ]
    assert "queue.totalMessages" not in found[0]
    names = [event["entityName"] for event in found]
    assert names == ["c/q0", "queue:/q1", "c/q2", "queue:/q3"]
    assert [event.get("rabbitmqClusterName") for event in found] == [None, "c", None, "c"]


def test_nodes_have_its_integrations_names() -> None:
    """The golden metrics of RABBITMQNODE."""
    (event,) = reported(
        sample_batch(
            NODE,
            1,
            {
                "timestamp": pa.array([0], pa.timestamp("ms", "UTC")),
                "entity_name": ["c/node-rabbit@a"],
                "provider": ["rabbitmq"],
                "node": ["rabbit@a"],
                "node.totalMemoryUsedInBytes": [5],
                "node.fileDescriptorsLimit": [7],
                "node.processesLimit": [9],
            },
        )
    )
    assert event["eventType"] == "RabbitmqNodeSample"
    assert (event["entityName"], event["displayName"]) == ("node:rabbit@a", "rabbit@a")
    assert event["node.totalMemoryUsedInBytes"] == 5
    assert event["node.fileDescriptorsTotal"] == 7
    assert event["node.processesTotal"] == 9


RECEIVER = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/rabbitmqreceiver"


def points(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Every point that goes out by default, with its block's attributes and its own."""
    rows, _ = metric_blocks(batch, 30_000, known_only=True)
    return [
        {
            **block["common"]["attributes"],
            **point.get("attributes", {}),
            "metricName": point["name"],
            "value": point["value"],
        }
        for block in (json.loads(row.rstrip(",")) for row in rows.to_pylist())
        for point in block["metrics"]
    ]


def entity_of(point: dict[str, Any]) -> tuple[str, ...] | None:
    """The entity that the published rules make of a point; None where they make none."""
    named = point["metricName"].startswith("rabbitmq.")
    provider, library = (point.get(k) for k in ("instrumentation.provider", "otel.library.name"))
    if not named or (provider, library) != ("opentelemetry", RECEIVER):
        return None
    node, queue, vhost = (point.get(f"rabbitmq.{of}.name") for of in ("node", "queue", "vhost"))
    if node and queue and vhost:
        return "RABBITMQQUEUE", node, queue, vhost
    return ("RABBITMQNODE", node) if node and queue is vhost is None else None


def a_queue(**columns: Any) -> pa.RecordBatch:
    """One queue of RabbitMQ."""
    identity = {"queue": ["orders"], "vhost": ["/"], "queue.leader": ["rabbit@a"]}
    return sample_batch(QUEUE, 1, {**AT_ONCE, "provider": ["rabbitmq"], **identity, **columns})


AT_ONCE: dict[str, Any] = {"timestamp": pa.array([0], pa.timestamp("ms", "UTC"))}
MEASURED: dict[str, Any] = {
    "queue.messagesReady": [4],
    "queue.messagesUnacknowledged": [3],
    "queue.messagesPublished": [60],
    "queue.messagesDelivered": [30],
    "queue.acknowledgedPerSecond": [0.5],
    "queue.consumers": [2],
}
WANTED = {
    ("rabbitmq.message.current", "ready"): 4,
    ("rabbitmq.message.current", "unacknowledged"): 3,
    ("rabbitmq.message.published", None): 60,
    ("rabbitmq.message.delivered", None): 30,
    ("rabbitmq.message.acknowledged", None): 15,
    ("rabbitmq.consumer.count", None): 2,
}


def test_points_make_the_entity_of_a_queue_with_what_its_page_reads() -> None:
    """By newrelic/entity-definitions: golden metrics and dashboard of RABBITMQQUEUE."""
    found = points(a_queue(**MEASURED))
    assert {entity_of(p) for p in found} == {("RABBITMQQUEUE", "rabbit@a", "orders", "/")}
    assert {(p["metricName"], p.get("state")): p["value"] for p in found} == WANTED


def test_points_make_the_entity_of_a_node() -> None:
    """RABBITMQNODE has neither queue nor virtual host."""
    batch = sample_batch(
        NODE,
        1,
        {
            **AT_ONCE,
            "provider": ["rabbitmq"],
            "node": ["rabbit@a"],
            "node.totalMemoryUsedInBytes": [5],
            "node.hostMemoryAlarm": [0],
        },
    )
    found = points(batch)
    assert {entity_of(p) for p in found} == {("RABBITMQNODE", "rabbit@a")}
    assert {p["metricName"] for p in found} == {"rabbitmq.node.mem_used", "rabbitmq.node.mem_alarm"}


def test_a_cluster_of_rabbitmq_is_no_cluster_of_kafka() -> None:
    """Neither by its event nor by its points, also beside one of Kafka in the same batch."""
    batch = sample_batch(
        CLUSTER,
        3,
        {
            "timestamp": pa.array([0, 1, 2], pa.timestamp("ms", "UTC")),
            "cluster_name": ["k", "r", "k"],
            "provider": ["kafka", "rabbitmq", "kafka"],
            "cluster.totalLag": [1, 2, 3],
            "cluster.activeBrokerCount": [1, None, None],
        },
    )
    assert [(e["eventType"], e["cluster.totalLag"]) for e in reported(batch)] == [
        ("KafkaClusterSample", 1),
        ("RabbitmqClusterSample", 2),
        ("KafkaClusterSample", 3),
    ]
    rows, samples = metric_blocks(batch, 30_000)
    blocks = [json.loads(row.rstrip(",")) for row in rows.to_pylist()]
    assert samples.column("cluster_name").to_pylist() == ["k", "r", "k"]
    attributes = [block["common"]["attributes"] for block in blocks]
    assert [a.get("kafka.cluster.name") for a in attributes] == ["k", None, "k"]


def test_otlp_has_the_receivers_names() -> None:
    """The same entities are made of what OTLP sends; other providers' queues keep their names."""
    both = pa.concat_batches(
        [
            a_queue(**MEASURED),
            sample_batch(
                QUEUE, 1, {**AT_ONCE, "provider": ["sqs"], "queue": ["q"], "queue.depth": [1]}
            ),
        ]
    )
    found = list(points_of(encode([both], 30_000)))
    ours = [p for p in found if p.scope == RECEIVER]
    assert {
        (p.name, p.attributes.get("state")): p.value for p in ours if p.name.startswith("rabbitmq.")
    } == WANTED
    names = {"rabbitmq.node.name": "rabbit@a", "rabbitmq.queue.name": "orders"}
    for point in ours:
        assert {**names, "rabbitmq.vhost.name": "/"}.items() <= point.attributes.items()
    (other,) = (p for p in found if p.scope != RECEIVER)
    assert (other.scope, other.attributes["queue"]) == ("mqpipe", "q")
