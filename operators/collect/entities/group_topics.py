"""Samples of groups on single topics: the rows that a group's and a topic's lag are the sums of."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import (
    UNKNOWN,
)
from operators.collect.reading.commits import Commits
from operators.collect.reading.limits import NOT_KNOWN, Limits
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.tiered import known_sums
from operators.collect.samples import SampleIdentity, collected_batch
from operators.schema.arrays import Flags, Ints
from operators.schema.fields import HOW_TO_LIMIT
from operators.schema.guid import entity_path
from operators.schema.metrics import GROUP_TOPIC


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a group and a topic that the cluster has and the group has commits on."""

    group: Ints
    """Index into the commits' groups."""
    topic: Ints
    """Index into the commits' topics."""
    of_row: Ints
    """By row of the commits: its pair; UNKNOWN where the cluster has the partition no more."""

    def __len__(self) -> int:
        return len(self.group)


def pairs_of(commits: Commits) -> Pairs:
    """The pairs of all commits."""
    return commits.made(Pairs, lambda: _pairs_of(commits))


def _pairs_of(commits: Commits) -> Pairs:
    there = commits.row != UNKNOWN
    width = max(len(commits.topics), 1)
    rows = commits.group[there] * width + commits.topic[there]
    codes = np.unique(rows)
    of_row = np.full(len(there), UNKNOWN, np.int64)
    of_row[there] = codes.searchsorted(rows)
    group, topic = np.divmod(codes, width)
    return Pairs(group, topic, of_row)


def group_topic_samples(
    identity: SampleIdentity,
    tick: int,
    commits: Commits,
    pairs: Pairs,
    offsets: Offsets,
    most: int,
    limits: Limits = NOT_KNOWN,
    open_rows: Flags | None = None,
    remote: Ints | None = None,
) -> pa.RecordBatch:
    """One GROUP_TOPIC row for each pair, at most `most`: those with the largest lags.

    Lag is summed over the topic's partitions that have a leader, and null where one of these did
    not report its end offset; so is the end offset. A share group commits nothing.
    """
    count = len(pairs)
    lag, end = commits.lag(offsets), commits.end(offsets)
    there = pairs.of_row != UNKNOWN
    comparable = there & (lag != UNKNOWN)
    total, largest, committed, ends = np.zeros((4, count), np.int64)
    np.add.at(total, pairs.of_row[comparable], lag[comparable])
    np.maximum.at(largest, pairs.of_row[comparable], lag[comparable])
    np.add.at(committed, pairs.of_row[there], commits.committed[there])
    reported = there & (end != UNKNOWN)
    np.add.at(ends, pairs.of_row[reported], end[reported])
    has_lag = _any(pairs, comparable) & ~_any(pairs, there & commits.led & ~comparable)
    has_end = _any(pairs, reported) & ~_any(pairs, there & commits.led & ~reported)
    shared = commits.shared[pairs.group] if count else np.zeros(0, np.bool_)

    chosen = np.arange(count)
    if count > most:
        order = np.argsort(-np.where(has_lag, total, UNKNOWN), kind="stable")
        chosen = np.sort(order[:most])
    groups = commits.groups.groups
    names = [
        (groups[group].id, commits.topics[topic])
        for group, topic in zip(
            pairs.group[chosen].tolist(), pairs.topic[chosen].tolist(), strict=True
        )
    ]
    described = [groups[group].description for group in pairs.group[chosen].tolist()]
    return collected_batch(
        identity,
        tick,
        GROUP_TOPIC,
        names,
        [entity_path(*name) for name in names],
        {
            "consumer_group": [group for group, _ in names],
            "topic": [topic for _, topic in names],
            "consumerGroup.totalLag": pa.array(total[chosen], mask=~has_lag[chosen]),
            "consumerGroup.maxLag": pa.array(largest[chosen], mask=~has_lag[chosen]),
            "consumerGroup.activeConsumers": [
                None if of is None else of.readers.get(topic, 0)
                for of, (_, topic) in zip(described, names, strict=True)
            ],
            "consumerGroup.committedOffset": pa.array(committed[chosen], mask=shared[chosen]),
            "consumerGroup.readsCompacted": [limits.compacted(topic) for _, topic in names],
            "consumerGroup.openTransaction": None
            if open_rows is None
            else _any(pairs, there & open_rows)[chosen].astype(np.int8),
            "consumerGroup.remoteMessages": None
            if remote is None
            else known_sums(remote, pairs.of_row, count).take(pa.array(chosen)),
            "consumerGroup.endOffset": pa.array(ends[chosen], mask=~has_end[chosen]),
        },
    )


def left_out(pairs: int, most: int) -> str:
    """A sentence on the pairs that have no rows."""
    return (
        f"its groups read {pairs:,} topics, each on its own, and `group_topics` allows for {most:,} "
        f"rows: the {pairs - most:,} with the least lag have none; {HOW_TO_LIMIT}"
    )


def _any(pairs: Pairs, rows: np.ndarray) -> np.ndarray:
    """Whether a pair has any of these rows."""
    found: np.ndarray = np.bincount(pairs.of_row[rows], minlength=len(pairs)) > 0
    return found
