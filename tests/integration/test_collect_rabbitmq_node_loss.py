"""A RabbitMQ of three nodes, of which one is killed, or hangs: what is still known is reported, all else null."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from operators.rabbitmq.collector import RabbitCollector
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, NODE, QUEUE, EntityType
from operators.ticks import Collected, Ticks
from tests.rabbitmq.collected_rows import INTERVAL, row_of, rows_of, settings_of, ticks
from tests.rabbitmq.server import Node, RabbitServer, ServerError
from tests.rabbitmq.traffic import channel, declare, publish, until, wait_for_stats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


TIME_LEFT = 8.0
"""Seconds of a tick in which one node hangs."""


async def kind_at(
    collector: RabbitCollector, kind: str, number: int, time_left: float
) -> Collected:
    """What a target gives at a tick."""
    tick = Ticks("rabbit", number * INTERVAL, INTERVAL, kind=kind)
    return await collector.collect(tick, time_left)


async def both_at(
    collector: RabbitCollector, number: int, time_left: float = 60
) -> tuple[Collected, Collected]:
    """What nodes and queues give at a tick."""
    return await asyncio.gather(
        kind_at(collector, "nodes", number, time_left),
        kind_at(collector, "queues", number, time_left),
    )


def all_pages(server: RabbitServer) -> RabbitSettings:
    """Settings of nodes whose names are no hosts, with the first one's API."""
    pages = {node.name: node.prometheus_url for node in server.nodes}
    return settings_of(server.first, reader="prometheus", prometheus=pages)


def rows(found: Collected, entity_type: EntityType) -> list[dict[str, Any]]:
    """Its rows of one entity type."""
    (batch,) = [batch for batch in found.batches if entity_type_of(batch) is entity_type]
    return list(batch.to_pylist())


def depths(found: Collected) -> dict[str, int]:
    """By queue."""
    return {row["queue"]: row["queue.depth"] for row in rows(found, QUEUE)}


@pytest.fixture
def three_queues(rabbit3: RabbitServer) -> dict[str, Node]:
    """A queue with three messages on each of three nodes, by name."""
    first, second, last = rabbit3.nodes
    there = {"one": first, "two": second, "three": last}
    for queue, node in there.items():
        with channel(node) as on:
            declare(on, queue)
            publish(on, queue, 3)
    for queue in there:
        wait_for_stats(first, queue, messages=3)
    return there


@pytest.mark.parametrize("queue", ["three", "one"])
def test_a_hung_node_costs_its_own_share(
    rabbit3: RabbitServer, three_queues: dict[str, Node], queue: str
) -> None:
    """Nodes and queues of the others are reported in time, and why its own are not; also where it is the
    one whose API is asked."""
    hung = three_queues[queue]

    async def run() -> tuple[Any, Any, float]:
        collector = RabbitCollector(all_pages(rabbit3))
        try:
            before = await both_at(collector, 0)
            hung.pause()
            start = time.monotonic()
            during = await both_at(collector, 1, TIME_LEFT)
            return before, during, time.monotonic() - start
        finally:
            hung.resume()
            await collector.close()

    (nodes, queues), during, seconds = asyncio.run(run())
    assert (nodes.error, queues.error) == (None, None)
    assert depths(queues) == dict.fromkeys(three_queues, 3)
    reported = {row["node"]: row for row in rows(nodes, NODE)}
    nodes, queues = during
    assert seconds < TIME_LEFT + 1
    for found in during:
        assert hung.name in str(found.error)
        assert found.error_class == "timeout"
    assert depths(queues) == {name: 3 for name in three_queues if name != queue}
    others = {row["node"]: row for row in rows(nodes, NODE)}
    assert others.keys() == reported.keys() - {hung.name}
    for name, row in others.items():
        assert row["node.running"] == 1
        assert row["node.totalMemoryUsedInBytes"] > 0
        assert row["node.uptime"] >= reported[name]["node.uptime"]
        for column in LIMITS:
            assert row[column] == reported[name][column], column
    (sums,) = rows(queues, CLUSTER)
    assert sums["cluster.queueCount"] is None
    (sums,) = rows(nodes, CLUSTER)
    # Alarms of all are reported by the node whose API is asked.
    alarms = None if hung is rabbit3.first else 0
    reported_sums = ("cluster.nodeCount", "cluster.runningNodeCount", "cluster.alarmCount")
    assert [sums[name] for name in reported_sums] == [3, None, alarms]


LIMITS = (
    "node.memoryLimitInBytes",
    "node.diskSpaceLimitInBytes",
    "node.fileDescriptorsLimit",
    "node.fileDescriptorsTotalSockets",
    "node.processesLimit",
)


