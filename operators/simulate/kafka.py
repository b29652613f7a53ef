"""The physics of a simulated Kafka cluster: all metrics follow from messages produced.

Counts of messages are whole numbers and the source of truth; rates are counts divided by the
interval. Each method's docstring is the exact formula of the metrics that it returns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC, EntityType, Origin
from operators.simulate.anomalies import Lever
from operators.simulate.block import Block
from operators.simulate.brokers import Brokers, Load, without_dead
from operators.simulate.columns import Columns
from operators.simulate.consumption import Consumed, Consumption, age
from operators.simulate.labels import Labels
from operators.simulate.layout import Layout, Layouts, heat, refuse
from operators.simulate.levers import Levers, Timeline
from operators.simulate.local_time import HOUR
from operators.simulate.noise import Floats, Ints, Lanes, draws, hashed, key_of, lanes
from operators.simulate.occurrences import Anomaly, Schedule
from operators.simulate.placement import WHOLE, Partitions, Placement
from operators.simulate.presence import Presence, Present
from operators.simulate.relations import Relations
from operators.simulate.shadow import Driven, Shadow, Trace
from operators.simulate.spec import ShardSpec
from operators.simulate.tracing import Shaping, label_kafka
from operators.simulate.traffic import Traffic, error_rate, failures, health_score

COMMIT_INTERVAL = 5.0
"""Seconds between commits: Kafka's default of auto.commit.interval.ms."""

State = tuple[tuple[bytes, ...], tuple[Trace, ...]]
"""End offsets, retained messages, backlog, uncommitted; and what anomalies left behind."""


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


