"""What of topics is on brokers' own disks, and what in remote storage alone."""

import asyncio

import numpy as np
import pytest

from operators.collect.client.kafka_client import EARLIEST_LOCAL, KafkaClient
from operators.collect.reading.commits import commits_of
from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.limits import message_sizes
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.tiered import (
    known_sums,
    local_starts,
    messages_on_disk,
    remote_unread,
)
from operators.protocol.errors import RequestError
from tests.fake_client import FakeClient
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of

LAYOUT = {"deep": [(1, [1], [1]), (2, [2], [2])], "plain": [(1, [1], [1])]}
CLUSTER = topology([1, 2], LAYOUT)
TIERED = TopicConfig(1, -1, 1_000, "delete", tiered=True)
CONFIGS = {"deep": TIERED, "plain": TopicConfig(1, -1, 1_000, "delete")}
OFFSETS = Offsets(
    np.array([10, 0, 0]), np.array([100, 50, 30]), np.zeros(3, np.int64), np.zeros(3, np.int64), ()
)
LOCAL = np.array([60, 20, -1])


def read(client: FakeClient, configs: dict[str, TopicConfig]) -> object:
    """What is found of the cluster."""
    found = asyncio.run(local_starts(KafkaClient("c", client), CLUSTER, configs, 5.0))  # type: ignore[arg-type]
    return found if found is None else found.tolist()


def test_leaders_are_asked_for_topics_with_tiered_storage_alone() -> None:
    """One request a leader; nobody is asked where no topic has it."""
    client = FakeClient([1, 2], LAYOUT, ends={"deep": 7})
    assert read(client, {"plain": CONFIGS["plain"]}) is None
    assert client.asked == []
    assert read(client, CONFIGS) == [7, 7, -1]
    asked = [
        (broker, topic.name, of.timestamp)
        for _, broker, request in client.asked
        for topic in request.topics
        for of in topic.partitions
    ]
    assert sorted(asked) == [(1, "deep", EARLIEST_LOCAL), (2, "deep", EARLIEST_LOCAL)]


def test_brokers_that_do_not_report_cost_their_own_partitions() -> None:
    """One that is too old is not asked; one that fails leaves the other's word."""
    client = FakeClient([1, 2], LAYOUT, ends={"deep": 7})
    client.failing["ListOffsets", 2] = RequestError("timeout", "no answer")
    assert read(client, CONFIGS) == [7, -1, -1]
    client.versions_of["ListOffsets"] = 7
    client.asked.clear()
    assert read(client, CONFIGS) == [-1, -1, -1]
    assert client.asked == []


@pytest.mark.parametrize(
    ("committed", "remote"),
    [((0, 0), (50, 20)), ((30, 20), (30, 0)), ((60, 5), (0, 15)), ((99, 60), (0, 0))],
)
def test_unread_messages_in_remote_storage_are_before_the_local_start(
    committed: tuple[int, int], remote: tuple[int, int]
) -> None:
    """Neither what was read counts, nor what was removed, nor a topic that has no such storage."""
    positions = (("deep", 0, committed[0]), ("deep", 1, committed[1]), ("plain", 0, 4))
    commits = commits_of(
        groups_of(ReportedGroup("g", "Empty", "classic", (), (), positions, 0)), CLUSTER
    )
    found = remote_unread(commits, OFFSETS, LOCAL)
    assert found is not None
    assert found.tolist() == [*remote, -1]
    assert remote_unread(commits, OFFSETS, None) is None
    assert known_sums(found, commits.topic, 2).to_pylist() == [sum(remote), None]


def test_messages_on_disk_are_those_after_the_local_start() -> None:
    """40 and 30; not known where one partition's are not, nor of a topic that has all on its disks."""
    counts, known = messages_on_disk(CLUSTER, OFFSETS, LOCAL, CONFIGS)
    of = dict(zip(CLUSTER.topics, zip(counts.tolist(), known.tolist(), strict=True), strict=True))
    assert of["deep"] == (70, True)
    assert not of["plain"][1]
    _, known = messages_on_disk(CLUSTER, OFFSETS, np.array([60, -1, -1]), CONFIGS)
    assert not known.any()


def test_sizes_of_messages_are_of_those_on_disk() -> None:
    """Disks have 70 of 140 messages, so 7,000 bytes are 100 each; unknown where leaders do not report it."""
    reported = {1: {"deep": 4_000, "plain": 300}, 2: {"deep": 3_000}}
    sizes = message_sizes(CONFIGS, CLUSTER, OFFSETS, reported, LOCAL)
    assert sizes == {"deep": 100.0, "plain": 10.0}
    for local in (None, np.array([60, -1, -1])):
        assert message_sizes(CONFIGS, CLUSTER, OFFSETS, reported, local) == {"plain": 10.0}
