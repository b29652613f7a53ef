"""Topics' sizes on disk by the brokers' log directories, compared with Kafka's own tool."""

import asyncio
import json

import pytest

from operators.collect.cluster_collector import ClusterCollector
from operators.schema.metrics import TOPIC
from operators.ticks import Collected, Ticks
from tests.integration.collected_rows import (
    INTERVAL,
    SHARED_THREADS,
    collect_once,
    rows_of,
    secured_settings,
    settings_of,
    threads_and_files,
)
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.security import SecuredKafka
from tests.kafka.workload import create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TOOL = "org.apache.kafka.tools.LogDirsCommand"
TIME_LEFT = 4.0
"""Seconds that a tick has where a broker hangs."""
ENOUGH = 60.0
"""Seconds for what need not be quick."""


def reported_by_kafka(kafka: Kafka, topic: str) -> int:
    """Bytes on all brokers, as `kafka-log-dirs` says."""
    lines = kafka.tool(TOOL, "--describe", "--topic-list", topic).splitlines()
    (described,) = [json.loads(line) for line in lines if line.startswith("{")]
    return sum(
        partition["size"]
        for broker in described["brokers"]
        for directory in broker["logDirs"]
        for partition in directory["partitions"]
    )


async def topics_of(
    collector: ClusterCollector, number: int, time_left: float = ENOUGH
) -> Collected:
    """What tick `number` gives of the topics."""
    return await collector.collect(
        Ticks("real", number * INTERVAL, INTERVAL, kind="topics"), time_left
    )


def size_of(topics: Collected, topic: str) -> int | None:
    (row,) = [row for row in rows_of(topics, TOPIC) if row["topic"] == topic]
    size: int | None = row["topic.diskSize"]
    return size


def test_sizes_equal_kafkas_own_tool_and_a_hung_broker_makes_them_unknown(
    emptied_kafka3: KafkaCluster,
) -> None:
    """Replicas of all brokers are summed, without any metrics page; one that hangs is named."""
    kafka = emptied_kafka3
    full, empty = create_topic(kafka, 3, 3), create_topic(kafka, 2, 1)
    produce(kafka, full, [500, 300, 100])
    expected = reported_by_kafka(kafka, full)
    assert expected > 0

    async def run() -> None:
        collector = ClusterCollector(settings_of(kafka, log_dirs=True))
        try:
            topics = await topics_of(collector, 0)
            assert (topics.error, size_of(topics, full), size_of(topics, empty)) == (
                None,
                expected,
                0,
            )
            before = threads_and_files()
            await asyncio.to_thread(kafka.pause, 2)
            topics = await topics_of(collector, 1, TIME_LEFT)
            # To the cluster it is a live broker, and so its logs belong to the sum.
            assert size_of(topics, full) is None
            assert "log directories of broker 2 " in (topics.error or "")
            assert {r["topic"] for r in rows_of(topics, TOPIC)} >= {full, empty}
            await asyncio.to_thread(kafka.resume, 2)
            await asyncio.to_thread(kafka.wait_until_up, 2)
            number = 2
            while size_of(await topics_of(collector, number), full) != expected:
                number += 1
            threads, files = threads_and_files()
            assert files <= before[1]
            assert threads <= before[0] + SHARED_THREADS
        finally:
            await collector.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [("SASL", "PLAIN"), ("SASL_TLS", "SCRAM-SHA-512"), ("TLS", "")],
)
def test_it_gets_in_by_the_clients_own_properties(
    secured_kafka: SecuredKafka, listener: str, mechanism: str
) -> None:
    """SASL and TLS as the rest of the collection has them."""
    topic = create_topic(secured_kafka.cluster, 1)
    client = secured_kafka.client(listener, mechanism=mechanism)
    settings = secured_settings(client, log_dirs=True)
    topics = collect_once(settings)["topics"]
    # A topic is in the metadata shortly before its logs are in their directories.
    while size_of(topics, topic) is None:
        topics = collect_once(settings)["topics"]
    assert (topics.error, size_of(topics, topic)) == (None, 0)
