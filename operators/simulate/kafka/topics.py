"""Topics of a simulated Kafka cluster: what comes into them and what they keep."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.kafka.layout import Layout, heat, refuse
from operators.simulate.kafka.placement import min_in_sync
from operators.simulate.local_time import HOUR
from operators.simulate.noise import (
    Lanes,
)
from operators.simulate.spec import ShardSpec
from operators.simulate.traffic import Traffic, error_rate, failures

LONG = 60 * HOUR / 1000
"""Seconds of retention from which on it is looked every hour for what is too old; below, CHECKS times
in that time."""

CHECKS = 240


@dataclass(frozen=True, slots=True)
class Flow:
    """What comes into topics in a block; arrays have the shape (topics, ticks)."""

    expected: Floats
    """Messages/s to be expected on an ordinary day."""
    calm: Ints
    """Messages that would come without anomalies."""
    wanted: Ints
    """Messages that producers send."""
    messages: Ints
    """Messages that are appended."""
    size: Ints
    """Bytes of one, shape (topics, ticks or 1)."""
    failed: Ints
    """Messages that are refused."""
    erring: Ints | None
    """Of them, those for which an anomaly is to blame that pulls at the topic."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What topics keep in a block; arrays have the shape (topics, ticks)."""

    offset: Ints
    """End offsets."""
    retained: Ints
    """Messages that the topic holds."""
    before: Ints
    """The same at the tick before the block, shape (topics)."""
    calm: Ints
    """Messages that it would hold without anomalies."""
    retention: Floats
    """Seconds that messages are kept; shape (topics or 1, ticks or 1)."""
    shortened: bool
    """Whether an anomaly makes that shorter."""


