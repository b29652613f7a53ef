"""What producers, consumers and operators do to a cluster, for tests to look at."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.cluster import Kafka


def create_topic(kafka: Kafka, partitions: int = 3, replicas: int = 1, name: str = "") -> str:
    """A topic whose leaders are known to the brokers; its name is new where none is given."""
    topic = name or f"topic-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
    while not _has_leaders(admin, topic, partitions):
        pass
    return topic


def delete_topic(kafka: Kafka, topic: str) -> None:
    """Deletes a topic; returns when no broker names it."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(30)
    while topic in admin.list_topics(timeout=30).topics:
        pass


def produce(kafka: Kafka, topic: str, counts: Sequence[int], at: int = 0, *, size: int = 0) -> None:
    """So many messages of `size` bytes to each partition, with the timestamp `at` (ms) if it is given."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    for partition, count in enumerate(counts):
        for number in range(count):
            value = str(number).encode().ljust(size)
            producer.produce(topic, value, partition=partition, timestamp=at)
    assert producer.flush(30) == 0


def commit(kafka: Kafka, topic: str, group: str, offsets: Sequence[int]) -> None:
    """Commits for a group that has no members; waits while its coordinator is being made."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    partitions = [TopicPartition(topic, p, offset) for p, offset in enumerate(offsets)]
    request = [ConsumerGroupTopicPartitions(group, partitions)]
    while True:
        # The client itself gives up after 60 s, and looks for the coordinator meanwhile.
        answer = admin.alter_consumer_group_offsets(request)[group].result(90)
        if not any(partition.error for partition in answer.topic_partitions or ()):
            return


@contextmanager
def member(kafka: Kafka, group: str, topic: str, **more: str) -> Iterator[Consumer]:
    """A consumer that has joined its group and has partitions, as the group knows too."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **more,
        }
    )
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    try:
        consumer.subscribe([topic])
        while not (consumer.assignment() and _is_stable(admin, group)):
            consumer.poll(0.1)
        yield consumer
    finally:
        consumer.close()


def _is_stable(admin: AdminClient, group: str) -> bool:
    stable = {ConsumerGroupState.STABLE}
    listed = admin.list_consumer_groups(states=stable, request_timeout=30).result()
    return group in {found.group_id for found in listed.valid or ()}


def _has_leaders(admin: AdminClient, topic: str, partitions: int) -> bool:
    found = admin.list_topics(topic, timeout=30).topics[topic].partitions
    return len(found) == partitions and all(p.leader >= 0 for p in found.values())
