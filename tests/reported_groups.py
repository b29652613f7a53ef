"""Consumer groups for tests, as their coordinators report them, in a few words."""

from dataclasses import dataclass

import numpy as np

from operators.collect.client.description import Description, Member
from operators.collect.reading.groups import COMPUTED, FoundGroup, FoundGroups, Positions


@dataclass(frozen=True)
class ReportedGroup:
    """What is reported of one group; None is what is not."""

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


def groups_of(*reported: ReportedGroup) -> FoundGroups:
    """The groups that are reported."""
    topics: dict[str, int] = {}
    rows = [
        (index, topics.setdefault(topic, len(topics)), partition, offset, lag)
        for index, group in enumerate(reported)
        for (topic, partition, offset), lag in zip(
            group.commits, group.lags or [COMPUTED] * len(group.commits), strict=True
        )
    ]
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    groups = tuple(FoundGroup(g.id, g.state, g.type, _description(g), g.at) for g in reported)
    return FoundGroups(groups, Positions(tuple(topics), *columns), len(reported), ())


def _description(reported: ReportedGroup) -> Description | None:
    if reported.members is None:
        return None
    assigned: dict[str, tuple[int, ...]] = {}
    for topic, partition in reported.assigned:
        assigned[topic] = (*assigned.get(topic, ()), partition)
    members = tuple(
        Member(
            name, f"client of {name}", "/10.0.0.7", None, () if index else tuple(assigned.items())
        )
        for index, name in enumerate(reported.members)
    )
    return Description(reported.state or "", members, "range")
