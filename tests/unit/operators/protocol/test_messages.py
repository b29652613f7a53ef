"""What is used of kafka-python, and the schemas that it lacks."""

from importlib.metadata import version
from typing import Any

import pytest
from kafka import errors

from operators.protocol.errors import error_class, error_name
from operators.protocol.messages import MESSAGES, RequestType


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_the_names_that_are_used_of_kafka_python_are_there(message: RequestType) -> None:
    """Key, versions and tagged fields are as the table says; an empty request can be written."""
    assert version("kafka-python").startswith("3.0.")
    request, response = message.classes()
    assert (request.name, response.name) == (f"{message.name}Request", f"{message.name}Response")
    assert request.API_KEY == response.API_KEY == message.key
    assert request.max_version >= message.highest
    assert response.max_version >= message.highest
    for spoken in range(message.highest + 1):
        flexible = spoken >= message.flexible
        assert request.flexible_version_q(spoken) == flexible
        assert response.flexible_version_q(spoken) == flexible
    body = request(version=message.highest).encode(version=message.highest)
    assert isinstance(bytes(body), bytes)


def test_answers_of_our_schemas_are_read_as_they_are_written() -> None:
    """Nested, nullable and tagged parts."""
    _, response = MESSAGES["StreamsGroupDescribe"].classes()
    topology = response.DescribedGroup.Topology(
        epoch=3,
        subtopologies=[
            response.DescribedGroup.Topology.Subtopology(
                subtopology_id="0",
                source_topics=["in"],
                repartition_sink_topics=[],
                state_changelog_topics=[],
                repartition_source_topics=[],
                version=0,
            )
        ],
        version=0,
    )
    group = response.DescribedGroup(
        error_code=0,
        group_id="g",
        group_state="Stable",
        group_epoch=1,
        assignment_epoch=1,
        topology=topology,
        members=[],
        authorized_operations={3, 8},
        version=0,
    )
    written = response(version=0, throttle_time_ms=0, groups=[group]).encode(version=0)
    (read,) = response.decode(memoryview(bytes(written)), version=0).groups
    assert (read.group_id, read.topology.epoch) == ("g", 3)
    assert read.topology.subtopologies[0].source_topics == ["in"]
    assert read.authorized_operations == {3, 8}


@pytest.mark.parametrize(
    ("code", "name", "class_"),
    [
        (-1, "UNKNOWN_SERVER_ERROR", "unknown"),
        (0, "NONE", "unknown"),
        (3, "UNKNOWN_TOPIC_OR_PARTITION", "unavailable"),
        (16, "NOT_COORDINATOR", "unavailable"),
        (30, "GROUP_AUTHORIZATION_FAILED", "authorization"),
        (35, "UNSUPPORTED_VERSION", "unsupported"),
        (58, "SASL_AUTHENTICATION_FAILED", "auth"),
        (69, "GROUP_ID_NOT_FOUND", "unknown"),
        (133, "SHARE_SESSION_LIMIT_REACHED", "unknown"),
        (999, "error 999", "unknown"),
        (-7, "error -7", "unknown"),
    ],
)
def test_codes_have_kafkas_names(code: int, name: str, class_: str) -> None:
    """And a class each."""
    assert (error_name(code), error_class(code)) == (name, class_)


RENAMED = {
    -1: "UNKNOWN",
    0: "NO_ERROR",
    6: "NOT_LEADER_FOR_PARTITION",
    10: "MESSAGE_SIZE_TOO_LARGE",
    17: "INVALID_TOPIC",
    39: "INVALID_REPLICATION_ASSIGNMENT",
}
"""Codes that kafka-python names otherwise than Kafka does by now."""


def test_codes_are_those_of_others() -> None:
    """kafka-python's, which were taken from Kafka by other hands."""
    all_of_them: list[Any] = [e for e in vars(errors).values() if isinstance(e, type)]
    numbered = [error for error in all_of_them if getattr(error, "errno", None) is not None]
    theirs = {error.errno: error.message for error in numbered}
    assert len(theirs) > 120
    differing = {
        code: name
        for code, name in theirs.items()
        if name != error_name(code) and RENAMED.get(code) != name
    }
    assert differing == {}


def test_parts_of_a_request_may_be_mappings() -> None:
    """Nested ones too; a name that the request does not have is an error."""
    offsets = MESSAGES["ListOffsets"]
    request, _ = offsets.classes()
    part = {"partition_index": 3, "timestamp": -1}
    body = offsets.written(7, {"topics": [{"name": "t", "partitions": [part]}]})
    (topic,) = request.decode(memoryview(body), version=7).topics
    assert (topic.name, topic.partitions[0].partition_index) == ("t", 3)
    nobody = MESSAGES["DescribeShareGroupOffsets"].written(0, {"groups": [{"group_id": "g"}]})
    assert b"g" in nobody
    with pytest.raises(ValueError, match="colour"):
        offsets.written(7, {"topics": [{"colour": "red"}]})
