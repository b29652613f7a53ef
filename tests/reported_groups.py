"""Consumer groups for tests, as their coordinators report them, in a few words."""

from dataclasses import dataclass

import numpy as np

from operators.collect.client.description import Description, Member
from operators.collect.reading.groups import COMPUTED, FoundGroup, FoundGroups, Positions


@dataclass(frozen=True)
class ReportedGroup:
    """What is told of one group; None is what is not."""

    id: str
    state: str | None = None
    type: str | None = None
    members: tuple[str, ...] | None = None
    assigned: tuple[tuple[str, int], ...] = ()
    """Partitions of the first member."""
    commits: tuple[tuple[str, int, int], ...] = ()
    """Topic, partition and offset."""
    at: int = 0
    lags: tuple[int, ...] = ()
    """Of a share group, for each of `commits`."""


def groups_of(*told: ReportedGroup) -> FoundGroups:
    """The groups that are told of."""
    topics: dict[str, int] = {}
    rows = [
        (index, topics.setdefault(topic, len(topics)), partition, offset, lag)
        for index, group in enumerate(told)
        for (topic, partition, offset), lag in zip(
            group.commits, group.lags or [COMPUTED] * len(group.commits), strict=True
        )
    ]
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    groups = tuple(FoundGroup(g.id, g.state, g.type, _description(g), g.at) for g in told)
    return FoundGroups(groups, Positions(tuple(topics), *columns), len(told), ())


def _description(told: ReportedGroup) -> Description | None:
    if told.members is None:
        return None
    assigned: dict[str, tuple[int, ...]] = {}
    for topic, partition in told.assigned:
        assigned[topic] = (*assigned.get(topic, ()), partition)
    members = tuple(
        Member(
            name, f"client of {name}", "/10.0.0.7", None, () if index else tuple(assigned.items())
        )
        for index, name in enumerate(told.members)
    )
    return Description(told.state or "", members, "range")
