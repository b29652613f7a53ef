"""The end-to-end probe against real brokers: what it measures, what it loses, what it leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from operators.collect.collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.schema.metrics import CONSUMER_GROUP, PROBE
from operators.ticks import PROBE_KIND, Collected, Ticks
from tests.integration.collecting import rows_of, settings_of, tick
from tests.kafka.cluster import Kafka, KafkaCluster

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


def test_a_broker_that_hangs_costs_its_messages(fresh_kafka3: KafkaCluster) -> None:
    """What its partition lost is counted and said; afterwards nothing is lost any more."""

    async def act(collector: ClusterCollector) -> None:
        row = row_of(await probed(collector, ENOUGH))
        assert (row["probe.sent"], row["probe.lost"]) == (3, 0)
        await asyncio.to_thread(fresh_kafka3.pause, 2)
        lost, why = await lost_of(collector, 4.0)
        # The coordinator of the probe's group may be on that broker: then nothing is known.
        assert lost is None or (lost >= 1 and "not read back in time" in why), why
        assert why
        await asyncio.to_thread(fresh_kafka3.resume, 2)
        async with asyncio.timeout(ENOUGH):
            while (await lost_of(collector, TIME_LEFT))[0] != 0:
                continue

    run(fresh_kafka3, act)


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
