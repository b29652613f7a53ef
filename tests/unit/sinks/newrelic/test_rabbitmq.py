"""RabbitMQ in New Relic's events, by the names of its own integration of RabbitMQ."""

import json
from typing import Any

import pyarrow as pa

from operators.schema.arrow import sample_batch
from operators.schema.metrics import NODE, QUEUE
from sinks.newrelic.encode import events


def told(batch: pa.RecordBatch) -> list[dict[str, Any]]:
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
            "provider": list(providers),
            "queue.depth": list(range(len(providers))),
            "queue.messagesUnacknowledged": [3] * len(providers),
            "queue.consumers": [2] * len(providers),
        },
    )


def test_queues_of_rabbitmq_have_its_integrations_names() -> None:
    """The golden metrics of RABBITMQQUEUE are there, and mqpipe's own names."""
    (event,) = told(queues("rabbitmq"))
    assert event["eventType"] == "RabbitmqQueueSample"
    assert event["queue.totalMessages"] == event["queue.depth"] == 0
    assert event["queue.messagesReadyUnacknowledged"] == 3
    assert event["queue.consumers"] == 2


def test_each_provider_keeps_its_events_and_its_place() -> None:
    """Where a batch is of several clusters."""
    found = told(queues("sqs", "rabbitmq", "pubsub", "rabbitmq"))
    assert [event["queue.depth"] for event in found] == [0, 1, 2, 3]
    assert [event["eventType"] for event in found] == [
        "MessageQueueSample",
        "RabbitmqQueueSample",
        "MessageQueueSample",
        "RabbitmqQueueSample",
    ]
    assert "queue.totalMessages" not in found[0]


def test_nodes_have_its_integrations_names() -> None:
    """The golden metrics of RABBITMQNODE."""
    (event,) = told(
        sample_batch(
            NODE,
            1,
            {
                "timestamp": pa.array([0], pa.timestamp("ms", "UTC")),
                "entity_name": ["c/node-rabbit@a"],
                "node.totalMemoryUsedInBytes": [5],
                "node.fileDescriptorsLimit": [7],
                "node.processesLimit": [9],
            },
        )
    )
    assert event["eventType"] == "RabbitmqNodeSample"
    assert event["node.totalMemoryUsedInBytes"] == 5
    assert event["node.fileDescriptorsTotal"] == 7
    assert event["node.processesTotal"] == 9
