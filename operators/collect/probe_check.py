"""Whether a probe may do what it does, found out without doing it."""

import asyncio
from collections.abc import Collection, Sequence

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem, problem_of
from operators.collect.probe import TOPIC_CONFIG, replicas_of

ON_TOPIC = ("Read", "Write", "Delete")
ON_GROUP = ("Read", "Delete")
"""What a probe does to its topic and its group: operations as Kafka's tools write them."""

AGAIN = 0.2
"""Seconds until a coordinator that was not there yet is asked again."""


async def probe_problems(client: KafkaClient, name: str, timeout: float) -> list[Problem]:
    """What keeps a probe from its topic and its group, both called `name`; nothing is made.

    Asked within `timeout` seconds. Where the topic is not there yet, it is known whether it may
    be made, and not what may be done to it then.

    Raises:
        CollectionError: the cluster did not answer.
    """
    topic, group = await asyncio.gather(
        _topic_problems(client, name, timeout), _group_problems(client, name, timeout)
    )
    return [*topic, *group]


async def _topic_problems(client: KafkaClient, topic: str, timeout: float) -> list[Problem]:
    try:
        permitted = await client.topic(topic, timeout)
    except CollectionError as error:
        if error.error_class == "authorization":
            # Nor is it reported whether there is such a topic.
            return _grant(client, ("Create", *ON_TOPIC), (), f"Topic {topic}")
        if error.error_class != "unavailable":
            return [error.problem]
        return await _creation_problems(client, topic, timeout)
    return _grant(client, ON_TOPIC, permitted, f"Topic {topic}")


async def _creation_problems(client: KafkaClient, topic: str, timeout: float) -> list[Problem]:
    """Why a topic could not be made."""
    brokers = len((await client.topology(timeout)).brokers)
    try:
        await client.try_to_create(topic, brokers, replicas_of(brokers), TOPIC_CONFIG, timeout)
    except CollectionError as error:
        return [error.problem]
    return []


async def _group_problems(client: KafkaClient, group: str, timeout: float) -> list[Problem]:
    try:
        permitted = await _permitted(client, group, timeout)
    except CollectionError as error:
        if error.error_class != "authorization":
            return [error.problem]
        return _grant(client, ON_GROUP, (), f"Group {group}")
    return _grant(client, ON_GROUP, permitted, f"Group {group}")


async def _permitted(client: KafkaClient, group: str, timeout: float) -> frozenset[str]:
    """What is permitted on a group. One that is new to a cluster waits for its coordinator."""
    what = f"{client.cluster}: describe the group {group}"
    last = CollectionError(problem_of(TimeoutError(), what))
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    return await client.group(group, timeout)
                except CollectionError as error:
                    if error.error_class != "unavailable":
                        raise
                    last = error
                await asyncio.sleep(AGAIN)
    except TimeoutError:
        raise last from None


def _grant(
    client: KafkaClient, needed: Sequence[str], permitted: Collection[str], where: str
) -> list[Problem]:
    """One problem where not all that is needed is permitted."""
    lacking = [operation for operation in needed if operation not in permitted]
    if not lacking:
        return []
    what = f"{client.cluster}: may not do all that its probe does"
    return [Problem("authorization", f"{what}; grant {', '.join(lacking)} on {where}")]
