"""A network that is cut between mqpipe and one broker, while the cluster itself is well."""

import asyncio
import random
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.pages.settings import PagesSettings
from operators.collect.settings import ClusterSettings
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from operators.ticks import Collected
from tests.integration.collected_rows import (
    SHARED_THREADS,
    collection_of,
    rows_of,
    threads_and_files,
    tick,
)
from tests.kafka.cluster import PROXIED, KafkaCluster
from tests.kafka.proxy import Proxy
from tests.kafka.workload import commit, create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

BROKERS = (1, 2, 3)
GROUPS = [f"group-{n}" for n in range(30)]
TIME_LEFT = 4.0
CUT_TICKS = 4
SEEN_WITHIN = 2
"""Ticks due after the cut: the last of them says what cannot be reached, and so do later ones."""
CONNECTED = 3
"""Ticks after which a client has all the connections that it wants."""
PATIENCE = 60.0

Found = Mapping[str, Collected]

GARBLED: Mapping[str, Callable[[bytes], bytes]] = {
    "text in place of an answer": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a frame of 2 GiB": lambda _: struct.pack(">i", (1 << 31) - 1),
    "half of each piece": lambda data: data[: len(data) // 2],
    "noise in the answer's frame": lambda data: (
        data[:8] + random.Random(7).randbytes(len(data) - 8)
    ),
    "nothing": lambda _: b"",
}
"""What comes in place of a piece of an answer of one broker."""


def groups_of(found: Found) -> dict[str, dict[str, Any]]:
    return {r["consumer_group"]: r for r in rows_of(found["groups"], CONSUMER_GROUP)}


def whole(found: Found) -> bool:
    return all(c.error is None for c in found.values()) and len(groups_of(found)) == len(GROUPS)


async def run(cluster: KafkaCluster, cut_off: Sequence[int]) -> None:
    protocol = {broker: Proxy(cluster.advertised[broker, PROXIED]) for broker in BROKERS}
    pages = {broker: Proxy() for broker in BROKERS}
    try:
        listeners = cluster.bootstrap_of(PROXIED).split(",")
        for broker, listener in zip(BROKERS, listeners, strict=True):
            await protocol[broker].start(int(listener.rpartition(":")[2]))
            await pages[broker].start(urlsplit(cluster.metrics_urls[broker]).port or 0)
        topic = await asyncio.to_thread(create_topic, cluster, 6, 1)
        await asyncio.to_thread(produce, cluster, topic, [5] * 6)
        for group in GROUPS:
            await asyncio.to_thread(commit, cluster, topic, group, [1] * 6)
        collector = ClusterCollector(
            ClusterSettings(
                name="real",
                bootstrap_servers=",".join(f"127.0.0.1:{p.port}" for p in protocol.values()),
                broker_metrics=PagesSettings(
                    urls={b: f"http://127.0.0.1:{p.port}/metrics" for b, p in pages.items()}
                ),
            )
        )
        networks = {broker: (protocol[broker], pages[broker]) for broker in cut_off}
        try:
            await cut_and_mend(collector, networks, topic)
            numbers = count(1000)
            for into in GARBLED.values():
                proxy = protocol[cut_off[0]]
                await garble_and_mend(collector, numbers, proxy, cut_off[0], topic, into)
        finally:
            await collector.close()
    finally:
        for proxy in (*protocol.values(), *pages.values()):
            await proxy.close()


async def cut_and_mend(
    collector: ClusterCollector, networks: Mapping[int, Sequence[Proxy]], topic: str
) -> None:
    numbers = count()

    async def until(done: Callable[[Found], bool]) -> None:
        deadline = monotonic() + PATIENCE
        while True:
            found = await tick(collector, next(numbers), TIME_LEFT)
            if done(found):
                return
            errors = [c.error for c in found.values()]
            assert monotonic() < deadline, (errors, threads_and_files(), before)

    def as_before(found: Found) -> bool:
        threads, files = threads_and_files()
        return whole(found) and threads <= before[0] + SHARED_THREADS and files <= before[1]

    before = (0, 0)
    for _ in range(CONNECTED):
        await until(whole)
    before = threads_and_files()
    for broker, network in networks.items():
        under_way = asyncio.create_task(tick(collector, next(numbers), TIME_LEFT))
        await asyncio.sleep(0)
        for proxy in network:
            proxy.cut()
        await under_way
        answered: set[str] = set()
        for due_since in range(1, CUT_TICKS + 1):
            found = await tick(collector, next(numbers), TIME_LEFT)
            answered |= groups_of(found).keys()
            if due_since >= SEEN_WITHIN:
                assert_cut_off(found, broker, topic)
        assert answered, "the groups of the other brokers' coordinators answer"
        for proxy in network:
            proxy.mend()
        await until(whole)
    await until(as_before)


async def garble_and_mend(
    collector: ClusterCollector,
    numbers: Iterator[int],
    proxy: Proxy,
    broker: int,
    topic: str,
    into: Callable[[bytes], bytes],
) -> None:
    """A broker that answers nonsense costs what it alone knows, and is as before afterwards."""
    proxy.garble(into)
    answered: set[str] = set()
    for due_since in range(1, CUT_TICKS + 1):
        found = await tick(collector, next(numbers), TIME_LEFT)
        answered |= groups_of(found).keys()
        if due_since >= SEEN_WITHIN:
            (row,) = [r for r in rows_of(found["topics"], TOPIC) if r["topic"] == topic]
            assert (row["topic.partitionCount"], row["topic.offset"]) == (6, None)
            for kind in ("topics", "groups"):
                said = collection_of(found[kind], kind)
                assert said["collection.errorClass"] in ("garbage", "timeout")
                assert f"broker {broker} " in said["collection.error"]
    assert answered, "the groups of the other brokers' coordinators answer"
    proxy.garble(None)
    deadline = monotonic() + PATIENCE
    while not whole(found := await tick(collector, next(numbers), TIME_LEFT)):
        assert monotonic() < deadline, [c.error for c in found.values()]


def assert_cut_off(found: Found, broker: int, topic: str) -> None:
    """What a tick says of a broker that is well but cannot be reached from here."""
    # The cluster has all of its brokers, and says so.
    (cluster,) = rows_of(found["brokers"], CLUSTER)
    assert cluster["cluster.activeBrokerCount"] == len(BROKERS)
    assert cluster["cluster.underReplicatedPartitions"] == 0
    # Of the broker is known what the others know of it, and not what it alone does.
    brokers = {r["broker_id"]: r for r in rows_of(found["brokers"], BROKER)}
    assert all(row["broker.leaderCount"] is not None for row in brokers.values())
    silent = [b for b, row in brokers.items() if row["request.handlerIdle"] is None]
    assert silent == [broker]
    # What the broker leads is not known; the rest of what is known of the topic is.
    (row,) = [r for r in rows_of(found["topics"], TOPIC) if r["topic"] == topic]
    assert row["topic.partitionCount"] == 6
    assert row["topic.offset"] is None
    # A lag with a part missing is no lag.
    lags = {r["consumerGroup.totalLag"] for r in groups_of(found).values()}
    assert lags <= {None}
    # Each kind's tick says what is missing, and of whom.
    said = {kind: collection_of(collected, kind) for kind, collected in found.items()}
    assert {row["collection.ok"] for row in said.values()} == {0}
    assert {row["collection.errorClass"] for row in said.values()} == {"timeout"}
    assert f"metrics page of broker {broker} " in said["brokers"]["collection.error"]
    named = re.findall(r" from broker (\d+) ", said["topics"]["collection.error"])
    assert set(named) == {str(broker)}


@pytest.mark.parametrize(
    "cut_off",
    [(2,), pytest.param(BROKERS, marks=pytest.mark.long("one broker after the other is cut off"))],
    ids=["one", "each"],
)
def test_a_cut_network_costs_what_lies_behind_it(
    emptied_kafka3: KafkaCluster, cut_off: Sequence[int]
) -> None:
    """Ticks go on in time and say within two of them what is missing.

    All is as before when the network is.
    """
    asyncio.run(run(emptied_kafka3, cut_off))
