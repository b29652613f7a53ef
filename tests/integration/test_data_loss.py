"""A stopped group on a real broker: its first loss against what its margin said."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.collector import ClusterCollector
from operators.derive.operator import ClusterDerivation
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.integration.collecting import INTERVAL, row_of, settings_of, tick
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.workload import commit, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CHECK, SEGMENT = 1.0, 2.0
"""Seconds: how often the broker looks for what is too old, and how much of it is a segment."""


@pytest.fixture(scope="module")
def eager() -> Iterator[Kafka]:
    """A broker that removes what is too old at once."""
    settings = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "1000"}
    with KafkaCluster(settings=settings) as kafka:
        yield kafka


def topic_of(kafka: Kafka, retention: float) -> str:
    """A topic of one partition that keeps so many seconds, in segments of two."""
    name = f"kept-{retention:g}"
    config = {"retention.ms": str(round(retention * 1000)), "segment.ms": str(round(SEGMENT * 1e3))}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(30)
    return name


async def watched(kafka: Kafka, topic: str, group: str) -> list[tuple[float, float | None, int]]:
    """When each tick was, and the margin and the lost messages that it found, until some are lost."""
    collector = ClusterCollector(settings_of(kafka, topics={"include": [topic]}))
    derivation = ClusterDerivation("real")
    found: list[tuple[float, float | None, int]] = []
    try:
        while not found or not found[-1][2]:
            number = len(found)
            await asyncio.to_thread(produce, kafka, topic, [10])
            of_groups = (await tick(collector, number))["groups"]
            at = time.time()
            ticks = Ticks("real", number * INTERVAL, INTERVAL, kind="groups")
            result = derivation.derive(
                TickResult(ticks, Outcome.COMPLETED, of_groups.batches, of_groups.raw, 1)
            )
            collected = Collected(result.batches, {}, result.error_class, result.error)
            row = row_of(collected, CONSUMER_GROUP, group)
            on_topic = row_of(collected, GROUP_TOPIC, f"{group}/{topic}")
            for name in ("marginSeconds", "lostMessages", "lagState"):
                assert row[f"consumerGroup.{name}"] == on_topic[f"consumerGroup.{name}"]
            margin, lost = (row[f"consumerGroup.{n}"] for n in ("marginSeconds", "lostMessages"))
            found.append((at, margin, lost or 0))
            # Messages come all the time, so that segments end.
            await asyncio.sleep(0.5)
    finally:
        await collector.close()
    assert row["consumerGroup.lagState"] == "losing"
    assert row["consumerGroup.unreadMessages"] == row["consumerGroup.totalLag"] - found[-1][2]
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "retention",
    [15.0, pytest.param(60.0, marks=pytest.mark.long("waits for a minute of retention"))],
)
def test_a_stopped_group_loses_when_its_margin_said(eager: Kafka, retention: float) -> None:
    """Not sooner than was said half way, nor later than a tenth of that, a check and a segment."""
    topic = topic_of(eager, retention)
    produce(eager, topic, [20])
    commit(eager, topic, f"stopped-{topic}", [5])
    found = asyncio.run(watched(eager, topic, f"stopped-{topic}"))
    before, lost = found[-2][0], found[-1][0]
    begun = found[0][0]
    at, margin = next((at, m) for at, m, _ in found if at >= (begun + lost) / 2)
    assert margin is not None
    # Ages are known to a second, or a twentieth.
    sure = max(1.0, retention / 20)
    assert lost >= at + margin - sure
    assert before <= at + margin * 1.1 + CHECK + SEGMENT + sure
