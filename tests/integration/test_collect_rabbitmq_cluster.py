"""A RabbitMQ of three nodes of which one is killed: what is still known is told, all else null."""

from functools import partial

import pytest

from operators.schema.metrics import CLUSTER, NODE, QUEUE
from tests.rabbitmq.collecting import row_of, rows_of, settings_of, ticks
from tests.rabbitmq.server import Node, RabbitServer
from tests.rabbitmq.traffic import channel, declare, publish, until, wait_for_stats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def knows_down(node: Node, other: Node) -> bool:
    """Whether a node counts another one out."""
    return any(n["name"] == other.name and not n["running"] for n in node.api("nodes"))


def test_a_killed_node_costs_its_own_share(fresh_rabbit3: RabbitServer) -> None:
    """Its row says that it does not run; a quorum queue has lost a member, its own queue is down."""
    first, _, last = fresh_rabbit3.nodes
    with channel(first) as on, channel(last) as there:
        declare(on, "voted", "quorum")
        declare(there, "lost")
        publish(on, "voted", 3)
        publish(there, "lost", 2)
        wait_for_stats(first, "voted", messages=3)
        wait_for_stats(first, "lost", messages=2)

        def kill() -> None:
            last.kill()
            until(partial(knows_down, first, last))

        before, after = ticks(settings_of(first, reader="prometheus"), kill)
    assert {row["node.running"] for row in rows_of(before, NODE)} == {1}
    assert row_of(before, QUEUE, "voted")["queue.membersOnline"] == 3
    assert row_of(before, QUEUE, "lost")["queue.depth"] == 2
    dead = row_of(after, NODE, f"node-{last.name}")
    assert dead["node.running"] == 0
    assert dead["node.totalMemoryUsedInBytes"] is None
    voted, lost = (row_of(after, QUEUE, name) for name in ("voted", "lost"))
    assert (voted["queue.members"], voted["queue.membersOnline"]) == (3, 2)
    assert (lost["queue.state"], lost["queue.depth"]) == ("down", None)
    counts = [r for r in rows_of(after, CLUSTER) if r["cluster.nodeCount"] is not None]
    assert [(r["cluster.nodeCount"], r["cluster.runningNodeCount"]) for r in counts] == [(3, 2)]
