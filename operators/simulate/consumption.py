"""What consumer groups do with what topics receive: backlog, lag, commits, exact in messages."""

from dataclasses import dataclass

import numpy as np

from operators.simulate.noise import Floats, Ints, Lanes
from operators.simulate.placement import WHOLE, Sums
from operators.simulate.topology import Topology

COMMIT_INTERVAL = 5.0
"""Seconds between commits: Kafka's default of auto.commit.interval.ms."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """One block's consumption, of every pair of a group and a topic that it reads.

    Arrays have the shape (pairs, ticks).
    """

    lag: Ints
    """Messages between the end offset and the committed one, at the tick."""
    out: Ints
    """Messages committed in the interval that ends at the tick."""


class Consumption:
    """The state of all pairs of a group and a topic, and how it moves.

    `backlog` are the messages that could not be read for want of capacity, `uncommitted` those
    that were read and not yet committed. At every tick
    backlog' = max(0, backlog + in − capacity), read = backlog + in − backlog',
    uncommitted' = a random share of `read` of at most commit interval / interval,
    lag' = backlog' + uncommitted', committed = lag + in − lag' ≥ 0.
    """

    def __init__(self, topology: Topology) -> None:
        pairs = [(g, t) for g, group in enumerate(topology.groups) for t in group.topics]
        self.group = np.array([g for g, _ in pairs], np.int64)
        self.topic = np.array([t for _, t in pairs], np.int64)
        self.capacity = np.array(
            [topology.groups[g].capacity * topology.topics[t].messages for g, t in pairs]
        )
        """Messages/s that each pair can read."""
        self.by_group = Sums.over(self.group, len(topology.groups))
        self.by_topic = Sums.over(self.topic, len(topology.topics))
        self.backlog = np.zeros(len(pairs), np.int64)
        self.uncommitted = np.zeros(len(pairs), np.int64)

    @property
    def lag(self) -> Ints:
        """Each pair's lag now."""
        return self.backlog + self.uncommitted

    def advance(self, messages: Ints, uniform: Lanes, interval: float) -> Consumed:
        """Move on by a block.

        `messages` are the topics' counts and `uniform` 16-bit random numbers, both of shape
        (topics, ticks); `interval` is in seconds.
        """
        came = messages.take(self.topic, axis=0)
        before = self.backlog[:, None]
        change = came - np.rint(self.capacity * interval).astype(np.int64)[:, None]
        change[:, :1] += before
        level = np.cumsum(change, axis=1, out=change)
        backlog = level - np.minimum(np.minimum.accumulate(level, axis=1), 0)

        read = came
        read -= np.diff(backlog, axis=1, prepend=before)
        most = round(min(1.0, COMMIT_INTERVAL / interval) * 65536)
        uncommitted = uniform.take(self.topic, axis=0).astype(np.int64)
        uncommitted *= most
        uncommitted >>= 16
        uncommitted *= read
        uncommitted >>= 16

        out = read
        out -= np.diff(uncommitted, axis=1, prepend=self.uncommitted[:, None])
        self.backlog, self.uncommitted = backlog[:, -1].copy(), uncommitted[:, -1].copy()
        return Consumed(lag=backlog + uncommitted, out=out)


def largest_partition(lag: Ints, parts: Ints) -> Ints:
    """Lag of a pair's fullest partition: the pair's, by the partition's part of the topic."""
    return -(-(lag * parts[:, None]) // WHOLE)


def age(lag: Ints, arrivals: Floats) -> Floats:
    """Seconds since the oldest message that is not committed came: lag / arrivals per second."""
    return lag / np.maximum(arrivals, 1e-3)
