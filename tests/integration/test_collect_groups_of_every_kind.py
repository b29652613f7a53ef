"""Groups of every kind, live, empty and gone: each figure equals what Kafka's own tools say."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from operators.schema.metrics import CONSUMER_GROUP, PARTITION_OFFSET
from operators.ticks import Collected
from tests.conftest import started
from tests.integration.collected_rows import collect_once, rows_of, settings_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.groups import (
    PATIENT,
    STREAMS_TOPIC,
    hang,
    rebalancing,
    share_member,
    streams_member,
)
from tests.kafka.tool_answers import (
    GROUPS,
    SHARE_GROUPS,
    STREAMS_GROUPS,
    described_groups,
    end_offsets,
    groups_of_every_kind,
)
from tests.kafka.workload import commit, create_topic, member, produce

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(1200),
    pytest.mark.long("starts members of every kind by Kafka's own programs, which takes minutes"),
]

TOOLS = {
    "classic": GROUPS,
    "consumer": GROUPS,
    "share": SHARE_GROUPS,
    "streams": STREAMS_GROUPS,
}
"""By a group's type: the tool that describes it."""

Rows = Mapping[str, list[dict[str, str]]]


@dataclass(frozen=True)
class Reported:
    """What Kafka's tools say of one group: its type and its rows."""

    type: str
    state: dict[str, str]
    offsets: list[dict[str, str]]
    members: list[dict[str, str]]


@dataclass(frozen=True)
class Found:
    """A tick of a cluster with groups of every kind, and what the tools said of each by its name."""

    collected: Collected
    reported: Mapping[str, Reported]

    def row(self, group: str) -> dict[str, Any]:
        (row,) = [
            r for r in rows_of(self.collected, CONSUMER_GROUP) if r["consumer_group"] == group
        ]
        return row

    def partitions(self, group: str) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (row["topic"], str(row["partition"])): row
            for row in rows_of(self.collected, PARTITION_OFFSET)
            if row["consumer_group"] == group
        }


def reported_by_the_tools(kafka: KafkaCluster) -> dict[str, Reported]:
    said = {
        (tool, what): described_groups(kafka, tool, f"--{what}", *more)
        for tool in (GROUPS, SHARE_GROUPS, STREAMS_GROUPS)
        for what, *more in (("state",), ("members",), ("offsets", "--verbose"))
        if not (tool == GROUPS and more and what != "offsets")
    }
    found = {}
    for group, kind in groups_of_every_kind(kafka).items():
        state, members, offsets = (
            said[TOOLS[kind], what].get(group, []) for what in ("state", "members", "offsets")
        )
        if kind == "streams" and not members:
            # The tool has rows of what members have, and none where there are no members.
            offsets = offsets_of_a_group_without_members(kafka, group)
        found[group] = Reported(kind, state[0], offsets, members)
    return found


