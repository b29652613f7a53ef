"""Topics with tiered storage on a real broker, whose remote segments Kafka's own LocalTieredStorage keeps."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.cluster_collector import ClusterCollector
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC, TOPIC
from tests.integration.collected_rows import row_of, settings_of, tick
from tests.kafka.cluster import KafkaCluster
from tests.kafka.jars import tiered_jar
from tests.kafka.workload import commit, create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WAIT = 60.0
"""Seconds until segments lie in remote storage and no more on the broker's disk, at most."""

STORAGE = "org.apache.kafka.server.log.remote.storage.LocalTieredStorage"
LOCAL = {
    "remote.storage.enable": "true",
    "local.retention.ms": "1000",
    "segment.ms": "1000",
    "retention.ms": "3600000",
    "retention.bytes": "1000000",
}


@pytest.fixture(scope="module")
def tiered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker with remote storage, which copies and removes at once."""
    remote: Path = tmp_path_factory.mktemp("remote")
    settings = {
        "log.retention.check.interval.ms": "500",
        "log.initial.task.delay.ms": "500",
        "remote.log.storage.system.enable": "true",
        "remote.log.storage.manager.class.name": STORAGE,
        "remote.log.storage.manager.class.path": str(tiered_jar()),
        "remote.log.metadata.manager.listener.name": "PLAINTEXT",
        "remote.log.manager.task.interval.ms": "500",
        "rsm.config.dir": str(remote),
        "rlmm.config.remote.log.metadata.topic.num.partitions": "1",
        "rlmm.config.remote.log.metadata.topic.replication.factor": "1",
    }
    with KafkaCluster(settings=settings) as kafka:
        yield kafka


def offset(kafka: KafkaCluster, topic: str, asked: int) -> int:
    """What Kafka's own tool reports of partition 0."""
    tool = "org.apache.kafka.tools.GetOffsetShell"
    return int(kafka.tool(tool, "--topic", topic, "--time", str(asked)).strip().rsplit(":", 1)[1])


@pytest.mark.timeout(180)
def test_what_is_local_and_what_is_remote_are_told_apart(tiered: KafkaCluster) -> None:
    """As Kafka's own tool reports; a group's remote messages are those it has not read. Nothing is lost."""
    admin = AdminClient({"bootstrap.servers": tiered.bootstrap_servers})
    admin.create_topics([NewTopic("deep", 1, 1, config=LOCAL)])["deep"].result(30)
    plain = create_topic(tiered, 1, name="plain")
    produce(tiered, plain, [10])
    commit(tiered, plain, "other", [4])
    deadline = monotonic() + WAIT
    while not (local := offset(tiered, "deep", -4)):
        assert monotonic() < deadline, tiered.log(1)
        produce(tiered, "deep", [20], size=1_000)
    commit(tiered, "deep", "behind", [7])

    async def run() -> dict[str, object]:
        collector = ClusterCollector(settings_of(tiered, log_dirs=True))
        try:
            # Configurations of the groups' topics are known from the first tick on.
            return dict(await tick(collector, 0))
        finally:
            await collector.close()

    before = local
    found = asyncio.run(run())
    after, end = offset(tiered, "deep", -4), offset(tiered, "deep", -1)
    assert offset(tiered, "deep", -2) == 0
    topic = row_of(found["topics"], TOPIC, "deep")  # type: ignore[arg-type]
    assert topic["topic.retainedMessages"] == end
    assert end - after <= topic["topic.localMessages"] <= end - before
    assert topic["topic.localMessages"] < end
    for entity, name in ((CONSUMER_GROUP, "behind"), (GROUP_TOPIC, "behind/deep")):
        row = row_of(found["groups"], entity, name)  # type: ignore[arg-type]
        assert row["consumerGroup.totalLag"] == end - 7
        assert before - 7 <= row["consumerGroup.remoteMessages"] <= after - 7
    assert row_of(found["topics"], TOPIC, "plain")["topic.localMessages"] is None  # type: ignore[arg-type]
    other = row_of(found["groups"], CONSUMER_GROUP, "other")  # type: ignore[arg-type]
    assert other["consumerGroup.remoteMessages"] is None
