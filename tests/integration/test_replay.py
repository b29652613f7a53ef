"""Replay from a real broker: the recorded rows, all of them, once, whatever lies between them."""

import json
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, cluster_main
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.drain import Drain
from operators.recorded.operator import recorded
from operators.recorded.plan import ReplayError, ReplayPlan, replay_plan
from operators.recorded.source import RecordedSource
from operators.schema.ipc import encode
from operators.schema.kafka import MESSAGE_SPAN, KafkaConnection
from operators.schema.metrics import TOPIC
from operators.schema.unreadable import UnreadableMessage
from sinks.kafka.destination import Kafka as KafkaTopic
from sinks.kafka.settings import KafkaSettings
from sinks.parquet.direct import DirectParquet
from sinks.parquet.settings import ParquetSettings
from sinks.spool.settings import SpoolSettings
from sinks.spool.sink import SpooledSink
from tests.captured_logs import captured_logs
from tests.kafka.cluster import Kafka
from tests.kafka.topics import new_topic, produce
from tests.samples import INTERVAL, NEW_YEAR, numbered, numbers_in, published
from tests.sink_jobs import job_in

pytestmark = pytest.mark.kafka

FAR = 2 * NEW_YEAR


def connection(kafka: Kafka) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=kafka.bootstrap_servers)


def plan_of(kafka: Kafka, topic: str, start: int = 0, end: int = FAR) -> ReplayPlan:
    return replay_plan(connection(kafka), topic, start, end)


def replay(kafka: Kafka, plan: ReplayPlan, path: Path, workers: int = 1) -> list[UnreadableMessage]:
    """Runs a replay into Parquet; gives the messages that could not be read."""
    source = RecordedSource(connection(kafka), plan, Drain())
    unreadable: list[tuple[str, UnreadableMessage]] = []
    flow = Dataflow("replay")
    samples, others = recorded("recorded", flow, source)
    parts = source.list_parts()
    op.output("parquet", samples, DirectParquet(ParquetSettings(path=str(path)), parts, "r"))
    op.output("unreadable", others, TestingSink(unreadable))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    assert source.read == plan.messages
    return [message for _, message in unreadable]


def rows_in(path: Path) -> list[dict[str, Any]]:
    rows = [row for file in published(path) for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["entity_guid"], row["timestamp"]))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replay_gives_the_rows_that_the_sink_recorded(
    kafka: Kafka, tmp_path: Path, workers: int
) -> None:
    """Of all clusters and entity types, from all partitions, over any number of workers."""
    topic = new_topic(kafka.bootstrap_servers, partitions=4)
    batches: list[pa.RecordBatch] = []
    for n in range(20):
        numbers = range(n * 10, n * 10 + 10)
        batches.append(numbered(numbers, f"c-{n % 5}"))
        batches.append(numbered(numbers, f"c-{n % 5}", TOPIC))
    settings = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        topic=topic,
        spool=SpoolSettings(path=tmp_path / "spool"),
    )
    job = job_in(tmp_path, grace_left=lambda: 60.0)
    sink = SpooledSink(KafkaTopic(settings), settings.spool, job)
    part = sink.build_part("s", "spool-0", None)
    part.write_batch(batches)
    part.snapshot()
    part.close()

    assert replay(kafka, plan_of(kafka, topic), tmp_path / "replayed", workers) == []
    recorded_rows = [row for batch in batches for row in batch.to_pylist()]
    recorded_rows.sort(key=lambda row: (row["entity_guid"], row["timestamp"]))
    assert rows_in(tmp_path / "replayed") == recorded_rows


def test_a_range_is_of_the_samples_timestamps(kafka: Kafka, tmp_path: Path) -> None:
    """From `start` on and before `end`, also out of messages that begin earlier or come late."""
    topic = new_topic(kafka.bootstrap_servers, partitions=2)
    hour = MESSAGE_SPAN // INTERVAL
    blocks = [range(n, n + 60) for n in range(0, 6 * hour, 60)]
    late = blocks.pop(5)
    messages = [
        (i % 2, NEW_YEAR + b[0] * INTERVAL, encode(numbered(b))) for i, b in enumerate(blocks)
    ]
    messages.append((0, NEW_YEAR + late[0] * INTERVAL, encode(numbered(late))))
    produce(kafka.bootstrap_servers, topic, messages)
    first, after = 3 * hour + 7, 4 * hour + 9
    assert late[0] < first
    start, end = NEW_YEAR + first * INTERVAL, NEW_YEAR + after * INTERVAL
    plan = plan_of(kafka, topic, start, end)
    assert all(stretch.start > 0 for stretch in plan.stretches)
    assert replay(kafka, plan, tmp_path) == []
    assert numbers_in(tmp_path) == list(range(first, after))


def test_a_replay_ends_where_the_topic_ended_when_it_began(kafka: Kafka, tmp_path: Path) -> None:
    """What comes later is not read."""
    topic = new_topic(kafka.bootstrap_servers)
    produce(kafka.bootstrap_servers, topic, [(0, NEW_YEAR, encode(numbered([1])))])
    plan = plan_of(kafka, topic)
    produce(kafka.bootstrap_servers, topic, [(0, NEW_YEAR, encode(numbered([2])))])
    replay(kafka, plan, tmp_path)
    assert numbers_in(tmp_path) == [1]