def offsets_of_a_group_without_members(kafka: KafkaCluster, group: str) -> list[dict[str, str]]:
    """Rows as the tool would write them, from librdkafka's commits and kafka-get-offsets' ends."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    committed = asked[group].result(30).topic_partitions or []
    ends = {topic: end_offsets(kafka, topic) for topic in {c.topic for c in committed}}
    return [
        {
            "TOPIC": c.topic,
            "PARTITION": str(c.partition),
            "CURRENT-OFFSET": str(c.offset),
            "OFFSET-LAG": str(ends[c.topic][c.partition] - c.offset),
        }
        for c in committed
    ]


def look(kafka: KafkaCluster) -> Found:
    reported = reported_by_the_tools(kafka)
    collected = collect_once(settings_of(kafka, partition_offsets=True))["groups"]
    return Found(collected, reported)


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with started(lambda: KafkaCluster(settings=PATIENT)) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def found(cluster: KafkaCluster) -> Iterator[Found]:
    """Each kind live and empty; those that do nothing but commit; one that rebalances."""
    create_topic(cluster, 2, name=STREAMS_TOPIC)
    produce(cluster, STREAMS_TOPIC, [4, 2])
    topics = {}
    for group in ("classic", "consumer", "share"):
        for how in ("live", "empty"):
            topics[f"{group}-{how}"] = topic = create_topic(cluster)
            produce(cluster, topic, [5, 1, 7])
    with ExitStack() as live:
        for protocol in ("classic", "consumer"):
            for how in ("live", "empty"):
                group = f"{protocol}-{how}"
                with ExitStack() as until_it_leaves:
                    stack = live if how == "live" else until_it_leaves
                    more = {"group.protocol": protocol, "client.id": f"reads-{group}"}
                    if how == "live":
                        more["group.instance.id"] = f"static-{group}"
                    consumer = stack.enter_context(member(cluster, group, topics[group], **more))
                    committed = [TopicPartition(topics[group], p, 3 - 2 * p) for p in (0, 1)]
                    consumer.commit(offsets=committed, asynchronous=False)
        with share_member(cluster, "share-empty", topics["share-empty"]):
            pass
        with streams_member(cluster, "streams-empty"):
            pass
        hang(live.enter_context(share_member(cluster, "share-live", topics["share-live"])))
        hang(live.enter_context(streams_member(cluster, "streams-live")))
        commit(cluster, topics["classic-live"], "only-commits", [2, 1, 7])
        live.enter_context(rebalancing(cluster, "classic-rebalancing", topics["classic-live"]))
        for group in ("share-empty", "share-live"):
            produce(cluster, topics[group], [2, 0, 3])
        produce(cluster, STREAMS_TOPIC, [1, 6])
        yield look(cluster)


LIVE = ("classic-live", "consumer-live", "share-live", "streams-live")
EMPTY = ("classic-empty", "consumer-empty", "share-empty", "streams-empty", "only-commits")
GROUPS_FOUND = (*LIVE, *EMPTY, "classic-rebalancing")


def test_every_group_that_kafka_lists_has_a_sample(found: Found) -> None:
    """And no other has: `kafka-groups --list` is the measure."""
    groups = [row["consumer_group"] for row in rows_of(found.collected, CONSUMER_GROUP)]
    assert sorted(groups) == sorted(found.reported) == sorted(GROUPS_FOUND)


@pytest.mark.parametrize("group", GROUPS_FOUND)
def test_type_state_and_members_are_those_of_the_tools(found: Found, group: str) -> None:
    """As written there; a group that only commits is classic and Empty."""
    row, reported = found.row(group), found.reported[group]
    assert row["consumerGroup.type"] == reported.type
    assert row["consumerGroup.state"] == reported.state["STATE"]
    assert row["consumerGroup.activeConsumers"] == int(reported.state["#MEMBERS"])
    expected = {"live": "Stable", "empty": "Empty", "commits": "Empty"}
    kind, _, how = group.rpartition("-")
    assert reported.state["STATE"] == expected.get(how, "PreparingRebalance")
    assert reported.type == (kind if kind in TOOLS else "classic")


@pytest.mark.parametrize("group", [g for g in GROUPS_FOUND if g != "classic-rebalancing"])
def test_lag_and_offsets_are_those_of_the_tools(found: Found, group: str) -> None:
    """Each partition's and their sums; null where a tool writes a dash."""
    row, reported, partitions = found.row(group), found.reported[group], found.partitions(group)
    share, streams = reported.type == "share", reported.type == "streams"
    lag, offset = (
        ("OFFSET-LAG" if streams else "LAG"),
        ("START-OFFSET" if share else "CURRENT-OFFSET"),
    )
    lags = [int(r[lag]) for r in reported.offsets if r[lag] != "-"]
    offsets = [int(r[offset]) for r in reported.offsets if r[offset] != "-"]
    assert lags
    assert sum(lags) > 0
    assert row["consumerGroup.totalLag"] == sum(lags)
    assert row["consumerGroup.maxLag"] == max(lags)
    assert row["consumerGroup.committedOffset"] == (None if share else sum(offsets))
    for of_tool in reported.offsets:
        partition = partitions[of_tool["TOPIC"], of_tool["PARTITION"]]
        assert or_dash(partition["consumer.offset"]) == of_tool[offset]
        assert or_dash(partition["consumer.lag"]) == of_tool[lag]


@pytest.mark.parametrize("group", ["classic-live", "consumer-live"])
def test_members_and_assignor_are_those_of_the_tool(found: Found, group: str) -> None:
    """Who has each partition: client id, host and static id."""
    reported, partitions = found.reported[group], found.partitions(group)
    static = {row["CONSUMER-ID"]: row["GROUP-INSTANCE-ID"] for row in reported.members}
    assert found.row(group)["consumerGroup.assignor"] == reported.state["ASSIGNMENT-STRATEGY"]
    assert len(reported.offsets) == found.row(group)["consumerGroup.assignedPartitions"] == 3
    for of_tool in reported.offsets:
        partition = partitions[of_tool["TOPIC"], of_tool["PARTITION"]]
        assert partition["consumer.clientId"] == of_tool["CLIENT-ID"] == f"reads-{group}"
        assert f"/{partition['consumer.clientHost'].lstrip('/')}" == of_tool["HOST"]
        assert partition["consumer.staticId"] == static[of_tool["CONSUMER-ID"]]
        assert partition["consumer.staticId"] == f"static-{group}"


def test_only_a_group_that_rebalances_says_so(found: Found) -> None:
    """The classic one whose first member does not join again."""
    flags = {group: found.row(group)["consumerGroup.rebalancing"] for group in GROUPS_FOUND}
    assert flags == {group: int(group == "classic-rebalancing") for group in GROUPS_FOUND}


def test_a_commit_beyond_the_end_is_no_lag(cluster: KafkaCluster) -> None:
    """As when the topic was recreated: Kafka's tool reports a negative number, mqpipe 0."""
    topic = create_topic(cluster, 1)
    produce(cluster, topic, [5])
    commit(cluster, topic, "beyond", [7])
    after = look(cluster)
    assert [row["LAG"] for row in after.reported["beyond"].offsets] == ["-2"]
    assert after.row("beyond")["consumerGroup.totalLag"] == 0
    cluster.tool(GROUPS, "--delete", "--group", "beyond")


def or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def test_deleted_groups_are_gone(cluster: KafkaCluster, found: Found) -> None:
    """Of each kind: Kafka's tools list them no more, and there is no sample of them."""
    for group in EMPTY:
        cluster.tool(TOOLS[found.reported[group].type], "--delete", "--group", group)
    after = look(cluster)
    groups = {row["consumer_group"] for row in rows_of(after.collected, CONSUMER_GROUP)}
    assert groups == after.reported.keys() == set(GROUPS_FOUND) - set(EMPTY)
