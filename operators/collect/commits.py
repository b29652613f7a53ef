"""Commits of all groups as arrays, and their lag."""

from dataclasses import dataclass

import numpy as np

from operators.collect.group_state import Groups
from operators.collect.offsets import UNKNOWN, Offsets
from operators.collect.topology import Flags, Ints, Topology


@dataclass(frozen=True)
class Commits:
    """One row a group, topic and partition that has a commit."""

    groups: Groups
    topics: tuple[str, ...]
    group: Ints
    """Index into `groups.groups`."""
    topic: Ints
    """Index into `topics`."""
    partition: Ints
    committed: Ints
    row: Ints
    """The partition's row in the topology; -1 where the cluster has it no more."""
    led: Flags
    """Whether the partition has a leader."""

    def end(self, offsets: Offsets) -> Ints:
        """Each row's end offset; UNKNOWN where it is."""
        return _at(offsets.end, self.row)

    def start(self, offsets: Offsets) -> Ints:
        """Each row's start offset; UNKNOWN where it is."""
        return _at(offsets.start, self.row)

    def lag(self, offsets: Offsets) -> Ints:
        """End minus committed offset, never negative; UNKNOWN where the end offset is."""
        end = self.end(offsets)
        return np.where(end == UNKNOWN, UNKNOWN, np.maximum(0, end - self.committed))


def commits_of(groups: Groups, topology: Topology) -> Commits:
    """The commits of all groups, each joined to its partition."""
    codes: dict[str, int] = {}
    rows = [
        (index, codes.setdefault(topic, len(codes)), partition, offset)
        for index, group in enumerate(groups.groups)
        for topic, partition, offset in group.commits or ()
    ]
    table = np.array(rows, np.int64).reshape(-1, 4).T
    topics = tuple(codes)
    first = np.array([topology.first.get(topic, UNKNOWN) for topic in topics], np.int64)
    counts = dict(zip(topology.topics, topology.counts.tolist(), strict=True))
    count = np.array([counts.get(topic, 0) for topic in topics], np.int64)
    there = table[2] < count[table[1]] if len(topics) else np.zeros(0, np.bool_)
    row = np.where(there, first[table[1]] + table[2], UNKNOWN) if len(topics) else table[1]
    return Commits(
        groups, topics, table[0], table[1], table[2], table[3], row, _at(topology.leader, row) >= 0
    )


def _at(values: Ints, row: Ints) -> Ints:
    """The values of rows; UNKNOWN for row -1."""
    if not len(values):
        return np.full(len(row), UNKNOWN, np.int64)
    return np.where(row >= 0, values[row], UNKNOWN)
