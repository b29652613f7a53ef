"""Rates and lag in seconds of a real cluster, from two ticks of it."""

import asyncio
import time
from collections.abc import Callable, Mapping

import pytest

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.settings import ClusterSettings
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.integration.collected_rows import INTERVAL, row_of, rows_of, settings_of, tick
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.workload import commit, create_topic, delete_topic, produce

pytestmark = pytest.mark.kafka

Found = Mapping[str, Collected]


def two_ticks(settings: ClusterSettings, between: Callable[[], None]) -> tuple[Found, Found, float]:
    """The derived samples of two ticks with something done between; and its seconds."""

    async def run() -> tuple[Found, Found, float]:
        collector = ClusterCollector(settings)
        derivation = ClusterDerivation(settings.name, KAFKA_RULES)
        try:
            begun = time.monotonic()
            first = _derived(derivation, 0, await tick(collector, 0))
            await asyncio.to_thread(between)
            second = _derived(derivation, 1, await tick(collector, 1))
            return first, second, time.monotonic() - begun
        finally:
            await collector.close()

    return asyncio.run(run())


def _derived(derivation: ClusterDerivation, number: int, found: Found) -> Found:
    derived = {}
    for kind, of_kind in found.items():
        ticks = Ticks("real", number * INTERVAL, INTERVAL, kind=kind)
        result = derivation.derive(
            TickResult(ticks, Outcome.COMPLETED, of_kind.batches, of_kind.raw, 1)
        )
        derived[kind] = Collected(result.batches, {}, of_kind.error_class, of_kind.error)
    return derived


def test_messages_in_and_out_by_their_offsets(kafka: Kafka) -> None:
    """What was produced and committed between two ticks, a second."""
    topic = create_topic(kafka, 2)
    group = f"group-{topic}"
    produce(kafka, topic, [50, 50])
    commit(kafka, topic, group, [0, 0])

    def between() -> None:
        produce(kafka, topic, [30, 10])
        commit(kafka, topic, group, [40, 20])

    first, second, seconds = two_ticks(settings_of(kafka), between)
    assert row_of(first["topics"], TOPIC, topic)["topic.messagesInPerSecond"] is None
    row = row_of(second["topics"], TOPIC, topic)
    # The readings lie within the two ticks: a rate is at least what all of the time gives.
    assert row["topic.messagesInPerSecond"] >= 40 / seconds
    assert row["topic.messagesOutPerSecond"] >= 60 / seconds
    (cluster,) = rows_of(second["topics"], CLUSTER)
    assert cluster["cluster.messagesInPerSecond"] >= row["topic.messagesInPerSecond"]
    of_group = row_of(second["groups"], CONSUMER_GROUP, group)
    assert of_group["consumerGroup.messagesConsumedPerSecond"] >= 60 / seconds
    assert of_group["consumerGroup.lagTrend"] < 0


def test_lag_in_seconds_is_the_age_of_the_first_uncommitted_message(kafka: Kafka) -> None:
    """By the messages' timestamps, in a topic that is idle since, and at the very first tick."""
    topic = create_topic(kafka, 1)
    group = f"group-{topic}"
    now = round(time.time() * 1000)
    for age in (3_600_000, 1_800_000, 60_000):
        produce(kafka, topic, [10], at=now - age)
    commit(kafka, topic, group, [10])
    first, _, seconds = two_ticks(settings_of(kafka), lambda: None)
    row = row_of(first["groups"], CONSUMER_GROUP, group)
    assert row["consumerGroup.lagMethod"] == "timestamps"
    age = row["consumerGroup.lagSeconds"]
    # Known to a twentieth of the age.
    assert 1_800 * 0.95 <= age <= (1_800 + seconds) * 1.05


def test_a_recreated_topic_has_no_rate_and_no_old_age(kafka: Kafka) -> None:
    """Deleted and created between two ticks, with more messages than before."""
    topic = create_topic(kafka, 1)
    group = f"group-{topic}"
    produce(kafka, topic, [5], at=round(time.time() * 1000) - 3_600_000)
    commit(kafka, topic, group, [2])

    def between() -> None:
        delete_topic(kafka, topic)
        create_topic(kafka, 1, name=topic)
        produce(kafka, topic, [50])
        commit(kafka, topic, group, [20])

    first, second, seconds = two_ticks(settings_of(kafka), between)
    assert row_of(first["groups"], CONSUMER_GROUP, group)["consumerGroup.lagSeconds"] >= 3_420
    row = row_of(second["topics"], TOPIC, topic)
    assert row["topic.offset"] == 50
    assert row["topic.messagesInPerSecond"] is None
    assert row_of(second["groups"], CONSUMER_GROUP, group)["consumerGroup.lagSeconds"] <= seconds


def test_the_brokers_pages_give_rates_gauges_and_sizes(kafka3: KafkaCluster) -> None:
    """Bytes and messages of the brokers and of topics, request times, disk size, controller."""
    topic = create_topic(kafka3, 3, 3)
    produce(kafka3, topic, [1, 1, 1])
    settings = settings_of(kafka3, broker_metrics=dict(kafka3.metrics_urls))
    _, second, seconds = two_ticks(settings, lambda: produce(kafka3, topic, [100, 100, 100]))
    assert [second[kind].error for kind in ("brokers", "topics")] == [None, None]
    brokers = rows_of(second["brokers"], BROKER)
    assert sum(r["broker.messagesInPerSecond"] for r in brokers) >= 300 / seconds
    assert sum(r["broker.isController"] for r in brokers) == 1
    for row in brokers:
        assert 0 <= row["request.handlerIdle"] <= 100
        assert 0 < row["broker.memoryUsage"] <= 100
        assert row["request.avgTimeFetch"] >= 0
        assert row["request.produceRequestsFailedPerSecond"] == 0
    of_topic = row_of(second["topics"], TOPIC, topic)
    assert of_topic["topic.bytesInPerSecond"] > 0
    # Three replicas on three brokers.
    assert of_topic["topic.diskSize"] >= 3 * 303
    (cluster,) = rows_of(second["brokers"], CLUSTER)
    assert cluster["cluster.errorRate"] == 0
