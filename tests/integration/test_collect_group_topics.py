"""Groups on topics, topics' configurations and fenced brokers of real clusters."""

import asyncio
import time

import pytest

from operators.collect.cluster_collector import ClusterCollector
from operators.schema.arrow import Only
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, TOPIC
from tests.integration.collected_rows import collect_once, row_of, rows_of, settings_of, tick
from tests.integration.test_derive_collected import two_ticks
from tests.kafka.brokers_view import wait_until_balanced, wait_until_out
from tests.kafka.cluster import Kafka, KafkaCluster
from tests.kafka.tool_answers import described_group
from tests.kafka.topics import new_topic
from tests.kafka.workload import commit, create_topic, produce

pytestmark = pytest.mark.kafka


def test_a_groups_rows_by_topic_are_what_kafkas_own_tool_says(kafka: Kafka) -> None:
    """Lag, commits and ends of each topic; they sum to the group's and to the topics'."""
    one, other = create_topic(kafka, 2), create_topic(kafka, 1)
    group = f"group-{one}"
    produce(kafka, one, [30, 20])
    produce(kafka, other, [7])
    commit(kafka, one, group, [10, 20])
    commit(kafka, other, group, [3])
    found = collect_once(settings_of(kafka))
    reported = described_group(kafka, group)
    for topic in (one, other):
        row = row_of(found["groups"], GROUP_TOPIC, f"{group}/{topic}")
        of_topic = [t for t in reported if t["TOPIC"] == topic]
        for column, field in (
            ("consumerGroup.totalLag", "LAG"),
            ("consumerGroup.committedOffset", "CURRENT-OFFSET"),
            ("consumerGroup.endOffset", "LOG-END-OFFSET"),
        ):
            assert row[column] == sum(int(t[field]) for t in of_topic)
        assert row["consumerGroup.maxLag"] == max(int(t["LAG"]) for t in of_topic)
        assert row["consumerGroup.activeConsumers"] == 0
        of_group = row_of(found["topics"], TOPIC, topic)["topic.consumerLag"]
        assert of_group == row["consumerGroup.totalLag"]
    whole = row_of(found["groups"], CONSUMER_GROUP, group)
    assert whole["consumerGroup.totalLag"] == 24


