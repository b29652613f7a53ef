"""Consumer groups of every type: their states, members and commits, each coordinator on its own."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from operators.collect.client.description import Description
from operators.collect.client.frames import FoundCommits, ListedGroup
from operators.collect.client.kafka_client import KafkaClient, ShareOffsets
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.errors import CollectionError, Problem, problem_of_code
from operators.collect.once import all_of
from operators.collect.settings import Selected
from operators.schema.arrays import Ints
from operators.schema.clock import wall_clock

A_REQUEST = 1_000
"""Groups asked for in one request: some 25 bytes a commit come back."""

MEMBERLESS = frozenset({"Empty", "Dead"})
"""States in which a group has no members."""

SHARE = "share"

DESCRIBE = "Describe"
"""The operation on the cluster without which groups are not listed."""

CONSUMERS = frozenset({"", "consumer", SHARE, "streams"})
"""Protocols of groups that consume; others (`connect`, `sr`) use Kafka's groups for other ends."""

COMPUTED = -2
"""In place of a lag that the broker reported: end minus committed offset."""

_INVALID_GROUP_ID = 24


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """What a coordinator says of one group; None where it did not answer."""

    id: str
    state: str | None = None
    """As Kafka's own tools write it."""
    type: str | None = None
    """classic, consumer, share or streams; None where the broker is too old to report it."""
    description: Description | None = None
    at: int = 0
    """When the coordinator answered, in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where groups are; one row a group, topic and partition."""

    topics: tuple[str, ...] = ()
    group: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Index into the groups."""
    topic: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Index into `topics`."""
    partition: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    committed: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """The committed offset; a share group's first one that is not done with."""
    lag: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """As the coordinator of a share group says, UNKNOWN where it does not; else COMPUTED."""


@dataclass(frozen=True, slots=True)
class FoundGroups:
    """The groups that answered, at least in part, and what is missing."""

    groups: tuple[FoundGroup, ...]
    """Sorted by id."""
    positions: Positions
    listed: int | None
    """How many selected groups there are; None where a broker did not name its own."""
    problems: tuple[Problem, ...]

    @property
    def topics(self) -> frozenset[str]:
        """The topics that a group commits to or reads."""
        described = (group.description.topics for group in self.groups if group.description)
        return frozenset(self.positions.topics).union(*described)


@dataclass(slots=True)
class _Answers:
    """What one coordinator says of the groups that it named."""

    listed: Sequence[ListedGroup]
    descriptions: dict[str, Description | Problem] = field(default_factory=dict)
    commits: list[FoundCommits] = field(default_factory=list)
    shares: dict[str, list[ShareOffsets] | Problem] = field(default_factory=dict)
    silent: dict[str, Problem] = field(default_factory=dict)
    """Groups whose offsets did not come, and why."""
    problems: list[Problem] = field(default_factory=list)
    """Why members did not come."""
    at: int = 0
    """When it had answered, in ms since the epoch."""


async def read_groups(
    client: KafkaClient,
    topology: ClusterMetadata,
    selection: Selected,
    listing_timeout: float,
    timeout: float,
) -> FoundGroups:
    """All selected groups: listed within `listing_timeout` seconds, asked within `timeout`.

    Each broker names the groups that it coordinates and is asked for them at once, whatever the
    others do. A group that fails costs what it alone knows, a broker that hangs its own groups.

    Raises:
        CollectionError: no broker named its groups.
    """
    begun = time.monotonic()

    async def ask(broker: int) -> _Answers | CollectionError:
        try:
            listed = await client.listed_groups(broker, listing_timeout)
        except CollectionError as error:
            return error
        chosen = [g for g in listed if g.protocol in CONSUMERS and selection.selects(g.id)]
        left = max(0.0, timeout - (time.monotonic() - begun))
        return await _asked(client, broker, chosen, left)

    outcomes = await all_of([ask(broker) for broker in topology.brokers])
    answers = [outcome for outcome in outcomes if isinstance(outcome, _Answers)]
    problems: list[Problem] = []
    for broker, outcome in zip(topology.brokers, outcomes, strict=True):
        if isinstance(outcome, CollectionError):
            if not answers:
                raise outcome
            problems.append(_not_named(client.cluster, topology, broker, outcome.problem))
    listed = None if problems else len({group.id for of in answers for group in of.listed})
    if listed == 0:
        # It may be for a permission: Kafka does not say so by itself.
        problems += await _unseen(client, max(0.0, timeout - (time.monotonic() - begun)))
    groups, positions, lacking = _joined(client.cluster, answers)
    client.keep(group.id for group in groups)
    return FoundGroups(groups, positions, listed, (*problems, *lacking))


