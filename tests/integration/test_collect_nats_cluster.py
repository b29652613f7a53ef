"""Three NATS servers, of which one is killed, or hangs: what is still known is reported, all else null."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import nats
import pytest
from nats.js.api import ConsumerConfig

from operators.derive.operator import ClusterDerivation
from operators.nats.collector import NatsCollector
from operators.nats.settings import NatsSettings
from operators.schema.metrics import CLUSTER, NODE, QUEUE
from tests.conftest import started
from tests.nats.collected_rows import Tick, by_name, one_tick, rows_of, settings_of
from tests.nats.server import NatsCluster, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CONSUMERS = tuple(f"c{n}" for n in range(6))
MESSAGES = 12


@pytest.fixture
def cluster() -> Iterator[NatsCluster]:
    """Three servers for one test, which may kill and hang them."""
    with started(lambda: NatsCluster(3)) as servers:
        yield servers


async def filled(cluster: NatsCluster) -> None:
    """A stream of three replicas with consumers, each with two messages unacknowledged, and one of one replica."""
    client = await nats.connect(cluster.urls)
    js = client.jetstream()
    await js.add_stream(name="ORDERS", subjects=["orders"], num_replicas=3)
    await js.add_stream(name="SOLO", subjects=["solo"], num_replicas=1)
    for _ in range(MESSAGES):
        await js.publish("orders", b"0123456789")
    await js.publish("solo", b"0123456789")
    for name in CONSUMERS:
        await js.add_consumer("ORDERS", ConsumerConfig(durable_name=name, ack_wait=300))
        pulled = await js.pull_subscribe_bind(name, "ORDERS")
        got = 0
        while got < 2:
            # One that has no leader yet answers that nobody is there.
            with suppress(nats.js.errors.ServiceUnavailableError, nats.errors.TimeoutError):
                got += len(await pulled.fetch(2 - got, timeout=2))
    await client.close()


async def until(
    tick: Callable[[], Awaitable[Tick]], what: Callable[[Tick], bool], seconds: float = 60
) -> Tick:
    """The first tick of which `what` holds."""
    deadline = time.monotonic() + seconds
    while not what(found := await tick()):
        assert time.monotonic() < deadline, by_name(found, QUEUE)
        await asyncio.sleep(0.2)
    return found


def leaders(tick: Tick) -> dict[str, Any]:
    """Who leads what."""
    return {name: row["queue.leader"] for name, row in by_name(tick, QUEUE).items()}


def whole(tick: Tick) -> bool:
    """Whether all that there is has a leader, and all replicas are up with it."""
    rows = by_name(tick, QUEUE)
    return len(rows) == 2 + len(CONSUMERS) and all(
        row["queue.state"] == "running" and row["queue.membersOnline"] == row["queue.members"]
        for row in rows.values()
    )


def counts(tick: Tick, column: str) -> Any:
    """A column of the cluster's row, of the kind that knows it."""
    known = [row[column] for row in rows_of(tick, CLUSTER) if row[column] is not None]
    return known[0] if known else None


class Collection:
    """Ticks of one collector, one after the other."""

    def __init__(self, settings: NatsSettings) -> None:
        self.collector = NatsCollector(settings)
        self._derivation = ClusterDerivation("nats", {})
        self._number = 0

    async def tick(self, time_left: float = 10) -> Tick:
        self._number += 1
        return await one_tick(self.collector, self._derivation, self._number, time_left)


def backlogs(tick: Tick) -> dict[str, tuple[int, int]]:
    """Pending and unacknowledged messages of each consumer."""
    return {
        name: (row["queue.messagesReady"], row["queue.messagesUnacknowledged"])
        for name, row in by_name(tick, QUEUE).items()
        if row["queue.type"] == "consumer"
    }


def test_each_consumer_is_as_its_leader_says(cluster: NatsCluster) -> None:
    """Whichever server leads it: a page of one server alone has other figures of those that others lead."""

    async def test() -> None:
        await filled(cluster)
        of = Collection(settings_of(cluster.monitors))
        try:
            tick = await until(of.tick, whole)
        finally:
            await of.collector.close()
        assert backlogs(tick) == {f"ORDERS/{name}": (MESSAGES - 2, 2) for name in CONSUMERS}
        assert by_name(tick, QUEUE)["ORDERS"]["queue.members"] == 3
        assert by_name(tick, QUEUE)["SOLO"]["queue.members"] == 1
        nodes = by_name(tick, NODE)
        assert [row["node.isLeader"] for row in nodes.values()].count(1) == 1
        assert {row["node.isHealthy"] for row in nodes.values()} == {1}
        assert counts(tick, "cluster.activeControllerCount") == 1
        assert counts(tick, "cluster.availability") == 100
        assert counts(tick, "cluster.totalLag") == MESSAGES * len(CONSUMERS)
        assert all(result.error is None for result in tick.values())

    asyncio.run(test())


