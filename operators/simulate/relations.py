"""Who is touched by whom in a cluster: topics, the groups that read them, brokers that lead."""

import numpy as np

from operators.simulate.noise import Floats, Ints
from operators.simulate.placement import WHOLE, Placement


class Relations:
    """The graph along which an anomaly spreads.

    Entities are their places in the topology. `group` and `topic` are the pairs of who reads
    what; a queue is both, and reads itself. Without brokers `placement` is None.
    """

    def __init__(self, group: Ints, topic: Ints, placement: Placement | None = None) -> None:
        self._group, self._topic, self._placement = group, topic, placement

    @property
    def brokers(self) -> int:
        """How many brokers there are."""
        return 0 if self._placement is None else self._placement.partitions.brokers

    @property
    def unreplicated(self) -> Ints:
        """Topics whose partitions have one replica each."""
        if self._placement is None:
            return np.zeros(0, np.int64)
        table = self._placement.partitions
        return np.unique(table.topic[(table.replicas >= 0).sum(axis=1) == 1])

    def readers_of(self, topics: Ints) -> Ints:
        """Groups that read at least one of these topics."""
        return np.unique(self._group[np.isin(self._topic, topics)])

    def read_by(self, groups: Ints) -> Ints:
        """Topics that at least one of these groups reads."""
        return np.unique(self._topic[np.isin(self._group, groups)])

    def leaders_of(self, topics: Ints) -> Ints:
        """Brokers that lead a partition of at least one of these topics."""
        if self._placement is None:
            return np.zeros(0, np.int64)
        found = np.isin(self._placement.link_topic, topics)
        return np.unique(self._placement.link_broker[found])

    def led_by(self, broker: int) -> tuple[Ints, Floats]:
        """Topics of which a broker leads something, and the share of their traffic."""
        if self._placement is None:
            return np.zeros(0, np.int64), np.zeros(0)
        mine = self._placement.link_broker == broker
        return self._placement.link_topic[mine], self._placement.link_parts[mine] / WHOLE

    def held_by(self, broker: int) -> Ints:
        """Topics that have a replica on a broker."""
        if self._placement is None:
            return np.zeros(0, np.int64)
        table = self._placement.partitions
        return np.unique(table.topic[table.with_replica_on({broker})])

    def beside(self, broker: int) -> Ints:
        """Brokers that hold a replica of a partition of which this one holds one too."""
        if self._placement is None:
            return np.zeros(0, np.int64)
        table = self._placement.partitions
        shared = table.replicas[table.with_replica_on({broker})]
        return np.unique(shared[shared >= 0])
