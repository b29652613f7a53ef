"""Commits of all groups, joined to their partitions, and their lag."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.reading.groups import COMPUTED, SHARE, FoundGroups
from operators.collect.reading.offsets import Offsets
from operators.schema.arrays import Flags, Ints

T = TypeVar("T")


def of_offsets(
    joined: "Callable[[Commits, Offsets], Ints]",
) -> "Callable[[Commits, Offsets], Ints]":
    """Of one tick's commits and offsets: made once, for all that want it."""

    def remembered(commits: "Commits", offsets: Offsets) -> Ints:
        known = commits.joined.get(joined.__name__)
        if known is None or known[0] is not offsets:
            known = commits.joined[joined.__name__] = offsets, joined(commits, offsets)
        return known[1]

    return wraps(joined)(remembered)


@dataclass(frozen=True)
class Commits:
    """One row a group, topic and partition that has a commit; see `Positions`."""

    groups: FoundGroups
    row: Ints
    """The partition's row in the topology; UNKNOWN where the cluster has it no more."""
    led: Flags
    """Whether the partition has a leader."""
    topology: ClusterMetadata
    joined: dict[str, tuple[Offsets, Ints]] = field(default_factory=dict, compare=False, repr=False)
    """What was made of them and of a tick's offsets, by its name."""
    _made: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is made of the places alone and the key: once, while no commit comes or goes."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def has_places_of(self, groups: FoundGroups, topology: ClusterMetadata) -> bool:
        """Whether these groups have commits in the same places, one by one."""
        mine, theirs = self.groups.positions, groups.positions
        return (
            self.topology is topology
            and [(g.id, g.type) for g in self.groups.groups]
            == [(g.id, g.type) for g in groups.groups]
            and mine.topics == theirs.topics
            and np.array_equal(mine.group, theirs.group)
            and np.array_equal(mine.topic, theirs.topic)
            and np.array_equal(mine.partition, theirs.partition)
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of topics."""
        return self.groups.positions.topics

    @property
    def group(self) -> Ints:
        """Index into `groups.groups`."""
        return self.groups.positions.group

    @property
    def topic(self) -> Ints:
        """Index into `topics`."""
        return self.groups.positions.topic

    @property
    def partition(self) -> Ints:
        """The partition's number."""
        return self.groups.positions.partition

    @property
    def committed(self) -> Ints:
        """The committed offset; a share group's first one that is not done with."""
        return self.groups.positions.committed

    @cached_property
    def shared(self) -> Flags:
        """By group: whether it is a share group, which commits nothing."""
        return np.array([group.type == SHARE for group in self.groups.groups], np.bool_)

    @of_offsets
    def end(self, offsets: Offsets) -> Ints:
        """Each row's end offset; UNKNOWN where it is."""
        return _at(offsets.end, self.row)

    @of_offsets
    def readable(self, offsets: Offsets) -> Ints:
        """Each row's offset up to which its group can read; UNKNOWN where it is."""
        return _at(offsets.readable, self.row)

    @of_offsets
    def start(self, offsets: Offsets) -> Ints:
        """Each row's start offset; UNKNOWN where it is."""
        return _at(offsets.start, self.row)

    @of_offsets
    def lag(self, offsets: Offsets) -> Ints:
        """What can be read minus the committed offset, never negative; UNKNOWN where the end offset is.

        A share group's is what its coordinator says.
        """
        end, reported = self.readable(offsets), self.groups.positions.lag
        lag: Ints = np.maximum(0, end - self.committed)
        lag[end == UNKNOWN] = UNKNOWN
        if self.shared.any():
            of_share = np.where(self.row == UNKNOWN, UNKNOWN, reported)
            lag = np.where(reported == COMPUTED, lag, of_share)
        return lag


def commits_of(
    groups: FoundGroups, topology: ClusterMetadata, before: Commits | None = None
) -> Commits:
    """The commits of all groups, each joined to its partition.

    Of those of the tick `before` that is kept which is made of their places, where these are the same.
    """
    if before is not None and before.has_places_of(groups, topology):
        return replace(before, groups=groups, joined={})
    positions = groups.positions
    row = topology.rows(positions.topics, positions.topic, positions.partition)
    return Commits(groups, row, _at(topology.leader, row) >= 0, topology)


def _at(values: Ints, row: Ints) -> Ints:
    """The values of rows; UNKNOWN for the row UNKNOWN."""
    if not len(values):
        return np.full(len(row), UNKNOWN, np.int64)
    return np.where(row >= 0, values[row], UNKNOWN)
