"""`mqpipe init --from-cluster`: a configuration that simulates a fleet like a real cluster."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml

from flows.cluster_shape import ClusterShape, GroupShape, TopicShape, describe_shape
from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.init import write_new
from operators.collect.errors import CollectionError
from operators.collect.settings import ClusterSettings

_MEASURED = 10.0
"""Seconds over which a cluster's levels are measured."""
_TIMEOUT = 30.0
"""Seconds that a cluster has to answer, for each of the two measures."""


def init_from_cluster(file: Path, config: Config, name: str) -> int:
    """Write a configuration whose fleet is like one of `config`'s clusters; 1 where it exists.

    Raises:
        UsageError: the config has no such cluster.
        CommandError: the cluster cannot be measured.
    """
    cluster = next((cluster for cluster in config.clusters if cluster.name == name), None)
    if cluster is None:
        there = ", ".join(cluster.name for cluster in config.clusters) or "none"
        raise UsageError(f"no cluster `{name}` in the config; there are: {there}")
    typer.echo(f"measuring {name} for {_MEASURED:g} s", err=True)
    try:
        shape = asyncio.run(describe_shape(cluster, _MEASURED, _TIMEOUT))
    except CollectionError as error:
        raise CommandError(str(error)) from error
    return write_new(file, fleet_like(cluster, shape))


def fleet_like(cluster: ClusterSettings, shape: ClusterShape) -> str:
    """A configuration, as YAML, that simulates a cluster of this shape."""
    fleet: dict[str, Any] = {
        "name": f"sim-{cluster.name}",
        "environment": cluster.environment,
        "brokers": list(shape.brokers),
        "topics": [dict(_topic(topic)) for topic in shape.topics],
        "groups": [dict(_group(group)) for group in shape.groups],
        "pattern": "constant",
    }
    config = {
        "mode": "simulation",
        "interval": "30s",
        "simulation": {"seed": 42, "fleets": [fleet]},
        "sinks": {"parquet": {"path": "./samples"}},
    }
    return (
        f"# A fleet that is like the cluster {cluster.name}: its brokers, topics and groups, and\n"
        f"# the levels that it had over {_MEASURED:g} s. Its pattern is constant; give it the\n"
        "# pattern that the real traffic has.\n"
        + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
    )


def _topic(topic: TopicShape) -> Iterator[tuple[str, Any]]:
    yield "name", _name(topic.name)
    yield "partitions", topic.partitions
    yield "replication_factor", topic.replication_factor
    if topic.messages_per_second is not None:
        yield "messages_per_second", round(topic.messages_per_second, 3)
    if topic.message_size is not None:
        yield "message_size", topic.message_size


def _group(group: GroupShape) -> Iterator[tuple[str, Any]]:
    yield "name", _name(group.name)
    yield "topics", [_name(topic) for topic in group.topics]
    if group.consumers:
        yield "consumers", group.consumers


def _name(name: str) -> str:
    """A name that an entity of a fleet may have, as a configuration has to say it."""
    return re.sub("[:/]", "-", name).replace("$", "$$")
