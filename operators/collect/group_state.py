"""Consumer groups: their states, members and commits, each group on its own."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription, ConsumerGroupListing

from operators.collect.client import KafkaClient
from operators.collect.errors import CollectionError, Problem, class_of, problem_of
from operators.collect.settings import SelectionSettings

IN_FLIGHT = 100
"""Groups asked at a time."""

DESCRIBE = "DESCRIBE"
"""The operation on the cluster without which groups are not listed."""

SUSPECTS_IN_FLIGHT = 4
"""Groups asked at a time of those that did not answer last time: a coordinator that hangs is
tried, not stormed."""

# As Kafka's own tools write them.
_STATES = {
    "STABLE": "Stable",
    "EMPTY": "Empty",
    "DEAD": "Dead",
    "PREPARING_REBALANCING": "PreparingRebalance",
    "COMPLETING_REBALANCING": "CompletingRebalance",
}
MEMBERLESS = frozenset({"Empty", "Dead"})
"""States in which a group has no members."""

_TYPES = {"CLASSIC": "classic", "CONSUMER": "consumer"}


Described = ConsumerGroupDescription | ConsumerGroupListing
"""What tells a group's state: its description, or its listing where it has no members."""


@dataclass(frozen=True, slots=True)
class Group:
    """What a coordinator says of one group; None where it did not answer."""

    id: str
    state: str | None = None
    type: str | None = None
    members: tuple[str, ...] | None = None
    """Member ids."""
    assigned: tuple[tuple[str, int], ...] | None = None
    """Partitions that have a member."""
    commits: tuple[tuple[str, int, int], ...] | None = None
    """Topic, partition and committed offset."""
    at: int = 0
    """When the commits came, in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that answered, at least in part, and what is missing."""

    groups: tuple[Group, ...]
    listed: int | None
    """How many selected groups there are; None where a broker did not name its own."""
    problems: tuple[Problem, ...]
    silent: frozenset[str]
    """Groups that did not answer in time."""


async def read_groups(
    client: KafkaClient,
    selection: SelectionSettings,
    listing_timeout: float,
    timeout: float,
    suspects: frozenset[str] = frozenset(),
) -> Groups:
    """All selected groups: listed within `listing_timeout` seconds, asked within `timeout`.

    A group that fails or is slow costs what it alone knows.

    Raises:
        CollectionError: no broker named its groups.
    """
    begun = time.monotonic()
    listings, errors = await client.group_listing(listing_timeout)
    chosen = [g for g in listings if selection.selects(g.group_id)]
    left = max(0.0, timeout - (time.monotonic() - begun))
    # Both at once: whoever hangs does so in the same time.
    (groups, silent, problems), unlisted = await asyncio.gather(
        _read(client, chosen, left, suspects), _unlisted(client, listings, errors, left)
    )
    return Groups(
        tuple(groups),
        None if errors else len(chosen),
        (*unlisted, *problems),
        frozenset(silent),
    )


async def _read(
    client: KafkaClient,
    chosen: Sequence[ConsumerGroupListing],
    timeout: float,
    suspects: frozenset[str],
) -> tuple[list[Group], list[str], list[Problem]]:
    """The groups that answered within `timeout` seconds, those that did not, and what is missing."""
    reading = _Reading(client, suspects)
    tasks = {
        listing.group_id: asyncio.create_task(reading.group(listing))
        for listing in sorted(chosen, key=lambda listing: listing.group_id)
    }
    groups: list[Group] = []
    silent: list[str] = []
    problems: list[Problem] = []
    if tasks:
        try:
            await asyncio.wait(tasks.values(), timeout=timeout)
        finally:
            for task in tasks.values():
                task.cancel()
    for group, task in tasks.items():
        if task.done() and not task.cancelled() and task.exception() is None:
            found, lacking = task.result()
            problems += lacking
            if found.state is not None or found.commits is not None:
                groups.append(found)
        elif task.done() and not task.cancelled():
            raise task.exception() or AssertionError
        else:
            silent.append(group)
    if silent:
        client.retire()
        problems.append(_silence(client.cluster, silent))
    return groups, silent, problems