async def _asked(
    client: KafkaClient, broker: int, chosen: Sequence[ListedGroup], timeout: float
) -> _Answers:
    """What a coordinator says of the chosen ones of its groups within `timeout` seconds."""
    answers = _Answers(chosen)

    async def commits(groups: Sequence[str]) -> None:
        try:
            answers.commits += await client.commits(broker, groups, timeout)
        except CollectionError as error:
            answers.silent |= dict.fromkeys(groups, error.problem)

    async def shares(groups: Sequence[str]) -> None:
        try:
            answers.shares |= await client.share_offsets(broker, groups, timeout)
        except CollectionError as error:
            answers.silent |= dict.fromkeys(groups, error.problem)

    async def describe(type_: str | None, groups: Sequence[str]) -> None:
        try:
            answers.descriptions |= await client.descriptions(broker, type_, groups, timeout)
        except CollectionError as error:
            answers.problems.append(
                _silence(client.cluster, "describe them", groups, error.problem)
            )

    by_type: dict[str | None, list[str]] = defaultdict(list)
    for group in chosen:
        if group.state not in MEMBERLESS:
            by_type[group.type].append(group.id)
    await all_of(
        [
            *(commits(some) for some in _parts([g.id for g in chosen if g.type != SHARE])),
            *(shares(some) for some in _parts([g.id for g in chosen if g.type == SHARE])),
            *(describe(type_, some) for type_, of in by_type.items() for some in _parts(of)),
        ]
    )
    answers.at = wall_clock()
    return answers


def _parts(groups: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(groups), A_REQUEST):
        yield groups[begin : begin + A_REQUEST]


def _joined(
    cluster: str, answers: Sequence[_Answers]
) -> tuple[tuple[FoundGroup, ...], Positions, list[Problem]]:
    """The groups of all coordinators, where they are, and what is missing."""
    refused = [_refused(cluster, of) for of in answers]
    chosen: dict[str, tuple[int, ListedGroup]] = {}
    for number, of in enumerate(answers):
        for listed in of.listed:
            # While a group moves to another coordinator two brokers may name it.
            known = chosen.get(listed.id)
            if known is None or listed.id in {**answers[known[0]].silent, **refused[known[0]]}:
                chosen[listed.id] = number, listed
    groups: list[FoundGroup] = []
    problems = [problem for of in answers for problem in of.problems]
    silent: dict[Problem, list[str]] = defaultdict(list)
    for name, (number, listed) in sorted(chosen.items()):
        of, described = answers[number], answers[number].descriptions.get(name)
        problems += [p for p in (described, refused[number].get(name)) if isinstance(p, Problem)]
        if name in of.silent:
            silent[of.silent[name]].append(name)
        elif isinstance(described, Description):
            groups.append(FoundGroup(name, described.state, listed.type, described, of.at))
        else:
            memberless = listed.state in MEMBERLESS
            known_empty = Description(listed.state, ()) if memberless else None
            groups.append(FoundGroup(name, listed.state or None, listed.type, known_empty, of.at))
    problems += [_silence(cluster, "report their offsets", of, why) for why, of in silent.items()]
    place = {group.id: index for index, group in enumerate(groups)}
    positions = _PositionLists()
    for number, of in enumerate(answers):
        mine = {
            name: place[name] for name, (n, _) in chosen.items() if n == number and name in place
        }
        for found in of.commits:
            positions.add_commits(found, mine)
        for name, offsets in of.shares.items():
            if name in mine and not isinstance(offsets, Problem):
                positions.add_share(offsets, mine[name])
    return tuple(groups), positions.all(), problems


