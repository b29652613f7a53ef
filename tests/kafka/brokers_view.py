"""What the brokers of a cluster say of it themselves, each of them asked alone."""

import time
from collections.abc import Callable, Sequence

from confluent_kafka.admin import AdminClient, ClusterMetadata

from tests.kafka.cluster import KafkaCluster

PAUSE = 0.05


def wait_until_out(cluster: KafkaCluster, broker_id: int) -> int:
    """Returns when all other brokers count this one out: not live, and in sync with nothing.

    What it returns is how many partitions they then count as under-replicated. A partition that
    has no other replica does not keep it waiting.
    """
    addresses = zip(cluster.broker_ids, cluster.bootstrap_servers.split(","), strict=True)
    others = [address for other, address in addresses if other != broker_id]
    while True:
        said = [_metadata(address) for address in others]
        if all(_counts_out(metadata, broker_id) for metadata in said):
            return _under_replicated(said[-1])
        time.sleep(PAUSE)


def _metadata(address: str) -> ClusterMetadata:
    # A new client each time: one that lives on asks the other brokers too.
    return AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=30)


def _counts_out(metadata: ClusterMetadata, broker_id: int) -> bool:
    in_sync = [
        partition.isrs
        for topic in metadata.topics.values()
        for partition in topic.partitions.values()
        if len(partition.replicas) > 1
    ]
    return broker_id not in metadata.brokers and not any(broker_id in isrs for isrs in in_sync)


def _under_replicated(metadata: ClusterMetadata) -> int:
    return sum(
        len(partition.isrs) < len(partition.replicas)
        for topic in metadata.topics.values()
        for partition in topic.partitions.values()
    )


def wait_until_balanced(cluster: KafkaCluster, elect: Callable[[], object]) -> None:
    """Returns when all brokers agree that every replica is in sync and preferred leaders lead.

    `elect` is called between two looks, while that is not so.
    """
    while True:
        said = [_metadata(address) for address in cluster.bootstrap_servers.split(",")]
        if all(_is_balanced(metadata, len(cluster.broker_ids)) for metadata in said):
            return
        elect()
        time.sleep(PAUSE)


def coordinators(cluster: KafkaCluster, groups: Sequence[str]) -> dict[str, int]:
    """The broker that coordinates each group."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    asked = admin.describe_consumer_groups(list(groups), request_timeout=30)
    return {group: future.result().coordinator.id for group, future in asked.items()}


def _is_balanced(metadata: ClusterMetadata, brokers: int) -> bool:
    return len(metadata.brokers) == brokers and all(
        partition.leader == partition.replicas[0] and set(partition.isrs) == set(partition.replicas)
        for topic in metadata.topics.values()
        for partition in topic.partitions.values()
    )