class _Reading:
    def __init__(self, client: KafkaClient, suspects: frozenset[str]) -> None:
        self._client = client
        self._suspects = suspects
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._suspect_slots = asyncio.Semaphore(SUSPECTS_IN_FLIGHT)

    async def group(self, listing: ConsumerGroupListing) -> tuple[Group, list[Problem]]:
        """A group's answers, and the problems in place of those that failed.

        A group that is listed as empty has no members to ask for.
        """
        client, group = self._client, listing.group_id
        async with self._suspect_slots if group in self._suspects else self._slots:
            described, commits = await asyncio.gather(
                self._described(listing), client.commits(group), return_exceptions=True
            )
        at = time.time_ns() // 1_000_000
        problems = []
        for answer in (described, commits):
            if isinstance(answer, CollectionError):
                problems.append(answer.problem)
            elif isinstance(answer, BaseException):
                raise answer
        if not isinstance(commits, BaseException):
            refused = next((c for c in commits if c.error is not None), None)
            if refused is not None and refused.error is not None:
                what = f"{client.cluster}: commits of the group {group} on {refused.topic}"
                needs = f"Describe on Topic {refused.topic}"
                problems.append(problem_of(refused.error, what, needs))
        return _group(group, described, commits, at), problems

    async def _described(self, listing: ConsumerGroupListing) -> Described:
        memberless = _state_of(listing) in MEMBERLESS
        return listing if memberless else await self._client.group(listing.group_id)


def _group(
    group: str,
    described: Described | BaseException,
    commits: Sequence[TopicPartition] | BaseException,
    at: int,
) -> Group:
    committed = (
        None
        if isinstance(commits, BaseException)
        else tuple(
            (c.topic, c.partition, c.offset) for c in commits if not c.error and c.offset >= 0
        )
    )
    if isinstance(described, BaseException):
        return Group(group, commits=committed, at=at)
    # A listing was not described for having no members.
    members = described.members if isinstance(described, ConsumerGroupDescription) else []
    assigned = tuple(
        (tp.topic, tp.partition)
        for member in members
        for tp in (member.assignment.topic_partitions if member.assignment else ())
    )
    return Group(
        group,
        _state_of(described),
        _type_of(described),
        tuple(sorted(member.member_id for member in members)),
        assigned,
        committed,
        at,
    )


def _state_of(group: Described) -> str | None:
    """As Kafka's own tools write it; None where it is not known."""
    state = getattr(group, "state", None)
    return None if state is None else _STATES.get(state.name)


def _type_of(group: Described) -> str | None:
    group_type = getattr(group, "type", None)
    return None if group_type is None else _TYPES.get(group_type.name)


async def _unlisted(
    client: KafkaClient,
    listings: Sequence[ConsumerGroupListing],
    errors: Sequence[KafkaError],
    timeout: float,
) -> list[Problem]:
    """Why groups are not listed, if some may not be; found out within `timeout` seconds."""
    try:
        if errors:
            silent = await client.silent_brokers(timeout)
            return [_not_named(client.cluster, silent, error) for error in errors]
        if not listings:
            # It may be for a permission: Kafka does not say so by itself.
            _, operations = await client.permitted(timeout)
            return [] if DESCRIBE in operations else [no_cluster_describe(client.cluster)]
    except CollectionError as error:
        return [error.problem]
    return []


def _not_named(cluster: str, silent: Mapping[int, str], error: KafkaError) -> Problem:
    """`silent` are the brokers that do not answer, `host:port` by id."""
    whose = ", ".join(f"broker {b} ({address})" for b, address in sorted(silent.items()))
    return Problem(
        class_of(error),
        f"{cluster}: {whose or 'a broker'} did not name its consumer groups: {error.str()}",
    )


def no_cluster_describe(cluster: str) -> Problem:
    """What it means that a client may not describe the cluster."""
    return Problem(
        "authorization",
        f"{cluster}: may not describe the cluster, so Kafka shows only groups that the client may "
        "describe by name; grant Describe on Cluster, and Describe on the groups",
    )


def _silence(cluster: str, silent: Sequence[str]) -> Problem:
    named = ", ".join(silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
    return Problem(
        "timeout",
        f"{cluster}: {len(silent)} groups did not answer in time ({named}): their coordinator "
        "is down or hung, or there are more groups than the pool's timeout allows for",
    )
