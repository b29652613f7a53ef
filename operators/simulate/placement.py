"""Where partitions lie: leaders and replicas of every topic on the brokers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.simulate.noise import Floats, Ints, hashed
from operators.simulate.topology import Topology

WHOLE = 1 << 14
"""A topic's traffic is split among its leaders in parts of this many."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Adds rows up by group: rows in the order `take`, groups begin at `starts`."""

    take: Ints
    starts: Ints
    rows: Ints
    """Which result each group is; those without a row stay 0."""
    count: int

    @classmethod
    def over(cls, groups: Ints, count: int) -> "Sums":
        """Sums of rows that belong to `groups` (numbers below `count`)."""
        take = np.argsort(groups, kind="stable")
        rows, starts = np.unique(groups[take], return_index=True)
        return cls(take, starts, rows, count)

    def of(self, values: Ints, reduce: Any = np.add) -> Any:
        """Values of shape (rows, ticks) reduced to (count, ticks)."""
        return self.sorted(values.take(self.take, axis=0), reduce)

    def sorted(self, values: Any, reduce: Any = np.add) -> Any:
        """The same of values that lie in the order `take` already."""
        if not len(self.rows):
            return np.zeros((self.count, values.shape[1]), values.dtype)
        found = reduce.reduceat(values, self.starts, axis=0)
        if len(self.rows) == self.count:
            return found
        whole = np.zeros((self.count, values.shape[1]), values.dtype)
        whole[self.rows] = found
        return whole


class Placement:
    """Leaders and replicas on brokers that are all up.

    Partition j of a topic lies on the brokers offset + j, offset + j + 1, … of the ring of
    brokers, the first of them its leader; offsets are random. Partitions carry parts of their
    topic's traffic by Zipf's law (`skew`).
    """

    def __init__(self, topology: Topology, skew: float, key: int) -> None:
        brokers = len(topology.brokers)
        counts = np.array([t.partitions for t in topology.topics], np.int64)
        factors = np.array([t.replication_factor for t in topology.topics], np.int64)
        topics = np.arange(len(counts), dtype=np.int64)
        offsets = (hashed(key, topics) * brokers).astype(np.int64)
        topic = np.repeat(topics, counts)
        number = np.arange(len(topic)) - np.repeat(np.cumsum(counts) - counts, counts)
        leader = (offsets[topic] + number) % brokers
        weight = partition_parts(counts, skew)
        self.leaders = np.bincount(leader, minlength=brokers)
        self.replicas = sum(
            np.bincount((leader + r)[factors[topic] > r] % brokers, minlength=brokers)
            for r in range(int(factors.max(initial=0)))
        ) + np.zeros(brokers, np.int64)
        link, place = np.unique(leader * len(counts) + topic, return_inverse=True)
        parts = np.bincount(place, weight, minlength=len(link)).astype(np.int64)
        self._sums = Sums.over(link // max(len(counts), 1), brokers)
        self._topic = (link % max(len(counts), 1))[self._sums.take]
        self._parts = parts[self._sums.take][:, None]
        self.largest = weight[number == 0]
        """Parts that the fullest partition of each topic carries."""

    def led(self, amounts: Ints) -> Ints:
        """Whole amounts of topics, shape (topics, ticks), as those of the leading brokers.

        Exact: brokers' amounts add up to the topics'.
        """
        spread = amounts.take(self._topic, axis=0)
        spread *= self._parts
        sums = np.cumsum(self._sums.sorted(spread), axis=0)
        sums //= WHOLE
        return np.diff(sums, axis=0, prepend=0)


def partition_parts(counts: Ints, skew: float) -> Ints:
    """Parts (of WHOLE) of their topic's traffic that partitions carry, all topics in a row."""
    made: dict[int, Ints] = {}
    for count in np.unique(counts).tolist():
        weights: Floats = np.arange(1, count + 1, dtype=np.float64) ** -skew
        edges = np.rint(np.concatenate(([0.0], np.cumsum(weights))) / weights.sum() * WHOLE)
        made[count] = np.diff(edges).astype(np.int64)
    return np.concatenate([made[c] for c in counts.tolist()] or [np.zeros(0, np.int64)])
