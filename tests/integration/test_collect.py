"""What is collected from a real cluster equals what Kafka's own tools say of it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer, TopicPartition

from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, PARTITION_OFFSET, TOPIC
from tests.integration.collected_rows import collect_once, row_of, rows_of, settings_of
from tests.kafka.cluster import Kafka
from tests.kafka.tool_answers import (
    described_group,
    described_topic,
    end_offsets,
    group_members,
    group_state,
    listed_groups,
    total_lag,
)
from tests.kafka.workload import commit, create_topic, delete_topic, member, produce

pytestmark = pytest.mark.kafka


def test_topics_equal_kafka_topics(kafka: Kafka) -> None:
    """Partitions, replicas, leaders and end offsets are those of Kafka's tools."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 0, 7])
    row = row_of(collect_once(settings_of(kafka))["topics"], TOPIC, topic)
    described = described_topic(kafka, topic)
    assert row["topic.partitionCount"] == len(described)
    assert row["topic.replicationFactor"] == len(described[0]["Replicas"].split(","))
    assert row["topic.underReplicatedPartitions"] == 0
    assert row["topic.offlinePartitions"] == 0
    assert row["topic.respondsToMetadataRequests"] == 1
    assert row["topic.offset"] == sum(end_offsets(kafka, topic).values()) == 12
    assert row["topic.retainedMessages"] == 12


def test_a_group_without_members_equals_kafka_consumer_groups(kafka: Kafka) -> None:
    """A group that only ever committed has its lag, state and type."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 0, 7])
    group = f"group-{topic}"
    commit(kafka, topic, group, [2, 0, 7])
    row = row_of(collect_once(settings_of(kafka))["groups"], CONSUMER_GROUP, group)
    described = described_group(kafka, group)
    assert row["consumerGroup.totalLag"] == total_lag(described) == 3
    assert row["consumerGroup.maxLag"] == 3
    assert row["consumerGroup.committedOffset"] == 9
    assert row["consumerGroup.state"] == group_state(kafka, group)["STATE"] == "Empty"
    assert row["consumerGroup.type"] == listed_groups(kafka)[group] == "classic"
    assert row["consumerGroup.activeConsumers"] == 0


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_equals_kafka_consumer_groups(kafka: Kafka, protocol: str) -> None:
    """Members, assignment, state, type and lag of classic and of KIP-848 groups."""
    topic = create_topic(kafka)
    produce(kafka, topic, [5, 1, 7])
    group = f"group-{topic}"
    more = {"group.protocol": protocol}
    with member(kafka, group, topic, **more) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        consumer.poll(0.5)
        collected = collect_once(settings_of(kafka, partition_offsets=True))["groups"]
        state = group_state(kafka, group)
        members = group_members(kafka, group)
        described = described_group(kafka, group)
    row = row_of(collected, CONSUMER_GROUP, group)
    assert row["consumerGroup.state"] == state["STATE"] == "Stable"
    assert row["consumerGroup.activeConsumers"] == int(state["#MEMBERS"]) == 1
    assert row["consumerGroup.assignedPartitions"] == int(members[0]["#PARTITIONS"]) == 3
    assert row["consumerGroup.type"] == protocol
    assert row["consumerGroup.totalLag"] == total_lag(described) == 2
    partitions = {
        str(r["partition"]): r
        for r in rows_of(collected, PARTITION_OFFSET)
        if r["consumer_group"] == group
    }
    for reported in described:
        found = partitions[reported["PARTITION"]]
        assert _or_dash(found["consumer.offset"]) == reported["CURRENT-OFFSET"]
        assert _or_dash(found["consumer.lag"]) == reported["LAG"]
        assert _or_dash(found["consumer.hwm"]) == reported["LOG-END-OFFSET"]


def test_brokers_have_their_partitions(kafka: Kafka) -> None:
    """The one broker leads all partitions and holds them."""
    topic = create_topic(kafka)
    found = collect_once(settings_of(kafka))["brokers"]
    (broker,) = rows_of(found, BROKER)
    assert broker["broker.leaderCount"] == broker["broker.partitionCount"] >= 3
    assert broker["entity_name"] == f"real/broker-{broker['broker_id']}"
    assert described_topic(kafka, topic)[0]["Leader"] == str(broker["broker_id"])


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def test_a_group_outlives_its_members(kafka: Kafka) -> None:
    """When the last member has left, the group is Empty and its lag goes on to be reported."""
    topic = create_topic(kafka, 1)
    produce(kafka, topic, [5])
    group = f"group-{topic}"
    with member(kafka, group, topic) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    produce(kafka, topic, [4])
    row = row_of(collect_once(settings_of(kafka))["groups"], CONSUMER_GROUP, group)
    assert row["consumerGroup.state"] == group_state(kafka, group)["STATE"] == "Empty"
    assert row["consumerGroup.totalLag"] == total_lag(described_group(kafka, group)) == 7
    assert row["consumerGroup.activeConsumers"] == 0


def test_a_group_that_never_committed_has_members_and_no_lag(kafka: Kafka) -> None:
    """As in Kafka's tool: its partitions are there with an end offset and without a lag."""
    topic = create_topic(kafka, 1)
    produce(kafka, topic, [5])
    group = f"group-{topic}"
    with member(kafka, group, topic):
        collected = collect_once(settings_of(kafka, partition_offsets=True))["groups"]
        (reported,) = described_group(kafka, group)
    row = row_of(collected, CONSUMER_GROUP, group)
    assert row["consumerGroup.activeConsumers"] == 1
    assert row["consumerGroup.totalLag"] is None
    (partition,) = [r for r in rows_of(collected, PARTITION_OFFSET) if r["topic"] == topic]
    assert [reported["CURRENT-OFFSET"], reported["LAG"]] == ["-", "-"]
    assert partition["consumer.lag"] is None
    assert partition["consumer.hwm"] == int(reported["LOG-END-OFFSET"]) == 5


