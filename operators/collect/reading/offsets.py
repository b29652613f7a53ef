"""Start and end offsets of partitions, read once a tick."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np

from operators.collect.client.frames import FoundOffsets
from operators.collect.client.kafka_client import EARLIEST, LATEST, KafkaClient
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.errors import CollectionError, Problem, problem_of_code
from operators.collect.once import all_of
from operators.schema.arrays import Ints
from operators.schema.clock import wall_clock

A_REQUEST = 50_000
"""Partitions asked in one request: an answer of 1.4 MB."""

BEHIND = 1
"""The lane of what is asked beside the end offsets, so that one answer does not wait for another."""


@dataclass(frozen=True)
class Offsets:
    """What each partition's leader said; the arrays have the topology's rows."""

    start: Ints
    end: Ints
    """The high-water mark, as kafka-consumer-groups shows it."""
    epoch: Ints
    """The leader epoch."""
    at: Ints
    """When the leader's answer came, in ms since the epoch; 0 where none did."""
    problems: tuple[Problem, ...]
    stable: Ints | None = None
    """The last stable offset, before the first transaction that is not ended; None where it is not what
    counts."""

    @property
    def readable(self) -> Ints:
        """The offset up to which groups can read, as the settings say how they do."""
        return self.end if self.stable is None else self.stable


def by_leader(topology: ClusterMetadata, rows: Ints) -> dict[int, list[Ints]]:
    """The rows that have a leader, by its broker id, in lists of at most `A_REQUEST`."""
    led = rows[topology.leader[rows] >= 0]
    leaders = topology.leader[led]
    found = {}
    for leader in sorted(set(leaders.tolist())):
        of_leader = led[leaders == leader]
        found[leader] = [
            of_leader[begin : begin + A_REQUEST] for begin in range(0, len(of_leader), A_REQUEST)
        ]
    return found


async def read_offsets(
    client: KafkaClient,
    topology: ClusterMetadata,
    rows: Ints,
    timeout: float,
    committed: bool = False,
) -> Offsets:
    """Start and end offsets of `rows` (rising); all leaders are asked at once.

    With `committed` the last stable offsets too.

    A leader that does not answer within `timeout` seconds costs its own partitions.
    """
    total = topology.partitions
    start, end, epoch = (np.full(total, UNKNOWN, np.int64) for _ in range(3))
    stable = None
    if committed:
        # Before the end offsets, so that it is never beyond them.
        stable = await stable_offsets(client, topology, rows, timeout / 2)
    at = np.zeros(total, np.int64)
    problems: list[Problem] = []

    async def ask(leader: int, led: Ints) -> None:
        what = _what(topology, leader, topology.topic[led])
        earliest, latest = await asyncio.gather(
            ask_leader(client, topology, leader, led, EARLIEST, timeout, what, BEHIND),
            ask_leader(client, topology, leader, led, LATEST, timeout, what),
            return_exceptions=True,
        )
        now = wall_clock()
        if isinstance(latest, FoundOffsets):
            reported, places = answered(topology, latest)
            end[reported], epoch[reported] = latest.offset[places], latest.epoch[places]
            at[reported] = now
        if isinstance(earliest, FoundOffsets):
            reported, places = answered(topology, earliest)
            start[reported] = earliest.offset[places]
        problems.extend(_problems(client, topology, leader, (latest, earliest)))

    asked = [
        ask(leader, led) for leader, parts in by_leader(topology, rows).items() for led in parts
    ]
    await all_of(asked)
    return Offsets(start, end, epoch, at, tuple(dict.fromkeys(problems)), stable)


async def stable_offsets(
    client: KafkaClient, topology: ClusterMetadata, rows: Ints, timeout: float
) -> Ints:
    """The last stable offsets of some rows; UNKNOWN where they were not asked for, or not reported."""
    stable = np.full(topology.partitions, UNKNOWN, np.int64)

    async def ask(leader: int, led: Ints) -> None:
        with suppress(CollectionError):
            found = await ask_leader(
                client,
                topology,
                leader,
                led,
                LATEST,
                timeout,
                _what(topology, leader, topology.topic[led]),
                committed=True,
            )
            reported, places = answered(topology, found)
            stable[reported] = found.offset[places]

    asked = [ask(of, led) for of, parts in by_leader(topology, rows).items() for led in parts]
    await all_of(asked)
    return stable


async def ask_leader(
    client: KafkaClient,
    topology: ClusterMetadata,
    leader: int,
    rows: Ints,
    asked: Ints | int,
    timeout: float,
    what: str = "list offsets",
    lane: int = 0,
    committed: bool = False,
) -> FoundOffsets:
    """What a leader reports of its partitions; see `KafkaClient.offsets`."""
    return await client.offsets(
        leader,
        topology.topics,
        topology.topic[rows],
        topology.partition[rows],
        asked,
        timeout,
        what,
        lane,
        **({"committed": True} if committed else {}),
    )


def answered(topology: ClusterMetadata, found: FoundOffsets) -> tuple[Ints, Ints]:
    """The topology's rows that have an answer without an error, and where each answer is."""
    rows = topology.rows(found.topics, found.topic, found.partition)
    places = np.flatnonzero((found.error == 0) & (rows != UNKNOWN))
    return rows[places], places


def _problems(
    client: KafkaClient,
    topology: ClusterMetadata,
    leader: int,
    answers: Sequence[FoundOffsets | BaseException],
) -> list[Problem]:
    """One problem for each kind of error of a leader's, rather than one a partition."""
    problems = []
    reported: set[int] = set()
    for found in answers:
        if isinstance(found, CollectionError):
            problems.append(found.problem)
            continue
        if isinstance(found, BaseException):
            raise found
        for code in np.unique(found.error[found.error != 0]).tolist():
            if code in reported:
                continue
            reported.add(code)
            topics = [found.topics[index] for index in found.topic[found.error == code].tolist()]
            named = set(topics)
            what = f"{client.cluster}: {_in_words(topology, leader, len(topics), named)}"
            needs = f"Describe on Topic {', '.join(sorted(named)[:3])}"
            problems.append(problem_of_code(code, what, needs))
    return problems


def _what(topology: ClusterMetadata, leader: int, topics: Ints) -> str:
    """What is asked of a leader, in words; `topics` has the topic of each partition."""
    names = [topology.topics[index] for index in set(topics.tolist())]
    return _in_words(topology, leader, len(topics), names)


def _in_words(
    topology: ClusterMetadata, leader: int, partitions: int, topics: Collection[str]
) -> str:
    named = ", ".join(nsmallest(3, topics)) + (
        f" and {len(topics) - 3} more" if len(topics) > 3 else ""
    )
    where = f"broker {leader} ({topology.address(leader)})"
    return f"offsets of {partitions} partitions of {named} from {where}"
