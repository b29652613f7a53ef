"""What consumers do with what comes: backlog, lag, commits, exact in messages."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.grouped_sums import GroupedSums
from operators.simulate.noise import (
    Lanes,
)


@dataclass(frozen=True, slots=True)
class Consumed:
    """One block's consumption of every pair; arrays have the shape (pairs, ticks)."""

    lag: Ints
    """Messages that came and were not committed, at the tick."""
    out: Ints
    """Messages committed in the interval that ends at the tick."""
    backlog: Ints
    """The part of the lag that was not even read, for want of capacity."""
    capacity: Ints
    """What could be read; shape (pairs, ticks or 1)."""
    lost: Ints | None = None
    """Messages that were removed unread in the interval that ends at the tick; None for none at all."""


@dataclass(frozen=True, slots=True)
class Held:
    """Messages that topics hold: before a block, and in it, shape (topics, ticks)."""

    before: Ints
    during: Ints


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

    def advance(
        self,
        messages: Ints,
        capacity: Ints,
        uniform: Lanes,
        seconds: float,
        held: Held | None = None,
    ) -> Consumed:
        """Move on by a block; where topics have `held` less than the lag, the rest of it is lost.

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
        consumed = Consumed(backlog + uncommitted, out, backlog, capacity)
        if held is not None:
            beyond = (consumed.lag > held.during.take(self.topic, axis=0)).any(axis=1)
            beyond |= self.lag > held.before[self.topic]
            if beyond.any():
                parts = np.rint(np.minimum(1, self._delay / seconds) * 65536).astype(np.int64)
                consumed = self._losing(
                    np.flatnonzero(beyond), messages, uniform, parts, held, consumed
                )
        self.backlog = consumed.backlog[:, -1].copy()
        self.uncommitted = consumed.lag[:, -1] - self.backlog
        return consumed

    def _losing(
        self,
        rows: Ints,
        messages: Ints,
        uniform: Lanes,
        parts: Ints,
        held: Held,
        consumed: Consumed,
    ) -> Consumed:
        """The pairs `rows` tick by tick, for each tick depends on what was lost before.

        A commit stays where it is while nothing is read. Whoever reads again, and finds that its
        messages are gone, begins at the first that there is (`auto.offset.reset: earliest`): the rest
        leaves the lag without being consumed. In an interval are lost the messages by which the log's
        start passed the commit.
        """
        topic = self.topic[rows]
        came = messages[topic]
        capacity = np.broadcast_to(consumed.capacity, consumed.lag.shape)[rows]
        part = (uniform[topic].astype(np.int64) * parts[rows, None]) >> 16
        backlog, uncommitted, before = (
            self.backlog[rows],
            self.uncommitted[rows],
            held.before[topic],
        )
        lag, out, unread = consumed.lag, consumed.out, consumed.backlog
        lost = np.zeros_like(lag)
        for tick in range(lag.shape[1]):
            reset = (capacity[:, tick] > 0) & (backlog + uncommitted > before)
            uncommitted = np.where(reset, np.minimum(uncommitted, before), uncommitted)
            backlog = np.where(reset, before - uncommitted, backlog)
            now = held.during[topic, tick]
            left = np.maximum(0, backlog + came[:, tick] - capacity[:, tick])
            read = backlog + came[:, tick] - left
            still = (part[:, tick] * read) >> 16
            out[rows, tick] = read - (still - uncommitted)
            lag[rows, tick], unread[rows, tick] = left + still, left
            removed = np.maximum(0, before + came[:, tick] - now)
            lost[rows, tick] = np.minimum(np.maximum(0, left + still - now), removed)
            backlog, uncommitted, before = left, still, now
        return Consumed(lag, out, unread, consumed.capacity, lost)


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
