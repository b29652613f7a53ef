"""Samples of RabbitMQ's nodes, of answers that no server here gives."""

from typing import Any

from operators.collect.samples import ClusterIdentity
from operators.rabbitmq.nodes import node_samples
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, NODE

IDENTITY = ClusterIdentity("mq", "production", None, None, "rabbitmq")


def rows(*nodes: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of nodes, and that of the cluster."""
    batches = node_samples(IDENTITY, 0, nodes, {}).batches
    of = {entity_type_of(batch): batch.to_pylist() for batch in batches}
    return of[NODE], of[CLUSTER][0]


def test_sockets_that_are_not_counted_are_null() -> None:
    """RabbitMQ 4 says 0 of 0."""
    (old, new), _ = rows(
        {"name": "rabbit@a", "running": True, "sockets_used": 0, "sockets_total": 58_890},
        {"name": "rabbit@b", "running": True, "sockets_used": 0, "sockets_total": 0},
    )
    names = ("node.fileDescriptorsUsedSockets", "node.fileDescriptorsTotalSockets")
    assert [old[name] for name in names] == [0, 58_890]
    assert [new[name] for name in names] == [None, None]


def test_a_node_that_is_cut_off_counts_among_those_that_are() -> None:
    """As a real one was seen by the others: it does not run for them, and reports whom it does not see."""
    of_nodes, cluster = rows(
        {"name": "rabbit@a", "running": True, "partitions": ["rabbit@c"]},
        {"name": "rabbit@b", "running": True, "partitions": []},
        {"name": "rabbit@c", "running": False, "partitions": ["rabbit@a", "rabbit@b"]},
        {"name": "rabbit@d", "running": False, "partitions": []},
    )
    assert [row["node.partitionsSeen"] for row in of_nodes] == [1, 0, 2, None]
    assert cluster["cluster.partitionedNodeCount"] == 2
    assert cluster["cluster.runningNodeCount"] == 2