def test_a_deleted_topic_is_gone_and_its_groups_are_not(kafka: Kafka) -> None:
    """No sample of the topic, and a lag of its group over what is left."""
    gone, left = create_topic(kafka, 1), create_topic(kafka, 1)
    produce(kafka, left, [5])
    group = f"group-{left}"
    for topic in (gone, left):
        commit(kafka, topic, group, [0])
    delete_topic(kafka, gone)
    found = collect_once(settings_of(kafka))
    assert gone not in [r["topic"] for r in rows_of(found["topics"], TOPIC)]
    row = row_of(found["groups"], CONSUMER_GROUP, group)
    assert row["consumerGroup.totalLag"] == total_lag(described_group(kafka, group)) == 5


def test_an_open_transaction_counts_as_kafka_counts_it(kafka: Kafka) -> None:
    """End offsets and lag are by the high-water mark, as in Kafka's tool."""
    topic = create_topic(kafka, 1)
    group = f"group-{topic}"
    commit(kafka, topic, group, [0])
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"tx-{topic}"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(topic, b"not yet")
    producer.flush(30)
    try:
        row = row_of(collect_once(settings_of(kafka))["groups"], CONSUMER_GROUP, group)
        assert row["consumerGroup.totalLag"] == total_lag(described_group(kafka, group)) == 3
    finally:
        producer.abort_transaction(30)


def test_include_and_exclude_choose_topics_and_groups(kafka: Kafka) -> None:
    """Only what is selected has samples; what was left out is still counted in the cluster."""
    topic, other = create_topic(kafka, 1), create_topic(kafka, 1)
    for name in (topic, other):
        commit(kafka, name, f"group-{name}", [0])
    found = collect_once(
        settings_of(
            kafka,
            topics={"include": [f"^{topic}$"]},
            groups={"exclude": [f"^(?!group-{topic}$)"]},
        )
    )
    assert [r["topic"] for r in rows_of(found["topics"], TOPIC)] == [topic]
    assert [r["consumer_group"] for r in rows_of(found["groups"], CONSUMER_GROUP)] == [
        f"group-{topic}"
    ]
    (cluster,) = rows_of(found["brokers"], CLUSTER)
    assert cluster["cluster.globalTopicCount"] >= 2


@contextmanager
def traffic(kafka: Kafka, group: str, topic: str) -> Iterator[None]:
    """A producer and a consumer that commits, at work in threads of their own."""
    over = threading.Event()

    def produce_on() -> None:
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        while not over.is_set():
            for partition in range(3):
                producer.produce(topic, b"on and on", partition=partition)
            producer.flush(10)

    def consume_on() -> None:
        with member(kafka, group, topic) as consumer:
            joined.set()
            while not over.is_set():
                if consumer.consume(10, timeout=0.1):
                    consumer.commit(asynchronous=False)

    joined = threading.Event()
    with ThreadPoolExecutor() as threads:
        work = [threads.submit(produce_on), threads.submit(consume_on)]
        try:
            assert joined.wait(60)
            yield
        finally:
            over.set()
            for done in work:
                done.result(60)


def test_while_all_runs_what_is_reported_lies_between_what_kafka_reports(kafka: Kafka) -> None:
    """Ends and commits are between those that Kafka's tool shows before and after."""
    topic = create_topic(kafka)
    group = f"group-{topic}"
    with traffic(kafka, group, topic):
        while any(row["CURRENT-OFFSET"] == "-" for row in described_group(kafka, group)):
            pass
        before = described_group(kafka, group)
        found = collect_once(settings_of(kafka, partition_offsets=True))
        after = described_group(kafka, group)
    row = row_of(found["groups"], CONSUMER_GROUP, group)
    assert row["consumerGroup.state"] == "Stable"
    assert row["consumerGroup.activeConsumers"] == 1
    for column, reported in (
        ("consumer.offset", "CURRENT-OFFSET"),
        ("consumer.hwm", "LOG-END-OFFSET"),
    ):
        partitions = [r for r in rows_of(found["groups"], PARTITION_OFFSET) if r["topic"] == topic]
        total = sum(partition[column] for partition in partitions)
        assert _total(before, reported) <= total <= _total(after, reported)
    assert row["consumerGroup.totalLag"] >= 0
    of_topic = row_of(found["topics"], TOPIC, topic)
    assert _total(before, "LOG-END-OFFSET") <= of_topic["topic.offset"]
    assert of_topic["topic.offset"] <= _total(after, "LOG-END-OFFSET")


def _total(described: list[dict[str, str]], column: str) -> int:
    return sum(int(row[column]) for row in described)
