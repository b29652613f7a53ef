"""What a cluster is like: its brokers, topics and queues with their levels, and who reads them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.clusters import AnyCluster
from operators.collect.settings import ClusterSettings
from operators.collect.step import Collects
from operators.derive.operator import ClusterDerivation
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CONSUMER_GROUP, NODE, QUEUE, TOPIC, EntityType
from operators.schema.rabbitmq import DEFAULT_VHOST
from operators.ticks import Collected, Outcome, TargetKind, TickResult, Ticks


@dataclass(frozen=True, slots=True)
class MeasuredTopic:
    """A topic: its partitions and its level."""

    name: str
    partitions: int
    replication_factor: int
    messages_per_second: float | None
    """Mean over the time that was measured; None where it is not known."""
    message_size: int | None
    """Mean bytes of a message on disk; None without the brokers' pages or without messages."""


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A consumer group: what it reads, and with how many members."""

    name: str
    topics: tuple[str, ...]
    consumers: int


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """What a simulated cluster has to have to be like the real one."""

    brokers: tuple[int, ...]
    topics: tuple[MeasuredTopic, ...]
    groups: tuple[MeasuredGroup, ...]
    """Groups that commit to a topic of `topics`."""


@dataclass(frozen=True, slots=True)
class MeasuredQueue:
    """A queue: its type and its level."""

    name: str
    """With its virtual host before it, where that is not `/`."""
    type: str | None
    messages_per_second: float | None
    """Mean over the time that was measured of what was published, or else delivered; None where nothing was."""
    message_size: int | None
    """Mean bytes of the messages in it; None where there is none."""


@dataclass(frozen=True, slots=True)
class QueuesShape:
    """What a simulated cluster of queues has to have to be like the real one."""

    nodes: int
    queues: tuple[MeasuredQueue, ...]


async def describe_queues(settings: AnyCluster, seconds: float, timeout: float) -> QueuesShape:
    """Measure a cluster of queues twice, `seconds` apart, each within `timeout` seconds.

    Raises:
        CollectionError: a kind of it cannot be collected.
    """
    collector = settings.collector(None)
    derivation = ClusterDerivation(settings.name, settings.derivations)
    interval = round(1000 * (seconds + timeout))
    kinds = settings.kinds
    try:
        await _measured(collector, derivation, settings.name, 0, interval, timeout, kinds)
        await asyncio.sleep(seconds)
        found = await _measured(collector, derivation, settings.name, 1, interval, timeout, kinds)
    finally:
        await collector.close()
    return QueuesShape(
        len(_rows(found, "nodes", NODE)), tuple(map(_queue, _rows(found, "queues", QUEUE)))
    )


def _queue(row: dict[str, Any]) -> MeasuredQueue:
    held, depth = row["queue.messageBytes"], row["queue.depth"]
    vhost = "" if row["vhost"] in (None, DEFAULT_VHOST) else f"{row['vhost']}/"
    return MeasuredQueue(
        f"{vhost}{row['queue']}",
        row["queue.type"],
        _level(row),
        max(1, round(held / depth)) if held and depth else None,
    )


def _level(row: dict[str, Any]) -> float | None:
    published: float | None = row["queue.messagesInPerSecond"]
    delivered: float | None = row["queue.messagesOutPerSecond"]
    if published is None and delivered is None and row["queue.depth"] is not None:
        # It is known, and was never used.
        return 0.0
    return delivered if published is None else published


async def describe_shape(settings: ClusterSettings, seconds: float, timeout: float) -> ClusterShape:
    """Measure a cluster twice, `seconds` apart, each within `timeout` seconds.

    Raises:
        CollectionError: a kind of it cannot be collected.
    """
    collector = ClusterCollector(settings)
    derivation = ClusterDerivation(settings.name, settings.derivations)
    interval = round(1000 * (seconds + timeout))
    try:
        await _measured(collector, derivation, settings.name, 0, interval, timeout)
        await asyncio.sleep(seconds)
        found = await _measured(collector, derivation, settings.name, 1, interval, timeout)
    finally:
        await collector.close()
    topics = tuple(_topic(row) for row in _rows(found, TargetKind.TOPICS, TOPIC) if _answered(row))
    read = _topics_read(found[TargetKind.GROUPS], {topic.name for topic in topics})
    return ClusterShape(
        tuple(row["broker_id"] for row in _rows(found, TargetKind.BROKERS, BROKER)),
        topics,
        tuple(
            MeasuredGroup(
                row["consumer_group"],
                tuple(sorted(read[row["consumer_group"]])),
                row["consumerGroup.activeConsumers"] or 0,
            )
            for row in _rows(found, TargetKind.GROUPS, CONSUMER_GROUP)
            if read[row["consumer_group"]]
        ),
    )


async def _measured(
    collector: Collects,
    derivation: ClusterDerivation,
    cluster: str,
    number: int,
    interval: int,
    timeout: float,
    kinds: Sequence[str] = tuple(TargetKind),
) -> dict[str, Collected]:
    """One tick of each kind, with its derived columns and its raw measures."""

    async def measure(kind: str) -> Collected:
        tick = Ticks(cluster, number * interval, interval, kind=kind)
        found = await collector.collect(tick, timeout)
        result = TickResult(tick, Outcome.COMPLETED, found.batches, found.raw, attempts=1)
        return Collected(derivation.derive(result).batches, found.raw)

    return dict(zip(kinds, await asyncio.gather(*map(measure, kinds)), strict=True))


def _rows(
    found: Mapping[str, Collected], kind: str, entity_type: EntityType
) -> list[dict[str, Any]]:
    batches = [b for b in found[kind].batches if entity_type_of(b) is entity_type]
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def _answered(row: dict[str, Any]) -> bool:
    return bool(row["topic.respondsToMetadataRequests"] and row["topic.partitionCount"])


def _topic(row: dict[str, Any]) -> MeasuredTopic:
    size, messages = row["topic.diskSize"], row["topic.retainedMessages"]
    copies = row["topic.replicationFactor"] * (messages or 0)
    return MeasuredTopic(
        row["topic"],
        row["topic.partitionCount"],
        row["topic.replicationFactor"],
        row["topic.messagesInPerSecond"],
        max(1, round(size / copies)) if size and copies else None,
    )


def _topics_read(groups: Collected, topics: set[str]) -> defaultdict[str, set[str]]:
    """By group: those of the topics to which it commits."""
    read: defaultdict[str, set[str]] = defaultdict(set)
    commits = groups.raw.get("commits")
    if commits is not None:
        for row in commits.select(["group", "topic"]).to_pylist():
            if row["topic"] in topics:
                read[row["group"]].add(row["topic"])
    return read
