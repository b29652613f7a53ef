"""Groups on a real broker that lose what they have not read: when their margin said, and counted once."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.cluster_collector import ClusterCollector
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.integration.collected_rows import INTERVAL, row_of, settings_of, tick
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.retention import CHECK
from tests.kafka.workload import commit, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SEGMENT = 2.0
"""Seconds: how much is a segment."""

PAUSE = 0.5
"""Seconds between two ticks."""

AHEAD = ("marginSeconds", "lostMessages", "lagState", "unreadMessages", "totalLag")


def topic_of(kafka: Kafka, name: str, **config: str) -> str:
    """A topic of one partition in segments of two seconds."""
    config = {"segment.ms": str(round(SEGMENT * 1e3)), **config}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(30)
    return name


class Watch:
    """A cluster's groups, collected and derived tick by tick; of one topic alone."""

    def __init__(self, kafka: Kafka, topic: str, **more: Any) -> None:
        self._topic = topic
        self._collector = ClusterCollector(settings_of(kafka, topics={"include": [topic]}, **more))
        self._derivation = ClusterDerivation("real", KAFKA_RULES)
        self._number = 0

    async def __aenter__(self) -> "Watch":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._collector.close()

    async def row(self, group: str) -> Mapping[str, Any]:
        """A group's row of the next tick, by names without their prefix; on its one topic it is the same."""
        rows = await self.rows()
        return rows(group)

    async def rows(self) -> Callable[[str], Mapping[str, Any]]:
        """The rows of the next tick, by group."""
        of_groups = (await tick(self._collector, self._number))["groups"]
        ticks = Ticks("real", self._number * INTERVAL, INTERVAL, kind="groups")
        self._number += 1
        result = self._derivation.derive(
            TickResult(ticks, Outcome.COMPLETED, of_groups.batches, of_groups.raw, 1)
        )
        collected = Collected(result.batches, {}, result.error_class, result.error)

        def of(group: str) -> Mapping[str, Any]:
            whole = row_of(collected, CONSUMER_GROUP, group)
            on_topic = row_of(collected, GROUP_TOPIC, f"{group}/{self._topic}")
            found = {name: whole[f"consumerGroup.{name}"] for name in AHEAD}
            assert found == {name: on_topic[f"consumerGroup.{name}"] for name in AHEAD}
            return found

        return of


async def until_lost(
    watch: Watch, group: str, made: Callable[[], None]
) -> list[tuple[float, float | None, int]]:
    """When each tick was, and the margin and the lost messages that it found, until some are lost."""
    found: list[tuple[float, float | None, int]] = []
    row: Mapping[str, Any] = {}
    while not found or not found[-1][2]:
        # Messages come all the time, so that segments end.
        await asyncio.to_thread(made)
        row = await watch.row(group)
        found.append((time.time(), row["marginSeconds"], row["lostMessages"] or 0))
        await asyncio.sleep(PAUSE)
    assert row["lagState"] == "losing"
    assert row["unreadMessages"] == row["totalLag"] - found[-1][2]
    return found


def half_way(found: list[tuple[float, float | None, int]]) -> tuple[float, float]:
    """When the tick half way to the first loss was, and what it said."""
    middle = (found[0][0] + found[-1][0]) / 2
    at, margin = next((at, margin) for at, margin, _ in found if at >= middle)
    assert margin is not None
    return at, margin


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "retention",
    [15.0, pytest.param(60.0, marks=pytest.mark.long("waits for a minute of retention"))],
)
def test_a_stopped_group_loses_when_its_margin_said(
    eager_kafka: KafkaCluster, retention: float
) -> None:
    """Not sooner than was said half way, nor later than a tenth of that, a check and a segment."""
    kept = {"retention.ms": str(round(retention * 1000))}
    topic = topic_of(eager_kafka, f"kept-{retention:g}", **kept)
    produce(eager_kafka, topic, [20])
    commit(eager_kafka, topic, f"stopped-{topic}", [5])

    async def watched() -> list[tuple[float, float | None, int]]:
        async with Watch(eager_kafka, topic) as watch:
            return await until_lost(
                watch, f"stopped-{topic}", lambda: produce(eager_kafka, topic, [10])
            )

    found = asyncio.run(watched())
    before, lost = found[-2][0], found[-1][0]
    at, margin = half_way(found)
    # Ages are known to a second, or a twentieth.
    sure = max(1.0, retention / 20)
    assert lost >= at + margin - sure
    assert before <= at + margin * 1.1 + CHECK + SEGMENT + sure


