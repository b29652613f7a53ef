"""The physics of a simulated cluster of queues: RabbitMQ, SQS, Azure Service Bus, Pub/Sub."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from operators.health import Causes, health_score, stands_still
from operators.schema.arrays import Ints
from operators.schema.metrics import CLUSTER, QUEUE, Origin
from operators.schema.rabbitmq import path_of
from operators.simulate.age import Ages
from operators.simulate.anomalies.aftermath import Aftermath, Driven, Trace
from operators.simulate.anomalies.kinds import Effect, Lever
from operators.simulate.anomalies.labels import NONE, Labels, paint
from operators.simulate.anomalies.levers import AnomalyTimeline, Levers
from operators.simulate.anomalies.occurrences import Anomaly
from operators.simulate.anomalies.relations import Relations
from operators.simulate.block import Block
from operators.simulate.columns import Columns
from operators.simulate.consumption import Consumption
from operators.simulate.noise import draws, lanes
from operators.simulate.processing import processing_time
from operators.simulate.spec import ShardSpec, pattern_factor
from operators.simulate.traffic import Traffic, error_rate, failures

QueueClusterState = tuple[tuple[bytes, ...], tuple[Trace, ...]]
"""Backlog, messages in work; and what anomalies left behind."""


class QueueCluster:
    """One simulated cluster of queues: its constants, its state, and the step over a block."""

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin) -> None:
        queues = spec.topology.queues
        self._spec = spec
        self._traffic = Traffic(spec, [q.messages for q in queues])
        self._size = np.array([q.message_size for q in queues], np.int64)[:, None]
        self._processing = np.array([q.processing_time for q in queues])[:, None]
        self._ages = Ages(partial(pattern_factor, spec))
        themselves = np.arange(len(queues))
        self._pairs = Consumption(
            group=themselves,
            topic=themselves,
            capacity=np.array([q.capacity for q in queues]),
            delay=self._processing[:, 0] / 1000,
            groups=len(queues),
            topics=len(queues),
        )
        schedule = spec.schedule
        self._timeline = AnomalyTimeline(schedule, relations_of(spec))
        self._aftermath = Aftermath()
        names = [q.name for q in queues]
        vhosts = {"vhost": [q.vhost for q in queues]} if spec.provider == "rabbitmq" else {}
        paths = [path_of(q.vhost, q.name) if vhosts else tuple(q.name.split("/")) for q in queues]
        self._of_cluster = Columns(
            CLUSTER, spec, account_id, origin, [None], {"cluster.availability": 100.0}
        )
        self._of_queues = Columns(
            QUEUE, spec, account_id, origin, paths, {"queue": names, **vhosts}
        )

    def state(self) -> QueueClusterState:
        """What the next block goes on from."""
        arrays = (self._pairs.backlog, self._pairs.uncommitted)
        return tuple(a.tobytes() for a in arrays), self._aftermath.traces

    def restore(self, state: QueueClusterState) -> None:
        """Go on from a `state`."""
        arrays, traces = state
        self._pairs.backlog, self._pairs.uncommitted = (
            np.frombuffer(b, np.int64).copy() for b in arrays
        )
        self._aftermath = Aftermath(traces)

    def step(self, block: Block) -> list[pa.RecordBatch]:
        """Samples of a block, one batch for the cluster and one for its queues.

        messagesIn = messages / s, depth = backlog + in work, messagesOut = messages done / s,
        oldestMessageAge = that of the depth (`Ages`), errorRate = 100 · failed / (messages +
        failed). The cluster's are the sums of its queues'; totalLag is the sum of depths.
        """
        happening = self._timeline.over(block)
        levers = Levers(happening, block.times)
        pairs, seconds = self._pairs, block.seconds
        drawn = draws(self._spec.key, block.first, block.ticks, len(self._size))
        uniform = lanes(drawn)

        expected = self._traffic.expected(block)
        calm = self._traffic.messages(expected, uniform, seconds)
        messages = levers.scaled(Lever.MESSAGES, calm)
        failed = failures(messages, uniform)
        errors = levers.added(Lever.ERRORS, len(messages))
        if errors is not None:
            failed += (messages * np.minimum(errors, 1)).astype(np.int64)
        ordinary, before = pairs.capacities(seconds), pairs.backlog
        capacity = levers.scaled(Lever.CAPACITY, ordinary)
        done = pairs.advance(messages, capacity, uniform[:, :, 3], seconds)

        labels = None
        if happening or self._aftermath:
            calmly, really = Driven(calm, ordinary), Driven(messages, capacity)
            labels = self._label(happening, levers, calmly, really, before, done.backlog)
        size = levers.scaled(Lever.SIZE, self._size)
        of_queues = {
            "queue.depth": done.lag,
            "queue.messagesInPerSecond": messages / seconds,
            "queue.messagesOutPerSecond": done.out / seconds,
            "queue.processingTime": processing_time(
                self._processing, messages, ordinary, uniform, levers
            ),
            "queue.oldestMessageAge": self._ages.of(done.lag, expected, block),
            "queue.errorRate": error_rate(failed, messages),
        }
        total = messages.sum(axis=0)
        share = error_rate(failed.sum(axis=0), total)
        stalled = stands_still(done.out, of_queues["queue.oldestMessageAge"]).sum(axis=0)
        causes = Causes(errors=share, stalled=stalled, groups=len(messages))
        of_cluster = {
            "cluster.totalLag": done.lag.sum(axis=0),
            "cluster.messagesInPerSecond": total / seconds,
            "cluster.bytesInPerSecond": (messages * size).sum(axis=0) / seconds,
            "cluster.errorRate": share,
            "cluster.healthScore": health_score(causes),
        }
        return [
            columns.batch(
                block.times, metrics, labels.column(columns.entity_type) if labels else None
            )
            for columns, metrics in ((self._of_cluster, of_cluster), (self._of_queues, of_queues))
        ]

    def _label(
        self,
        happening: Sequence[tuple[Anomaly, tuple[Effect, ...]]],
        levers: Levers,
        calm: Driven,
        real: Driven,
        before: Ints,
        backlog: Ints,
    ) -> Labels:
        """The labels of a block: a queue's messages and lag shape its samples and the cluster's."""
        known = [(a.start, a.label) for a, _ in happening]
        left = [(start, label) for _, _, start, label in self._aftermath.traces]
        labels = Labels([*known, *left], levers.ticks)
        queues, cluster = labels.codes(QUEUE, len(backlog)), labels.codes(CLUSTER, 1)
        pulled = labels.blank(len(backlog))
        for levered, codes in (
            ((Lever.MESSAGES, Lever.SIZE, Lever.ERRORS, Lever.PROCESSING), queues),
            ((Lever.MESSAGES, Lever.CAPACITY), pulled),
        ):
            for pull in levers.of(*levered):
                paint(codes, pull.entities, pull.span, labels.code(pull.anomaly.label))
        shaped = self._aftermath.follow(self._pairs, before, calm, real, backlog, pulled, labels)
        cluster[0] = shaped.lag.max(axis=0, initial=NONE)
        for pull in levers.of(Lever.MESSAGES, Lever.SIZE, Lever.ERRORS):
            paint(cluster, np.array([0]), pull.span, labels.code(pull.anomaly.label))
        np.maximum.at(queues, shaped.pairs, shaped.rates)
        return labels


def relations_of(spec: ShardSpec) -> Relations:
    """Who is touched by whom: each queue reads itself."""
    themselves = np.arange(len(spec.topology.queues))
    return Relations(themselves, themselves)
