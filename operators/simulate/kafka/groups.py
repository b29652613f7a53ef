"""Consumer groups of a simulated Kafka cluster: lag, commits, members."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from operators.schema.arrays import Floats, Ints
from operators.simulate.age import Ages
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.consumption import Consumed, Consumption
from operators.simulate.kafka.placement import WHOLE
from operators.simulate.kafka.prospects import (
    ORDINARY,
    Prospects,
    columns,
    of_groups,
    prospects,
)
from operators.simulate.kafka.topics import Flow, Kept
from operators.simulate.noise import (
    hashed,
    key_of,
)
from operators.simulate.topology import Topology

COMMIT_INTERVAL = 5.0
"""Seconds between commits: Kafka's default of auto.commit.interval.ms."""

STABLE, REBALANCING = 0, 1
STATES = pa.array(["Stable", "PreparingRebalance"])


def pairs_of(topology: Topology) -> Consumption:
    """Every group with every topic that it reads."""
    pairs = [(g, t) for g, group in enumerate(topology.groups) for t in group.topics]
    return Consumption(
        group=np.array([g for g, _ in pairs], np.int64),
        topic=np.array([t for _, t in pairs], np.int64),
        capacity=np.array(
            [topology.groups[g].capacity * topology.topics[t].messages for g, t in pairs]
        ),
        delay=np.full(len(pairs), COMMIT_INTERVAL),
        groups=len(topology.groups),
        topics=len(topology.topics),
    )


@dataclass(frozen=True, slots=True)
class OnTopics:
    """What every pair of a group and a topic is at, shape (pairs, ticks)."""

    lag: Ints
    fullest: Ints
    """Lag of the topic's partition with the most."""
    age: Floats
    """Seconds since the oldest message not yet committed came."""
    end: Ints
    """The topic's end offset."""
    consumers: Ints
    """Members of the group, shape (groups, ticks or 1)."""
    ahead: Prospects
    """Whether what it has not read will be lost."""


class Groups:
    """The consumer groups of a cluster."""

    def __init__(
        self, topology: Topology, pairs: Consumption, largest: Ints, ages: Ages, key: int
    ) -> None:
        """`largest` are the parts of its topic that each topic's fullest partition carries."""
        self.names = [g.name for g in topology.groups]
        self._pairs = pairs
        self._consumers = np.array([g.consumers for g in topology.groups], np.int64)[:, None]
        self._largest = largest[:, None]
        self._ages = ages
        self._key = key_of(key, "membership")

    def on_topics(
        self, block: Block, flow: Flow, levers: Levers, kept: Kept, consumed: Consumed
    ) -> OnTopics:
        """What follows of each pair; `kept` is what topics keep."""
        pairs = self._pairs
        parts = self._fullest(levers).take(pairs.topic, axis=0)
        age = self._ages.of(consumed.lag, flow.expected.take(pairs.topic, axis=0), block)
        return OnTopics(
            lag=consumed.lag,
            fullest=-(-(consumed.lag * parts) // WHOLE),
            age=age,
            end=pairs.arrivals(kept.offset),
            consumers=levers.scaled(Lever.CONSUMERS, self._consumers),
            ahead=prospects(block, flow, kept, pairs, consumed, age),
        )

    def metrics(
        self, block: Block, levers: Levers, on: OnTopics, consumed: Consumed, lag_before: Ints
    ) -> dict[str, Any]:
        """Metrics of consumer groups; `lag_before` is the pairs' lag before the block.

        totalLag = Σ lag, maxLag = the most that a partition has by its part of the topic,
        lagSeconds = the greatest age (`Ages`), lagTrend = growth of totalLag / s,
        messagesConsumed = Σ commits / s, committedOffset = Σ (end offset − lag).
        """
        pairs, seconds = self._pairs, block.seconds
        total = pairs.by_group.ordered(on.lag)
        before = pairs.by_group.ordered(lag_before[:, None])
        consumed_messages = pairs.by_group.ordered(consumed.out)
        metrics = {
            "consumerGroup.totalLag": total,
            "consumerGroup.maxLag": pairs.by_group.ordered(on.fullest, np.maximum),
            "consumerGroup.lagSeconds": pairs.by_group.ordered(on.age, np.maximum),
            "consumerGroup.lagTrend": np.diff(total, axis=1, prepend=before) / seconds,
            "consumerGroup.messagesConsumedPerSecond": consumed_messages / seconds,
            "consumerGroup.committedOffset": pairs.by_group.ordered(on.end) - total,
            **columns(of_groups(on.ahead, pairs)),
        }
        if on.consumers is not self._consumers:
            metrics["consumerGroup.activeConsumers"] = on.consumers
        return metrics | self._rebalances(block, levers)

    def constants(self, partitions: Ints) -> dict[str, Any]:
        """What does not change unless an anomaly changes it; `partitions` are those of topics."""
        return {
            "consumer_group": self.names,
            "consumerGroup.activeConsumers": self._consumers[:, 0],
            "consumerGroup.membershipChanges": 0,
            "consumerGroup.assignedPartitions": self.assigned(partitions),
            "consumerGroup.state": STATES[STABLE].as_py(),
            "consumerGroup.type": "classic",
            "consumerGroup.lagMethod": "simulated",
            "consumerGroup.assignor": "range",
            "consumerGroup.rebalancing": 0,
            **ORDINARY,
        }

    def assigned(self, partitions: Ints) -> Ints:
        """Partitions that each group reads; `partitions` are those of topics."""
        counts: Ints = self._pairs.by_group.ordered(self._pairs.arrivals(partitions[:, None]))
        return counts[:, 0]

    def _rebalances(self, block: Block, levers: Levers) -> dict[str, Any]:
        """Members that join and leave: ⌊changes a minute · interval + u⌋; meanwhile it rebalances."""
        changes = levers.added(Lever.MEMBERSHIP, len(self._consumers))
        if changes is None:
            return {}
        count = len(self._consumers)
        index = (block.first + np.arange(block.ticks)) * count + np.arange(count)[:, None]
        whole = changes * (block.seconds / 60) + hashed(self._key, index)
        codes = np.where(changes > 0, REBALANCING, STABLE).astype(np.int32).reshape(-1)
        return {
            "consumerGroup.membershipChanges": np.where(changes > 0, whole, 0).astype(np.int64),
            "consumerGroup.state": pa.DictionaryArray.from_arrays(codes, STATES),
            "consumerGroup.rebalancing": (codes == REBALANCING).astype(np.int8),
        }

    def _fullest(self, levers: Levers) -> Ints:
        """Parts of WHOLE of the fullest partition of each topic, shape (topics, ticks or 1)."""
        share = levers.added(Lever.HOT, len(self._largest))
        if share is None:
            return self._largest
        moved: Ints = ((WHOLE - self._largest) * np.minimum(share, 1)).astype(np.int64)
        return self._largest + moved
