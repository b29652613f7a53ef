"""When messages were written, for all groups of a cluster: asked once, and kept while it holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.collect.client.frames import FoundOffsets
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import UNKNOWN
from operators.collect.reading.commits import commits_of
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.timeline import Timelines, near
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of
from tests.unit.operators.collect.reading.test_timeline import Log
from tests.virtual_time import run

LONG_AGO = 1_700_000_000_000
"""A time (ms) so long ago that every message's is settled at once where it is known."""
PARTITIONS = 3
Commits = Mapping[str, Mapping[int, int]]


class Leader:
    """Stands in for KafkaClient: the one leader of the partitions of the topic `t`."""

    cluster = "fake"

    def __init__(self, logs: list[Log]) -> None:
        self.logs = logs
        self.asked: list[int] = []
        """Partitions that were asked about."""

    async def offsets(
        self,
        broker: int,
        names: Any,
        topic: Any,
        partition: Any,
        asked: Any,
        *_: Any,
        **__: Any,
    ) -> FoundOffsets:
        partitions = partition.tolist()
        self.asked += partitions
        times = np.broadcast_to(asked, len(partitions)).tolist()
        found = [self.logs[p].ask(at) for p, at in zip(partitions, times, strict=True)]
        offset, timestamp = np.array(found, np.int64).reshape(-1, 2).T
        zeros = np.zeros(len(partitions), np.int64)
        return FoundOffsets(["t"], zeros, partition, zeros, timestamp, offset, zeros)


def look(timelines: Timelines, leader: Leader, commits: Commits, topic_id: str = "t") -> list[int]:
    """One tick: the times that are found, group by group and partition by partition."""
    cluster = topology([1], {"t": [(1, [1], [1])] * PARTITIONS}, ids={"t": topic_id})
    reported = [
        ReportedGroup(group, commits=tuple(("t", p, offset) for p, offset in of.items()))
        for group, of in commits.items()
    ]
    joined = commits_of(groups_of(*reported), cluster)
    ends = np.array([len(log.times) for log in leader.logs], np.int64)
    zeros = np.zeros(PARTITIONS, np.int64)
    client: KafkaClient = leader  # type: ignore[assignment]
    offsets = Offsets(zeros, ends, zeros, zeros, ())
    found = run(timelines.first_uncommitted(client, cluster, joined, offsets, 10.0))
    times: list[int] = found.tolist()
    return times


def logs(*steps: list[int]) -> list[Log]:
    return [Log((LONG_AGO + np.cumsum(of)).tolist()) for of in steps]


def test_what_is_known_is_not_asked_again_while_messages_come() -> None:
    """An end that grows changes nothing for a message that waits."""
    leader, timelines = Leader(logs([1_000] * 9, [5_000] * 9, [1] * 9)), Timelines()
    commits = {"g": {0: 3, 1: 4, 2: 9}, "h": {0: 3}}
    first = look(timelines, leader, commits)
    assert first[2] == UNKNOWN  # nothing waits
    assert leader.asked
    leader.asked.clear()
    for log in leader.logs:
        log.times.append(log.times[-1] + 60_000)
    assert look(timelines, leader, commits)[:2] == first[:2]
    assert set(leader.asked) <= {2}


def test_a_commit_that_moves_is_looked_for_alone() -> None:
    """The others of its partition, and other partitions, are not."""
    leader, timelines = Leader(logs(*[[600_000] * 20] * PARTITIONS)), Timelines()
    look(timelines, leader, {"g": {0: 3, 1: 3, 2: 3}, "h": {0: 9}})
    leader.asked.clear()
    look(timelines, leader, {"g": {0: 15, 1: 3, 2: 3}, "h": {0: 9}})
    assert set(leader.asked) <= {0}


def test_a_topic_recreated_is_looked_for_anew() -> None:
    """By its id, or by an end that went back."""
    old, new = logs(*[[600_000] * 20] * PARTITIONS), logs(*[[1] * 10] * PARTITIONS)
    for topic_id in ("another", "t"):
        leader, timelines = Leader(old), Timelines()
        before = look(timelines, leader, {"g": {0: 5}})
        leader.logs = new
        (after,) = look(timelines, leader, {"g": {0: 5}}, topic_id)
        assert abs(after - new[0].times[5]) < abs(before[0] - new[0].times[5])
        assert abs(after - new[0].times[5]) <= 1_000


steps = st.lists(st.integers(0, 5_000_000), min_size=2, max_size=20)
moves = st.lists(
    st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(0, 19), min_size=1),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(st.lists(steps, min_size=PARTITIONS, max_size=PARTITIONS), moves)
def test_whatever_moves_the_times_are_near_the_true_ones(
    of: list[list[int]], ticks: list[dict[int, int]]
) -> None:
    """After some ticks, however commits went before; what nobody waits for has none."""
    leader, timelines = Leader(logs(*of)), Timelines()
    for commits in ticks:
        for _ in range(8):
            found = look(timelines, leader, {"g": commits})
        for (partition, offset), at in zip(commits.items(), found, strict=True):
            times = leader.logs[partition].times
            if offset >= len(times):
                assert at == UNKNOWN
            else:
                # A year and more ago: a twentieth of that is near enough.
                assert abs(at - times[offset]) <= near(times[offset], LONG_AGO + 10**12)
                assert times[0] <= at <= times[-1]