class _PositionLists:
    """Positions as they are put together."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []

    def _code(self, topic: str) -> int:
        return self._codes.setdefault(topic, len(self._codes))

    def add_commits(self, found: FoundCommits, place: Mapping[str, int]) -> None:
        """Take in the commits of the groups that have a place."""
        if not len(found.group):
            return
        groups = np.array([place.get(name, UNKNOWN) for name in found.groups], np.int64)
        topics = np.array([self._code(topic) for topic in found.topics], np.int64)
        group = groups[found.group]
        kept = (group != UNKNOWN) & (found.error == 0) & (found.committed >= 0)
        computed = np.full(int(kept.sum()), COMPUTED, np.int64)
        self._rows.append(
            (
                group[kept],
                topics[found.topic[kept]],
                found.partition[kept],
                found.committed[kept],
                computed,
            )
        )

    def add_share(self, offsets: Sequence[ShareOffsets], place: int) -> None:
        """Take in where a share group is; partitions that it has not begun are left out."""
        begun = [of for of in offsets if of.start >= 0]
        rows = [
            (
                place,
                self._code(of.topic),
                of.partition,
                of.start,
                UNKNOWN if of.lag is None else of.lag,
            )
            for of in begun
        ]
        group, topic, partition, committed, lag = np.array(rows, np.int64).reshape(-1, 5).T
        self._rows.append((group, topic, partition, committed, lag))

    def all(self) -> Positions:
        """The rows of all groups, in the groups' order."""
        if not self._rows:
            return Positions()
        columns = [np.concatenate(column) for column in zip(*self._rows, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return Positions(tuple(self._codes), *(column[order] for column in columns))


# What is missing


def _refused(cluster: str, of: _Answers) -> dict[str, Problem]:
    """By group: why offsets are missing that its coordinator was asked for."""
    refused = {name: p for name, p in of.shares.items() if isinstance(p, Problem)}
    for found in of.commits:
        for group, code in zip(found.groups, found.errors, strict=True):
            if code and (code != _INVALID_GROUP_ID or group):
                what = f"{cluster}: list the offsets of the group {group}"
                refused[group] = problem_of_code(code, what, f"Describe on Group {group}")
        for row in np.flatnonzero(found.error).tolist():
            group, topic = found.groups[found.group[row]], found.topics[found.topic[row]]
            if group not in refused:
                refused[group] = problem_of_code(
                    int(found.error[row]),
                    f"{cluster}: commits of the group {group} on {topic}",
                    f"Describe on Topic {topic}",
                )
    return refused


async def _unseen(client: KafkaClient, timeout: float) -> list[Problem]:
    """Why no groups are listed, if some may not be; found out within `timeout` seconds."""
    try:
        permitted = await client.permitted(timeout)
    except CollectionError as error:
        return [error.problem]
    return [] if DESCRIBE in permitted else [no_cluster_describe(client.cluster)]


def _not_named(cluster: str, topology: ClusterMetadata, broker: int, why: Problem) -> Problem:
    where = f"broker {broker} ({topology.address(broker)})"
    cause = why.text.removeprefix(f"{cluster}: ")
    return Problem(why.error_class, f"{cluster}: {where} did not name its consumer groups: {cause}")


def no_cluster_describe(cluster: str) -> Problem:
    """What it means that a client may not describe the cluster."""
    return Problem(
        "authorization",
        f"{cluster}: may not describe the cluster, so Kafka shows only groups that the client may "
        "describe by name; grant Describe on Cluster, and Describe on the groups",
    )


def _silence(cluster: str, whereto: str, groups: Sequence[str], why: Problem) -> Problem:
    named = ", ".join(groups[:3]) + (f" and {len(groups) - 3} more" if len(groups) > 3 else "")
    cause = why.text.removeprefix(f"{cluster}: ")
    return Problem(
        why.error_class,
        f"{cluster}: the coordinator of {len(groups)} groups ({named}) did not {whereto}: {cause}",
    )
