"""A RabbitMQ of three nodes, of which one is killed, or hangs: what is still known is told, all else null."""

import asyncio
import time
from functools import partial

import pytest

from operators.rabbitmq.collector import RabbitCollector
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, NODE, QUEUE
from operators.ticks import Collected, Ticks
from tests.rabbitmq.collecting import INTERVAL, row_of, rows_of, settings_of, ticks
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


TIME_LEFT = 8.0
"""Seconds of a tick in which one node hangs."""


async def queues_at(collector: RabbitCollector, number: int) -> Collected:
    """What the queues' target gives at a tick."""
    tick = Ticks("rabbit", number * INTERVAL, INTERVAL, kind="queues")
    return await collector.collect(tick, TIME_LEFT if number else 60)


def while_hung(server: RabbitServer, hung: Node) -> tuple[Collected, Collected, float]:
    """Queues before and while a node hangs, and how long the second tick took (s)."""
    settings = settings_of(
        server.first,
        reader="prometheus",
        prometheus={node.name: node.prometheus_url for node in server.nodes},
    )

    async def run() -> tuple[Collected, Collected, float]:
        collector = RabbitCollector(settings)
        try:
            before = await queues_at(collector, 0)
            hung.pause()
            start = time.monotonic()
            return before, await queues_at(collector, 1), time.monotonic() - start
        finally:
            hung.resume()
            await collector.close()

    return asyncio.run(run())


def depths(found: Collected) -> dict[str, int]:
    """By queue."""
    (rows,) = [batch for batch in found.batches if entity_type_of(batch) is QUEUE]
    return {row["queue"]: row["queue.depth"] for row in rows.to_pylist()}


def test_a_hung_node_costs_its_own_share(fresh_rabbit3: RabbitServer) -> None:
    """It answers nothing: the others' queues are told in time, and why its own are not."""
    first, second, last = fresh_rabbit3.nodes
    for node, queue in ((first, "one"), (second, "two"), (last, "hung")):
        with channel(node) as on:
            declare(on, queue)
            publish(on, queue, 3)
            wait_for_stats(first, queue, messages=3)
    before, during, seconds = while_hung(fresh_rabbit3, last)
    assert depths(before) == {"one": 3, "two": 3, "hung": 3}
    assert before.error is None
    assert depths(during) == {"one": 3, "two": 3}
    assert seconds < TIME_LEFT + 1
    assert last.name in str(during.error)
    assert during.error_class == "timeout"
    (sums,) = [batch for batch in during.batches if entity_type_of(batch) is CLUSTER]
    assert sums.column("cluster.queueCount").to_pylist() == [None]
