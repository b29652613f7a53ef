"""Brokers of other versions are collected from: what they know is reported, and what they don't is null."""

import pytest

from operators.schema.metrics import CONSUMER_GROUP, PARTITION_OFFSET, TOPIC
from tests.integration.collected_rows import collect_once, row_of, rows_of, settings_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.groups import live_streams_member
from tests.kafka.tool_answers import described_group, group_members, group_state, total_lag
from tests.kafka.workload import commit, create_topic, member, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]


def test_topics_groups_and_members_equal_kafkas_tools(other_kafka: KafkaCluster) -> None:
    """Lag, offsets, states and members; a group's type from Kafka 3.8 on."""
    kafka = other_kafka
    topic = create_topic(kafka, 3)
    produce(kafka, topic, [5, 0, 7])
    idle, live = f"idle-{topic}", f"live-{topic}"
    commit(kafka, topic, idle, [2, 0, 7])
    with member(kafka, live, topic):
        found = collect_once(settings_of(kafka, partition_offsets=True, log_dirs=True))
        state, members = group_state(kafka, live), group_members(kafka, live)
        described = described_group(kafka, idle)
    assert [collected.error for collected in found.values()] == [None, None, None]
    of_topic = row_of(found["topics"], TOPIC, topic)
    assert (of_topic["topic.offset"], of_topic["topic.retainedMessages"]) == (12, 12)
    assert of_topic["topic.diskSize"] > 0
    row = row_of(found["groups"], CONSUMER_GROUP, idle)
    assert row["consumerGroup.totalLag"] == total_lag(described) == 3
    assert row["consumerGroup.state"] == "Empty"
    types = {"2.8.2": None}
    assert row["consumerGroup.type"] == types.get(kafka.version, "classic")
    row = row_of(found["groups"], CONSUMER_GROUP, live)
    assert row["consumerGroup.state"] == state["STATE"] == "Stable"
    assert row["consumerGroup.assignedPartitions"] == int(members[0]["#PARTITIONS"]) == 3
    hosts = {
        r["consumer.clientHost"]
        for r in rows_of(found["groups"], PARTITION_OFFSET)
        if r["consumer_group"] == live
    }
    assert hosts == {members[0]["HOST"]}


@pytest.mark.parametrize("other_kafka", ["4.4.0"], indirect=True)
def test_a_static_member_of_a_streams_group_is_reported(other_kafka: KafkaCluster) -> None:
    """Brokers take one from 4.4.0 on; it has the partitions of its active tasks."""
    topic = create_topic(other_kafka, 2)
    commit(other_kafka, topic, f"idle-{topic}", [0, 0])  # So that there are coordinators.
    group = f"static-{topic}"
    with live_streams_member(other_kafka, group, topic, static_id="one"):
        found = collect_once(settings_of(other_kafka, partition_offsets=True))["groups"]
    row = row_of(found, CONSUMER_GROUP, group)
    assert (row["consumerGroup.type"], row["consumerGroup.state"]) == ("streams", "Stable")
    assert (row["consumerGroup.activeConsumers"], row["consumerGroup.assignedPartitions"]) == (1, 2)
    ids = [
        (r["partition"], r["consumer.staticId"])
        for r in rows_of(found, PARTITION_OFFSET)
        if r["consumer_group"] == group
    ]
    assert sorted(ids) == [(0, "one"), (1, "one")]
