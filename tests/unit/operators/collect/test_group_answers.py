"""Answers of coordinators that a real cluster gives for a moment only, written by Kafka's schemas."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from operators.collect.client import KafkaClient, ShareOffsets
from operators.collect.description import REBALANCING, Description
from operators.collect.errors import Problem
from operators.collect.frames import ListedGroup
from operators.collect.group_state import SHARE, _Answers, _joined
from operators.protocol.messages import MESSAGES, _filled

REQUESTS = {
    "consumer": "ConsumerGroupDescribe",
    SHARE: "ShareGroupDescribe",
    "streams": "StreamsGroupDescribe",
}


class Coordinator:
    """In place of a connection: gives one answer, written and read again by its schema."""

    def __init__(self, name: str, version: int, **fields: Any) -> None:
        self.name, self._version, self._fields = name, version, fields

    async def ask(self, name: str, *_: Any, **__: Any) -> Any:
        assert name == self.name
        _, answer = MESSAGES[name].classes()
        written = answer(version=self._version, **_filled(answer, self._fields))
        return answer.decode(bytes(written.encode(version=self._version)), version=self._version)


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
    """Assigning and Reconciling are told as rebalancing: partitions change hands then."""
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
    group = {"group_id": "g", "topics": [topic], "error_code": 0, "error_message": None}
    coordinator = Coordinator("DescribeShareGroupOffsets", 1, throttle_time_ms=0, groups=[group])
    client = KafkaClient("prod", coordinator)  # type: ignore[arg-type]
    found = asyncio.run(client.share_offsets(1, ["g"], 1.0))
    assert found == {"g": [ShareOffsets("orders", 0, -1, None), ShareOffsets("orders", 1, 4, 3)]}
    answers = _Answers([ListedGroup("g", SHARE, "Stable", SHARE)], shares=found)
    _, positions, problems = _joined("prod", [answers])
    assert not problems
    assert (positions.partition.tolist(), positions.committed.tolist()) == ([1], [4])
    assert positions.lag.tolist() == [3]
