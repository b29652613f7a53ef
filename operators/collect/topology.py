"""Brokers, topics and partitions of one moment, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from confluent_kafka import KafkaError
from confluent_kafka.admin import ClusterMetadata
from numpy.typing import NDArray

NO_LEADER = -1

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Topology:
    """What a cluster's metadata says.

    One row a partition, in the arrays from `topic` on: topics in the order of `topics`, each
    one's partitions from 0 on. `topics` are those that answered; `errors` holds the others.
    """

    at: float
    """When it was read, in seconds since the epoch."""
    brokers: Mapping[int, str]
    """Live brokers: `host:port` by id."""
    topics: tuple[str, ...]
    errors: Mapping[str, KafkaError]
    first: Mapping[str, int]
    """By topic: the row of its partition 0."""
    counts: Ints
    """By topic: how many partitions it has."""
    topic: Ints
    """Index into `topics`."""
    partition: Ints
    leader: Ints
    """Broker id, or NO_LEADER."""
    preferred: Ints
    """The first replica's broker id."""
    replicas: Ints
    """How many replicas there should be."""
    in_sync: Ints
    """How many are in sync."""
    holders: Ints
    """Broker ids of all replicas of all partitions, in no order."""

    @cached_property
    def offline(self) -> Flags:
        """Partitions without a leader."""
        offline: Flags = self.leader == NO_LEADER
        return offline

    @cached_property
    def under_replicated(self) -> Flags:
        """Partitions with fewer in-sync replicas than replicas."""
        fewer: Flags = self.in_sync < self.replicas
        return fewer

    @property
    def partitions(self) -> int:
        """How many partitions all topics have."""
        return len(self.topic)

    def row(self, topic: str, partition: int) -> int:
        """The row of a partition; -1 where the topic has none such."""
        first = self.first.get(topic, -1)
        if first < 0:
            return -1
        row = first + partition
        known = row < len(self.topic) and self.partition[row] == partition
        return row if known else -1

    def per_topic(self, of_partitions: Flags | Ints) -> Ints:
        """Sum of a value a partition, by topic."""
        sums = np.zeros(len(self.topics), np.int64)
        np.add.at(sums, self.topic, of_partitions)
        return sums


def topology_of(metadata: ClusterMetadata, at: float) -> Topology:
    """The topology that a metadata answer describes, read at `at` (seconds since the epoch)."""
    answered = {name: topic for name, topic in metadata.topics.items() if topic.error is None}
    names = tuple(sorted(answered))
    first: dict[str, int] = {}
    rows: list[tuple[int, int, int, int, int, int]] = []
    holders: list[int] = []
    for index, name in enumerate(names):
        first[name] = len(rows)
        partitions = answered[name].partitions
        for number in sorted(partitions):
            partition = partitions[number]
            replicas = partition.replicas
            preferred = replicas[0] if replicas else NO_LEADER
            rows.append(
                (
                    index,
                    number,
                    partition.leader,
                    preferred,
                    len(replicas),
                    len(partition.isrs),
                )
            )
            holders += replicas
    table = np.array(rows, np.int64).reshape(-1, 6).T
    return Topology(
        at=at,
        brokers={b.id: f"{b.host}:{b.port}" for b in metadata.brokers.values()},
        topics=names,
        errors={name: t.error for name, t in metadata.topics.items() if t.error is not None},
        first=first,
        counts=np.bincount(table[0], minlength=len(names)),
        topic=table[0],
        partition=table[1],
        leader=table[2],
        preferred=table[3],
        replicas=table[4],
        in_sync=table[5],
        holders=np.array(holders, np.int64),
    )
