"""`mqpipe init --from-cluster`: a configuration that simulates a fleet like a real cluster."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from flows.cluster_shape import (
    ClusterShape,
    MeasuredGroup,
    MeasuredQueue,
    MeasuredTopic,
    QueuesShape,
    describe_queues,
    describe_shape,
)
from flows.config import Config
from flows.errors import CommandError, ConfigError, UsageError
from flows.init import write_new
from flows.loading import parse
from flows.visible import say
from operators.collect.clusters import AnyCluster
from operators.collect.errors import CollectionError
from operators.collect.settings import ClusterSettings
from operators.schema.names import NAME_BYTES, file_part
from operators.simulate.settings import MOST_MESSAGE_BYTES, NAME_CHARACTERS, FleetSettings

_MEASURED = 10.0
"""Seconds over which a cluster's levels are measured."""
_TOLD = 5
"""Faults of a configuration that cannot be."""
_TIMEOUT = 30.0
"""Seconds that a cluster has to answer, for each of the two measures."""


def init_from_cluster(file: Path, config: Config, name: str) -> int:
    """Write a configuration whose fleet is like one of `config`'s clusters; 1 where it exists.

    Raises:
        UsageError: the config has no such cluster.
        CommandError: the cluster cannot be measured, or is like no fleet that can be.
    """
    cluster = next((cluster for cluster in config.clusters if cluster.name == name), None)
    if cluster is None:
        there = ", ".join(cluster.name for cluster in config.clusters) or "none"
        raise UsageError(f"no cluster `{name}` in the config; there are: {there}")
    say(f"measuring {name} for {_MEASURED:g} s", err=True)
    try:
        text = asyncio.run(_measured(cluster))
    except CollectionError as error:
        raise CommandError(str(error)) from error
    return write_new(file, checked(text, name))


async def _measured(cluster: AnyCluster) -> str:
    """The configuration that a cluster's measures make."""
    if isinstance(cluster, ClusterSettings):
        return fleet_like(cluster, await describe_shape(cluster, _MEASURED, _TIMEOUT))
    return queues_like(cluster, await describe_queues(cluster, _MEASURED, _TIMEOUT))


def checked(text: str, name: str) -> str:
    """The configuration that was made of the cluster of this name, if it is one.

    Raises:
        CommandError: `mqpipe check` would refuse it.
    """
    try:
        parse(Config, text, name, {})
    except ConfigError as error:
        faults = "\n".join(f"  {fault.path}: {fault.message}" for fault in error.faults[:_TOLD])
        raise CommandError(
            f"{name}: what was measured is like no fleet that can be simulated, and nothing was "
            f"written; leave some of it out by the cluster's `topics` and `groups`, or `queues`:\n{faults}"
        ) from error
    return text


def fleet_like(cluster: ClusterSettings, shape: ClusterShape) -> str:
    """A configuration, as YAML, that simulates a cluster of this shape."""
    topics = _names(topic.name for topic in shape.topics)
    groups = _names(group.name for group in shape.groups)
    fleet: dict[str, Any] = {
        "name": _said(_fleet_name(cluster.name)),
        "environment": _said(cluster.environment),
        "brokers": list(shape.brokers),
        "topics": [dict(_topic(topic, topics)) for topic in shape.topics],
        "groups": [dict(_group(group, groups, topics)) for group in shape.groups],
        "pattern": "constant",
    }
    return _config(cluster.name, fleet, "its brokers, topics and groups, and")


def queues_like(cluster: AnyCluster, shape: QueuesShape) -> str:
    """A configuration, as YAML, that simulates a cluster of queues of this shape."""
    queues = _names(queue.name for queue in shape.queues)
    foreign = FleetSettings.model_construct(provider=cluster.provider).foreign
    with_nodes = "nodes" not in foreign
    fleet: dict[str, Any] = {
        "name": _said(_fleet_name(cluster.name)),
        "provider": cluster.provider,
        "environment": _said(cluster.environment),
        **({"nodes": shape.nodes} if with_nodes else {}),
        "queues": [dict(_queue(queue, queues, typed=with_nodes)) for queue in shape.queues],
        "pattern": "constant",
    }
    return _config(
        cluster.name, fleet, "its nodes and queues, and" if with_nodes else "its queues, and"
    )


def _config(name: str, fleet: Mapping[str, Any], what: str) -> str:
    config = {
        "mode": "simulation",
        "interval": "30s",
        "simulation": {"seed": 42, "fleets": [fleet]},
        "sinks": {"parquet": {"path": "./samples"}},
    }
    return (
        f"# A fleet that is like the cluster {_in_a_comment(name)}: {what}\n"
        f"# the levels that it had over {_MEASURED:g} s. Its pattern is constant; give it the\n"
        "# pattern that the real traffic has.\n"
        + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
    )


def _topic(topic: MeasuredTopic, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    yield "name", _said(names[topic.name])
    yield "partitions", topic.partitions
    yield "replication_factor", topic.replication_factor
    if topic.messages_per_second is not None:
        yield "messages_per_second", round(topic.messages_per_second, 3)
    if topic.message_size is not None:
        yield "message_size", min(topic.message_size, MOST_MESSAGE_BYTES)


def _group(
    group: MeasuredGroup, names: Mapping[str, str], topics: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    yield "name", _said(names[group.name])
    yield "topics", [_said(topics[topic]) for topic in group.topics]
    if group.consumers:
        yield "consumers", group.consumers


def _queue(
    queue: MeasuredQueue, names: Mapping[str, str], *, typed: bool
) -> Iterator[tuple[str, Any]]:
    yield "name", _said(names[queue.name])
    if queue.messages_per_second is not None:
        yield "messages_per_second", round(queue.messages_per_second, 3)
    if queue.message_size is not None:
        yield "message_size", min(queue.message_size, MOST_MESSAGE_BYTES)
    if typed and queue.type in ("classic", "quorum", "stream"):
        yield "type", queue.type


def _names(found: Iterable[str]) -> dict[str, str]:
    """By what entities are called: names that those of a fleet may have, each its own.

    Kafka lets a group be called anything, `a/b` beside `a:b`, nothing at all, or a long text.
    """
    found = list(found)
    names: dict[str, str] = {}
    taken = {name for name in found if _fitting(name) == name}
    for name in found:
        fitting = _fitting(name)
        if fitting == name:
            names[name] = name
            continue
        number, other = 1, fitting
        while other in taken:
            number += 1
            other = f"{fitting[: NAME_CHARACTERS - 10]}-{number}"
        taken.add(other)
        names[name] = other
    return names


def _fitting(name: str) -> str:
    """The name that is nearest to one that an entity of a fleet may have."""
    fitting = re.sub("[:/\0\ud800-\udfff]", "-", name) or "unnamed"
    if len(fitting) <= NAME_CHARACTERS:
        return fitting
    return (
        f"{fitting[: NAME_CHARACTERS - 9]}-{sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    )


def _fleet_name(cluster: str) -> str:
    """A name for the fleet, so short that files can bear it."""
    name = f"sim-{cluster}"
    while len(file_part(name)) > NAME_BYTES:
        name = name[:-1]
    return name


def _in_a_comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _said(text: str) -> str:
    """A text as a configuration has to say it."""
    return text.replace("$", "$$")
