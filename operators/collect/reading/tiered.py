"""Topics with tiered storage: what of them is still on the brokers' own disks (KIP-405)."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa

from operators.collect.client.kafka_client import EARLIEST_LOCAL, KafkaClient
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.errors import CollectionError
from operators.collect.reading.commits import Commits
from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.offsets import Offsets, answered, ask_leader, by_leader
from operators.schema.arrays import Flags, Ints


async def local_starts(
    client: KafkaClient,
    topology: ClusterMetadata,
    configs: Mapping[str, TopicConfig],
    timeout: float,
) -> Ints | None:
    """The first offset of each partition on its leader's own disk, found within `timeout` seconds.

    Asked of topics with tiered storage alone: None where no topic has it, UNKNOWN for the partitions of
    others, and where the leader does not report it.
    """
    tiered = [topic for topic, config in configs.items() if config.tiered]
    rows = np.flatnonzero(_of_topics(topology, tiered)) if tiered else np.zeros(0, np.int64)
    if not len(rows):
        return None
    found = np.full(topology.partitions, UNKNOWN, np.int64)

    async def ask(leader: int, led: Ints) -> None:
        with suppress(CollectionError):
            if not await client.reports_local(leader, timeout):
                return
            what = f"local offsets from broker {leader} ({topology.address(leader)})"
            reported = await ask_leader(
                client, topology, leader, led, EARLIEST_LOCAL, timeout, what
            )
            of, places = answered(topology, reported)
            found[of] = reported.offset[places]

    asked = [ask(of, led) for of, parts in by_leader(topology, rows).items() for led in parts]
    await asyncio.gather(*asked)
    return found


def messages_on_disk(
    topology: ClusterMetadata, offsets: Offsets, local: Ints, configs: Mapping[str, TopicConfig]
) -> tuple[Ints, Flags]:
    """By topic: messages on the leaders' own disks, and whether that is known of all its partitions."""
    known = (local != UNKNOWN) & (offsets.end != UNKNOWN)
    counts = topology.per_topic(np.where(known, np.maximum(0, offsets.end - local), 0))
    tiered = np.array([t in configs and configs[t].tiered for t in topology.topics], np.bool_)
    return counts, tiered & (topology.per_topic(~known) == 0)


def remote_unread(commits: Commits, offsets: Offsets, local: Ints | None) -> Ints | None:
    """By row of the commits: unread messages that are in remote storage alone.

    UNKNOWN where the topic has none or where nobody reported one; None where that is so of all.
    """
    if local is None:
        return None
    first = np.where(commits.row >= 0, local[commits.row], UNKNOWN)
    start, end = commits.start(offsets), commits.end(offsets)
    unread = np.maximum(0, np.minimum(first, end) - np.maximum(commits.committed, start))
    known = (first != UNKNOWN) & (start != UNKNOWN) & (end != UNKNOWN)
    return np.where(known, unread, UNKNOWN)


def known_sums(values: Ints, place: Ints, count: int) -> pa.Array:
    """Sums of the rows that are known, by their places; null where none is."""
    there = (values != UNKNOWN) & (place != UNKNOWN)
    sums = np.zeros(count, np.int64)
    np.add.at(sums, place[there], values[there])
    return pa.array(sums, mask=np.bincount(place[there], minlength=count) == 0)


def _of_topics(topology: ClusterMetadata, topics: list[str]) -> Flags:
    chosen = np.zeros(len(topology.topics), np.bool_)
    chosen[[topology.index[topic] for topic in topics if topic in topology.index]] = True
    return chosen[topology.topic]
