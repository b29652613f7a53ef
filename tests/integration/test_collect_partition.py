"""A network that is cut between mqpipe and one broker, while the cluster itself is well."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from time import monotonic
from typing import Any

import pytest

from operators.collect.collector import ClusterCollector
from operators.collect.settings import ClusterSettings
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, TOPIC
from operators.ticks import Collected
from tests.integration.collecting import SHARED_THREADS, rows_of, threads_and_files, tick
from tests.kafka.cluster import KafkaCluster
from tests.kafka.doing import commit, create_topic, produce
from tests.kafka.proxy import Proxy

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

BROKERS = (1, 2, 3)
GROUPS = [f"group-{n}" for n in range(30)]
TIME_LEFT = 3.0
CUT_TICKS = 6
CONNECTED = 3
"""Ticks after which a client has all the connections that it wants."""
PATIENCE = 60.0

Found = Mapping[str, Collected]


def groups_of(found: Found) -> dict[str, dict[str, Any]]:
    return {r["consumer_group"]: r for r in rows_of(found["groups"], CONSUMER_GROUP)}


def whole(found: Found) -> bool:
    return all(c.error is None for c in found.values()) and len(groups_of(found)) == len(GROUPS)


async def run() -> None:
    proxies = {broker: Proxy() for broker in BROKERS}
    cluster = await asyncio.to_thread(
        KafkaCluster,
        len(BROKERS),
        listeners={"PROXIED": "PLAINTEXT"},
        advertised={(broker, "PROXIED"): proxy.port for broker, proxy in proxies.items()},
    )
    try:
        targets = cluster.bootstrap_of("PROXIED").split(",")
        for proxy, target in zip(proxies.values(), targets, strict=True):
            await proxy.start(int(target.rpartition(":")[2]))
        topic = await asyncio.to_thread(create_topic, cluster, 6, 1)
        await asyncio.to_thread(produce, cluster, topic, [5] * 6)
        for group in GROUPS:
            await asyncio.to_thread(commit, cluster, topic, group, [1] * 6)
        collector = ClusterCollector(
            ClusterSettings(
                name="real",
                bootstrap_servers=",".join(f"127.0.0.1:{p.port}" for p in proxies.values()),
            )
        )
        try:
            await cut_and_mend(collector, proxies, topic)
        finally:
            await collector.close()
    finally:
        for proxy in proxies.values():
            await proxy.close()
        await asyncio.to_thread(cluster.close)


async def cut_and_mend(
    collector: ClusterCollector, proxies: Mapping[int, Proxy], topic: str
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
    for broker, proxy in proxies.items():
        proxy.cut()
        answered: set[str] = set()
        told: list[str] = []
        for _ in range(CUT_TICKS):
            found = await tick(collector, next(numbers), TIME_LEFT)
            # The cluster has all of its brokers, and says so.
            (cluster,) = rows_of(found["brokers"], CLUSTER)
            assert cluster["cluster.activeBrokerCount"] == len(BROKERS)
            # What the broker leads is not known; the rest of what is known of the topic is.
            (row,) = [r for r in rows_of(found["topics"], TOPIC) if r["topic"] == topic]
            assert row["topic.partitionCount"] == 6
            assert row["topic.offset"] is None
            assert found["topics"].error_class == "timeout"
            told.append(found["topics"].error or "")
            assert found["groups"].error_class == "timeout"
            # A lag with a part missing is no lag.
            lags = {r["consumerGroup.totalLag"] for r in groups_of(found).values()}
            assert lags <= {None}
            answered |= groups_of(found).keys()
        # A tick whose metadata was asked of that broker first may not come to the offsets.
        assert any(f"from broker {broker} " in error for error in told), told
        assert answered, "the groups of the other brokers' coordinators answer"
        proxy.mend()
        await until(whole)
    await until(as_before)


def test_a_cut_network_costs_what_lies_behind_it() -> None:
    """Ticks go on in time, say what is missing, and all is as before when the network is."""
    asyncio.run(run())
