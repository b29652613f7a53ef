"""The table of what really went wrong, against which a detector can be scored."""

from collections.abc import Iterable
from typing import assert_never

import numpy as np
import pyarrow as pa

from operators.schema.arrays import Ints
from operators.schema.arrow import TIMESTAMP
from operators.schema.guid import entity_path
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    QUEUE,
    TOPIC,
    EntityType,
)
from operators.simulate import queues
from operators.simulate.anomalies.kinds import Effect, Lever
from operators.simulate.anomalies.occurrences import Anomaly, Paths, paths_of
from operators.simulate.anomalies.relations import Relations
from operators.simulate.kafka import cluster
from operators.simulate.rabbitmq.cluster import touched_by
from operators.simulate.rabbitmq.layout import QueueLayout
from operators.simulate.spec import ShardSpec

ANOMALIES = pa.schema(
    [
        ("kind", pa.string()),
        ("label", pa.string()),
        ("cluster_name", pa.string()),
        ("entity", pa.string()),
        ("entities", pa.list_(pa.string())),
        ("start", TIMESTAMP),
        ("peak", TIMESTAMP),
        ("end", TIMESTAMP),
    ]
)
"""Kind, label, cluster, path of the root entity, paths of all that it may touch, and when.

`peak` is the end of the onset, `end` that of the recovery; lag that is left then keeps its
label until it is worked off.
"""


def anomaly_table(specs: Iterable[ShardSpec], start: int, end: int) -> pa.Table:
    """The anomalies that are under way in [start, end), ms since 1970; schema: ANOMALIES."""
    rows = []
    for spec in specs:
        layout = QueueLayout.of(spec) if spec.topology.nodes else None
        physics = cluster if spec.provider == "kafka" else queues
        relations = layout.relations if layout else physics.relations_of(spec)
        schedule = spec.schedule
        paths = paths_of(spec.cluster, spec.topology)
        paths[GROUP_TOPIC] = [
            entity_path(spec.cluster, group.name, spec.topology.topics[topic].name)
            for group in spec.topology.groups
            for topic in group.topics
        ]
        rows += [
            {
                "kind": anomaly.kind,
                "label": anomaly.label,
                "cluster_name": spec.cluster,
                "entity": anomaly.entity,
                "entities": touched(anomaly, relations, spec.cluster, paths)
                if layout is None
                else _touched(anomaly, layout, paths),
                "start": anomaly.start,
                "peak": anomaly.peak,
                "end": anomaly.end,
            }
            for anomaly in schedule.between(start, end - 1)
        ]
    rows.sort(key=lambda row: (row["start"], row["label"]))
    return pa.Table.from_pylist(rows, ANOMALIES)


def _touched(anomaly: Anomaly, layout: QueueLayout, paths: Paths) -> list[str]:
    """The same of a cluster of RabbitMQ."""
    found: dict[str, None] = {anomaly.entity: None}
    for effect in anomaly.effects(layout.relations):
        for entity_type, places in touched_by(effect, layout).items():
            here = [anomaly.entity.split("/")[0]] if entity_type is CLUSTER else paths[entity_type]
            found.update((here[place], None) for place in places.tolist())
    return list(found)


def touched(
    anomaly: Anomaly, relations: Relations, cluster: str, paths: dict[EntityType, list[str]]
) -> list[str]:
    """Paths of the entities whose samples an anomaly may shape, its root first."""
    found: dict[str, None] = {anomaly.entity: None}
    for effect in anomaly.effects(relations):
        reach = _Reach(relations)
        reach.pull(effect)
        if reach.cluster:
            found[cluster] = None
        of_readers = QUEUE if anomaly.entity_type is QUEUE else CONSUMER_GROUP
        of_sources = QUEUE if anomaly.entity_type is QUEUE else TOPIC
        for entity_type, places in (
            (BROKER, reach.brokers),
            (of_sources, reach.topics),
            (of_readers, reach.groups),
            (GROUP_TOPIC, () if of_readers is QUEUE else reach.pairs),
        ):
            found.update((paths[entity_type][place], None) for place in sorted(places))
    return list(found)


class _Reach:
    """Collects the entities along which one effect spreads."""

    def __init__(self, relations: Relations) -> None:
        self._relations = relations
        self.brokers: set[int] = set()
        self.topics: set[int] = set()
        self.groups: set[int] = set()
        self.pairs: set[int] = set()
        self.cluster = False

    def pull(self, effect: Effect) -> None:
        """Follow one effect to all that it touches."""
        entities, relations = effect.entities, self._relations
        match effect.lever:
            case Lever.MESSAGES:
                self._traffic(entities)
                self._readers(entities)
            case Lever.SIZE | Lever.ERRORS:
                self._traffic(entities)
            case Lever.HOT:
                self.brokers.update(relations.leaders_of(entities).tolist())
                self._readers(entities)
            case Lever.CAPACITY:
                self._groups(entities)
                self._traffic(relations.read_by(entities))
            case Lever.READING:
                self._readers(entities)
                self._traffic(entities)
            case Lever.RETENTION:
                self.topics.update(entities.tolist())
                self._readers(entities)
            case Lever.CONSUMERS | Lever.MEMBERSHIP:
                self._groups(entities)
            case Lever.PROCESSING:
                # Queues have it; of Kafka's topics no time to process is known.
                if relations.replicas is None:
                    self.groups.update(entities.tolist())
            case Lever.CPU | Lever.MEMORY | Lever.LATENCY | Lever.UNCLEAN:
                self.brokers.update(entities.tolist())
            case Lever.REFUSED:
                self.brokers.update(entities.tolist())
                for broker in entities.tolist():
                    topics, _ = relations.led_by(broker)
                    self._traffic(topics)
                    self._readers(topics)
            case Lever.DOWN | Lever.BEHIND:
                for broker in entities.tolist():
                    self._trouble(broker, effect.lever)
            case Lever.DISK | Lever.CUT:
                pass  # of RabbitMQ's nodes, of which `rabbitmq/cluster.py` says what it touches
            case unknown:
                assert_never(unknown)

    def _groups(self, groups: Ints) -> None:
        self.groups.update(groups.tolist())
        self.pairs.update(np.flatnonzero(np.isin(self._relations.group, groups)).tolist())

    def _readers(self, topics: Ints) -> None:
        self.groups.update(self._relations.readers_of(topics).tolist())
        self.pairs.update(np.flatnonzero(np.isin(self._relations.topic, topics)).tolist())

    def _traffic(self, topics: Ints) -> None:
        self.topics.update(topics.tolist())
        self.brokers.update(self._relations.leaders_of(topics).tolist())
        self.cluster = True

    def _trouble(self, broker: int, lever: Lever) -> None:
        relations = self._relations
        self.cluster = True
        self.brokers |= {broker, *relations.beside(broker).tolist()}
        self.topics.update(relations.held_by(broker).tolist())
        if lever is Lever.DOWN:
            # Leaders are elected by the active controller, which is the first broker that is up.
            self.brokers.add(0 if broker else min(1, relations.brokers - 1))
            alone = relations.only_on(broker)
            self._readers(alone)
            self.brokers.update(relations.leaders_of(alone).tolist())
