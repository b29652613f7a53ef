"""A simulated Kafka cluster as a whole: all metrics follow from messages produced.

Counts of messages are whole numbers and the source of truth; rates are counts divided by the
interval. The docstring of each `metrics` is the exact formula of the metrics that it returns.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from operators.health import Causes, health_score, stands_still
from operators.schema.arrays import Ints
from operators.schema.arrow import Only, as_only
from operators.schema.metrics import (
    BROKER,
    BROKER_TOPIC,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_CLIENT,
    GROUP_TOPIC,
    PARTITION_OFFSET,
    TOPIC,
    EntityType,
    Origin,
)
from operators.simulate.age import Ages
from operators.simulate.anomalies.aftermath import Aftermath, Driven, Trace
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.labels import Labels
from operators.simulate.anomalies.levers import AnomalyTimeline, Levers
from operators.simulate.anomalies.occurrences import Anomaly
from operators.simulate.anomalies.relations import Relations
from operators.simulate.block import Block
from operators.simulate.churn import Churn, Present
from operators.simulate.columns import Columns, Metrics
from operators.simulate.consumption import Held
from operators.simulate.kafka.broker_topics import BrokerTopics
from operators.simulate.kafka.brokers import Brokers, load_of, without_dead
from operators.simulate.kafka.group_clients import GroupClients
from operators.simulate.kafka.group_topics import GroupTopics
from operators.simulate.kafka.groups import Groups, pairs_of
from operators.simulate.kafka.layout import Layout, Layouts
from operators.simulate.kafka.partition_lag import PartitionLag
from operators.simulate.kafka.placement import Partitions
from operators.simulate.kafka.shaping import Shaping, label
from operators.simulate.kafka.topics import Flow, Topics
from operators.simulate.noise import (
    draws,
    key_of,
    lanes,
)
from operators.simulate.spec import ShardSpec, pattern_factor
from operators.simulate.traffic import error_rate

KafkaClusterState = tuple[tuple[bytes, ...], tuple[Trace, ...]]
"""End offsets, retained messages, backlog, uncommitted, messages retained without anomalies; and what anomalies left behind."""


_BESIDE = {
    PARTITION_OFFSET: Only.POINTS,
    BROKER_TOPIC: Only.EVENTS,
    GROUP_CLIENT: Only.EVENTS,
}
"""What is no row, and how it is sent."""


class KafkaCluster:
    """One simulated Kafka cluster: its parts, its state, and the step over a block."""

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin) -> None:
        topology = spec.topology
        self._key = spec.key
        self._table = partitions_of(spec)
        self._layouts = Layouts(self._table)
        self._pairs = pairs_of(topology)
        self._topics = Topics(spec)
        ages = Ages(partial(pattern_factor, spec))
        self._groups = Groups(topology, self._pairs, self._table.largest, ages, spec.key)
        self._group_topics = GroupTopics(spec, self._pairs)
        self._partition_lag = None
        if Only.POINTS in spec.beside and self._group_topics.names:
            self._partition_lag = PartitionLag(spec, self._group_topics, self._table)
        self._broker_topics = self._group_clients = None
        if Only.EVENTS in spec.beside:
            self._broker_topics = BrokerTopics(spec, self._table, self._layouts.ordinary)
            self._group_clients = GroupClients(spec, self._pairs, self._table)
        self._brokers = Brokers(topology, self._layouts.ordinary, spec.key)
        self._churn = Churn(topology, spec.key)
        self._present: Present | None = None
        schedule = spec.schedule
        self._timeline = AnomalyTimeline(schedule, relations_of(spec))
        self._aftermath = Aftermath()
        parts: tuple[tuple[EntityType, Sequence[str | tuple[str, ...] | None], Any], ...] = (
            (CLUSTER, [None], self._constants()),
            (BROKER, self._brokers.names, self._brokers.constants()),
            (TOPIC, self._topics.names, self._topics.constants()),
            (CONSUMER_GROUP, self._groups.names, self._groups.constants(self._topics.partitions)),
            (GROUP_TOPIC, self._group_topics.names, self._group_topics.constants()),
        )
        if (lag := self._partition_lag) is not None:
            parts = (*parts, (PARTITION_OFFSET, lag.names, lag.constants()))
        if (topics := self._broker_topics) is not None:
            parts = (*parts, (BROKER_TOPIC, topics.names, topics.constants()))
        if (clients := self._group_clients) is not None:
            parts = (*parts, (GROUP_CLIENT, clients.names, clients.constants()))
        self._columns = [
            Columns(kind, spec, account_id, origin, names, constants)
            for kind, names, constants in parts
            if names
        ]

    def state(self) -> KafkaClusterState:
        """What the next block goes on from."""
        topics, pairs = self._topics, self._pairs
        arrays = (topics.end, topics.retained, pairs.backlog, pairs.uncommitted, topics.calm)
        return tuple(a.tobytes() for a in arrays), self._aftermath.traces

    def restore(self, state: KafkaClusterState) -> None:
        """Go on from a `state`."""
        arrays, traces = state
        topics, pairs = self._topics, self._pairs
        topics.end, topics.retained, pairs.backlog, pairs.uncommitted, *calm = (
            np.frombuffer(b, np.int64).copy() for b in arrays
        )
        # Earlier versions did not know what there would be without anomalies.
        topics.calm = calm[0] if calm else topics.retained.copy()
        self._aftermath = Aftermath(traces)

    def step(self, block: Block) -> list[pa.RecordBatch]:
        """Samples of a block: one batch for each entity type that the cluster has.

        Where topics or groups come or go within the block, there is one for each stretch.
        """
        if self._churn.always:
            return self._step(block)
        batches = []
        for stretch, present in self._churn.split(block):
            self._admit(present)
            batches += self._step(stretch)
        return batches

    def _step(self, block: Block) -> list[pa.RecordBatch]:
        happening = [pair for pair in self._timeline.over(block) if self._is_there(pair[0])]
        levers = Levers(happening, block.times)
        levers_before = Levers(happening, block.before.times)
        layout, before = self._layouts.over(levers), self._layouts.over(levers_before)
        topics = len(self._topics.names)
        drawn = draws(self._key, block.first, block.ticks, topics + self._brokers.count)
        uniform, of_brokers = lanes(drawn[:, :topics]), lanes(drawn[:, topics:])

        pairs = self._pairs
        flow = self._topics.flow(block, levers, layout, uniform)
        lag_before, backlog_before = pairs.lag, pairs.backlog
        ordinary = pairs.capacities(block.seconds)
        capacity = levers.scaled(Lever.CAPACITY, ordinary, pairs.group)
        capacity = levers.scaled(Lever.READING, capacity, pairs.topic)
        kept = self._topics.kept(block, flow, levers)
        consumed = pairs.advance(
            flow.messages,
            capacity,
            uniform[:, :, 3],
            block.seconds,
            Held(kept.before, kept.retained),
        )

        out, lag = pairs.by_topic.of(consumed.out), pairs.by_topic.of(consumed.lag)
        of_topics = self._topics.metrics(block, flow, layout, kept, out, lag)
        load = load_of(flow, layout, out)
        on_topics = self._groups.on_topics(block, flow, levers, kept, consumed)
        of_groups = self._groups.metrics(block, levers, on_topics, consumed, lag_before)
        metrics = {
            CLUSTER: self._metrics(block, flow, layout, before, lag, self._stalled(of_groups)),
            BROKER: self._brokers.metrics(block, load, layout, of_brokers, levers),
            TOPIC: of_topics,
            CONSUMER_GROUP: of_groups,
            GROUP_TOPIC: self._group_topics.metrics(on_topics),
        }
        if self._partition_lag is not None:
            metrics[PARTITION_OFFSET] = self._partition_lag.metrics(on_topics)
        if self._broker_topics is not None:
            disk = of_topics["topic.diskSize"]
            metrics[BROKER_TOPIC] = self._broker_topics.metrics(block, flow, layout, disk)
        if self._group_clients is not None:
            metrics[GROUP_CLIENT] = self._group_clients.metrics(on_topics)
        if not (layout.calm and before.calm):
            metrics[BROKER] |= self._brokers.trouble(block, load, layout, before, levers)
            unclean = metrics[BROKER]["replication.uncleanLeaderElectionPerSecond"]
            metrics[CLUSTER]["cluster.uncleanLeaderElectionsPerSecond"] = unclean.sum(axis=0)
            metrics[BROKER] = without_dead(
                metrics[BROKER], self._brokers.constants(), layout.in_trouble("dead")
            )
        labels = None
        if happening or self._aftermath:
            shaping = Shaping(
                calm=Driven(flow.calm, ordinary),
                real=Driven(flow.messages, capacity),
                wanted=flow.wanted,
                backlog_before=backlog_before,
                backlog=consumed.backlog,
                levers=levers,
                layout=layout,
                before=before,
                levers_before=levers_before,
            )
            labels = label(shaping, happening, pairs, self._aftermath, self._group_topics)
            if self._partition_lag is not None:
                self._partition_lag.label(labels)
            if self._broker_topics is not None:
                self._broker_topics.label(labels, levers, layout)
            if self._group_clients is not None:
                self._group_clients.label(labels, len(self._groups.names))
        return self._batches(block, metrics, labels)

    def _metrics(
        self,
        block: Block,
        flow: Flow,
        layout: Layout,
        before: Layout,
        lag: Ints,
        stalled: Ints,
    ) -> dict[str, Any]:
        """Metrics of the cluster: sums of its topics'; `lag` is that of topics' readers.

        `stalled` are groups that stand still.

        `before` is the layout of the tick before the block.

        errorRate = 100 · Σ failed / Σ (messages + failed), availability = 100 · partitions with
        a leader / partitions, healthScore = `health_score` of what is wrong.
        """
        total = flow.messages.sum(axis=0)
        errors = error_rate(flow.failed.sum(axis=0), total)
        metrics: dict[str, Any] = {}
        partitions = max(len(layout.last.partitions.topic), 1)
        causes = Causes(errors=errors, stalled=stalled, groups=max(len(self._groups.names), 1))
        if not (layout.calm and before.calm):
            offline = layout.spread("offline").sum(axis=0)
            dead = layout.in_trouble("dead")
            causes = replace(
                causes,
                down=dead.sum(axis=0),
                known=self._brokers.count,
                under_replicated=layout.under_replicated().sum(axis=0),
                under_min_in_sync=layout.under_min_in_sync().sum(axis=0),
                offline=offline,
                partitions=partitions,
            )
            metrics = {
                "cluster.activeBrokerCount": (~dead).sum(axis=0),
                "cluster.fencedBrokerCount": causes.down,
                "cluster.leaderElectionsPerSecond": layout.elections(before.last) / block.seconds,
                "cluster.offlinePartitionsCount": offline,
                "cluster.underReplicatedPartitions": causes.under_replicated,
                "cluster.underMinIsrPartitions": causes.under_min_in_sync,
                "cluster.preferredReplicaImbalanceCount": layout.spread("non_preferred").sum(
                    axis=0
                ),
                "cluster.availability": 100.0 * (partitions - offline) / partitions,
            }
        return metrics | {
            "cluster.totalLag": lag.sum(axis=0),
            "cluster.messagesInPerSecond": total / block.seconds,
            "cluster.bytesInPerSecond": (flow.messages * flow.size).sum(axis=0) / block.seconds,
            "cluster.errorRate": errors,
            "cluster.stalledGroupCount": stalled,
            "cluster.healthScore": health_score(causes),
        }

    def _stalled(self, of_groups: dict[str, Any]) -> Ints:
        """How many groups stand still at each tick."""
        consumed = of_groups["consumerGroup.messagesConsumedPerSecond"]
        still = stands_still(consumed, of_groups["consumerGroup.lagSeconds"])
        counts: Ints = still.sum(axis=0)
        return counts

    def _constants(self) -> dict[str, Any]:
        return {
            "cluster.activeBrokerCount": self._brokers.count,
            "cluster.knownBrokerCount": self._brokers.count,
            "cluster.fencedBrokerCount": 0,
            "cluster.leaderElectionsPerSecond": 0.0,
            "cluster.globalTopicCount": len(self._topics.names),
            "cluster.globalPartitionCount": int(self._topics.partitions.sum()),
            "cluster.offlinePartitionsCount": 0,
            "cluster.underReplicatedPartitions": 0,
            "cluster.underMinIsrPartitions": 0,
            "cluster.preferredReplicaImbalanceCount": 0,
            "cluster.activeControllerCount": 1,
            "cluster.uncleanLeaderElectionsPerSecond": 0.0,
            "cluster.consumerGroupCount": len(self._groups.names),
            "cluster.availability": 100.0,
        }

    def _batches(
        self, block: Block, metrics: Metrics, labels: Labels | None
    ) -> list[pa.RecordBatch]:
        if self._present is not None:
            for kind, counts in self._counts(self._present, block.ticks).items():
                metrics[kind] = counts | metrics[kind]
        batches = []
        for columns in self._columns:
            kind = columns.entity_type
            anomaly = None if labels is None else labels.column(kind)
            batch = columns.batch(block.times, metrics[kind], anomaly)
            there = None if self._present is None else self._there(kind, self._present)
            if there is not None and not there.all():
                batch = batch.filter(pa.array(np.repeat(there, block.ticks)))
            if kind in (BROKER_TOPIC, GROUP_CLIENT):
                # A dead broker's page reports nothing, and who is not in the group has no lag.
                batch = batch.filter(batch.column(kind.metrics[0].name).is_valid())
            batches.append(as_only(batch, _BESIDE[kind]) if kind in _BESIDE else batch)
        return batches

    # Churn

    def _admit(self, present: Present) -> None:
        """Only these topics and groups are there from now on."""
        pairs = self._pairs
        pairs.keep(present.topics[pairs.topic] & present.groups[pairs.group])
        self._topics.keep(present.topics)
        if self._present is None or present.absent_topics != self._present.absent_topics:
            self._layouts = Layouts(self._table.without(present.absent_topics))
        self._present = present

    def _is_there(self, anomaly: Anomaly) -> bool:
        there = None if self._present is None else self._present.of(anomaly.entity_type)
        return there is None or bool(there[anomaly.root])

    def _there(self, kind: EntityType, present: Present) -> Any:
        if self._partition_lag is not None and kind is PARTITION_OFFSET:
            return self._partition_lag.there(self._group_topics.there(present))
        if self._broker_topics is not None and kind is BROKER_TOPIC:
            return present.topics[self._broker_topics.topic]
        if self._group_clients is not None and kind is GROUP_CLIENT:
            return self._group_clients.there(present)
        return self._group_topics.there(present) if kind is GROUP_TOPIC else present.of(kind)

    def _counts(self, present: Present, ticks: int) -> Metrics:
        """What else changes as topics and groups come and go."""
        ordinary = self._layouts.ordinary
        partitions = np.where(present.topics, self._topics.partitions, 0)
        counts = {
            CLUSTER: {
                "cluster.globalTopicCount": present.topics.sum(keepdims=True),
                "cluster.globalPartitionCount": partitions.sum(keepdims=True),
                "cluster.consumerGroupCount": present.groups.sum(keepdims=True),
            },
            BROKER: {
                "broker.partitionCount": ordinary.partitions.held,
                "broker.leaderCount": ordinary.leaders,
            },
            CONSUMER_GROUP: {"consumerGroup.assignedPartitions": self._groups.assigned(partitions)},
        }
        return {
            kind: {name: np.repeat(values, ticks) for name, values in named.items()}
            for kind, named in counts.items()
        }


def relations_of(spec: ShardSpec) -> Relations:
    """Who is touched by whom in the cluster."""
    pairs = pairs_of(spec.topology)
    table = partitions_of(spec)
    return Relations(pairs.group, pairs.topic, table.brokers, table.as_replicas())


def partitions_of(spec: ShardSpec) -> Partitions:
    """The cluster's partitions, as they lie on its brokers."""
    return Partitions(spec.topology, spec.settings.skew, key_of(spec.key, "placement"))
