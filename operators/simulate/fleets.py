"""From a fleet's settings to the topology of its clusters."""

from collections.abc import Sequence

import numpy as np

from operators.simulate.noise import hashed, key_of
from operators.simulate.presets import (
    CLUSTER_MESSAGES,
    ENVIRONMENT_SCALE,
    GROUP_NAMES,
    QUEUE_NAMES,
    TOPIC_NAMES,
    dead_letter_name,
    names_of,
    queue_preset,
    topic_preset,
)
from operators.simulate.settings import FleetSettings, GroupSettings, QueueSettings, TopicSettings
from operators.simulate.topology import GroupShape, QueueShape, TopicShape, Topology


def topology_of(fleet: FleetSettings, seed: int, cluster: str) -> Topology:
    """What one cluster of a fleet holds; the same for the same seed and cluster name."""
    key = key_of(seed, cluster, "topology")
    if fleet.provider != "kafka":
        return Topology(queues=_queues(fleet, key), nodes=_nodes(fleet))
    brokers = fleet.brokers
    ids = tuple(range(1, brokers + 1)) if isinstance(brokers, int) else tuple(sorted(brokers))
    topics = _topics(fleet, key, len(ids))
    return Topology(brokers=ids, topics=topics, groups=_groups(fleet, topics, key))


def _nodes(fleet: FleetSettings) -> tuple[str, ...]:
    if fleet.provider != "rabbitmq":
        return ()
    return tuple(f"rabbit@node-{number}" for number in range(1, fleet.nodes + 1))


def _topics(fleet: FleetSettings, key: int, brokers: int) -> tuple[TopicShape, ...]:
    counted = isinstance(fleet.topics, int)
    if isinstance(fleet.topics, int):
        names = names_of(TOPIC_NAMES, fleet.topics)
        listed: Sequence[TopicSettings] = [_LIKE_ITS_FLEET] * len(names)
    else:
        names, listed = [topic.name for topic in fleet.topics], fleet.topics
    presets = [topic_preset(name) for name in names]
    skew = _zipf(len(names), fleet.skew, key) if counted else np.ones(len(names))
    levels = _scaled(fleet, np.array([preset.messages for preset in presets]) * skew, counted)
    sizes = _sizes(fleet, len(names), key)
    lasting = _lasting(fleet.churn if counted else 0.0, len(names), key_of(key, "topics"))
    return tuple(
        TopicShape(
            name=name,
            partitions=topic.partitions or fleet.partitions or preset.partitions,
            replication_factor=min(topic.replication_factor or fleet.replication_factor, brokers),
            messages=level if topic.messages_per_second is None else topic.messages_per_second,
            message_size=topic.message_size or size,
            lasting=lasts,
        )
        for name, topic, preset, level, size, lasts in zip(
            names, listed, presets, levels.tolist(), sizes.tolist(), lasting, strict=True
        )
    )


_LIKE_ITS_FLEET = TopicSettings.model_construct(name="")
"""What is said of a topic of which nothing is said, its name aside."""


