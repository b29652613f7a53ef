"""The tests' own Kafka is a real one: it keeps messages and commits, and survives kill -9."""

import uuid
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.cluster import Kafka, KafkaCluster

pytestmark = pytest.mark.kafka


def _create_topic(bootstrap: str, partitions: int, replicas: int) -> str:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
    return topic


def _produce(bootstrap: str, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def _consume(consumer: Consumer, count: int) -> list[bytes]:
    messages = consumer.consume(count, timeout=30)
    assert [m.error() for m in messages] == [None] * count
    return [m.value() or b"" for m in messages]


def _group_rows(described: str) -> list[list[str]]:
    """The rows of `kafka-consumer-groups --describe`, without blank lines and the header."""
    rows = [line.split() for line in described.splitlines() if line.strip()]
    return [row for row in rows if row[0] != "GROUP" and not row[0].startswith("Consumer")]


def test_messages_and_commits_are_kept(kafka: Kafka) -> None:
    """A consumer reads what was produced, and Kafka's own tool sees its commit and lag."""
    topic = _create_topic(kafka.bootstrap_servers, 1, 1)
    group = f"group-{topic}"
    _produce(kafka.bootstrap_servers, topic, [b"a", b"b", b"c"])
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        assert _consume(consumer, 3) == [b"a", b"b", b"c"]
        consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    finally:
        consumer.close()

    described = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--describe",
        "--group",
        group,
    )
    assert [row[:6] for row in _group_rows(described)] == [[group, topic, "0", "2", "3", "1"]]


def test_a_metrics_page_counts_what_was_produced(kafka: Kafka) -> None:
    """Each broker's Prometheus page counts a topic's messages by docker/jmx-exporter.yml."""
    if not kafka.metrics_urls:
        pytest.skip("the broker of MQPIPE_TEST_BOOTSTRAP has no metrics page that is known here")
    topic = _create_topic(kafka.bootstrap_servers, 1, 1)
    _produce(kafka.bootstrap_servers, topic, [b"x"] * 7)
    (url,) = kafka.metrics_urls.values()
    with urlopen(url, timeout=30) as page:
        lines = page.read().decode().splitlines()
    assert f'kafka_server_brokertopicmetrics_messagesin_total{{topic="{topic}"}} 7.0' in lines
    assert f'kafka_log_log_logendoffset{{partition="0",topic="{topic}"}} 7.0' in lines
    assert "kafka_controller_kafkacontroller_activecontrollercount 1.0" in lines


def test_a_broker_that_was_killed_comes_back(fresh_kafka3: KafkaCluster) -> None:
    """Two of three brokers go on without a killed one, which catches up after its restart."""
    cluster = fresh_kafka3
    topic = _create_topic(cluster.bootstrap_servers, 3, 3)
    cluster.kill(2)
    survivors = ",".join(
        address
        for broker_id, address in zip(
            cluster.broker_ids, cluster.bootstrap_servers.split(","), strict=True
        )
        if broker_id != 2
    )
    for partition in range(3):
        _produce(survivors, topic, [b"after the kill"], partition)
    admin = AdminClient({"bootstrap.servers": survivors})
    assert sorted(admin.list_topics(timeout=30).brokers) == [1, 3]

    cluster.start(2)
    assert sorted(admin.list_topics(timeout=30).brokers) == [1, 2, 3]
    described = cluster.tool("org.apache.kafka.tools.TopicCommand", "--describe", "--topic", topic)
    assert described.count("Replicas:") == 3