class KafkaCluster:
    """One simulated Kafka cluster: its constants, its state, and the step over a block."""

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin) -> None:
        topology = spec.topology
        self._spec = spec
        self._traffic = Traffic(spec, [t.messages for t in topology.topics])
        self._size = np.array([t.message_size for t in topology.topics], np.int64)[:, None]
        self._partitions = np.array([t.partitions for t in topology.topics], np.int64)
        self._replicas = np.array([t.replication_factor for t in topology.topics], np.int64)
        self._consumers = np.array([g.consumers for g in topology.groups], np.int64)[:, None]
        self._table = _partitions(spec)
        self._largest: Ints = self._table.largest[:, None]
        self._layouts = Layouts(self._table)
        self._presence = Presence(topology, spec.key)
        self._present: Present | None = None
        self._brokers = Brokers(topology, self._layouts.ordinary, spec.key)
        self._pairs = _pairs(spec)
        relations = Relations(self._pairs.group, self._pairs.topic, self._layouts.ordinary)
        schedule = Schedule(spec.cluster, topology, spec.anomalies, spec.key)
        self._timeline = Timeline(schedule, relations)
        self._checks = max(1, round(spec.settings.retention * 1000 / HOUR))
        self._end = np.rint(self._traffic.levels * spec.settings.retention).astype(np.int64)
        self._retained = self._end.copy()
        self._shadow = Shadow()
        self._columns = self._make_columns(account_id, origin)

    def state(self) -> State:
        """What the next block goes on from."""
        pairs = self._pairs
        arrays = (self._end, self._retained, pairs.backlog, pairs.uncommitted)
        return tuple(a.tobytes() for a in arrays), self._shadow.traces

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        arrays, traces = state
        end, retained, backlog, uncommitted = (np.frombuffer(b, np.int64).copy() for b in arrays)
        self._end, self._retained = end, retained
        self._pairs.backlog, self._pairs.uncommitted = backlog, uncommitted
        self._shadow = Shadow(traces)

    def step(self, block: Block) -> list[pa.RecordBatch]:
        """Samples of a block: one batch for each entity type that the cluster has.

        Where topics or groups come or go within the block, there is one for each stretch.
        """
        if self._presence.always:
            return self._step(block)
        batches = []
        for stretch, present in self._presence.split(block):
            self._admit(present)
            batches += self._step(stretch)
        return batches

    def _admit(self, present: Present) -> None:
        """Forget what is away: a topic that comes back begins at offset 0, a group without lag."""
        pairs = self._pairs
        pairs.keep(present.topics[pairs.topic] & present.groups[pairs.group])
        self._end[~present.topics] = self._retained[~present.topics] = 0
        if self._present is None or present.absent_topics != self._present.absent_topics:
            self._layouts = Layouts(self._table.without(present.absent_topics))
        self._present = present

    def _is_there(self, anomaly: Anomaly) -> bool:
        there = None if self._present is None else self._present.of(anomaly.entity_type)
        return there is None or bool(there[anomaly.root])

    def _step(self, block: Block) -> list[pa.RecordBatch]:
        happening = [pair for pair in self._timeline.over(block) if self._is_there(pair[0])]
        levers = Levers(happening, block.times)
        before = self._layouts.over(Levers(happening, block.before.times))
        layout = self._layouts.over(levers)
        topics = len(self._size)
        drawn = draws(self._spec.key, block.first, block.ticks, topics + self._brokers.count)
        uniform, of_brokers = lanes(drawn[:, :topics]), lanes(drawn[:, topics:])

        flow = self._flow(block, levers, layout, uniform)
        lag_before, backlog_before = self._pairs.lag, self._pairs.backlog
        ordinary = self._pairs.capacities(block.seconds)
        capacity = levers.scaled(Lever.CAPACITY, ordinary, self._pairs.group)
        consumed = self._pairs.advance(flow.messages, capacity, uniform[:, :, 3], block.seconds)

        out = self._pairs.by_topic.of(consumed.out)
        of_topics = self._topic_metrics(block, flow, layout, consumed, out)
        of_groups = self._group_metrics(block, flow, levers, of_topics, consumed, lag_before)
        load = self._load(flow, layout, out)
        metrics = {
            CLUSTER: self._cluster_metrics(block, flow, layout, of_groups),
            BROKER: self._brokers.metrics(block, load, layout, of_brokers, levers),
            TOPIC: of_topics,
            CONSUMER_GROUP: of_groups,
        }
        if not (layout.calm and before.calm):
            metrics[BROKER] |= self._brokers.trouble(block, layout, before, levers)
            metrics[BROKER] = without_dead(metrics[BROKER], layout.in_trouble("dead"))
        labels = None
        if happening or self._shadow:
            shaping = Shaping(
                calm=Driven(flow.calm, ordinary),
                real=Driven(flow.messages, capacity),
                wanted=flow.wanted,
                backlog_before=backlog_before,
                backlog=consumed.backlog,
                levers=levers,
                layout=layout,
                before=before,
                levers_before=Levers(happening, block.before.times),
            )
            labels = label_kafka(shaping, happening, self._pairs, self._shadow)
        return self._batches(block, metrics, labels)

    def _flow(self, block: Block, levers: Levers, layout: Layout, uniform: Lanes) -> Flow:
        """What comes: the traffic, what anomalies make of it, and what finds no leader.

        failed = those of an ordinary day + messages · errors of anomalies + what was not taken.
        """
        expected = self._traffic.expected(block)
        if self._present is not None:
            expected[~self._present.topics] = 0.0
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

    def _load(self, flow: Flow, layout: Layout, out: Ints) -> Load:
        """What the topics' traffic brings to the brokers that lead them."""
        refused = [c for c in layout.corrections if c.pull.effect.lever is Lever.REFUSED]
        failed = None if flow.erring is None else layout.led(flow.erring)
        rejected = None
        if refused:
            shape = (self._brokers.count, layout.ticks)
            rejected = np.zeros(shape)
            failed = np.zeros(shape) if failed is None else failed
            for c in refused:
                rejected[c.broker, c.ticks] += c.of(flow.size)
                failed[c.broker, c.ticks] += c.messages
        return Load(
            messages=layout.appended(flow.messages),
            bytes_in=layout.appended(flow.messages, flow.size),
            bytes_out=layout.led(out * flow.size),
            failed=failed,
            bytes_rejected=rejected,
        )

    def _topic_metrics(
        self, block: Block, flow: Flow, layout: Layout, consumed: Consumed, out: Ints
    ) -> dict[str, Any]:
        """Metrics of topics.

        messagesIn = messages / s, messagesOut = commits of its groups / s, bytes = messages ·
        message size, offset = Σ messages, consumerLag = Σ lag of its groups, errorRate =
        100 · failed / (messages + failed), diskSize = retained · message size · replicas.
        """
        seconds = block.seconds
        offset = np.cumsum(flow.messages, axis=1)
        retained = self._retain(offset, block)
        offset += self._end[:, None]
        self._end = offset[:, -1].copy()
        metrics = {
            "topic.messagesInPerSecond": flow.messages / seconds,
            "topic.messagesOutPerSecond": out / seconds,
            "topic.bytesInPerSecond": flow.messages * flow.size / seconds,
            "topic.bytesOutPerSecond": out * flow.size / seconds,
            "topic.offset": offset,
            "topic.retainedMessages": retained,
            "topic.diskSize": retained * (self._size * self._replicas[:, None]),
            "topic.consumerLag": self._pairs.by_topic.of(consumed.lag),
            "topic.errorRate": error_rate(flow.failed, flow.messages),
        }
        if not layout.calm:
            offline = layout.spread("offline")
            metrics |= {
                "topic.underReplicatedPartitions": layout.under_replicated(),
                "topic.offlinePartitions": offline,
                "topic.partitionsWithNonPreferredLeader": layout.spread("non_preferred"),
                "topic.respondsToMetadataRequests": (offline == 0).astype(np.int8),
            }
        return metrics

    def _retain(self, added: Ints, block: Block) -> Ints:
        """Retained messages: every full hour the oldest leave, 1 / (retention in hours) of all."""
        retained = added + self._retained[:, None]
        checks = block.times // HOUR - (block.times - block.interval) // HOUR
        gone = np.zeros(len(retained), np.int64)
        begin = 0
        for tick in np.flatnonzero(checks).tolist():
            retained[:, begin:tick] -= gone[:, None]
            due = min(int(checks[tick]), self._checks)
            gone += (retained[:, tick] - gone) * due // self._checks
            begin = tick
        retained[:, begin:] -= gone[:, None]
        self._retained = retained[:, -1].copy()
        return retained

    def _group_metrics(
        self,
        block: Block,
        flow: Flow,
        levers: Levers,
        topics: dict[str, Any],
        consumed: Consumed,
        lag_before: Ints,
    ) -> dict[str, Any]:
        """Metrics of consumer groups.

        totalLag = Σ lag, maxLag = the most that a partition has by its part of the topic,
        lagSeconds = the greatest lag / expected arrivals, lagTrend = growth of totalLag / s,
        messagesConsumed = Σ commits / s, committedOffset = Σ (end offset − lag).
        """
        pairs, seconds = self._pairs, block.seconds
        total = pairs.by_group.ordered(consumed.lag)
        before = pairs.by_group.ordered(lag_before[:, None])
        parts = self._fullest(levers).take(pairs.topic, axis=0)
        fullest = -(-(consumed.lag * parts) // WHOLE)
        end = pairs.arrivals(topics["topic.offset"])
        ages = age(consumed.lag, flow.expected.take(pairs.topic, axis=0))
        metrics = {
            "consumerGroup.totalLag": total,
            "consumerGroup.maxLag": pairs.by_group.ordered(fullest, np.maximum),
            "consumerGroup.lagSeconds": pairs.by_group.ordered(ages, np.maximum),
            "consumerGroup.lagTrend": np.diff(total, axis=1, prepend=before) / seconds,
            "consumerGroup.messagesConsumedPerSecond": pairs.by_group.ordered(consumed.out)
            / seconds,
            "consumerGroup.committedOffset": pairs.by_group.ordered(end) - total,
        }
        consumers = levers.scaled(Lever.CONSUMERS, self._consumers)
        if consumers is not self._consumers:
            metrics["consumerGroup.activeConsumers"] = consumers
        return metrics | self._rebalances(block, levers)

    def _rebalances(self, block: Block, levers: Levers) -> dict[str, Any]:
        """MembershipChanges = ⌊changes/minute · interval + u⌋; where it is pulled, the group rebalances."""
        changes = levers.added(Lever.MEMBERSHIP, len(self._consumers))
        if changes is None:
            return {}
        count = len(self._consumers)
        index = (block.first + np.arange(block.ticks)) * count + np.arange(count)[:, None]
        uniform = hashed(key_of(self._spec.key, "membership"), index)
        whole = (changes * (block.seconds / 60) + uniform).astype(np.int64)
        states = pa.array(["Stable", "PreparingRebalance"])
        codes = (changes > 0).astype(np.int32).reshape(-1)
        return {
            "consumerGroup.membershipChanges": np.where(changes > 0, whole, 0),
            "consumerGroup.state": pa.DictionaryArray.from_arrays(codes, states),
        }

    def _fullest(self, levers: Levers) -> Ints:
        """Parts of WHOLE of the fullest partition of each topic, shape (topics, ticks or 1)."""
        share = levers.added(Lever.HOT, len(self._largest))
        if share is None:
            return self._largest
        moved: Ints = ((WHOLE - self._largest) * np.minimum(share, 1)).astype(np.int64)
        return self._largest + moved

    def _cluster_metrics(
        self, block: Block, flow: Flow, layout: Layout, groups: dict[str, Any]
    ) -> dict[str, Any]:
        """Metrics of the cluster: sums of its topics' and groups'.

        errorRate = 100 · Σ failed / Σ (messages + failed), availability = 100 · partitions with
        a leader / partitions, healthScore = min(100, 0.2 · max(0, 100 − 10 · errorRate) +
        0.8 · availability).
        """
        total = flow.messages.sum(axis=0)
        errors = error_rate(flow.failed.sum(axis=0), total)
        availability: Any = 100.0
        metrics: dict[str, Any] = {}
        if not layout.calm:
            offline = layout.spread("offline").sum(axis=0)
            partitions = max(len(layout.last.partitions.topic), 1)
            availability = 100.0 * (partitions - offline) / partitions
            metrics = {
                "cluster.activeBrokerCount": (~layout.in_trouble("dead")).sum(axis=0),
                "cluster.offlinePartitionsCount": offline,
                "cluster.underReplicatedPartitions": layout.under_replicated().sum(axis=0),
                "cluster.availability": availability,
            }
        return metrics | {
            "cluster.totalLag": groups["consumerGroup.totalLag"].sum(axis=0),
            "cluster.messagesInPerSecond": total / block.seconds,
            "cluster.bytesInPerSecond": (flow.messages * flow.size).sum(axis=0) / block.seconds,
            "cluster.errorRate": errors,
            "cluster.healthScore": health_score(errors, availability),
        }

    def _batches(
        self, block: Block, metrics: dict[EntityType, dict[str, Any]], labels: Labels | None
    ) -> list[pa.RecordBatch]:
        if self._present is not None:
            for kind, counts in self._counts(block.ticks, self._present).items():
                metrics[kind] = counts | metrics[kind]
        batches = []
        for kind, columns in self._columns.items():
            column = None if labels is None else labels.column(kind)
            if columns.count:
                batch = columns.batch(block.times, metrics[kind], column)
                there = None if self._present is None else self._present.of(kind)
                if there is not None and not there.all():
                    batch = batch.filter(pa.array(np.repeat(there, block.ticks)))
                batches.append(batch)
        return batches

    def _counts(self, ticks: int, present: Present) -> dict[EntityType, dict[str, Any]]:
        """What else changes as topics and groups come and go."""
        pairs, ordinary = self._pairs, self._layouts.ordinary
        partitions = np.where(present.topics, self._partitions, 0)
        assigned = np.where(pairs.away, 0, partitions[pairs.topic])[:, None]
        of_cluster = {
            "cluster.globalTopicCount": present.topics.sum(),
            "cluster.globalPartitionCount": partitions.sum(),
            "cluster.consumerGroupCount": present.groups.sum(),
        }
        of_brokers = {
            "broker.partitionCount": ordinary.partitions.held,
            "broker.leaderCount": ordinary.leaders,
        }
        of_groups = {"consumerGroup.assignedPartitions": pairs.by_group.ordered(assigned)[:, 0]}
        return {
            CLUSTER: {name: np.full(ticks, count) for name, count in of_cluster.items()},
            BROKER: {name: np.repeat(counts, ticks) for name, counts in of_brokers.items()},
            CONSUMER_GROUP: {name: np.repeat(counts, ticks) for name, counts in of_groups.items()},
        }

    def _make_columns(self, account_id: int | None, origin: Origin) -> dict[EntityType, Columns]:
        """The columns that do not change unless an anomaly changes them."""
        spec, ordinary = self._spec, self._layouts.ordinary
        brokers = list(spec.topology.brokers)
        topics = [t.name for t in spec.topology.topics]
        groups = [g.name for g in spec.topology.groups]
        pairs = self._pairs
        assigned = pairs.by_group.ordered(self._partitions[pairs.topic][:, None])[:, 0]
        return {
            CLUSTER: Columns(
                CLUSTER,
                spec,
                account_id,
                origin,
                [None],
                {
                    "cluster.activeBrokerCount": len(brokers),
                    "cluster.globalTopicCount": len(topics),
                    "cluster.globalPartitionCount": int(self._partitions.sum()),
                    "cluster.offlinePartitionsCount": 0,
                    "cluster.underReplicatedPartitions": 0,
                    "cluster.consumerGroupCount": len(groups),
                    "cluster.availability": 100.0,
                },
            ),
            BROKER: Columns(
                BROKER,
                spec,
                account_id,
                origin,
                [f"broker-{b}" for b in brokers],
                {
                    "broker_id": brokers,
                    "net.bytesRejectedPerSecond": 0.0,
                    "replication.unreplicatedPartitions": 0,
                    "replication.isrShrinksPerSecond": 0.0,
                    "replication.isrExpandsPerSecond": 0.0,
                    "replication.leaderElectionPerSecond": 0.0,
                    "replication.uncleanLeaderElectionPerSecond": 0.0,
                    "broker.partitionCount": ordinary.partitions.held,
                    "broker.leaderCount": ordinary.leaders,
                    "broker.isController": [int(b == brokers[0]) for b in brokers],
                },
            ),
            TOPIC: Columns(
                TOPIC,
                spec,
                account_id,
                origin,
                topics,
                {
                    "topic": topics,
                    "topic.partitionCount": self._partitions,
                    "topic.replicationFactor": self._replicas,
                    "topic.underReplicatedPartitions": 0,
                    "topic.offlinePartitions": 0,
                    "topic.partitionsWithNonPreferredLeader": 0,
                    "topic.respondsToMetadataRequests": 1,
                },
            ),
            CONSUMER_GROUP: Columns(
                CONSUMER_GROUP,
                spec,
                account_id,
                origin,
                groups,
                {
                    "consumer_group": groups,
                    "consumerGroup.activeConsumers": self._consumers[:, 0],
                    "consumerGroup.membershipChanges": 0,
                    "consumerGroup.assignedPartitions": assigned,
                    "consumerGroup.state": "Stable",
                    "consumerGroup.type": "classic",
                    "consumerGroup.lagMethod": "simulated",
                },
            ),
        }


def relations_of(spec: ShardSpec) -> Relations:
    """Who is touched by whom in the cluster."""
    pairs = _pairs(spec)
    return Relations(pairs.group, pairs.topic, Placement(_partitions(spec)))


def _partitions(spec: ShardSpec) -> Partitions:
    return Partitions(spec.topology, spec.settings.skew, key_of(spec.key, "placement"))


def _pairs(spec: ShardSpec) -> Consumption:
    """Every group with every topic that it reads."""
    topology = spec.topology
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
