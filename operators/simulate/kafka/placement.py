"""Where partitions lie: replicas on brokers, and who leads when brokers are down."""

from collections.abc import Set
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.relations import Replicas
from operators.simulate.grouped_sums import GroupedSums
from operators.simulate.noise import (
    distinct,
    hashed,
)
from operators.simulate.topology import Topology

WHOLE = 1 << 14
"""A topic's traffic is split among its partitions in parts of this many."""

NOBODY = -1


class Partitions:
    """Every partition of a cluster, in the order of topics.

    On the ring of N brokers, partition j of a topic has its preferred leader at offset + j and
    its other replicas at 1 + (j + r) mod (N − 1) places from there, r = 0, 1, …, as Kafka itself
    assigns them; so what a broker leads falls to many when it dies. Offsets are random.
    Partitions carry parts of their topic's traffic by Zipf's law with the exponent `skew`.
    """

    def __init__(self, topology: Topology, skew: float, key: int) -> None:
        self.brokers, self.topics = len(topology.brokers), len(topology.topics)
        counts = np.array([t.partitions for t in topology.topics], np.int64)
        factors = np.array([t.replication_factor for t in topology.topics], np.int64)
        offsets = (hashed(key, np.arange(self.topics)) * self.brokers).astype(np.int64)
        self.topic = np.repeat(np.arange(self.topics), counts)
        self.number = np.arange(len(self.topic)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.parts = _parts(counts, skew)
        rank = np.arange(int(factors.max(initial=1)))
        shapes = np.stack([counts, factors, offsets])
        likeness: Ints = np.unique(shapes, axis=1, return_inverse=True)[1]
        self.liken(likeness)
        first = offsets[self.topic] + self.number
        away = 1 + (self.number[:, None] + rank - 1) % max(self.brokers - 1, 1)
        replicas = (first[:, None] + np.where(rank, away, 0)) % max(self.brokers, 1)
        self.replicas = np.where(rank < factors[self.topic][:, None], replicas, NOBODY)
        """Brokers of each partition's replicas; shape (partitions, most replicas), padded."""
        self.min_in_sync = min_in_sync(factors)[self.topic]
        """In-sync replicas that each partition needs to take messages."""
        self.largest = self.parts[self.number == 0]
        """Parts that the fullest partition of each topic carries."""

    def liken(self, likeness: Ints) -> None:
        """Say of each topic which likeness it is of; what follows from it is found again."""
        self.likeness = likeness
        """Topics of one likeness lie alike: what holds for one of them holds for all."""
        self.by_likeness = GroupedSums.over(likeness, int(likeness.max(initial=-1)) + 1)
        _, first = np.unique(likeness[self.topic], return_index=True)
        self.examples = np.flatnonzero(np.isin(self.topic, self.topic[first]))
        """Partitions of the first topic of each likeness."""

    @property
    def held(self) -> Ints:
        """Replicas that each broker holds."""
        return np.bincount(self.replicas[self.replicas >= 0], minlength=self.brokers)

    def without(self, topics: Set[int]) -> "Partitions":
        """Those of the other topics, while these topics are away."""
        if not topics:
            return self
        rest = copy(self)
        there = ~np.isin(self.topic, list(topics))
        rest.topic, rest.number = self.topic[there], self.number[there]
        rest.parts, rest.replicas = self.parts[there], self.replicas[there]
        rest.min_in_sync = self.min_in_sync[there]
        away = np.isin(np.arange(self.topics), list(topics))
        rest.liken(np.where(away, self.by_likeness.count, self.likeness))
        return rest

    def as_replicas(self) -> Replicas:
        """All replicas; the preferred leaders lead."""
        row, place = np.nonzero(self.replicas != NOBODY)
        return Replicas(
            partition=row,
            topic=self.topic[row],
            broker=self.replicas[row, place],
            leads=place == 0,
            share=self.parts[row] / WHOLE,
        )

    def first_replica(self, without: Set[int]) -> Ints:
        """Where each partition has its first replica that is on none of these, or NOBODY."""
        able = (self.replicas != NOBODY) & ~_among(self.replicas, without, self.brokers)
        place = able.argmax(axis=1)[:, None]
        found = np.take_along_axis(self.replicas, place, axis=1)[:, 0]
        return np.where(np.take_along_axis(able, place, axis=1)[:, 0], found, NOBODY)

    def with_replica_on(self, brokers: Set[int]) -> Any:
        """Whether each partition has a replica on one of these brokers."""
        return _among(self.replicas, brokers, self.brokers).any(axis=1)

    def replicas_without(self, brokers: Set[int]) -> Ints:
        """Replicas of each partition that are on none of these brokers."""
        others = (self.replicas != NOBODY) & ~_among(self.replicas, brokers, self.brokers)
        counts: Ints = others.sum(axis=1)
        return counts

    def sums(self, counts: Ints) -> Ints:
        """Counts of partitions, summed over each topic's."""
        return np.bincount(self.topic, counts, self.topics).astype(np.int64)

    def by_topic(self, chosen: Any) -> Ints:
        """How many of the chosen partitions each topic has."""
        return np.bincount(self.topic[chosen], minlength=self.topics)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Brokers that are not as they should be, by their place in the topology."""

    dead: frozenset[int] = frozenset()
    """Down: they lead nothing, and their replicas are not in sync."""
    returned: frozenset[int] = frozenset()
    """Up again: their replicas catch up, and they lead nothing yet."""
    behind: frozenset[int] = frozenset()
    """Their replicas fall behind, but they still lead."""


@dataclass
class Placement:
    """Who leads which partition while the brokers are in some trouble.

    The first replica that is up and not just returned leads; when there is none, the first that
    is up; when all are down the partition is offline.
    """

    partitions: Partitions
    trouble: Trouble = field(default_factory=Trouble)

    def __post_init__(self) -> None:
        table, trouble = self.partitions, self.trouble
        self.leader = table.first_replica(without=trouble.dead | trouble.returned)
        if trouble.returned:
            stopgap = table.first_replica(without=trouble.dead)
            self.leader = np.where(self.leader == NOBODY, stopgap, self.leader)
        led = self.leader != NOBODY
        self.leaders = np.bincount(self.leader[led], minlength=table.brokers)
        """Partitions that each broker leads."""
        self.offline = table.by_topic(~led)
        """Partitions of each topic without a leader."""
        moved = led & (self.leader != table.replicas[:, 0])
        self.non_preferred = table.by_topic(moved)
        self.shifted = np.isin(np.arange(table.brokers), self.leader[moved])
        """Brokers that lead something in another's place."""
        self.lost = np.bincount(table.topic[~led], table.parts[~led], table.topics).astype(np.int64)
        """Parts of each topic's traffic that find no leader."""
        self._under()
        self._links()

    def led(self, amounts: Ints) -> Floats:
        """Amounts of topics, shape (topics, ticks), as those of the brokers that lead them.

        A broker's amount is a sum of whole parts, so it depends on nothing that it does not
        lead, and the brokers' amounts add up to the topics'.
        """
        spread = self.partitions.by_likeness.of(amounts).take(self._link_likeness, axis=0)
        spread *= self._link_parts[:, None]
        amount: Floats = self._by_broker.ordered(spread) * (1 / WHOLE)
        return amount

    def greatest_led(self, values: Ints, empty: int) -> Ints:
        """The greatest value among the topics of which each broker leads something.

        Shape (topics, ticks) to (brokers, ticks); `empty` where there is none.
        """
        greatest = self.partitions.by_likeness.of(values, np.maximum, empty)
        spread = greatest.take(self._link_likeness, axis=0)
        found: Ints = self._by_broker.ordered(spread, np.maximum, empty)
        return found

    def led_by(self, broker: int) -> tuple[Ints, Ints]:
        """Topics of which a broker leads something, and the parts of their traffic."""
        mine = self._link_broker == broker
        parts = np.zeros(self.partitions.by_likeness.count, np.int64)
        parts[self._link_likeness[mine]] = self._link_parts[mine]
        of_topics = parts[self.partitions.likeness]
        topics = np.flatnonzero(of_topics)
        return topics, of_topics[topics]

    def _under(self) -> None:
        table, trouble = self.partitions, self.trouble
        gone = table.with_replica_on(trouble.dead)
        late = table.with_replica_on(trouble.returned | trouble.behind) & ~gone
        self.under = table.by_topic(gone)
        """Partitions of each topic that miss a replica for good, and those that catch up."""
        self.catching_up = table.by_topic(late)
        led, brokers = self.leader != NOBODY, table.brokers
        self.under_led = np.bincount(self.leader[led & gone], minlength=brokers)
        self.catching_up_led = np.bincount(self.leader[led & late], minlength=brokers)
        slow = trouble.returned | trouble.behind
        in_sync, up = (table.replicas_without(b) for b in (trouble.dead | slow, trouble.dead))
        self.in_sync = table.sums(in_sync)
        """In-sync replicas of each topic, and those that are to be in sync again."""
        self.returning = table.sums(up - in_sync)
        few, fewer = up < table.min_in_sync, in_sync < table.min_in_sync
        self.under_min_led = np.bincount(self.leader[led & few], minlength=brokers)
        """Partitions with fewer in-sync replicas than they need, by the broker that leads them."""
        self.nearly_min_led = np.bincount(self.leader[led & fewer & ~few], minlength=brokers)

    def _links(self) -> None:
        """Pairs of a broker and an example topic of which it leads some, in brokers' order."""
        table = self.partitions
        leader, topic = self.leader[table.examples], table.topic[table.examples]
        led = leader != NOBODY
        names = leader[led] * max(table.topics, 1) + topic[led]
        link, place = np.unique(names, return_inverse=True)
        parts = np.bincount(place, table.parts[table.examples][led], len(link)).astype(np.int64)
        self._link_broker, link_topic = np.divmod(link, max(table.topics, 1))
        some = (self.lost[link_topic] > 0) & (self.lost[link_topic] < WHOLE)
        for topic_ in distinct(link_topic[some]):
            mine = link_topic == topic_
            edges = np.concatenate(([0], np.cumsum(parts[mine])))
            parts[mine] = np.diff(edges * WHOLE // edges[-1])
        self._link_parts = parts
        self._link_likeness = table.likeness[link_topic]
        self._by_broker = GroupedSums.over(self._link_broker, table.brokers)


def min_in_sync(replicas: Ints) -> Ints:
    """`min.insync.replicas` of topics with so many replicas: one may be missing."""
    return np.maximum(replicas - 1, 1)


def _among(brokers: Ints, chosen: Set[int], count: int) -> Any:
    """Whether each of `brokers`, places below `count` or NOBODY, is one of the chosen."""
    table = np.zeros(count + 1, np.bool_)  # the last is NOBODY's
    table[list(chosen)] = True
    return table[brokers]


def _parts(counts: Ints, skew: float) -> Ints:
    """Parts of WHOLE that the partitions of topics carry, all topics in a row."""
    made: dict[int, Ints] = {}
    for count in distinct(counts).tolist():
        weights: Floats = np.array([rank**-skew for rank in range(1, count + 1)])
        edges = np.rint(np.concatenate(([0.0], np.cumsum(weights))) / weights.sum() * WHOLE)
        made[count] = np.diff(edges).astype(np.int64)
    return np.concatenate([made[c] for c in counts.tolist()] or [np.zeros(0, np.int64)])