def test_who_starts_while_a_node_hangs_has_the_others_too(
    rabbit3: RabbitServer, three_queues: dict[str, Node]
) -> None:
    """Nothing is known of an earlier tick; an alarm of another node is reported."""
    first, second, last = rabbit3.nodes

    async def run() -> tuple[Collected, Collected]:
        collector = RabbitCollector(all_pages(rabbit3))
        last.pause()
        try:
            return await both_at(collector, 0, 20)
        finally:
            last.resume()
            await collector.close()

    second.limit_memory(10**6)
    try:
        until(lambda: any(node["mem_alarm"] for node in first.api("nodes")))
        nodes, queues = asyncio.run(run())
    finally:
        second.limit_memory(2 * 10**9)
    alarms = {row["node"]: row["node.hostMemoryAlarm"] for row in rows(nodes, NODE)}
    assert alarms == {first.name: 0, second.name: 1}
    assert depths(queues) == {"one": 3, "two": 3}
    for found in (nodes, queues):
        assert found.error_class == "timeout"


def nodes_known_to(node: Node) -> list[dict[str, Any]]:
    """The nodes of its cluster, as a node's API reports them; none where it does not know.

    It asks all that it counts in, fails of one that hangs and of one that it counts out just then.
    """
    try:
        rows: list[dict[str, Any]] = node.api("nodes")
    except ServerError:
        return []
    return rows


def knows_down(node: Node, other: Node) -> bool:
    """Whether a node counts another one out."""
    return any(n["name"] == other.name and not n["running"] for n in nodes_known_to(node))


def test_a_node_that_was_cut_off_is_down_and_says_whom_it_does_not_see(
    rabbit3: RabbitServer,
) -> None:
    """It hung until the others counted it out. Back again it is none of them, until it is restarted."""
    first, _, last = rabbit3.nodes
    for node in rabbit3.nodes:
        node.call("net_kernel:set_net_ticktime", "4", "1")
    last.pause()
    try:
        until(partial(knows_down, first, last))
    finally:
        last.resume()
        for node in rabbit3.nodes:
            node.call("net_kernel:set_net_ticktime", "60", "1")

    def reports() -> bool:
        return any(n["name"] == last.name and n.get("partitions") for n in nodes_known_to(first))

    until(reports)
    (tick,) = ticks(all_pages(rabbit3))
    cut = row_of(tick, NODE, f"node-{last.name}")
    # Each notices by itself, and when it does.
    assert cut["node.running"] == 0
    assert cut["node.partitionsSeen"] in (1, 2)
    assert cut["node.totalMemoryUsedInBytes"] is None
    seen = [row["node.partitionsSeen"] for row in rows_of(tick, NODE)]
    counts = [r["cluster.partitionedNodeCount"] for r in rows_of(tick, CLUSTER)]
    assert sum(bool(n) for n in seen) in counts


def test_a_killed_node_costs_its_own_share(rabbit3: RabbitServer) -> None:
    """Its row says that it does not run; a quorum queue has lost a member, its own queue is down.

    With two of three gone nobody can use the quorum queue, whatever the API says, nor a stream that had its
    only replica there.
    """
    first, second, last = rabbit3.nodes
    with channel(first) as on, channel(last) as there:
        declare(on, "voted", "quorum")
        declare(there, "lost")
        publish(on, "voted", 3)
        publish(there, "lost", 2)
        declare(on, "log", "stream")
        publish(on, "log", 4)
        declare(there, "alone", "stream", **{"x-initial-cluster-size": 1})
        publish(there, "alone", 2)
        wait_for_stats(first, "voted", messages=3)
        wait_for_stats(first, "lost", messages=2)

        def kill() -> None:
            last.kill()
            until(partial(knows_down, first, last))

        def kill_another() -> None:
            second.kill()
            until(partial(knows_down, first, second))

        settings = settings_of(first, prometheus={first.name: first.prometheus_url})
        before, after, alone = ticks(settings, kill, kill_another)
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
    assert row_of(before, QUEUE, "alone")["queue.state"] == "running"
    gone = row_of(after, QUEUE, "alone")
    assert (gone["queue.state"], gone["queue.leader"], gone["queue.depth"]) == (
        "down",
        last.name,
        None,
    )
    assert row_of(after, QUEUE, "log")["queue.state"] == "running"
    assert row_of(after, QUEUE, "log")["queue.leader"] != last.name
    assert row_of(alone, QUEUE, "voted")["queue.state"] == "minority"
    available = [r["cluster.availability"] for r in rows_of(alone, CLUSTER)]
    assert max(share for share in available if share is not None) < 34
