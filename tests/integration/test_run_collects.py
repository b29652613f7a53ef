"""`mqpipe run` against real brokers: its samples say what Kafka's own tools say."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.cluster import KafkaCluster
from tests.mqpipe import mqpipe, samples, start, stop, wait_for_log
from tests.mqpipe_cluster import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

CONFIG = """
mode: {mode}
interval: 4s
clusters:
  - name: real
    environment: test
    bootstrap_servers: {bootstrap}
    {more}
sinks:
  parquet: {{path: samples, roll: {{every: 1s}}}}
recovery: {{path: state, epoch: 1s}}
metrics: {{listen: null}}
{end}
"""


def config(
    folder: Path, cluster: KafkaCluster, mode: str = "infrastructure", more: str = "", end: str = ""
) -> str:
    text = CONFIG.format(mode=mode, bootstrap=cluster.bootstrap_servers, more=more, end=end)
    (folder / "c.yaml").write_text(text)
    return "c.yaml"


@pytest.fixture(scope="module")
def topics(kafka3: KafkaCluster) -> Iterator[list[str]]:
    """Three topics with messages, and a group `run-billing` that has committed some of them."""
    admin = AdminClient({"bootstrap.servers": kafka3.bootstrap_servers})
    names = ["run-orders", "run-events", "run-idle"]
    created = admin.create_topics([NewTopic(n, 4, 3) for n in names])
    for future in created.values():
        future.result(30)
    producer = Producer({"bootstrap.servers": kafka3.bootstrap_servers})
    for number in range(1000):
        producer.produce("run-orders", b"x" * 100, key=str(number).encode())
        producer.produce("run-events", b"y" * 50, partition=number % 3)
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": kafka3.bootstrap_servers, "group.id": "run-billing"})
    commits = [TopicPartition("run-events", p, 100 + p) for p in range(3)]
    consumer.commit(offsets=commits, asynchronous=False)
    consumer.close()
    yield names
    for future in admin.delete_topics(names).values():
        future.result(30)


def last(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("timestamp") == frame["timestamp"].max())


def test_offsets_lag_partitions_and_leaders_equal_kafkas_own_tools(
    kafka3: KafkaCluster, topics: list[str], tmp_path: Path
) -> None:
    """What Parquet holds of the last tick is what kafka-topics and kafka-consumer-groups say."""
    more = "partition_offsets: true"
    ended = mqpipe(tmp_path, "run", config(tmp_path, kafka3, more=more), "--for", "5s")
    assert ended.code == 0, ended.err[-4000:]
    described = kafka3.tool("org.apache.kafka.tools.TopicCommand", "--describe")
    leaders = re.findall(r"Topic: (\S+)\s+Partition: \d+\s+Leader: (\d+)", described)
    grouped = kafka3.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        *("--describe", "--group", "run-billing"),
    )
    rows = re.findall(
        r"^run-billing\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", grouped, re.MULTILINE
    )
    offsets = {(topic, int(p)): tuple(map(int, rest)) for topic, p, *rest in rows}
    assert len(offsets) == 3

    by_topic = {
        row["topic"]: row for row in last(samples(tmp_path / "samples", "topic")).to_dicts()
    }
    for topic in topics:
        assert by_topic[topic]["topic.partitionCount"] == 4
        assert by_topic[topic]["topic.replicationFactor"] == 3
        assert by_topic[topic]["topic.offset"] == (0 if topic == "run-idle" else 1000)
        assert by_topic[topic]["topic.underReplicatedPartitions"] == 0
    assert not [name for name in by_topic if name.startswith("__")]

    brokers = last(samples(tmp_path / "samples", "broker")).to_dicts()
    led = {row["broker_id"]: row["broker.leaderCount"] for row in brokers}
    assert led == {b: sum(int(x) == b for _, x in leaders) for b in kafka3.broker_ids}
    assert all(row["origin"] == "collected" for row in brokers)

    partitions = last(samples(tmp_path / "samples", "partition_offset"))
    found = {
        (row["topic"], row["partition"]): (
            row["consumer.offset"],
            row["consumer.hwm"],
            row["consumer.lag"],
        )
        for row in partitions.filter(pl.col("consumer_group") == "run-billing").to_dicts()
    }
    assert {key: found[key] for key in offsets} == offsets

    [group] = (
        last(samples(tmp_path / "samples", "consumer_group"))
        .filter(pl.col("consumer_group") == "run-billing")
        .to_dicts()
    )
    assert group["consumerGroup.totalLag"] == sum(lag for *_, lag in offsets.values())
    assert group["consumerGroup.state"] == "Empty"

    cluster = last(samples(tmp_path / "samples", "cluster")).to_dicts()[0]
    assert cluster["cluster.activeBrokerCount"] == 3
    assert cluster["cluster.availability"] == 100
    ticks = samples(tmp_path / "samples", "collection")
    assert ticks.filter(pl.col("collection.ok") != 1).is_empty()
    assert ticks.height == 3 * 2


def wait_for_origin(folder: Path, topic: str, origin: str) -> None:
    """Until a file has a sample of a topic that is of this origin."""

    def is_there() -> bool:
        found = samples(folder / "samples", "topic")
        wanted = (pl.col("topic") == topic) & (pl.col("origin") == origin)
        return not found.is_empty() and not found.filter(wanted).is_empty()

    until(is_there)


def test_expected_entities_that_do_not_exist_are_filled_until_they_do(
    kafka3: KafkaCluster, topics: list[str], tmp_path: Path
) -> None:
    """Each tick has one sample of an expected topic: filled until it exists, collected after."""
    more = "expect: {brokers: [1, 2, 3, 9], topics: [run-later]}"
    file = config(tmp_path, kafka3, "hybrid", more, "fill: {grace: 3500ms}")
    process = start(tmp_path, "run", file, "--no-live")
    wait_for_log(process, "run started")
    wait_for_origin(tmp_path, "run-later", "filled")
    admin = AdminClient({"bootstrap.servers": kafka3.bootstrap_servers})
    admin.create_topics([NewTopic("run-later", 2, 3)])["run-later"].result(30)
    wait_for_origin(tmp_path, "run-later", "collected")
    ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]
    admin.delete_topics(["run-later"])["run-later"].result(30)

    later = samples(tmp_path / "samples", "topic").filter(pl.col("topic") == "run-later")
    origins = later.sort("timestamp")["origin"].to_list()
    changes = [a for a, b in zip(origins, [None, *origins], strict=False) if a != b]
    assert changes == ["filled", "collected"], origins
    every = later["timestamp"].cast(pl.Int64).sort().to_list()
    assert every == list(range(every[0], every[-1] + 1, 4000))
    missing = samples(tmp_path / "samples", "broker").filter(pl.col("broker_id") == 9)
    assert set(missing["origin"]) == {"filled"}
    assert missing.height == len(every)
    for label in ("broker", "topic", "cluster", "consumer_group"):
        frame = samples(tmp_path / "samples", label).filter(~pl.col("late"))
        assert frame.select("entity_guid", "timestamp").is_unique().all()
