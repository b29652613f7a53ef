"""What consumers do with what comes: backlog, lag, commits, exact in messages."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.simulate.grouped_sums import GroupedSums
from operators.simulate.noise import Floats, Ints, Lanes


@dataclass(frozen=True, slots=True)
class Consumed:
    """One block's consumption of every pair; arrays have the shape (pairs, ticks)."""

    lag: Ints
    """Messages that came and were not committed, at the tick."""
    out: Ints
    """Messages committed in the interval that ends at the tick."""
    backlog: Ints
    """The part of the lag that was not even read, for want of capacity."""


class Consumption:
    """Pairs of a group and a topic that it reads; of queues, each queue with itself.

    At every tick
    backlog' = max(0, backlog + in − capacity), read = backlog + in − backlog',
    uncommitted' = a random share of `read`, at most delay / interval,
    lag' = backlog' + uncommitted', committed = lag + in − lag' ≥ 0.
    """

    def __init__(
        self, group: Ints, topic: Ints, capacity: Floats, delay: Floats, groups: int, topics: int
    ) -> None:
        """Pairs in the order of groups; `capacity` in messages/s, `delay` in seconds, by pair."""
        self.group, self.topic = group, topic
        self.capacity = capacity
        self._delay = delay
        self.by_group = GroupedSums.over(group, groups)
        self.by_topic = GroupedSums.over(topic, topics)
        self.backlog = np.zeros(len(group), np.int64)
        self.uncommitted = np.zeros(len(group), np.int64)
        self.away: Any = None
        """Which pairs are away; None where all are there."""

    @property
    def lag(self) -> Ints:
        """Each pair's lag now."""
        return self.backlog + self.uncommitted

    def capacities(self, seconds: float) -> Ints:
        """Messages that each pair can read in an interval; shape (pairs, 1)."""
        return np.rint(self.capacity * seconds).astype(np.int64)[:, None]

    def arrivals(self, messages: Ints) -> Ints:
        """Messages of topics, shape (topics, ticks), as they come to each pair that is there."""
        came = messages.take(self.topic, axis=0)
        if self.away is not None:
            came[self.away] = 0
        return came

    def keep(self, there: Any) -> None:
        """Only these pairs are there from now on; those that are not have nothing left to do."""
        self.away = ~there
        self.backlog[self.away] = self.uncommitted[self.away] = 0

    def advance(self, messages: Ints, capacity: Ints, uniform: Lanes, seconds: float) -> Consumed:
        """Move on by a block.

        `messages` are the topics' counts and `uniform` random numbers, of shape (topics, ticks);
        `capacity` is that of pairs, of shape (pairs, ticks or 1).
        """
        came = self.arrivals(messages)
        before = self.backlog[:, None]
        backlog = backlog_of(before, came - capacity)
        read = came
        read -= np.diff(backlog, axis=1, prepend=before)
        uncommitted = uniform.take(self.topic, axis=0).astype(np.int64)
        uncommitted *= np.rint(np.minimum(1, self._delay / seconds) * 65536).astype(np.int64)[
            :, None
        ]
        uncommitted >>= 16
        uncommitted *= read
        uncommitted >>= 16
        out = read
        out -= np.diff(uncommitted, axis=1, prepend=self.uncommitted[:, None])
        self.backlog, self.uncommitted = backlog[:, -1].copy(), uncommitted[:, -1].copy()
        return Consumed(lag=backlog + uncommitted, out=out, backlog=backlog)


def backlog_of(before: Ints, change: Ints) -> Ints:
    """Backlog' = max(0, backlog + change) along a block, in closed form; uses up `change`.

    `before` has the shape (pairs, 1). With S the running sum of before and the changes, the
    backlog is S − min(0, running minimum of S).
    """
    change[:, :1] += before
    level = np.cumsum(change, axis=1, out=change)
    lowest: Ints = np.minimum.accumulate(level, axis=1)
    np.minimum(lowest, 0, out=lowest)
    np.subtract(level, lowest, out=lowest)
    return lowest
