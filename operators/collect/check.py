"""What a client is not permitted to see, and what is expected and not there."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem
from operators.collect.probe_check import probe_problems
from operators.collect.reading.groups import DESCRIBE, no_cluster_describe
from operators.collect.settings import ClusterSettings
from operators.protocol.client import Client
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CONSUMER_GROUP, TOPIC, EntityType
from operators.schema.nearest import suggestion


async def lacks(
    settings: ClusterSettings, samples: Sequence[pa.RecordBatch], timeout: float, *, known: bool
) -> list[str]:
    """The permissions that are missing; else, where all is `known`, what is expected and not there.

    Raises:
        CollectionError: the cluster did not answer within `timeout` seconds.
    """
    problems = [problem.text for problem in await missing_permissions(settings, timeout)]
    if problems or not known:
        return problems
    return missing_entities(
        settings,
        names_of(samples, BROKER, "broker_id"),
        names_of(samples, TOPIC, "topic"),
        names_of(samples, CONSUMER_GROUP, "consumer_group"),
    )


def names_of(samples: Sequence[pa.RecordBatch], entity_type: EntityType, column: str) -> set[Any]:
    """What the collected entities of a type are called."""
    found = (
        batch.column(column).to_pylist()
        for batch in samples
        if entity_type_of(batch) is entity_type
    )
    return set().union(*found)


async def missing_permissions(settings: ClusterSettings, timeout: float) -> tuple[Problem, ...]:
    """The permissions that a cluster's client lacks, as far as Kafka lets it know.

    Asked within `timeout` seconds: whether it may describe the cluster (and so is shown all
    groups), whether it may describe each topic and group that is expected, and whether it may
    probe, if it is to. Empty where all is permitted, and where there is no access control.
    Nothing is made or changed in the cluster.

    Raises:
        CollectionError: the cluster did not answer.
    """
    client = KafkaClient(settings.name, Client(settings.name, settings.properties))
    expect = settings.expect
    try:
        # Beforehand, so that all know the brokers.
        await client.topology(timeout)
        permitted, topics, groups, probe = await asyncio.gather(
            client.permitted(timeout),
            client.topic_errors(expect.topics, timeout),
            _group_problems(client, expect.groups, timeout),
            _probe_problems(client, settings, timeout),
        )
    finally:
        await client.close()
    problems = [] if DESCRIBE in permitted else [no_cluster_describe(settings.name)]
    problems += [*topics.values(), *groups]
    return (*(p for p in problems if p.error_class == "authorization"), *probe)


def missing_entities(
    settings: ClusterSettings,
    brokers: Collection[int],
    topics: Collection[str],
    groups: Collection[str],
) -> list[str]:
    """What is expected and not among what a cluster has: a line each, with the nearest that is."""
    expect = settings.expect
    lines = []
    for what, expected, there in (
        ("broker", expect.brokers, brokers),
        ("topic", expect.topics, topics),
        ("group", expect.groups, groups),
    ):
        names = sorted(map(str, there))
        lines += [
            f"expect: there is no {what} `{name}`; {suggestion(str(name), names)}"
            for name in expected
            if name not in there
        ]
    return lines


async def _group_problems(
    client: KafkaClient, groups: Sequence[str], timeout: float
) -> list[Problem]:
    async def ask(group: str) -> Problem | None:
        try:
            await client.group(group, timeout)
        except CollectionError as error:
            return error.problem
        return None

    found = await asyncio.gather(*(ask(group) for group in groups))
    return [problem for problem in found if problem is not None]


async def _probe_problems(
    client: KafkaClient, settings: ClusterSettings, timeout: float
) -> list[Problem]:
    probe = settings.probe
    return [] if probe is None else await probe_problems(client, probe.topic, timeout)
