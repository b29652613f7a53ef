"""A broker of three dies or hangs and comes back: collection goes on, and nothing stays stuck."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from time import monotonic
from typing import Any

import pytest

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.protocol.client import Client
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from operators.ticks import Collected, TargetKind, Ticks
from tests.integration.collected_rows import (
    INTERVAL,
    SHARED_THREADS,
    rows_of,
    settings_of,
    threads_and_files,
    tick,
)
from tests.kafka.brokers_view import wait_until_out
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

TIME_LEFT = 5.0
SEEN_WITHIN = 2
"""Ticks due after the cluster itself knows of a loss: the last of them shows it."""
PATIENCE = 60.0
"""Seconds in which the cluster itself must be whole again, on a busy machine."""
Found = Mapping[str, Collected]

GROUPS = [f"group-{n}" for n in range(12)]


def cluster_of(found: Found) -> dict[str, Any]:
    (row,) = rows_of(found["brokers"], CLUSTER)
    return row


def whole(found: Found) -> bool:
    """Whether nothing is missing anywhere."""
    groups = [r["consumer_group"] for r in rows_of(found["groups"], CONSUMER_GROUP)]
    return (
        all(collected.error is None for collected in found.values())
        and cluster_of(found)["cluster.underReplicatedPartitions"] == 0
        and cluster_of(found)["cluster.activeBrokerCount"] == 3
        and sorted(groups) == sorted(GROUPS)
    )


def reported(found: Found) -> str:
    """What the last tick said, for a test that fails."""
    groups = [r["consumer_group"] for r in rows_of(found["groups"], CONSUMER_GROUP)]
    errors = [collected.error for collected in found.values()]
    return f"{errors} {groups} {cluster_of(found)}"


@pytest.mark.parametrize(
    "brokers",
    [(1,), pytest.param((1, 2, 3), marks=pytest.mark.long("one broker after the other fails"))],
    ids=["one", "each"],
)
@pytest.mark.parametrize(("fail", "mend"), [("kill", "start"), ("pause", "resume")])
def test_a_broker_that_fails_costs_what_only_it_knows(
    mended_kafka3: KafkaCluster, fail: str, mend: str, brokers: tuple[int, ...]
) -> None:
    """Each tick gives the rest; what the cluster knows of the loss is seen within two ticks.

    Afterwards all is as before.
    """
    kafka = mended_kafka3
    safe, single = create_topic(kafka, 3, 3), create_topic(kafka, 3, 1)
    produce(kafka, safe, [5, 5, 5])
    for group in GROUPS:
        commit(kafka, safe, group, [1, 1, 1])
    settings = settings_of(kafka, broker_metrics=dict(kafka.metrics_urls))

    async def run() -> None:
        collector = ClusterCollector(settings)
        numbers = count()

        async def ticks_until(done: Callable[[Found], bool]) -> Found:
            deadline = monotonic() + PATIENCE
            while True:
                found = await tick(collector, next(numbers), TIME_LEFT)
                if done(found):
                    return found
                assert monotonic() < deadline, reported(found)

        async def after_the_cluster_knew(broker: int) -> tuple[Found, int]:
            """The second tick due after the others count the broker out; how many partitions
            they then count as under-replicated."""
            knows = asyncio.ensure_future(asyncio.to_thread(wait_until_out, kafka, broker))
            ticks_to_come = SEEN_WITHIN
            while ticks_to_come:
                if knows.done():
                    ticks_to_come -= 1
                found = await tick(collector, next(numbers), TIME_LEFT)
                # From the first tick on, what the broker alone knows is missing and named.
                assert f"metrics page of broker {broker} " in (found["brokers"].error or "")
                assert {r["topic"] for r in rows_of(found["topics"], TOPIC)} >= {safe, single}
            return found, await knows

        try:
            await ticks_until(whole)
            before = threads_and_files()
            for broker in brokers:
                await asyncio.to_thread(getattr(kafka, fail), broker)
                found, under_replicated = await after_the_cluster_knew(broker)
                cluster = cluster_of(found)
                assert cluster["cluster.activeBrokerCount"] == 2
                assert cluster["cluster.underReplicatedPartitions"] == under_replicated
                left = {r["broker_id"] for r in rows_of(found["brokers"], BROKER)}
                assert left == set(kafka.broker_ids) - {broker}
                (topic,) = [r for r in rows_of(found["topics"], TOPIC) if r["topic"] == safe]
                assert topic["topic.underReplicatedPartitions"] == 3
                await asyncio.to_thread(getattr(kafka, mend), broker)
                await ticks_until(whole)
            threads, files = threads_and_files()
            assert files <= before[1]
            assert threads <= before[0] + SHARED_THREADS
        finally:
            await collector.close()

    asyncio.run(run())


def test_a_broker_that_hangs_does_not_cost_the_others_answer_that_they_have_no_groups(
    emptied_kafka3: KafkaCluster,
) -> None:
    """The tick says who did not answer, and not how many groups there are.

    Where nobody answers it fails. All this is before a broker that hangs leaves the metadata.
    """

    async def run(kafka: KafkaCluster) -> None:
        settings = settings_of(kafka)
        collector = ClusterCollector(settings)
        client = KafkaClient(settings.name, Client(settings.name, settings.properties))
        numbers = count()

        async def groups_tick() -> Collected | CollectionError:
            due = Ticks("real", next(numbers) * INTERVAL, INTERVAL, kind=TargetKind.GROUPS)
            try:
                return await collector.collect(due, TIME_LEFT)
            except CollectionError as error:
                return error

        async def until(done: Callable[[Collected | CollectionError], bool]) -> None:
            deadline = monotonic() + PATIENCE
            while not done(found := await groups_tick()):
                assert monotonic() < deadline, found

        def counted(found: Collected | CollectionError) -> Any:
            if isinstance(found, CollectionError):
                return None
            return rows_of(found, CLUSTER)[0]["cluster.consumerGroupCount"]

        def names_the_hung_one(found: Collected | CollectionError) -> bool:
            # No tick says that there are none, or that all was well.
            assert counted(found) is None
            assert found.error_class
            named = isinstance(found, Collected) and "broker 2 (" in (found.error or "")
            return named and found.error_class == "timeout"

        try:
            await until(lambda found: counted(found) == 0)
            await client.topology(PATIENCE)
            kafka.pause(2)
            await until(names_the_hung_one)
            for broker in (1, 3):
                kafka.pause(broker)
            with pytest.raises(CollectionError):
                await client.listed_groups(1, timeout=1.0)
            assert isinstance(await groups_tick(), CollectionError)
            for broker in kafka.broker_ids:
                kafka.resume(broker)
            await until(lambda found: counted(found) == 0)
        finally:
            await client.close()
            await collector.close()

    asyncio.run(run(emptied_kafka3))