def _groups(
    fleet: FleetSettings, topics: tuple[TopicShape, ...], key: int
) -> tuple[GroupShape, ...]:
    if isinstance(fleet.groups, int):
        names = names_of(GROUP_NAMES, fleet.groups)
        reads = _spread(fleet.groups, len(topics))
        listed = [
            GroupSettings.model_construct(name=n, topics=tuple(topics[i].name for i in places))
            for n, places in zip(names, reads, strict=True)
            if places
        ]
    else:
        listed = list(fleet.groups)
    place = {topic.name: i for i, topic in enumerate(topics)}
    churn = fleet.churn if isinstance(fleet.groups, int) else 0.0
    lasting = _lasting(churn, len(listed), key_of(key, "groups"))
    groups = []
    for group, lasts in zip(listed, lasting, strict=True):
        read = tuple(place[t] for t in group.topics)
        partitions = sum(topics[i].partitions for i in read)
        consumers = group.consumers or -(-partitions // 3)
        groups.append(GroupShape(group.name, read, consumers, fleet.capacity, lasts))
    return tuple(groups)


def _spread(groups: int, topics: int) -> list[list[int]]:
    """Every topic has a reader, every group has topics; both go round the other."""
    if not topics:
        return [[] for _ in range(groups)]
    reads: list[list[int]] = [list(range(g, topics, groups)) for g in range(groups)]
    return [places or [g % topics] for g, places in enumerate(reads)]


def _queues(fleet: FleetSettings, key: int) -> tuple[QueueShape, ...]:
    counted = isinstance(fleet.queues, int)
    listed = (
        [QueueSettings.model_construct(name=n) for n in names_of(QUEUE_NAMES, fleet.queues)]
        if isinstance(fleet.queues, int)
        else list(fleet.queues)
    )
    presets = [queue_preset(queue.name) for queue in listed]
    skew = _zipf(len(listed), fleet.skew, key) if counted else np.ones(len(listed))
    scaled = _scaled(fleet, np.array([p.messages for p in presets]) * skew, counted)
    levels = [
        float(level) if queue.messages_per_second is None else queue.messages_per_second
        for queue, level in zip(listed, scaled, strict=True)
    ]
    to = _dead_letters(listed) if fleet.provider == "rabbitmq" else [None] * len(listed)
    return tuple(
        QueueShape(
            name=queue.name,
            messages=level,
            capacity=level * fleet.capacity * p.capacity / p.messages,
            processing_time=p.processing_time,
            message_size=queue.message_size or int(size),
            type=queue.type,
            dead_letters_to=dead_letters_to,
            max_length=queue.max_length,
            message_ttl=queue.message_ttl,
        )
        for queue, p, level, size, dead_letters_to in zip(
            listed, presets, levels, _sizes(fleet, len(listed), key), to, strict=True
        )
    )


def _dead_letters(listed: Sequence[QueueSettings]) -> list[int | None]:
    """Places of the queues that dead letters go to, as is said or by their names; those send none on."""
    places = {queue.name: place for place, queue in enumerate(listed)}
    said = {queue.name: queue.dead_letters_to for queue in listed if queue.dead_letters_to}
    named = {queue.name: dead_letter_name(queue.name) for queue in listed}
    taken = {*said.values(), *(to for name, to in named.items() if name not in said)}
    by_name = {name: to for name, to in named.items() if name not in taken and to not in said}
    return [places.get((by_name | said).get(queue.name, "")) for queue in listed]


def _lasting(churn: float, count: int, key: int) -> list[bool]:
    """Which entities do not come and go; a random share `churn` of them does."""
    lasting: list[bool] = (hashed(key, np.arange(count)) >= churn).tolist()
    return lasting


def _zipf(count: int, exponent: float, key: int) -> np.ndarray:
    """Weights of mean 1 that fall as rank^-exponent; which place has which rank is random."""
    if not count:
        return np.ones(0)
    ranks = np.argsort(np.argsort(hashed(key, np.arange(count)), kind="stable")) + 1
    weights = ranks**-exponent
    return np.asarray(weights / weights.mean())


def _scaled(fleet: FleetSettings, weights: np.ndarray, counted: bool) -> np.ndarray:
    """Levels in proportion to `weights`: their sum is the cluster's level.

    Entities that are named keep the level of their preset, unless the fleet says its own.
    """
    scale = ENVIRONMENT_SCALE.get(fleet.environment, 1.0)
    if fleet.messages_per_second is None and not counted:
        return np.round(weights * scale, 3)
    total = fleet.messages_per_second
    if total is None:
        total = CLUSTER_MESSAGES[fleet.provider] * scale * len(weights) / 10
    return np.round(weights * (total / weights.sum()), 3) if len(weights) else weights


def _sizes(fleet: FleetSettings, count: int, key: int) -> np.ndarray:
    """Bytes of a message of each entity: between half and one and a half of the fleet's mean."""
    spread = 0.5 + hashed(key + 1, np.arange(count))
    return np.maximum(np.rint(fleet.message_size * spread), 1).astype(np.int64)
