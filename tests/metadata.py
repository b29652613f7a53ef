"""Kafka metadata for tests, written down in a few words."""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError
from confluent_kafka.admin import (
    BrokerMetadata,
    ClusterMetadata,
    PartitionMetadata,
    TopicMetadata,
)

from operators.collect.topology import Topology, topology_of

Partition = tuple[int, Sequence[int], Sequence[int]]
"""Leader, replicas, in-sync replicas."""


def topology(
    brokers: Sequence[int],
    topics: Mapping[str, Sequence[Partition]],
    refused: Sequence[str] = (),
) -> Topology:
    """The topology of these brokers and topics; `refused` topics answer with an error."""
    metadata = ClusterMetadata()
    for broker_id in brokers:
        broker = BrokerMetadata()
        vars(broker).update(id=broker_id, host=f"host-{broker_id}", port=9092)
        metadata.brokers[broker_id] = broker
    for name, partitions in topics.items():
        metadata.topics[name] = _topic(name, partitions)
    for name in refused:
        metadata.topics[name] = _topic(name, [])
        metadata.topics[name].error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    return topology_of(metadata, at=0.0)


def _topic(name: str, partitions: Sequence[Partition]) -> TopicMetadata:
    topic = TopicMetadata()
    topic.topic = name
    for number, (leader, replicas, in_sync) in enumerate(partitions):
        partition = PartitionMetadata()
        partition.id, partition.leader = number, leader
        partition.replicas, partition.isrs = list(replicas), list(in_sync)
        topic.partitions[number] = partition
    return topic
