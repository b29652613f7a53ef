"""Answers of coordinators that a real cluster gives for a moment only, written by Kafka's schemas."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from operators.collect.client.description import REBALANCING, Description
from operators.collect.client.frames import ListedGroup
from operators.collect.client.kafka_client import KafkaClient, ShareOffsets
from operators.collect.client.topology import UNKNOWN
from operators.collect.entities.groups import group_samples
from operators.collect.errors import Problem
from operators.collect.reading.commits import commits_of
from operators.collect.reading.groups import SHARE, FoundGroups, _Answers, _joined
from operators.collect.reading.offsets import Offsets
from operators.collect.samples import ClusterIdentity
from operators.protocol.messages import MESSAGES, _filled
from tests.kafka_metadata import topology

REQUESTS = {
    "consumer": "ConsumerGroupDescribe",
    SHARE: "ShareGroupDescribe",
    "streams": "StreamsGroupDescribe",
}


TASKS: Mapping[str, Any] = {"active_tasks": [], "standby_tasks": [], "warmup_tasks": []}


class Coordinator:
    """In place of a connection: gives one answer, written and read again by its schema."""

    def __init__(self, name: str, version: int, **fields: Any) -> None:
        self.name, self._version, self._fields = name, version, fields

    async def ask(self, name: str, *_: Any, **__: Any) -> Any:
        assert name == self.name
        _, answer = MESSAGES[name].classes()
        written = answer(version=self._version, **_filled(answer, self._fields))
        return answer.decode(bytes(written.encode(version=self._version)), version=self._version)


def shares(topic: Mapping[str, Any]) -> dict[str, list[ShareOffsets] | Problem]:
    """What a coordinator says of a share group of one topic."""
    group = {"group_id": "g", "topics": [topic], "error_code": 0, "error_message": None}
    coordinator = Coordinator("DescribeShareGroupOffsets", 1, throttle_time_ms=0, groups=[group])
    client = KafkaClient("prod", coordinator)  # type: ignore[arg-type]
    return asyncio.run(client.share_offsets(1, ["g"], 1.0))


def described(type_: str, group: Mapping[str, Any]) -> Description | Problem:
    more = {"authorized_operations": set(), "error_code": 0, "error_message": None}
    name = REQUESTS[type_]
    coordinator = Coordinator(name, 0, throttle_time_ms=0, groups=[{**more, **group}])
    client = KafkaClient("prod", coordinator)  # type: ignore[arg-type]
    return asyncio.run(client.descriptions(1, type_, ["g"], 1.0))["g"]


@pytest.mark.parametrize(
    ("type_", "state", "moves"),
    [
        ("consumer", "Assigning", True),
        ("consumer", "Reconciling", True),
        ("streams", "Assigning", True),
        ("streams", "Reconciling", True),
        ("streams", "NotReady", False),
    ],
)
def test_a_state_is_written_as_kafkas_tools_write_it(type_: str, state: str, moves: bool) -> None:
    """Assigning and Reconciling are reported as rebalancing: partitions change hands then."""
    group = {
        "group_id": "g",
        "group_state": state,
        "group_epoch": 7,
        "assignment_epoch": 6,
        "members": [],
    }
    group |= {"topology": None} if type_ == "streams" else {"assignor_name": "uniform"}
    found = described(type_, group)
    assert isinstance(found, Description)
    assert (found.state, found.members) == (state, ())
    assert (found.state in REBALANCING) == moves


@pytest.mark.parametrize("static_id", ["one", None])
def test_members_of_streams_groups_have_their_static_id(static_id: str | None) -> None:
    """Brokers take static members of streams groups from Kafka 4.4.0 on."""
    member = {
        "member_id": "m",
        "member_epoch": 7,
        "instance_id": static_id,
        "rack_id": None,
        "client_id": "app",
        "client_host": "/10.0.0.7",
        "topology_epoch": 0,
        "process_id": "p",
        "user_endpoint": None,
        "client_tags": [],
        "task_offsets": [],
        "task_end_offsets": [],
        "assignment": TASKS,
        "target_assignment": TASKS,
        "is_classic": False,
    }
    found = described(
        "streams",
        {
            "group_id": "g",
            "group_state": "Stable",
            "group_epoch": 7,
            "assignment_epoch": 7,
            "topology": None,
            "members": [member],
        },
    )
    assert isinstance(found, Description)
    assert [(of.client_id, of.host, of.static_id) for of in found.members] == [
        ("app", "/10.0.0.7", static_id)
    ]


def test_a_share_group_that_is_not_initialised_has_no_offsets() -> None:
    """Its start offset is −1 until it has read for the first time; kafka-share-groups writes a dash."""
    partition = {"leader_epoch": 0, "error_code": 0, "error_message": None}
    topic = {
        "topic_name": "orders",
        "topic_id": "00000000-0000-0000-0000-000000000001",
        "partitions": [
            {**partition, "partition_index": 0, "start_offset": -1, "lag": -1},
            {**partition, "partition_index": 1, "start_offset": 4, "lag": 3},
        ],
    }
    found = shares(topic)
    assert found == {"g": [ShareOffsets("orders", 0, -1, None), ShareOffsets("orders", 1, 4, 3)]}
    answers = _Answers([ListedGroup("g", SHARE, "Stable", SHARE)], shares=found)
    _, positions, problems = _joined("prod", [answers])
    assert not problems
    assert (positions.partition.tolist(), positions.committed.tolist()) == ([1], [4])
    assert positions.lag.tolist() == [3]


def test_the_sample_of_a_share_group_that_is_not_initialised_has_no_lag() -> None:
    """Neither 0, as if it had read all, nor all that there is: null."""
    of = topology([1], {"orders": [(1, [1], [1])]})
    partition = {"leader_epoch": 0, "error_code": 0, "error_message": None, "partition_index": 0}
    found = shares(
        {
            "topic_name": "orders",
            "topic_id": "00000000-0000-0000-0000-000000000001",
            "partitions": [{**partition, "start_offset": -1, "lag": -1}],
        }
    )
    listed = [ListedGroup("g", SHARE, "Stable", SHARE)]
    groups, positions, problems = _joined("prod", [_Answers(listed, shares=found)])
    commits = commits_of(FoundGroups(groups, positions, 1, tuple(problems)), of)
    zero = np.zeros(1, np.int64)
    read = Offsets(zero, zero + 9, zero, zero, ())
    no_times = np.full(len(commits.row), UNKNOWN, np.int64)
    identity = ClusterIdentity("prod", "production", 7)
    (row,) = group_samples(identity, 0, commits, of, read, no_times).batches[0].to_pylist()
    assert (row["consumerGroup.type"], row["consumerGroup.state"]) == (SHARE, "Stable")
    assert row["consumerGroup.totalLag"] is None
    assert row["consumerGroup.maxLag"] is None
    assert row["consumerGroup.committedOffset"] is None
