"""Brokers, topics and partitions of one moment, as arrays."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from operators.schema.arrays import Flags, Ints

T = TypeVar("T")

NO_LEADER = -1
UNKNOWN = -1
"""What was not asked for, or not answered; the row of what is not there."""


@dataclass(frozen=True, eq=False)
class ClusterMetadata:
    """What a cluster's metadata says. While that does not change, it is the same object.

    One row a partition, in the arrays from `topic` on: topics in the order of `topics`, each
    one's partitions from 0 on. `topics` are those that answered; `errors` holds the others.
    """

    cluster_id: str | None
    brokers: Mapping[int, tuple[str, int]]
    """Live brokers: host and port by id."""
    topics: tuple[str, ...]
    ids: tuple[str | None, ...]
    """By topic: its id. A topic that was recreated has another one than before."""
    errors: Mapping[str, int]
    """Kafka's error code by topic."""
    topic: Ints
    """Index into `topics`."""
    partition: Ints
    leader: Ints
    """Broker id, or NO_LEADER."""
    leader_epoch: Ints
    """How often a leader was elected."""
    preferred: Ints
    """The first replica's broker id."""
    replicas: Ints
    """How many replicas there should be."""
    in_sync: Ints
    """How many are in sync."""
    holders: Ints
    """Broker ids of all replicas of all partitions, in no order."""

    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is made of nothing but this and the key: once, while the metadata stays the same."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    @cached_property
    def counts(self) -> Ints:
        """By topic: how many partitions it has."""
        return np.bincount(self.topic, minlength=len(self.topics))

    @cached_property
    def first(self) -> Ints:
        """By topic: the row of its partition 0."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Place in `topics` by name."""
        return {name: index for index, name in enumerate(self.topics)}

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

    def address(self, broker: int) -> str:
        """`host:port` of a broker."""
        if broker not in self.brokers:
            return "unknown address"
        host, port = self.brokers[broker]
        return f"{host}:{port}"

    def rows(self, topics: list[str] | tuple[str, ...], topic: Ints, partition: Ints) -> Ints:
        """The rows of partitions; UNKNOWN where the cluster has none such.

        `topic` is an index into `topics`.
        """
        if not len(topic) or not self.partitions:
            return np.full(len(topic), UNKNOWN, np.int64)
        places = np.array([self.index.get(name, UNKNOWN) for name in topics], np.int64)[topic]
        there = (places != UNKNOWN) & (partition >= 0) & (partition < self.counts[places])
        row = np.where(there, self.first[places] + partition, 0)
        # A topic whose partitions do not count from 0 on, one by one, is none of Kafka's.
        return np.where(there & (self.partition[row] == partition), row, UNKNOWN)

    def per_topic(self, of_partitions: Flags | Ints) -> Ints:
        """Sum of a value a partition, by topic."""
        if of_partitions.dtype == np.bool_:
            return np.bincount(self.topic[of_partitions], minlength=len(self.topics))
        sums = np.zeros(len(self.topics), np.int64)
        np.add.at(sums, self.topic, of_partitions)
        return sums