RATE, PAYLOAD = 20, 1_000
"""Messages/s, and bytes of each."""

HOLDS = 300_000
"""Bytes that the partition keeps: a quarter of a minute of messages."""


class Steady:
    """A producer that keeps its rate, whatever else the machine does."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._begun, self._made = time.monotonic(), 0

    def __call__(self) -> None:
        """What is due since the last time."""
        due = round((time.monotonic() - self._begun) * RATE) - self._made
        produce(self._kafka, self._topic, [due], size=PAYLOAD)
        self._made += due


@pytest.mark.timeout(300)
def test_a_stopped_group_loses_when_its_margin_by_bytes_said(eager_kafka: KafkaCluster) -> None:
    """`retention.bytes` alone limits the topic; how large messages are the brokers' disks say.

    Kafka removes a segment only where what stays is `retention.bytes` yet.
    """
    topic = topic_of(eager_kafka, "sized", **{"retention.ms": "-1", "retention.bytes": str(HOLDS)})
    produce(eager_kafka, topic, [20], size=PAYLOAD)
    commit(eager_kafka, topic, "stopped", [5])

    async def watched() -> list[tuple[float, float | None, int]]:
        async with Watch(eager_kafka, topic, log_dirs=True) as watch:
            return await until_lost(watch, "stopped", Steady(eager_kafka, topic))

    found = asyncio.run(watched())
    before, lost = found[-2][0], found[-1][0]
    at, margin = half_way(found)
    # One tick's messages are made after what was read, and batches weigh what they weigh.
    sure = 2.0
    assert lost >= at + margin - sure
    assert before <= at + margin * 1.1 + CHECK + SEGMENT + sure


@pytest.mark.timeout(120)
def test_deleted_records_are_lost_once_and_apart_from_lag(eager_kafka: KafkaCluster) -> None:
    """Of 40 that wait 30 are deleted; later others, of which some were read; nobody's loss is reported twice."""
    topic = topic_of(eager_kafka, "cleared", **{"retention.ms": "-1"})
    admin = AdminClient({"bootstrap.servers": eager_kafka.bootstrap_servers})
    produce(eager_kafka, topic, [50])

    def delete(before: int) -> None:
        admin.delete_records([TopicPartition(topic, 0, before)])[TopicPartition(topic, 0)].result(
            30
        )

    def reported(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in ("totalLag", "unreadMessages", "lostMessages"))

    async def watched() -> None:
        async with Watch(eager_kafka, topic) as watch:
            for group, offset in (("slow", 10), ("ahead", 50)):
                await asyncio.to_thread(commit, eager_kafka, topic, group, [offset])
            assert reported(await watch.row("slow"))[:2] == (40, 40)
            await asyncio.to_thread(delete, 40)
            rows = await watch.rows()
            assert reported(rows("slow")) == (40, 10, 30)
            assert (rows("slow")["lagState"], rows("slow")["marginSeconds"]) == ("losing", 0.0)
            assert reported(rows("ahead")) == (0, 0, 0)
            assert rows("ahead")["lagState"] == "keeping up"
            row = await watch.row("slow")
            assert reported(row) == (40, 10, 0)
            # What it never read is before the log's start yet.
            assert row["lagState"] == "losing"
            await asyncio.to_thread(commit, eager_kafka, topic, "slow", [44])
            row = await watch.row("slow")
            assert reported(row) == (6, 6, 0)
            assert row["lagState"] != "losing"
            await asyncio.to_thread(delete, 48)
            assert reported(await watch.row("slow")) == (6, 2, 4)
            assert reported(await watch.row("slow")) == (6, 2, 0)

    asyncio.run(watched())
