"""Start and end offsets of partitions, read once a tick."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import KafkaError

from operators.collect.client import EARLIEST, LATEST, KafkaClient, Offset
from operators.collect.errors import CollectionError, Problem, problem_of
from operators.collect.topology import Ints, Topology

UNKNOWN = -1
"""An offset that was not asked for, or not answered."""


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


def by_leader(topology: Topology, rows: Ints) -> dict[int, Ints]:
    """The rows that have a leader, by its broker id."""
    led = rows[topology.leader[rows] >= 0]
    leaders = topology.leader[led]
    return {int(leader): led[leaders == leader] for leader in np.unique(leaders)}


def partitions_of(topology: Topology, rows: Ints) -> list[tuple[str, int]]:
    """Topic and partition of each row."""
    topics = topology.topics
    pairs = zip(topology.topic[rows].tolist(), topology.partition[rows].tolist(), strict=True)
    return [(topics[topic], partition) for topic, partition in pairs]


async def read_offsets(
    client: KafkaClient, topology: Topology, rows: Ints, timeout: float
) -> Offsets:
    """Start and end offsets of `rows`; all leaders are asked at once.

    A leader that does not answer within `timeout` seconds costs its own partitions.
    """
    total = topology.partitions
    start, end, epoch = (np.full(total, UNKNOWN, np.int64) for _ in range(3))
    at = np.zeros(total, np.int64)
    problems: list[Problem] = []

    async def ask(leader: int, led: Ints) -> None:
        partitions = partitions_of(topology, led)
        what = _what(topology, leader, [topic for topic, _ in partitions])
        earliest, latest = await asyncio.gather(
            client.offsets(dict.fromkeys(partitions, EARLIEST), timeout, what),
            client.offsets(dict.fromkeys(partitions, LATEST), timeout, what),
        )
        now = time.time_ns() // 1_000_000
        failed: dict[str, list[tuple[str, KafkaError]]] = {}
        for row, (topic, partition) in zip(led.tolist(), partitions, strict=True):
            low, high = earliest[topic, partition], latest[topic, partition]
            if isinstance(high, Offset):
                end[row], epoch[row], at[row] = high.offset, high.leader_epoch, now
            if isinstance(low, Offset):
                start[row] = low.offset
            for answer in (low, high):
                if isinstance(answer, KafkaError):
                    failed.setdefault(answer.name(), []).append((topic, answer))
                    break
        problems.extend(_problems(client, topology, leader, failed))

    leaders = by_leader(topology, rows)
    outcomes = await asyncio.gather(
        *(ask(leader, led) for leader, led in leaders.items()), return_exceptions=True
    )
    for outcome in outcomes:
        if isinstance(outcome, CollectionError):
            problems.append(outcome.problem)
        elif isinstance(outcome, BaseException):
            raise outcome
    return Offsets(start, end, epoch, at, tuple(problems))


def _problems(
    client: KafkaClient,
    topology: Topology,
    leader: int,
    failed: Mapping[str, list[tuple[str, KafkaError]]],
) -> list[Problem]:
    """One problem for each kind of error of a leader's, rather than one a partition."""
    problems = []
    for errors in failed.values():
        topics = [topic for topic, _ in errors]
        what = f"{client.cluster}: {_what(topology, leader, topics)}"
        needs = f"Describe on Topic {', '.join(sorted(set(topics))[:3])}"
        problems.append(problem_of(errors[0][1], what, needs))
    return problems


def _what(topology: Topology, leader: int, topics: Sequence[str]) -> str:
    """What is asked of a leader, in words; `topics` has the topic of each partition."""
    names = sorted(set(topics))
    named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    where = f"broker {leader} ({topology.brokers.get(leader, 'unknown address')})"
    return f"offsets of {len(topics)} partitions of {named} from {where}"
