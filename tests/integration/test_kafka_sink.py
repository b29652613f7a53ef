"""The Kafka sink against a real broker: everything arrives, whatever happens on the way."""

import asyncio
import json
import signal
import threading
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from operators.schema.ipc import decode
from operators.schema.metrics import TOPIC
from sinks.delivery import Parcel, RetryLater
from sinks.events import DeliveryRetried, SamplesDelivered
from sinks.kafka.destination import Kafka
from sinks.kafka.settings import KafkaSettings
from sinks.spool.settings import SpoolSettings
from sinks.spool.sink import SpooledSink
from tests.kafka.cluster import Kafka as KafkaFixture
from tests.kafka.cluster import KafkaCluster
from tests.kafka.topics import consume, new_topic
from tests.mqpipe import mqpipe, samples, start, wait_for_log
from tests.samples import INTERVAL, NEW_YEAR, numbered
from tests.sink_jobs import job_in

pytestmark = pytest.mark.kafka

CONFIG = """
mode: simulation
interval: 100ms
simulation: {{seed: 1, fleets: [{{name: a, clusters: 2, topics: 200}}]}}
sinks:
  parquet: {{path: samples}}
  kafka: {{bootstrap_servers: "{bootstrap}", topic: samples, spool: {{path: spool}}}}
recovery: {{path: state, epoch: 300ms}}
shutdown: {{grace: 5s}}
metrics: {{listen: null}}
"""


def settings(bootstrap: str, path: Path, topic: str, **more: Any) -> KafkaSettings:
    spool = SpoolSettings(path=path / "spool")
    return KafkaSettings(bootstrap_servers=bootstrap, topic=topic, spool=spool, **more)


def deliver(kafka: KafkaSettings, path: Path, *batches: pa.RecordBatch, grace: float = 60) -> None:
    """Through the sink's partitions, as the engine calls them."""
    sink = SpooledSink(Kafka(kafka), kafka.spool, job_in(path, grace_left=lambda: grace))
    part = sink.build_part("step", "spool-0", None)
    part.write_batch(list(batches))
    part.snapshot()
    part.close()


def numbers(messages: list[Any]) -> list[int]:
    names = [n for m in messages for n in decode(m.value()).column("entity_name").to_pylist()]
    return sorted(int(name.rpartition("/")[2]) for name in names)


def test_a_message_says_what_it_is(kafka: KafkaFixture, tmp_path: Path) -> None:
    """Key, timestamp, headers, and a topic that was made for it."""
    topic = f"made-{uuid.uuid4().hex[:8]}"
    sink = settings(kafka.bootstrap_servers, tmp_path, topic, partitions=3)
    first, second = numbered([5, 4], "prod"), numbered([6], "test", TOPIC)
    deliver(sink, tmp_path, first, second)
    messages = {m.key(): m for m in consume(kafka.bootstrap_servers, topic)}
    assert messages.keys() == {b"prod", b"test"}
    assert decode(messages[b"prod"].value()).to_pylist() == first.to_pylist()
    assert decode(messages[b"test"].value()).to_pylist() == second.to_pylist()
    assert messages[b"prod"].timestamp()[1] == NEW_YEAR + 4 * INTERVAL
    assert dict(messages[b"test"].headers()) == {
        "mqpipe.schema_version": b"2",
        "mqpipe.entity_type": b"MESSAGE_QUEUE_TOPIC",
    }
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    config = admin.describe_configs([resource])[resource].result()
    assert config["compression.type"].value == "producer"
    assert len(admin.list_topics(topic).topics[topic].partitions) == 3


def test_a_topic_that_is_there_is_left_as_it_is(kafka: KafkaFixture, tmp_path: Path) -> None:
    """Also one that takes only small messages: they are made smaller, and nothing is lost."""
    topic = new_topic(kafka.bootstrap_servers, max_message_bytes="20000")
    sink = settings(kafka.bootstrap_servers, tmp_path, topic)
    deliver(sink, tmp_path, numbered(range(2000)), numbered(range(2000, 2100)))
    messages = consume(kafka.bootstrap_servers, topic)
    assert numbers(messages) == list(range(2100))
    assert max(len(m.value()) for m in messages) <= 20_000
    assert not (tmp_path / "dead").exists()


@pytest.mark.slow
def test_an_outage_is_waited_for(mended_kafka: KafkaCluster, tmp_path: Path) -> None:
    """The broker dies before anything was sent, and comes back: everything arrives."""
    topic = "samples"
    delivered, retried = threading.Event(), threading.Event()

    def listener(event: object) -> None:
        if isinstance(event, SamplesDelivered):
            delivered.set()
        if isinstance(event, DeliveryRetried):
            retried.set()

    cluster = mended_kafka
    sink = settings(
        cluster.bootstrap_servers, tmp_path, topic, client={"message.timeout.ms": 2_000}
    )
    job = job_in(tmp_path, listener=listener, grace_left=lambda: 60.0)
    spooled = SpooledSink(Kafka(sink), sink.spool, job)
    part = spooled.build_part("step", "spool-0", None)
    part.write_batch([numbered(range(10))])
    part.snapshot()
    assert delivered.wait(60)
    cluster.kill(1)
    part.write_batch([numbered(range(10, 20))])
    part.snapshot()
    assert retried.wait(60)
    cluster.start(1)
    part.close()
    assert set(numbers(consume(cluster.bootstrap_servers, topic))) == set(range(20))


@pytest.mark.slow
def test_what_a_broker_that_dies_in_a_drain_does_not_take_is_redelivered(
    mended_kafka: KafkaCluster, tmp_path: Path
) -> None:
    """The run ends well and in time all the same, and says what waits; then it has all rows."""
    cluster = mended_kafka
    (tmp_path / "c.yaml").write_text(CONFIG.format(bootstrap=cluster.bootstrap_servers))
    run = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(run, "topic created")
    run.send_signal(signal.SIGTERM)
    wait_for_log(run, "draining")
    cluster.kill(1)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert json.loads(err.splitlines()[-1])["unsent_bytes"] > 0
    cluster.start(1)
    redelivered = mqpipe(tmp_path, "redeliver", "c.yaml")
    assert redelivered.code == 0, redelivered.err
    sent = consume(cluster.bootstrap_servers, "samples")
    rows = {
        (row["entity_guid"], row["timestamp"])
        for m in sent
        for row in decode(m.value()).to_pylist()
    }
    for label in ("cluster", "broker", "topic", "consumer_group", "group_topic"):
        frame = samples(tmp_path / "samples", label)
        written = set(frame.select("entity_guid", "timestamp").iter_rows())
        assert written
        assert written <= rows, label


def test_a_cluster_that_is_not_there_is_no_success(tmp_path: Path) -> None:
    """The failure says so and can be tried again; nothing ends in silence."""
    destination = Kafka(
        settings("127.0.0.1:1", tmp_path, "absent", client={"socket.timeout.ms": 1_000})
    )
    (parcel,) = destination.pack((numbered([1]),), None, 0)

    async def send(parcel: Parcel) -> None:
        await destination.start()
        try:
            await destination.send(parcel)
        finally:
            await destination.stop()

    with pytest.raises(RetryLater, match="topic `absent` cannot be described"):
        asyncio.run(send(parcel))
