"""A simulated RabbitMQ cluster as a whole: all metrics follow from the messages that are published."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from operators.health import Causes, health_score, stands_still
from operators.schema.arrays import Floats, Ints
from operators.schema.guid import node_name
from operators.schema.metrics import CLUSTER, NODE, QUEUE, EntityType, Origin
from operators.schema.rabbitmq import path_of
from operators.simulate.anomalies.kinds import Effect, Lever
from operators.simulate.anomalies.labels import NONE, Labels, paint
from operators.simulate.anomalies.levers import AnomalyTimeline, Levers
from operators.simulate.block import Block
from operators.simulate.columns import Columns, Metrics
from operators.simulate.noise import (
    Lanes,
    distinct,
    draws,
    lanes,
)
from operators.simulate.rabbitmq.layout import CLASSIC, QUORUM, STREAM, QueueLayout, QueueStanding
from operators.simulate.rabbitmq.nodes import Nodes
from operators.simulate.rabbitmq.queues import NOT_OF_STREAMS, Queues, RabbitQueuesState, metrics_of
from operators.simulate.spec import ShardSpec
from operators.simulate.traffic import Traffic, error_rate

Mark = tuple[str, int, int, str]
"""Label of an entity type, place, and the anomaly that shaped it at the last tick: start and label. One of
no entity type reports the anomaly that began last."""

RabbitClusterState = tuple[RabbitQueuesState, RabbitQueuesState | None, tuple[Mark, ...], bool]
"""The queues; what they would be without anomalies, where they are not that; whose samples were shaped;
and whether publishers were blocked at the last tick."""

_WHILE_DOWN = {"node.running"}
"""What is reported of that which is down."""

_PARTITIONS = "node.partitionsSeen"
"""What one that is cut off reports of itself, though it is down for the others."""

_LEADER, _ONLINE = "leader", "online"
"""Beside the columns of queues, by which it is seen whether they differ."""


class RabbitCluster:
    """One simulated RabbitMQ cluster: its parts, its state, and the step over a block.

    What is shaped by anomalies is not guessed: while there are some, and until nothing is left of them,
    the cluster without them is moved on too, and a sample is shaped where the two differ. What streams
    hold is the same in both: messages that are published more or less only shift when a segment is full.
    """

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin) -> None:
        topology = spec.topology
        self._spec = spec
        # What is filled has no type, leader, members or dead letters: those of a real queue are not known.
        self._tells_of_queues = origin is not Origin.FILLED
        self._layout = QueueLayout.of(spec, streams=self._tells_of_queues)
        self._unreported = dict.fromkeys(NOT_OF_STREAMS, self._layout.which(STREAM))
        self._traffic = Traffic(spec, [queue.messages for queue in topology.queues])
        self._queues, self._calm = Queues(spec, self._layout), Queues(spec, self._layout)
        self._nodes = Nodes(spec, self._layout)
        schedule = spec.schedule
        self._timeline = AnomalyTimeline(schedule, self._layout.relations)
        self._apart = False
        self._marks: tuple[Mark, ...] = ()
        self._blocked = False
        names = [queue.name for queue in topology.queues]
        paths = [path_of(queue.vhost, queue.name) for queue in topology.queues]
        own = {"queue": names, "vhost": [queue.vhost for queue in topology.queues]}
        if self._tells_of_queues:
            own["queue.type"] = list(self._layout.types)
        self._columns = (
            Columns(CLUSTER, spec, account_id, origin, [None], {}),
            Columns(QUEUE, spec, account_id, origin, paths, own),
            Columns(
                NODE,
                spec,
                account_id,
                origin,
                [node_name(name) for name in self._nodes.names],
                {"node": self._nodes.names},
            ),
        )

    def state(self) -> RabbitClusterState:
        """What the next block goes on from."""
        calm = self._calm.state() if self._apart else None
        return self._queues.state(), calm, self._marks, self._blocked

    def restore(self, state: RabbitClusterState) -> None:
        """Go on from a `state`."""
        queues, calm, self._marks, self._blocked = state
        self._queues.restore(queues)
        self._apart = calm is not None
        if calm is not None:
            self._calm.restore(calm)

    def step(self, block: Block) -> list[pa.RecordBatch]:
        """Samples of a block: one batch for the cluster, one for its queues, one for its nodes."""
        happening = self._timeline.over(block)
        levers = Levers(happening, block.times)
        drawn = draws(self._spec.key, block.first, block.ticks, len(self._spec.topology.queues))
        uniform = lanes(drawn)
        expected = self._traffic.expected(block)
        messages = self._traffic.messages(expected, uniform, block.seconds)

        labels = None
        apart = self._apart or self._blocked or bool(happening)
        if apart and not self._apart:
            self._calm.restore(self._queues.state())
        drawn_ones = (block, expected, messages, uniform)
        real, down, ever = self._moved(self._queues, *drawn_ones, levers, blocked=self._blocked)
        self._blocked = bool(real[CLUSTER]["cluster.alarmCount"][-1])
        if apart:
            none = Levers((), block.times)
            calm, _, _ = self._moved(self._calm, *drawn_ones, none, blocked=False, ever=ever)
            known = [(anomaly.start, anomaly.label) for anomaly, _ in happening]
            known += [(start, label) for _, _, start, label in self._marks]
            labels = Labels(known, block.ticks)
            self._label(block, levers, labels, real, calm)
            self._apart = self._calm.state() != self._queues.state()
        if not self._apart and not self._blocked:
            self._marks = tuple(m for m in self._marks if happening)
        return [
            columns.batch(
                block.times,
                _reported(
                    real[columns.entity_type], down.get(columns.entity_type), self._unreported
                ),
                labels.column(columns.entity_type) if labels else None,
            )
            for columns in self._columns
        ]

    def _moved(
        self,
        queues: Queues,
        block: Block,
        expected: Floats,
        messages: Ints,
        uniform: Lanes,
        levers: Levers,
        *,
        blocked: bool,
        ever: Ints | None = None,
    ) -> tuple[Metrics, dict[EntityType, Any], Ints]:
        """All metrics of a block, which queues and nodes are down, and what was ever published.

        An alarm of any node blocks all publishers, from the tick at which it is seen to the one at which
        it is gone: what they would have sent meanwhile is never sent. The cluster's columns are the sums
        of the queues' that are not down.
        """
        condition = self._nodes.condition(block, levers)
        standing = self._layout.at(condition.down)
        held_up = np.concatenate([[blocked], condition.alarms[:-1] > 0])
        published = levers.scaled(Lever.MESSAGES, messages)
        published = np.where(standing.down | held_up, 0, published)
        moved = queues.advance(block, expected, published, uniform, levers, standing, ever)
        of_nodes = self._nodes.metrics(block, condition, standing, moved)
        of_queues: dict[str, Any] = dict(metrics_of(moved, block.seconds))
        of_queues |= {_LEADER: standing.leader, _ONLINE: standing.online}
        down = np.broadcast_to(standing.down, moved.depth.shape)
        if self._tells_of_queues:
            of_queues |= self._words(standing, moved.depth.shape)
        else:
            del of_queues["queue.deadLetteredPerSecond"]
        there = ~down
        count, total = len(self._nodes.names), (moved.published * there).sum(axis=0)
        running = (~condition.down).sum(axis=0)
        failed = (moved.failed * there).sum(axis=0)
        stalled = stands_still(moved.acknowledged, moved.age) & there
        errors = error_rate(failed, total)
        causes = Causes(
            down=count - running,
            known=count,
            offline=down.sum(axis=0),
            partitions=len(down),
            errors=errors,
            stalled=stalled.sum(axis=0),
            groups=len(down),
        )
        consumers = (moved.consumers * there).sum(axis=0)
        connections = consumers + there.sum(axis=0)
        of_cluster = {
            "cluster.totalLag": (moved.depth * there).sum(axis=0),
            "cluster.messagesInPerSecond": total / block.seconds,
            "cluster.bytesInPerSecond": (moved.published * moved.size * there).sum(axis=0)
            / block.seconds,
            "cluster.errorRate": errors,
            "cluster.healthScore": health_score(causes),
            "cluster.availability": 100 * there.mean(axis=0),
            "cluster.nodeCount": np.full(block.ticks, count),
            "cluster.runningNodeCount": running,
            "cluster.alarmCount": condition.alarms,
            "cluster.partitionedNodeCount": (
                (of_nodes[_PARTITIONS] > 0) & (~condition.down | condition.cut_off)
            ).sum(axis=0),
            "cluster.queueCount": np.full(block.ticks, len(down)),
            "cluster.connectionCount": connections,
            "cluster.channelCount": connections,
            "cluster.consumerCount": consumers,
            "cluster.deadLetteredPerSecond": (moved.dead_lettered * there).sum(axis=0)
            / block.seconds,
        }
        of_nodes["node.running"] = (~condition.down).astype(np.int8)
        return (
            {CLUSTER: of_cluster, QUEUE: of_queues, NODE: of_nodes},
            {QUEUE: down, NODE: condition.down},
            moved.ever,
        )

    def _words(self, standing: QueueStanding, shape: tuple[int, ...]) -> dict[str, pa.Array]:
        """State, leader and members of queues; a classic queue has no members to report."""
        down = np.broadcast_to(standing.down, shape)
        quorum = np.broadcast_to(self._layout.which(QUORUM), shape)
        state = np.where(down, np.where(quorum, 2, 1), 0).reshape(-1)
        leader = np.broadcast_to(standing.leader, shape).reshape(-1)
        members = np.broadcast_to(self._layout.there.sum(axis=1)[:, None], shape)
        online = np.broadcast_to(standing.online, shape)
        classic = np.broadcast_to(self._layout.which(CLASSIC), shape).reshape(-1)
        return {
            "queue.state": _spelled(state, ["running", "down", "minority"]),
            "queue.leader": _spelled(leader, self._nodes.names),
            "queue.members": pa.array(members.reshape(-1), pa.int64(), mask=classic),
            "queue.membersOnline": pa.array(online.reshape(-1), pa.int64(), mask=classic),
        }

    def _label(
        self, block: Block, levers: Levers, labels: Labels, real: Metrics, calm: Metrics
    ) -> None:
        """Label what differs: by the anomaly that pulls at it, or by which it was shaped before.

        What is pulled at by none has the label of the one that began last.
        """
        starts = np.array([start for start, _ in labels.known], np.int64)
        newest = np.searchsorted(starts, block.times, side="right") - 1
        marks: list[Mark] = []
        for entity_type, metrics in real.items():
            shaped = _differ(metrics, calm[entity_type], block.ticks)
            before = np.full(len(shaped), NONE, np.int64)
            for name, place, _, label in self._marks:
                if name == entity_type.label:
                    before[place] = labels.code(label)
            codes = labels.codes(entity_type, len(shaped))
            codes[:] = _carried(
                self._pulled(entity_type, len(shaped), levers, labels), shaped, before, newest
            )
            marks += [
                (entity_type.label, int(place), *labels.known[codes[place, -1]])
                for place in np.flatnonzero(codes[:, -1] != NONE)
            ]
        if newest[-1] != NONE:
            marks.append(("", 0, *labels.known[newest[-1]]))
        self._marks = tuple(marks)

    def _pulled(self, entity_type: EntityType, count: int, levers: Levers, labels: Labels) -> Ints:
        """The codes of the anomalies that pull at entities, or at what these depend on."""
        codes = labels.blank(count)
        for pull in levers.of(*Lever):
            touched = touched_by(pull.effect, self._layout)
            paint(codes, touched[entity_type], pull.span, labels.code(pull.anomaly.label))
        return codes


def touched_by(effect: Effect, layout: QueueLayout) -> dict[EntityType, Ints]:
    """Places of the entities that an effect may shape: the cluster, queues and nodes.

    What is pulled at nodes touches the queues that they hold, an alarm all of them, for it blocks all
    publishers; what is pulled at queues touches the nodes that hold them. Where a queue's dead letters go
    is touched with it.
    """
    queue, member = np.nonzero(layout.there)
    node = layout.members[queue, member]
    if effect.lever in (Lever.DOWN, Lever.MEMORY, Lever.DISK):
        mine = np.isin(node, effect.entities)
        queues = distinct(queue[mine]) if effect.lever is Lever.DOWN else distinct(queue)
        queues = _with_dead_letters(queues, layout)
        nodes = distinct(np.concatenate([effect.entities, node[np.isin(queue, queues)]]))
    elif effect.lever is Lever.CUT:
        queues, nodes = effect.entities[:0], np.arange(layout.nodes)
    else:
        queues = _with_dead_letters(effect.entities, layout)
        nodes = distinct(node[np.isin(queue, queues)])
    return {CLUSTER: np.zeros(1, np.int64), QUEUE: queues, NODE: nodes}


def _with_dead_letters(queues: Ints, layout: QueueLayout) -> Ints:
    """Queues, and those that their dead letters go to."""
    to = layout.dead_letters_to[queues]
    return distinct(np.concatenate([queues, to[to >= 0]]))


def _carried(direct: Ints, shaped: Any, before: Ints, newest: Ints) -> Ints:
    """Codes of shaped samples: what pulls at one, else that of the tick before, else the `newest`."""
    ticks = direct.shape[1]
    was = np.concatenate([(before != NONE)[:, None], shaped[:, :-1]], axis=1)
    first = shaped & ~was
    known = shaped & ((direct != NONE) | first)
    codes = np.where(direct != NONE, direct, newest)
    last = np.maximum.accumulate(np.where(known, np.arange(1, ticks + 1), 0), axis=1)
    full = np.concatenate([before[:, None], codes], axis=1)
    return np.where(shaped, np.take_along_axis(full, last, axis=1), NONE)


def _differ(metrics: Mapping[str, Any], others: Mapping[str, Any], ticks: int) -> Any:
    """Where any number differs; shape (entities, ticks). Times since ever do not count."""
    shaped = np.zeros((1, ticks), np.bool_)
    for name, values in metrics.items():
        if name != "node.uptime" and isinstance(values, np.ndarray):
            shaped = shaped | np.atleast_2d(values != others[name])
    return shaped


def _reported(
    metrics: Mapping[str, Any], down: Any, unreported: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Metrics without numbers of what is down, and without what is `unreported` of some, by column."""

    def masked(name: str, values: Any) -> Any:
        if isinstance(values, pa.Array) or name in _WHILE_DOWN:
            return values
        mask = down | unreported[name] if name in unreported else down
        if name == _PARTITIONS:
            mask = down & (values == 0)
        if mask is None or not mask.any():
            return values
        return pa.array(np.ascontiguousarray(values).reshape(-1), mask=mask.reshape(-1))

    return {name: masked(name, values) for name, values in metrics.items()}


def _spelled(places: Ints, words: list[str]) -> pa.Array:
    """Words by their places, as the schema has them."""
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(words))
