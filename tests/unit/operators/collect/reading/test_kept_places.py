"""What is made of the places of commits: kept from tick to tick, and never what was before."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.entities.group_topics import pairs_of
from operators.collect.entities.groups import group_samples
from operators.collect.entities.topics import topic_samples
from operators.collect.pages.reader import Pages
from operators.collect.reading.commits import Commits, commits_of
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import SelectionSettings
from operators.ticks import Collected
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of

ALL = SelectionSettings()
CLUSTERS = [
    topology([1], {"a": [(1, [1], [1]), (1, [1], [1])], "b": [(leader, [1], [1])]})
    for leader in (1, -1)
]

GROUPS = st.dictionaries(
    st.sampled_from(["g", "h", "i"]),
    st.dictionaries(
        st.sampled_from([("a", 0), ("a", 1), ("b", 0), ("gone", 0)]), st.integers(0, 9), max_size=4
    ),
    max_size=3,
)
TICKS = st.lists(st.tuples(GROUPS, st.sampled_from(CLUSTERS)), max_size=5)


def made(commits: Commits, cluster: Any) -> list[Collected]:
    """What all kinds make of commits."""
    identity = ClusterIdentity("prod", "test", 7)
    zeros = np.zeros(cluster.partitions, np.int64)
    offsets = Offsets(zeros, zeros + 8, zeros, zeros, ())
    no_times, pairs = np.full(len(commits.row), -1, np.int64), pairs_of(commits)
    return [
        topic_samples(identity, 0, ALL, cluster, offsets, commits, Pages({})),
        group_samples(identity, 0, commits, cluster, offsets, no_times, False, pairs, 100),
    ]


@given(TICKS)
def test_samples_are_those_without_a_tick_before(ticks: list[tuple[dict[str, Any], Any]]) -> None:
    """Whatever groups, commits and leaders come, go and stay."""
    kept: Commits | None = None
    for reported, cluster in ticks:
        groups = groups_of(
            *(
                ReportedGroup(
                    name, "Empty", "classic", (), (), tuple((*at, of[at]) for at in sorted(of))
                )
                for name, of in sorted(reported.items())
            )
        )
        kept = commits_of(groups, cluster, kept)
        fresh = commits_of(groups, cluster)
        for mine, theirs in zip(made(kept, cluster), made(fresh, cluster), strict=True):
            assert mine.batches == theirs.batches
            assert mine.raw == theirs.raw
