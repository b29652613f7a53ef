"""Groups that are under way: their states are those of Kafka's tools, and what is not known is null."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from operators.schema.metrics import CONSUMER_GROUP, PARTITION_OFFSET
from tests.integration.collected_rows import collect_once, rows_of, settings_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.groups import (
    assigning,
    live_streams_member,
    never_read,
    not_ready,
    reconciling,
    share_from_the_end,
)
from tests.kafka.tool_answers import GROUPS, SHARE_GROUPS, STREAMS_GROUPS, described_groups
from tests.kafka.workload import commit, create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]

STATES = {
    "assigning": "Assigning",
    "reconciling": "Reconciling",
    "not-ready": "NotReady",
    "never-read": "Stable",
}


@dataclass(frozen=True)
class Found:
    """A tick's rows of each group, and what the tools said of it."""

    rows: Mapping[str, Mapping[str, Any]]
    partitions: list[dict[str, Any]]
    states: Mapping[str, str]
    shared: Mapping[str, list[dict[str, str]]]
    streams: Mapping[str, list[dict[str, str]]]
    """The rows of `kafka-share-groups --describe --offsets` and of `kafka-streams-groups`'."""

    def offsets(self, group: str) -> dict[int, tuple[int | None, int | None]]:
        """A group's offset and lag in each partition."""
        return {
            of["partition"]: (of["consumer.offset"], of["consumer.lag"])
            for of in self.partitions
            if of["consumer_group"] == group
        }


@pytest.fixture(scope="module")
def found(eager_kafka: KafkaCluster) -> Iterator[Found]:
    """By hand, for a moment of any other client: members that stand still."""
    kafka = eager_kafka
    with ExitStack() as live:
        topic = create_topic(kafka, 4)
        produce(kafka, topic, [5, 1, 7, 2])
        commit(kafka, topic, "others", [0] * 4)  # Now there are coordinators.
        live.enter_context(assigning(kafka, "assigning", topic))
        live.enter_context(reconciling(kafka, "reconciling", topic))
        live.enter_context(not_ready(kafka, "not-ready"))
        live.enter_context(never_read(kafka, "never-read", topic))
        read = create_topic(kafka)
        produce(kafka, read, [5, 1, 7])
        share_from_the_end(kafka, "shares", read)
        live.enter_context(live_streams_member(kafka, "streams", read, commits=[3, 1, 7]))
        produce(kafka, read, [2, 0, 3])
        tools = (GROUPS, SHARE_GROUPS, STREAMS_GROUPS)
        states = {
            group: rows[0]["STATE"]
            for tool in tools
            for group, rows in described_groups(kafka, tool, "--state").items()
        }
        shared = described_groups(kafka, SHARE_GROUPS, "--offsets")
        streams = described_groups(kafka, STREAMS_GROUPS, "--offsets", "--verbose")
        groups = collect_once(settings_of(kafka, partition_offsets=True))["groups"]
        rows = {row["consumer_group"]: row for row in rows_of(groups, CONSUMER_GROUP)}
        yield Found(rows, rows_of(groups, PARTITION_OFFSET), states, shared, streams)


@pytest.mark.parametrize("group", STATES)
def test_states_are_those_of_kafkas_tools(found: Found, group: str) -> None:
    """As written there."""
    state = found.rows[group]["consumerGroup.state"]
    assert state == found.states[group] == STATES[group]


@pytest.mark.parametrize("group", STATES)
def test_a_group_whose_partitions_change_hands_says_so(found: Found, group: str) -> None:
    """One that waits for a topic does not: nothing moves."""
    moves = group in ("assigning", "reconciling")
    assert found.rows[group]["consumerGroup.rebalancing"] == moves
    members = {"assigning": 2, "reconciling": 2}.get(group, 1)
    assert found.rows[group]["consumerGroup.activeConsumers"] == members


def test_the_lag_of_a_share_group_is_that_of_kafkas_tool(found: Found) -> None:
    """And its offset is where it starts; it has no commits."""
    reported = {
        int(row["PARTITION"]): (int(row["START-OFFSET"]), int(row["LAG"]))
        for row in found.shared["shares"]
    }
    assert found.offsets("shares") == reported == {0: (5, 2), 1: (1, 0), 2: (7, 3)}
    row = found.rows["shares"]
    assert (row["consumerGroup.type"], row["consumerGroup.state"]) == ("share", "Empty")
    assert (row["consumerGroup.totalLag"], row["consumerGroup.committedOffset"]) == (5, None)


def test_the_lag_of_a_streams_group_is_that_of_kafkas_tool(found: Found) -> None:
    """By what its member committed."""
    reported = {
        int(row["PARTITION"]): (int(row["CURRENT-OFFSET"]), int(row["OFFSET-LAG"]))
        for row in found.streams["streams"]
    }
    assert found.offsets("streams") == reported == {0: (3, 4), 1: (1, 0), 2: (7, 3)}
    row = found.rows["streams"]
    assert (row["consumerGroup.type"], row["consumerGroup.state"]) == ("streams", "Stable")
    assert (row["consumerGroup.totalLag"], row["consumerGroup.committedOffset"]) == (7, 11)


def test_a_share_group_that_is_not_initialised_has_no_lag(found: Found) -> None:
    """Where Kafka's tool writes a dash: it never read, though there are messages and a member."""
    assert {(row["START-OFFSET"], row["LAG"]) for row in found.shared["never-read"]} == {("-", "-")}
    row = found.rows["never-read"]
    assert (row["consumerGroup.type"], row["consumerGroup.assignedPartitions"]) == ("share", 4)
    assert row["consumerGroup.totalLag"] is None
    assert row["consumerGroup.maxLag"] is None
    assert row["consumerGroup.committedOffset"] is None
    offsets = {
        (of["consumer.offset"], of["consumer.lag"])
        for of in found.partitions
        if of["consumer_group"] == "never-read"
    }
    assert offsets == {(None, None)}
