"""What a coordinator says of a group's members, whatever the group's type."""

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from operators.collect.client.frames import DescribedGroup, DescribedMember, Reported

Assigned = tuple[tuple[str, tuple[int, ...]], ...]
"""Partitions by topic."""

REBALANCING = frozenset({"PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"})
"""States in which partitions change hands."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group."""

    id: str
    client_id: str
    host: str
    """As Kafka's tools show it: `/10.0.0.7`."""
    static_id: str | None
    """Its `group.instance.id`; None where it has none, or its type of group does not report it."""
    assigned: Assigned


@dataclass(frozen=True)
class Description:
    """A group's state, as Kafka's own tools write it, and its members."""

    state: str
    members: tuple[Member, ...]
    assignor: str | None = None

    @cached_property
    def owners(self) -> Mapping[tuple[str, int], Member]:
        """The partitions that have a member, and a member that has each."""
        return {
            (topic, partition): member
            for member in self.members
            for topic, partitions in member.assigned
            for partition in partitions
        }

    @cached_property
    def readers(self) -> Mapping[str, int]:
        """By topic: how many members have partitions of it."""
        return Counter(
            topic for member in self.members for topic in {topic for topic, _ in member.assigned}
        )

    @cached_property
    def topics(self) -> frozenset[str]:
        """The topics of which a member has partitions."""
        return frozenset(topic for member in self.members for topic, _ in member.assigned)


DEAD = Description("Dead", ())
"""A group that the coordinator does not know."""


class ClassicDescriptions:
    """Descriptions of classic groups; one that is reported in the same bytes is the same object."""

    def __init__(self) -> None:
        self.reported: dict[str, Reported] = {}
        """As `described_groups` keeps it."""
        self._known: dict[str, tuple[DescribedGroup, Description]] = {}

    def of(self, group: DescribedGroup) -> Description:
        """What DescribeGroups says of a group."""
        known = self._known.get(group.id)
        if known is not None and known[0] is group:
            return known[1]
        description = Description(
            group.state, tuple(map(_classic_member, group.members)), group.assignor or None
        )
        self._known[group.id] = group, description
        return description

    def keep(self, groups: Iterable[str]) -> None:
        """Forget all groups but these."""
        if not self.reported:
            return
        kept = set(groups)
        for group in [group for group in self.reported if group not in kept]:
            del self.reported[group]
            self._known.pop(group, None)


def _classic_member(member: DescribedMember) -> Member:
    return Member(
        member.id, member.client_id, member.host, member.static_id, _assigned(member.assignment)
    )


def _assigned(assignment: bytes) -> Assigned:
    """Partitions in an assignment of the consumer protocol; none where it cannot be read.

    Its format is the clients' own: brokers hand it on as it is.
    """
    try:
        if len(assignment) < 6:
            return ()
        (topics,) = struct.unpack_from(">i", assignment, 2)
        at, assigned = 6, []
        for _ in range(topics):
            (size,) = struct.unpack_from(">h", assignment, at)
            topic = assignment[at + 2 : at + 2 + size].decode()
            at += 2 + size
            (count,) = struct.unpack_from(">i", assignment, at)
            partitions = np.frombuffer(assignment, ">i4", count, at + 4)
            at += 4 + 4 * count
            assigned.append((topic, tuple(partitions.tolist())))
        return tuple(assigned)
    except (struct.error, ValueError):
        return ()


def consumer_group(group: Any) -> Description:
    """What ConsumerGroupDescribe says of a group."""
    return _described(
        group, (_member(m, _by_topic(m.assignment), m.instance_id) for m in group.members)
    )


def share_group(group: Any) -> Description:
    """What ShareGroupDescribe says of a group."""
    return _described(group, (_member(m, _by_topic(m.assignment), None) for m in group.members))


def streams_group(group: Any) -> Description:
    """What StreamsGroupDescribe says of a group.

    A member has the partitions that its active tasks read, of source and repartition topics.
    """
    subtopologies = (group.topology.subtopologies if group.topology else None) or ()
    sources = {
        of.subtopology_id: (*of.source_topics, *(t.name for t in of.repartition_source_topics))
        for of in subtopologies
    }
    return Description(
        group.group_state,
        tuple(
            _member(
                member,
                tuple(
                    (topic, tuple(task.partitions))
                    for task in member.assignment.active_tasks
                    for topic in sources.get(task.subtopology_id, ())
                ),
                member.instance_id,
            )
            for member in group.members
        ),
    )


def _described(group: Any, members: Iterable[Member]) -> Description:
    return Description(group.group_state, tuple(members), group.assignor_name or None)


def _member(member: Any, assigned: Assigned, static_id: str | None) -> Member:
    return Member(member.member_id, member.client_id, member.client_host, static_id, assigned)


def _by_topic(assignment: Any) -> Assigned:
    return tuple((of.topic_name, tuple(of.partitions)) for of in assignment.topic_partitions)
