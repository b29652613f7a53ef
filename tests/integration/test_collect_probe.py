"""The end-to-end probe against real brokers: what it measures, what it loses, what it leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from operators.collect.check import missing_permissions
from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.schema.metrics import CONSUMER_GROUP, PROBE
from operators.ticks import PROBE_KIND, Collected, Ticks
from tests.integration.collected_rows import rows_of, secured_settings, settings_of, tick
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.security import LIMITED, SecuredKafka
from tests.kafka.workload import create_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TOPIC = "mqpipe-probe-of-tests"
TIME_LEFT = 8.0
ENOUGH = 60.0
"""Seconds for what need not be quick."""


async def probed(collector: ClusterCollector, time_left: float = TIME_LEFT) -> Collected:
    return await collector.collect(Ticks("real", 0, 30_000, kind=PROBE_KIND), time_left)


def row_of(collected: Collected) -> dict[str, Any]:
    (row,) = rows_of(collected, PROBE)
    return row


async def lost_of(collector: ClusterCollector, time_left: float) -> tuple[int | None, str]:
    """How many messages a tick lost, None where it failed as a whole; and what it said."""
    try:
        collected = await probed(collector, time_left)
    except CollectionError as error:
        return None, str(error)
    return row_of(collected)["probe.lost"], collected.error or ""


def run(kafka: Kafka, act: Callable[[ClusterCollector], Awaitable[None]], **more: Any) -> None:
    """A collector with a probe, and its end."""

    async def main() -> None:
        collector = ClusterCollector(settings_of(kafka, probe={"topic": TOPIC}, **more))
        try:
            await act(collector)
        finally:
            await collector.close()

    asyncio.run(main())


def left_in(kafka: Kafka) -> tuple[bool, bool]:
    """Whether its topic and its group are there."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    groups = admin.list_consumer_groups(request_timeout=ENOUGH).result().valid or []
    there = TOPIC in admin.list_topics(timeout=ENOUGH).topics
    return there, TOPIC in {group.group_id for group in groups}


def test_it_measures_and_cleans_up_after_itself(kafka: Kafka) -> None:
    """Each tick a message comes back; its group is in no sample, and nothing is left at the end."""

    async def act(collector: ClusterCollector) -> None:
        for _ in range(2):
            collected = await probed(collector, ENOUGH)
            row = row_of(collected)
            assert collected.error is None
            assert (row["entity_name"], row["provider"]) == ("real/probe", "kafka")
            assert (row["probe.sent"], row["probe.lost"]) == (1, 0)
            assert 0 < row["probe.produceLatency"] <= row["probe.roundTripLatency"] < ENOUGH
            assert 0 < row["probe.commitLatency"] < ENOUGH
        assert left_in(kafka) == (True, True)
        found = await tick(collector)
        groups = {row["consumer_group"] for row in rows_of(found["groups"], CONSUMER_GROUP)}
        assert TOPIC not in groups

    run(kafka, act)
    assert left_in(kafka) == (False, False)


def test_a_broker_that_hangs_costs_its_messages(mended_kafka3: KafkaCluster) -> None:
    """What its partition lost is counted and said; afterwards nothing is lost any more."""

    async def act(collector: ClusterCollector) -> None:
        row = row_of(await probed(collector, ENOUGH))
        assert (row["probe.sent"], row["probe.lost"]) == (3, 0)
        await asyncio.to_thread(mended_kafka3.pause, 2)
        lost, why = await lost_of(collector, 4.0)
        # The coordinator of the probe's group may be on that broker: then nothing is known.
        assert lost is None or (lost >= 1 and "not read back in time" in why), why
        assert why
        await asyncio.to_thread(mended_kafka3.resume, 2)
        async with asyncio.timeout(ENOUGH):
            while (await lost_of(collector, TIME_LEFT))[0] != 0:
                continue

    run(mended_kafka3, act)


def test_whether_it_may_probe_is_found_out_without_a_trace(kafka: Kafka) -> None:
    """Where everything is permitted nothing is missing, and neither topic nor group is made."""
    settings = settings_of(kafka, probe={"topic": TOPIC})
    assert asyncio.run(missing_permissions(settings, ENOUGH)) == ()
    assert left_in(kafka) == (False, False)


def test_each_missing_permission_is_named(secured_kafka: SecuredKafka) -> None:
    """First nothing is permitted, then to make the topic; then it is there; then everything is."""
    topic = "mqpipe-probe-of-the-limited"
    cluster = secured_kafka.cluster
    settings = secured_settings(secured_kafka.client("SASL", user=LIMITED), probe={"topic": topic})
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})

    def lacks() -> list[str]:
        problems = asyncio.run(missing_permissions(settings, ENOUGH))
        assert {problem.error_class for problem in problems} <= {"authorization"}
        granted = [problem.text.rpartition("grant ")[2] for problem in problems]
        return [text for text in granted if topic in text]

    def allow(kind: ResourceType, *operations: AclOperation) -> list[str]:
        """What is still missing once the broker knows of it."""
        before = lacks()
        bindings = [
            AclBinding(
                kind,
                topic,
                ResourcePatternType.LITERAL,
                f"User:{LIMITED}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        for future in admin.create_acls(bindings).values():
            future.result(ENOUGH)
        while (now := lacks()) == before:
            continue
        return now

    use = (AclOperation.READ, AclOperation.WRITE, AclOperation.DELETE)
    on_topic, on_group = f"Read, Write, Delete on Topic {topic}", f"Read, Delete on Group {topic}"
    assert lacks() == [f"Create, {on_topic}", on_group]
    assert allow(ResourceType.TOPIC, AclOperation.DESCRIBE) == [
        f"Create on Topic {topic}",
        on_group,
    ]
    assert allow(ResourceType.TOPIC, AclOperation.CREATE) == [on_group]
    assert topic not in admin.list_topics(timeout=ENOUGH).topics
    create_topic(cluster, 1, name=topic)
    assert lacks() == [on_topic, on_group]
    assert allow(ResourceType.GROUP, AclOperation.READ, AclOperation.DELETE) == [on_topic]
    assert allow(ResourceType.TOPIC, *use) == []


def test_a_cluster_that_is_not_there_is_said() -> None:
    """One clear line, within the time that there is."""

    class Nowhere:
        bootstrap_servers = "127.0.0.1:1"

    async def act(collector: ClusterCollector) -> None:
        with pytest.raises(CollectionError) as failed:
            await probed(collector, 1.0)
        assert "probe by the topic" in str(failed.value)
        assert "\n" not in str(failed.value)

    run(Nowhere(), act)  # type: ignore[arg-type]
