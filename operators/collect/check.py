"""What a client is not permitted to see. Kafka shows less instead of saying so."""

import asyncio
from collections.abc import Sequence

from operators.collect.client import KafkaClient
from operators.collect.errors import CollectionError, Problem, problem_of
from operators.collect.group_state import DESCRIBE, no_cluster_describe
from operators.collect.probe_check import probe_problems
from operators.collect.settings import ClusterSettings


async def missing_permissions(settings: ClusterSettings, timeout: float) -> tuple[Problem, ...]:
    """The permissions that a cluster's client lacks, as far as Kafka lets it know.

    Asked within `timeout` seconds: whether it may describe the cluster (and so is shown all
    groups), whether it may describe each topic and group that is expected, and whether it may
    probe, if it is to. Empty where all is permitted, and where there is no access control.
    Nothing is made or changed in the cluster.

    Raises:
        CollectionError: the cluster did not answer.
    """
    client = KafkaClient(settings.name, settings.client_config())
    expect = settings.expect
    try:
        (_, operations), topics, groups, probe = await asyncio.gather(
            client.permitted(timeout),
            client.topic_errors(expect.topics, timeout),
            _group_problems(client, expect.groups, timeout),
            _probe_problems(client, settings, timeout),
        )
    finally:
        await client.close()
    problems = [] if DESCRIBE in operations else [no_cluster_describe(settings.name)]
    problems += [
        problem_of(error, f"{settings.name}: describe the topic {topic}", _on("Topic", topic))
        for topic, error in topics.items()
    ]
    denied = [p for p in [*problems, *groups] if p.error_class == "authorization"]
    return (*denied, *probe)


async def _group_problems(
    client: KafkaClient, groups: Sequence[str], timeout: float
) -> list[Problem]:
    async def ask(group: str) -> Problem | None:
        try:
            async with asyncio.timeout(timeout):
                await client.group(group)
        except CollectionError as error:
            return error.problem
        except TimeoutError:
            return None
        return None

    found = await asyncio.gather(*(ask(group) for group in groups))
    return [problem for problem in found if problem is not None]


async def _probe_problems(
    client: KafkaClient, settings: ClusterSettings, timeout: float
) -> list[Problem]:
    probe = settings.probe
    return [] if probe is None else await probe_problems(client, probe.topic, timeout)


def _on(resource: str, name: str) -> str:
    return f"Describe on {resource} {name}"
