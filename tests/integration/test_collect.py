"""What is collected from a real cluster equals what Kafka's own tools say of it."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.schema.metrics import BROKER, CONSUMER_GROUP, PARTITION_OFFSET, TOPIC
from tests.integration.collecting import collect_once, row_of, rows_of, settings_of
from tests.kafka.ask import (
    described_group,
    described_topic,
    end_offsets,
    group_members,
    group_state,
    listed_groups,
    total_lag,
)
from tests.kafka.cluster import Kafka

pytestmark = pytest.mark.kafka


def create_topic(kafka: Kafka, partitions: int = 3, replicas: int = 1) -> str:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
    # Metadata of a new topic reaches the brokers a little later.
    while not _has_leaders(admin, topic, partitions):
        pass
    return topic


def _has_leaders(admin: AdminClient, topic: str, partitions: int) -> bool:
    found = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return len(found) == partitions and all(p.leader >= 0 for p in found.values())


def produce(kafka: Kafka, topic: str, counts: Sequence[int]) -> None:
    """So many messages to each partition."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    for partition, count in enumerate(counts):
        for number in range(count):
            producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(30) == 0


def commit(kafka: Kafka, topic: str, group: str, offsets: Sequence[int]) -> None:
    """Commit for a group that has no members."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    partitions = [TopicPartition(topic, p, offset) for p, offset in enumerate(offsets)]
    request = [ConsumerGroupTopicPartitions(group, partitions)]
    admin.alter_consumer_group_offsets(request)[group].result(30)


@contextmanager
def member(kafka: Kafka, group: str, topic: str, **more: str) -> Iterator[Consumer]:
    """A consumer that has joined its group and has partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **more,
        }
    )
    try:
        consumer.subscribe([topic])
        while not consumer.assignment():
            consumer.poll(0.1)
        yield consumer
    finally:
        consumer.close()


def test_topics_equal_kafka_topics(kafka: Kafka) -> None:
    """Partitions, replicas, leaders and end offsets are those of Kafka's tools."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 0, 7])
    row = row_of(collect_once(settings_of(kafka))["topics"], TOPIC, topic)
    described = described_topic(kafka, topic)
    assert row["topic.partitionCount"] == len(described)
    assert row["topic.replicationFactor"] == len(described[0]["Replicas"].split(","))
    assert row["topic.underReplicatedPartitions"] == 0
    assert row["topic.offlinePartitions"] == 0
    assert row["topic.respondsToMetadataRequests"] == 1
    assert row["topic.offset"] == sum(end_offsets(kafka, topic).values()) == 12
    assert row["topic.retainedMessages"] == 12


def test_a_group_without_members_equals_kafka_consumer_groups(kafka: Kafka) -> None:
    """A group that only ever committed has its lag, state and type."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 0, 7])
    group = f"group-{topic}"
    commit(kafka, topic, group, [2, 0, 7])
    row = row_of(collect_once(settings_of(kafka))["groups"], CONSUMER_GROUP, group)
    described = described_group(kafka, group)
    assert row["consumerGroup.totalLag"] == total_lag(described) == 3
    assert row["consumerGroup.maxLag"] == 3
    assert row["consumerGroup.committedOffset"] == 9
    assert row["consumerGroup.state"] == group_state(kafka, group)["STATE"] == "Empty"
    assert row["consumerGroup.type"] == listed_groups(kafka)[group] == "classic"
    assert row["consumerGroup.activeConsumers"] == 0


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_equals_kafka_consumer_groups(kafka: Kafka, protocol: str) -> None:
    """Members, assignment, state, type and lag of classic and of KIP-848 groups."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 1, 7])
    group = f"group-{topic}"
    more = {"group.protocol": protocol}
    with member(kafka, group, topic, **more) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        consumer.poll(0.5)
        collected = collect_once(settings_of(kafka, partition_offsets=True))["groups"]
        state = group_state(kafka, group)
        members = group_members(kafka, group)
        described = described_group(kafka, group)
    row = row_of(collected, CONSUMER_GROUP, group)
    assert row["consumerGroup.state"] == state["STATE"] == "Stable"
    assert row["consumerGroup.activeConsumers"] == int(state["#MEMBERS"]) == 1
    assert row["consumerGroup.assignedPartitions"] == int(members[0]["#PARTITIONS"]) == 3
    assert row["consumerGroup.type"] == protocol
    assert row["consumerGroup.totalLag"] == total_lag(described) == 2
    partitions = {
        str(r["partition"]): r
        for r in rows_of(collected, PARTITION_OFFSET)
        if r["consumer_group"] == group
    }
    for told in described:
        found = partitions[told["PARTITION"]]
        assert _or_dash(found["consumer.offset"]) == told["CURRENT-OFFSET"]
        assert _or_dash(found["consumer.lag"]) == told["LAG"]
        assert _or_dash(found["consumer.hwm"]) == told["LOG-END-OFFSET"]


def test_brokers_have_their_partitions(kafka: Kafka) -> None:
    """The one broker leads all partitions and holds them."""
    topic = create_topic(kafka)
    found = collect_once(settings_of(kafka))["brokers"]
    (broker,) = rows_of(found, BROKER)
    assert broker["broker.leaderCount"] == broker["broker.partitionCount"] >= 3
    assert broker["entity_name"] == f"real/broker-{broker['broker_id']}"
    assert described_topic(kafka, topic)[0]["Leader"] == str(broker["broker_id"])


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