def test_messages_that_cannot_be_read_are_set_aside(kafka: Kafka, tmp_path: Path) -> None:
    """With topic, partition, offset, bytes and reason; everything else is replayed."""
    topic = new_topic(kafka.bootstrap_servers, partitions=2)
    whole = encode(numbered([3]))
    event = {
        "eventType": "KafkaBrokerSample",
        "clusterName": "c",
        "brokerId": 4,
        "request.handlerIdle": 0.9,
    }
    values = [
        (0, encode(numbered([1]))),
        (0, b"\x00garbage"),
        (0, whole[: len(whole) // 2]),
        (1, b""),
        (0, json.dumps([event, {"eventType": "Nonsense"}]).encode()),
        (1, encode(numbered([2]))),
    ]
    produce(kafka.bootstrap_servers, topic, [(p, NEW_YEAR, value) for p, value in values])
    unreadable = replay(kafka, plan_of(kafka, topic), tmp_path)
    names = [row["entity_name"] for row in rows_in(tmp_path)]
    assert sorted(names) == ["c/broker-4", "sim-eu/1", "sim-eu/2"]
    found = {(m.source, m.partition, m.offset): m.data for m in unreadable}
    assert found == {
        (topic, 0, 1): values[1][1],
        (topic, 0, 2): values[2][1],
        (topic, 0, 3): values[4][1],
        (topic, 1, 0): b"",
    }
    assert all(message.reason for message in unreadable)


def test_messages_that_the_topic_no_longer_has_are_reported(kafka: Kafka, tmp_path: Path) -> None:
    """The topic's retention deleted them after the replay began; the rest is replayed."""
    topic = new_topic(kafka.bootstrap_servers)
    values = [(0, NEW_YEAR, encode(numbered([n]))) for n in range(10)]
    produce(kafka.bootstrap_servers, topic, values)
    plan = plan_of(kafka, topic)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    upto = TopicPartition(topic, 0, 4)
    admin.delete_records([upto])[upto].result()
    with captured_logs() as logs:
        replay(kafka, plan, tmp_path)
    assert numbers_in(tmp_path) == list(range(4, 10))
    assert [line["event"] for line in logs if line["level"] == "warning"] == [
        "messages are gone from the topic, going on with the first that is there"
    ]


def test_a_topic_that_was_recreated_is_not_taken_for_the_one_that_was_recorded(
    kafka: Kafka,
) -> None:
    """Offsets begin again: to go on with them would give other rows, and some of them twice."""
    topic = new_topic(kafka.bootstrap_servers)
    values = [(0, NEW_YEAR, encode(numbered([n]))) for n in range(10)]
    produce(kafka.bootstrap_servers, topic, values)
    plan = plan_of(kafka, topic)
    again(kafka, topic)
    produce(kafka.bootstrap_servers, topic, values[:5])
    source = RecordedSource(connection(kafka), plan, Drain())
    part = source.build_part("step", f"{topic}-0", (1, 7))
    with pytest.raises(ReplayError, match="offset 7 is gone, and offset 0 comes again"):
        list(iter(part.next_batch, None))
    part.close()


def test_a_topic_that_is_shorter_than_it_was_is_waited_for_and_reported(kafka: Kafka) -> None:
    """So that who waits knows for what."""
    topic = new_topic(kafka.bootstrap_servers)
    value = (0, NEW_YEAR, encode(numbered([0])))
    produce(kafka.bootstrap_servers, topic, [value, value])
    plan = plan_of(kafka, topic)
    again(kafka, topic)
    produce(kafka.bootstrap_servers, topic, [value])
    part = RecordedSource(connection(kafka), plan, Drain()).build_part("step", f"{topic}-0", None)
    with captured_logs() as logs:
        while not logs:
            part.next_batch()
    part.close()
    assert [line["error"] for line in logs] == ["it ends before offset 2, where it had ended"]


def again(kafka: Kafka, topic: str) -> None:
    """Delete a topic, and recreate it."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.delete_topics([topic])[topic].result()
    new = NewTopic(topic, num_partitions=1, config={"retention.ms": "-1"})
    made = False
    while not made:
        try:
            admin.create_topics([new])[topic].result()
            made = True
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def test_an_empty_topic_and_an_empty_range_end_at_once(kafka: Kafka, tmp_path: Path) -> None:
    """There is nothing to wait for."""
    topic = new_topic(kafka.bootstrap_servers, partitions=3)
    assert plan_of(kafka, topic).messages == 0
    replay(kafka, plan_of(kafka, topic), tmp_path)
    produce(kafka.bootstrap_servers, topic, [(0, NEW_YEAR, encode(numbered([1])))])
    assert plan_of(kafka, topic, NEW_YEAR + 2 * MESSAGE_SPAN, FAR).messages == 0


def test_a_topic_that_is_not_there_is_named(kafka: Kafka) -> None:
    """It is not created by looking for it."""
    for _ in range(2):
        with pytest.raises(ReplayError, match="topic `no-such-topic` cannot be read"):
            plan_of(kafka, "no-such-topic")