class Topics:
    """The topics of a cluster; their state is end offsets and retained messages."""

    def __init__(self, spec: ShardSpec) -> None:
        topics, retention = spec.topology.topics, spec.settings.retention
        self.names = [t.name for t in topics]
        self.partitions = np.array([t.partitions for t in topics], np.int64)
        self._replicas = np.array([t.replication_factor for t in topics], np.int64)
        self._size = np.array([t.message_size for t in topics], np.int64)[:, None]
        self._traffic = Traffic(spec, [t.messages for t in topics])
        self._retention_ms = round(retention * 1000)
        self._retention = np.full((1, 1), float(retention))
        self._every = HOUR if retention >= LONG else max(1, round(retention * 1000 / CHECKS))
        self._checks = max(1, round(retention * 1000 / self._every))
        self.end = np.rint(self._traffic.levels * retention).astype(np.int64)
        """End offsets, summed over partitions."""
        self.retained = self.end.copy()
        """Messages that are kept."""
        self.calm = self.retained.copy()
        """Messages that would be kept without anomalies."""
        self._away: Any = None

    def keep(self, there: Any) -> None:
        """Only these topics are there from now on; one that comes back begins at offset 0."""
        self._away = ~there
        self.end[self._away] = self.retained[self._away] = self.calm[self._away] = 0

    def flow(self, block: Block, levers: Levers, layout: Layout, uniform: Lanes) -> Flow:
        """What comes: the traffic, what anomalies make of it, and what finds no leader.

        failed = those of an ordinary day + messages · errors of anomalies + what was not taken.
        """
        expected = self._traffic.expected(block)
        if self._away is not None:
            expected[self._away] = 0.0
        calm = self._traffic.messages(expected, uniform, block.seconds)
        wanted = levers.scaled(Lever.MESSAGES, calm)
        reached = layout.reachable(wanted)
        heat(layout, levers, reached)
        messages = refuse(layout, levers, reached)
        failed = failures(messages, uniform)
        errors = levers.added(Lever.ERRORS, len(messages))
        erring = None
        if errors is not None:
            erring = (messages * np.minimum(errors, 1)).astype(np.int64)
            failed += erring
        if messages is not wanted:
            failed += wanted - messages
        size = levers.scaled(Lever.SIZE, self._size)
        return Flow(expected, calm, wanted, messages, size, failed, erring)

    def metrics(
        self, block: Block, flow: Flow, layout: Layout, kept: Kept, out: Ints, lag: Ints
    ) -> dict[str, Any]:
        """Metrics of topics; `out` and `lag` are commits and lag of all their readers.

        messagesIn = messages / s, messagesOut = commits / s, bytes = messages · message size,
        offset = Σ messages, errorRate = 100 · failed / (messages + failed), diskSize =
        retained · message size · replicas. A topic needs all of its replicas but one in sync.
        """
        seconds, retained = block.seconds, kept.retained
        metrics = {
            "topic.messagesInPerSecond": flow.messages / seconds,
            "topic.messagesOutPerSecond": out / seconds,
            "topic.bytesInPerSecond": flow.messages * flow.size / seconds,
            "topic.bytesOutPerSecond": out * flow.size / seconds,
            "topic.offset": kept.offset,
            "topic.retainedMessages": retained,
            "topic.diskSize": retained * (self._size * self._replicas[:, None]),
            "topic.consumerLag": lag,
            "topic.errorRate": error_rate(flow.failed, flow.messages),
        }
        if kept.shortened:
            metrics["topic.retentionMs"] = np.rint(kept.retention * 1000).astype(np.int64)
        if not layout.calm:
            offline = layout.spread("offline")
            metrics |= {
                "topic.underReplicatedPartitions": layout.under_replicated(),
                "topic.offlinePartitions": offline,
                "topic.partitionsWithNonPreferredLeader": layout.spread("non_preferred"),
                "topic.respondsToMetadataRequests": (offline == 0).astype(np.int8),
                "topic.inSyncReplicas": layout.in_sync(),
            }
        return metrics

    def constants(self) -> dict[str, Any]:
        """What does not change unless an anomaly changes it."""
        return {
            "topic": self.names,
            "topic.partitionCount": self.partitions,
            "topic.replicationFactor": self._replicas,
            "topic.underReplicatedPartitions": 0,
            "topic.offlinePartitions": 0,
            "topic.partitionsWithNonPreferredLeader": 0,
            "topic.respondsToMetadataRequests": 1,
            "topic.inSyncReplicas": self.partitions * self._replicas,
            "topic.minInSyncReplicas": min_in_sync(self._replicas),
            "topic.retentionMs": self._retention_ms,
            "topic.retentionBytes": -1,
            "topic.cleanupPolicy": "delete",
        }

    def kept(self, block: Block, flow: Flow, levers: Levers) -> Kept:
        """What the topics keep of what comes: state goes on by the block."""
        before = self.retained
        offset = np.cumsum(flow.messages, axis=1)
        retention, most = self._retention, None
        for pull in levers.of(Lever.RETENTION):
            if most is None:
                retention = np.full(offset.shape, self._retention[0, 0])
                most = np.full(offset.shape, np.inf)
            rows = np.ix_(pull.entities, np.arange(levers.ticks)[pull.span])
            retention[rows] = np.minimum(retention[rows], pull.pulled)
            most[rows] = flow.expected[rows] * retention[rows]
        retained = self._retain(offset, before, block, most)
        calm = retained
        if most is not None or flow.messages is not flow.calm or (before != self.calm).any():
            calm = self._retain(np.cumsum(flow.calm, axis=1), self.calm, block)
        self.retained, self.calm = retained[:, -1].copy(), calm[:, -1].copy()
        offset += self.end[:, None]
        self.end = offset[:, -1].copy()
        return Kept(offset, retained, before, calm, retention, most is not None)

    def _retain(self, added: Ints, before: Ints, block: Block, most: Floats | None = None) -> Ints:
        """Retained messages: at each check the oldest leave, 1 / checks in the retention of all.

        `added` are messages that came since the block began. Checks are hourly, or `CHECKS` in a
        retention that is not LONG. What is more than `most` leaves at once.
        """
        retained = added + before[:, None]
        checks = block.times // self._every - (block.times - block.interval) // self._every
        due = checks > 0
        if most is not None:
            due |= np.isfinite(most).any(axis=0)
        gone = np.zeros(len(retained), np.int64)
        begin = 0
        for tick in np.flatnonzero(due).tolist():
            retained[:, begin:tick] -= gone[:, None]
            parts = min(int(checks[tick]), self._checks)
            left = retained[:, tick] - gone
            gone += left * parts // self._checks
            if most is not None:
                excess = retained[:, tick] - gone - most[:, tick]
                gone += np.maximum(0, np.ceil(np.where(np.isfinite(excess), excess, 0))).astype(
                    np.int64
                )
            begin = tick
        retained[:, begin:] -= gone[:, None]
        return retained
