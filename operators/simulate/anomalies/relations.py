"""Who is touched by whom in a cluster: topics, the groups that read them, brokers that hold them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.noise import (
    distinct,
)


@dataclass(frozen=True, slots=True)
class Replicas:
    """All replicas of all partitions, one a row; entities are their places in the topology."""

    partition: Ints
    topic: Ints
    broker: Ints
    leads: Any
    """Whether it is the one that leads."""
    share: Floats
    """Share of the topic's traffic that its partition carries."""


@dataclass(frozen=True, slots=True)
class Relations:
    """The graph along which an anomaly spreads.

    `group` and `topic` are the pairs of who reads what, by their places in the topology. A queue
    is both, and reads itself; a cluster of queues has no `replicas`.
    """

    group: Ints
    topic: Ints
    brokers: int = 0
    """How many brokers there are."""
    replicas: Replicas | None = None

    def readers_of(self, topics: Ints) -> Ints:
        """Groups that read at least one of these topics."""
        return distinct(self.group[np.isin(self.topic, topics)])

    def read_by(self, groups: Ints) -> Ints:
        """Topics that at least one of these groups reads."""
        return distinct(self.topic[np.isin(self.group, groups)])

    def leaders_of(self, topics: Ints) -> Ints:
        """Brokers that lead a partition of at least one of these topics."""
        if self.replicas is None:
            return _nobody()
        found = self.replicas.leads & np.isin(self.replicas.topic, topics)
        return distinct(self.replicas.broker[found])

    def led_by(self, broker: int) -> tuple[Ints, Floats]:
        """Topics of which a broker leads something, and the share of their traffic."""
        if self.replicas is None:
            return _nobody(), np.zeros(0)
        mine = self.replicas.leads & (self.replicas.broker == broker)
        topics, place = np.unique(self.replicas.topic[mine], return_inverse=True)
        shares = np.bincount(place, self.replicas.share[mine], len(topics))
        return topics, shares.astype(np.float64)

    def held_by(self, broker: int) -> Ints:
        """Topics that have a replica on a broker."""
        if self.replicas is None:
            return _nobody()
        return distinct(self.replicas.topic[self.replicas.broker == broker])

    def only_on(self, broker: int) -> Ints:
        """Topics that have on a broker the only replica of a partition."""
        if self.replicas is None:
            return _nobody()
        alone = np.bincount(self.replicas.partition)[self.replicas.partition] == 1
        return distinct(self.replicas.topic[alone & (self.replicas.broker == broker)])

    def beside(self, broker: int) -> Ints:
        """Brokers that hold a replica of a partition of which this one holds one too."""
        if self.replicas is None:
            return _nobody()
        shared = self.replicas.partition[self.replicas.broker == broker]
        return distinct(self.replicas.broker[np.isin(self.replicas.partition, shared)])


def _nobody() -> Ints:
    return np.zeros(0, np.int64)
