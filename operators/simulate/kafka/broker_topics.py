"""A topic's bytes on each broker: its traffic and its logs, split as its partitions lie."""

from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import from_numpy
from operators.schema.guid import broker_name
from operators.schema.metrics import BROKER_TOPIC, TOPIC
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.labels import NONE, Labels, paint
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.kafka.layout import Layout
from operators.simulate.kafka.placement import WHOLE, Partitions, Placement
from operators.simulate.kafka.topics import Flow
from operators.simulate.spec import ShardSpec


def held_pairs(table: Partitions) -> tuple[Ints, Ints, Ints]:
    """The pairs of a topic and a broker that holds some of it, as topic · brokers + broker.

    With them each replica's partition, and the place of its pair.
    """
    row, place = np.nonzero(table.replicas >= 0)
    of_replica = table.topic[row] * max(table.brokers, 1) + table.replicas[row, place]
    pairs, inverse = np.unique(of_replica, return_inverse=True)
    return pairs, row, inverse


class BrokerTopics:
    """The pairs of a broker and a topic of which it holds some: the fullest topics', all of each."""

    def __init__(self, spec: ShardSpec, table: Partitions, ordinary: Placement) -> None:
        topology = spec.topology
        pairs, row, inverse = held_pairs(table)
        width = max(table.brokers, 1)
        held = np.bincount(inverse, table.parts[row], len(pairs)).astype(np.int64)
        topic = pairs // width
        level = np.array([t.messages * t.message_size for t in topology.topics])
        counts = np.bincount(topic, minlength=table.topics)
        order = np.argsort(-level, kind="stable")
        most = spec.settings.broker_topics
        chosen = order[: np.searchsorted(np.cumsum(counts[order]), most, side="right")]
        mine = np.isin(topic, chosen)
        self.topic, self.broker = topic[mine], pairs[mine] % width
        self._topics = table.topics
        self._ordinary = self._led(ordinary)
        whole = np.bincount(topic, held, table.topics).astype(np.int64)
        edges = np.cumsum(held)
        before = (edges - held - (np.cumsum(whole) - whole)[topic])[mine]
        self._low, self._high = before[:, None], (before + held[mine])[:, None]
        self._held = whole[self.topic][:, None]
        self._ids = np.array(topology.brokers, np.int64)
        self.names = [
            (broker_name(topology.brokers[broker]), topology.topics[of].name)
            for broker, of in zip(self.broker.tolist(), self.topic.tolist(), strict=True)
        ]

    def metrics(self, block: Block, flow: Flow, layout: Layout, disk: Ints) -> dict[str, Any]:
        """Bytes of a topic that a broker takes as leader, and what it holds; null while it is dead.

        bytesWrittenToTopic = the topic's bytes · its parts that the broker leads / s, `disk` is
        split by the parts of which it has a replica; both sum to the topic's.
        """
        amounts: Ints = flow.messages * flow.size
        for c in layout.corrections:
            amounts[c.topic, c.ticks] += c.of(flow.size)
        led: Floats = amounts.take(self.topic, axis=0) * self._parts(layout) / WHOLE
        for c in layout.corrections:
            mine = np.flatnonzero((self.topic == c.topic) & (self.broker == c.broker))
            led[mine, c.ticks] = led[mine, c.ticks] - c.of(flow.size)
        of_topic = disk.take(self.topic, axis=0)
        each, rest = of_topic // self._held, of_topic % self._held
        more = rest * self._high // self._held - rest * self._low // self._held
        held: Ints = each * (self._high - self._low) + more
        values = {
            "broker.bytesWrittenToTopicPerSecond": np.maximum(led, 0.0) / block.seconds,
            "topic.diskSize": held,
        }
        silent = None
        if not layout.calm:
            silent = layout.in_trouble("dead").take(self.broker, axis=0).reshape(-1)
        types = {metric.name: metric.type for metric in BROKER_TOPIC.metrics}
        return {
            name: from_numpy(column.reshape(-1), types[name], silent)
            for name, column in values.items()
        }

    def constants(self) -> dict[str, Any]:
        """What does not change."""
        return {
            "broker_id": self._ids[self.broker],
            "topic": [topic for _, topic in self.names],
        }

    def label(self, labels: Labels, levers: Levers, layout: Layout) -> None:
        """Mark the rows that anomalies have shaped: with their topic, or as its leaders moved."""
        codes = labels.codes(BROKER_TOPIC, len(self.topic))
        np.maximum(codes, labels.codes(TOPIC, self._topics)[self.topic], out=codes)
        for pull in levers.of(Lever.HOT):
            reached = np.flatnonzero(np.isin(self.topic, pull.entities))
            paint(codes, reached, pull.span, labels.code(pull.anomaly.label))
        moved = None
        for pull in levers.of(Lever.DOWN, Lever.BEHIND):
            moved = self._parts(layout) != self._ordinary if moved is None else moved
            code = labels.code(pull.anomaly.label)
            shown = np.where(moved[:, pull.span], code, NONE)
            np.maximum(codes[:, pull.span], shown, out=codes[:, pull.span])

    def _parts(self, layout: Layout) -> Ints:
        """Parts of each pair's topic that its broker leads, shape (pairs, ticks)."""
        parts = np.empty((len(self.topic), layout.ticks), np.int64)
        for span, placement in layout.stretches:
            parts[:, span] = self._led(placement)
        return parts

    def _led(self, placement: Placement) -> Ints:
        """The same of one placement, shape (pairs, 1)."""
        parts = np.zeros((placement.partitions.brokers, self._topics), np.int64)
        for broker in range(len(parts)):
            topics, led = placement.led_by(broker)
            parts[broker, topics] = led
        found: Ints = parts[self.broker, self.topic]
        return found[:, None]