def test_a_killed_server_costs_its_own_share(cluster: NatsCluster) -> None:
    """Leaders move and go on from where they were; without a majority nobody can use a stream, and that is said."""

    async def test() -> None:
        await filled(cluster)
        of = Collection(settings_of(cluster.monitors))
        try:
            before = await until(of.tick, whole)
            lost = cluster.named(leaders(before)["ORDERS"])
            await asyncio.to_thread(lost.kill)

            def moved(tick: Tick) -> bool:
                rows = by_name(tick, QUEUE)
                there = {name for name in rows if name != "SOLO"}
                down = by_name(tick, NODE).get(f"node-{lost.name}", {}).get("node.running") == 0
                return (
                    down
                    and len(there) == 1 + len(CONSUMERS)
                    and lost.name not in leaders(tick).values()
                    and None not in leaders(tick).values()
                    and all(rows[name]["queue.membersOnline"] == 2 for name in there)
                )

            after = await until(of.tick, moved)
            await asyncio.to_thread(
                next(s for s in cluster.servers if s is not lost and s.answers).kill
            )

            def nobody(tick: Tick) -> bool:
                orders = by_name(tick, QUEUE).get("ORDERS", {})
                # A leader that is left alone thinks for a while that it is one.
                return orders.get("queue.state") == "minority" and not orders["queue.leader"]

            alone = await until(of.tick, nobody)
        finally:
            await of.collector.close()
        assert backlogs(after) == backlogs(before)
        orders = by_name(after, QUEUE)["ORDERS"]
        assert (orders["queue.members"], orders["queue.depth"]) == (3, MESSAGES)
        assert orders["queue.messagesPublished"] == 0
        dead = by_name(after, NODE)[f"node-{lost.name}"]
        assert dead["node.totalMemoryUsedInBytes"] is dead["node.connections"] is None
        assert counts(after, "cluster.nodeCount") == 3
        assert counts(after, "cluster.runningNodeCount") == 2
        # It alone knew what it led.
        assert lost.monitor in str(after["queues"].error)
        assert after["nodes"].error is None
        assert counts(after, "cluster.queueCount") is None
        rest = by_name(alone, QUEUE)["ORDERS"]
        assert (
            rest["queue.leader"] is rest["queue.depth"] is rest["queue.messagesInPerSecond"] is None
        )
        assert (rest["queue.members"], rest["queue.membersOnline"]) == (3, 1)

    asyncio.run(test())


def test_a_hung_server_costs_its_own_share(cluster: NatsCluster) -> None:
    """In the time that a tick has the others are read; it is named, and nothing is made up of it."""

    async def test() -> None:
        await filled(cluster)
        of = Collection(settings_of(cluster.monitors))
        try:
            before = await until(of.tick, whole)
            hung: Server = cluster.named(leaders(before)["ORDERS/c0"])
            await asyncio.to_thread(hung.pause)
            during = await of.tick(3)
            await asyncio.to_thread(hung.resume)
            again = await until(of.tick, whole)
        finally:
            await of.collector.close()
        for result in during.values():
            assert result.error_class == "timeout"
            assert hung.monitor in str(result.error)
            # It was waited for within the tick's own time, however busy the machine is.
            [waited] = re.findall(r"no answer within ([\d.]+) s", str(result.error))
            assert float(waited) < 3
        assert f"node-{hung.name}" not in by_name(during, NODE)
        led = {name for name, leader in leaders(before).items() if leader != hung.name}
        # Others may have been elected meanwhile.
        assert set(by_name(during, QUEUE)) >= led - {"SOLO"}
        assert all(
            found == backlogs(before)[name]
            for name, found in backlogs(during).items()
            if found[0] is not None
        )
        assert backlogs(again) == backlogs(before)
        rates = [row["queue.messagesInPerSecond"] for row in by_name(again, QUEUE).values()]
        assert all(rate is None or rate >= 0 for rate in rates)

    asyncio.run(test())