def test_rows_that_are_left_out_are_reported_once(
    kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    """The largest lags have the rows; the rest is named in one line, however many ticks there are."""
    topics = [create_topic(kafka, 1) for _ in range(3)]
    for number, topic in enumerate(topics):
        produce(kafka, topic, [10 * (number + 1)])
        commit(kafka, topic, f"group-{topics[0]}", [0])

    async def run() -> tuple[list[str], tuple[str, ...]]:
        groups = {"include": [f"^group-{topics[0]}$"]}
        collector = ClusterCollector(settings_of(kafka, group_topics=2, groups=groups))
        try:
            found = [await tick(collector, number) for number in range(2)]
        finally:
            await collector.close()
        rows = rows_of(found[-1]["groups"], GROUP_TOPIC)
        return [row["topic"] for row in rows], collector.notes

    with_rows, notes = asyncio.run(run())
    assert set(with_rows) == set(topics[1:])
    (note,) = notes
    assert "allows for 2 rows: the 1 with the least lag have none" in note
    logged = [r for r in caplog.records if r.getMessage() == "too many groups and topics"]
    assert len(logged) == 1


def test_events_that_are_left_out_are_reported_once(
    kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    """Of topics on brokers, where somebody takes such events: in one line, however many ticks there are."""
    topics = [create_topic(kafka, 1) for _ in range(2)]
    produce(kafka, topics[0], [10])

    async def run(*beside: Only) -> tuple[str, ...]:
        include = {"include": [f"^{topic}$" for topic in topics]}
        settings = settings_of(kafka, broker_topics=1, topics=include, log_dirs=True)
        collector = ClusterCollector(settings, beside=frozenset(beside))
        try:
            for number in range(2):
                await tick(collector, number)
        finally:
            await collector.close()
        return collector.notes

    (note,) = asyncio.run(run(Only.EVENTS))
    assert "`broker_topics` allows for 1 events of a broker on a topic: 1, of the topics" in note
    logged = [r for r in caplog.records if r.getMessage() == "too many topics on brokers"]
    assert len(logged) == 1
    assert asyncio.run(run()) == ()


def test_topics_report_how_they_are_configured(kafka: Kafka) -> None:
    """What was given, and what the broker has by default."""
    topic = new_topic(
        kafka.bootstrap_servers, 2, min_insync_replicas="1", retention_ms="3600000",
        retention_bytes="123456", cleanup_policy="delete,compact",
    )  # fmt: skip
    plain = create_topic(kafka, 1)
    found = collect_once(settings_of(kafka))
    row = row_of(found["topics"], TOPIC, topic)
    assert row["topic.minInSyncReplicas"] == 1
    assert row["topic.retentionMs"] == 3_600_000
    assert row["topic.retentionBytes"] == 123_456
    assert row["topic.cleanupPolicy"] == "compact,delete"
    assert row["topic.inSyncReplicas"] == 2
    row = row_of(found["topics"], TOPIC, plain)
    assert (row["topic.retentionMs"], row["topic.retentionBytes"]) == (604_800_000, -1)
    assert row["topic.cleanupPolicy"] == "delete"
    (cluster,) = rows_of(found["brokers"], CLUSTER)
    assert cluster["cluster.fencedBrokerCount"] == 0


@pytest.mark.slow
def test_leaders_that_were_elected_are_reported(mended_kafka3: KafkaCluster) -> None:
    """By the metadata: of the cluster, and at the broker that its page calls the controller."""
    create_topic(mended_kafka3, 6, 3)
    wait_until_balanced(mended_kafka3, lambda: None)
    pages = {id_: url for id_, url in mended_kafka3.metrics_urls.items() if id_ != 3}

    def without_its_leaders() -> None:
        mended_kafka3.stop(3)
        wait_until_out(mended_kafka3, 3)  # As each of the others knows it, whichever is asked.

    settings = settings_of(mended_kafka3, broker_metrics=pages)
    first, second, seconds = two_ticks(settings, without_its_leaders)
    (before,), (after,) = (rows_of(found["brokers"], CLUSTER) for found in (first, second))
    assert before["cluster.leaderElectionsPerSecond"] is None
    # Two of the six partitions were led by it.
    elected = after["cluster.leaderElectionsPerSecond"]
    assert elected >= 2 / seconds
    rows = rows_of(second["brokers"], BROKER)
    assert {
        row["replication.leaderElectionPerSecond"] for row in rows if row["broker.isController"]
    } == {elected}
    assert sum(row["replication.leaderElectionPerSecond"] for row in rows) == elected


@pytest.mark.slow
def test_a_broker_that_died_is_fenced(mended_kafka3: KafkaCluster) -> None:
    """It is counted, its replicas are not in sync; both come back with it."""
    topic = create_topic(mended_kafka3, 3, 3)

    def of_tick() -> tuple[int, list[int]]:
        found = collect_once(settings_of(mended_kafka3))
        (cluster,) = rows_of(found["brokers"], CLUSTER)
        # A broker that has just begun may answer before it knows of the topic.
        rows = [row for row in rows_of(found["topics"], TOPIC) if row["topic"] == topic]
        return cluster["cluster.fencedBrokerCount"], [row["topic.inSyncReplicas"] for row in rows]

    def until(expected: tuple[int, list[int]]) -> None:
        end = time.monotonic() + 60
        while (seen := of_tick()) != expected:
            assert time.monotonic() < end, seen

    until((0, [9]))
    mended_kafka3.kill(3)
    until((1, [6]))
    mended_kafka3.start(3)
    until((0, [9]))
