"""How long topics keep messages, and how many, as their configurations say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.reading.commits import Commits
from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.offsets import Offsets
from operators.schema.arrays import Floats, Ints

COMPACT, DELETE = "compact", "delete"


@dataclass(frozen=True)
class Limits:
    """What is known of the retention of topics."""

    configs: Mapping[str, TopicConfig] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    """Mean bytes of a message, by topic, where that is known."""

    def of(self, commits: Commits, offsets: Offsets) -> tuple[Floats, Floats]:
        """By row of the commits: seconds that messages are kept, and how many are at most.

        inf is no limit, NaN not known. Where `retention.bytes` limits a partition, and nobody reports
        how large its messages are, its room is what it holds, once anything was removed of it: more
        it never held.
        """
        found = [self.configs.get(topic) for topic in commits.topics]
        retention = np.array([_seconds(config) for config in found], np.float64)
        room = np.array(
            [self._room(t, c) for t, c in zip(commits.topics, found, strict=True)], np.float64
        )
        if not len(found):
            return np.zeros(0), np.zeros(0)
        rooms = room[commits.topic]
        by_bytes = np.array([c is not None and _by_bytes(c) for c in found], np.bool_)
        learnt = np.isnan(rooms) & by_bytes[commits.topic]
        if learnt.any():
            start, end = commits.start(offsets), commits.end(offsets)
            removed = learnt & (start > 0) & (end != UNKNOWN)
            rooms[removed] = (end - start)[removed]
        return retention[commits.topic], rooms

    def compacted(self, topic: str) -> int | None:
        """1 where a topic is compacted, None where that is not known."""
        policy = self.configs[topic].cleanup_policy if topic in self.configs else None
        return None if policy is None else int(COMPACT in policy)

    def _room(self, topic: str, config: TopicConfig | None) -> float:
        if config is None or config.retention_bytes is None:
            return np.nan
        if not _by_bytes(config):
            return np.inf
        return config.retention_bytes / self.sizes[topic] if topic in self.sizes else np.nan


NOT_KNOWN = Limits()


def message_sizes(
    limited: Mapping[str, TopicConfig],
    topology: ClusterMetadata,
    offsets: Offsets,
    by_broker: Mapping[int, Mapping[str, int]],
    local: Ints | None = None,
) -> dict[str, float]:
    """Mean bytes of a message on disk of topics that `retention.bytes` limits.

    `by_broker` is what each broker's disks hold of topics; it reports nothing where a live broker is
    missing. Disks have what is after the `local` offsets of topics with tiered storage, which report nothing
    where these are not known.
    """
    start = offsets.start
    if local is not None:
        start = np.where(local == UNKNOWN, start, local)
    wanted = [
        topic
        for topic, config in limited.items()
        if _by_bytes(config) and not (config.tiered and not _reported(topology, topic, local))
    ]
    if not wanted or not by_broker or not by_broker.keys() >= topology.brokers.keys():
        return {}
    known = (start != UNKNOWN) & (offsets.end != UNKNOWN)
    held = np.where(known, offsets.end - start, 0) * topology.in_sync
    messages = topology.per_topic(held)
    sizes = {}
    for topic in wanted:
        size = sum(of_broker.get(topic, 0) for of_broker in by_broker.values())
        count = messages[topology.index[topic]] if topic in topology.index else 0
        if size and count:
            sizes[topic] = size / float(count)
    return sizes


def limits_bytes(configs: Mapping[str, TopicConfig]) -> bool:
    """Whether any of these topics is limited by `retention.bytes`."""
    return any(map(_by_bytes, configs.values()))


def _reported(topology: ClusterMetadata, topic: str, local: Ints | None) -> bool:
    if local is None or topic not in topology.index:
        return False
    of_topic = local[topology.topic == topology.index[topic]]
    return bool((of_topic != UNKNOWN).all())


def _deletes(config: TopicConfig) -> bool:
    return config.cleanup_policy is None or DELETE in config.cleanup_policy


def _by_bytes(config: TopicConfig) -> bool:
    return _deletes(config) and (config.retention_bytes or -1) >= 0


def _seconds(config: TopicConfig | None) -> float:
    if config is None or config.retention_ms is None:
        return np.nan
    return config.retention_ms / 1000 if _deletes(config) and config.retention_ms >= 0 else np.inf
