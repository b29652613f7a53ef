"""Lag before a transaction that is not ended, by how groups read."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Producer

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.settings import ClusterSettings
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC, TOPIC
from operators.ticks import Collected
from tests.integration.collected_rows import row_of, settings_of, tick
from tests.kafka.cluster import Kafka
from tests.kafka.workload import commit, create_topic, produce

pytestmark = pytest.mark.kafka


@pytest.fixture
def held_up(kafka: Kafka) -> Iterator[str]:
    """A topic of 5 messages that a group has read, and 10 of a transaction that is not ended."""
    topic = create_topic(kafka, 1)
    produce(kafka, topic, [5])
    commit(kafka, topic, f"group-{topic}", [5])
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(10):
        producer.produce(topic, b"x")
    assert producer.flush(30) == 0
    yield topic
    producer.abort_transaction(30)


def ticks(settings: ClusterSettings) -> list[Mapping[str, Collected]]:
    """Two ticks of one collector."""

    async def run() -> list[Mapping[str, Collected]]:
        collector = ClusterCollector(settings)
        try:
            return [await tick(collector, number) for number in range(2)]
        finally:
            await collector.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("isolation", "lag", "first"), [("read_uncommitted", 10, None), ("read_committed", 0, 1)]
)
def test_an_open_transaction_is_reported_and_lag_goes_by_the_isolation(
    kafka: Kafka, held_up: str, isolation: str, lag: int, first: int | None
) -> None:
    """15 messages are written, and 5 can be read before the transaction ends; a flag says why."""
    found = ticks(settings_of(kafka, isolation=isolation))
    group = f"group-{held_up}"
    rows = [
        row_of(found[1]["groups"], CONSUMER_GROUP, group),
        row_of(found[1]["groups"], GROUP_TOPIC, f"{group}/{held_up}"),
    ]
    assert [row["consumerGroup.totalLag"] for row in rows] == [lag, lag]
    assert [row["consumerGroup.openTransaction"] for row in rows] == [1, 1]
    assert row_of(found[1]["topics"], TOPIC, held_up)["topic.offset"] == 15
    assert row_of(found[1]["topics"], TOPIC, held_up)["topic.consumerLag"] == lag
    # It takes a tick to see that nothing moves, unless the last stable offsets are read anyway.
    of_first = row_of(found[0]["groups"], CONSUMER_GROUP, group)
    assert of_first["consumerGroup.openTransaction"] == first
