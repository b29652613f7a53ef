"""Topics with tiered storage on a real broker, whose remote segments Kafka's own LocalTieredStorage keeps."""

import asyncio
from time import monotonic, sleep

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.cluster_collector import ClusterCollector
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC, TOPIC
from tests.integration.collected_rows import row_of, settings_of, tick
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WAIT = 60.0
"""Seconds until segments lie in remote storage and no more on the broker's disk, at most."""

PAUSE = 0.5
"""Seconds between messages, which the broker moves a segment at a time."""

LOCAL = {
    "remote.storage.enable": "true",
    "local.retention.ms": "1000",
    "segment.ms": "1000",
    "retention.ms": "3600000",
    "retention.bytes": "1000000",
}


def offset(kafka: KafkaCluster, topic: str, asked: int) -> int:
    """What Kafka's own tool reports of partition 0."""
    tool = "org.apache.kafka.tools.GetOffsetShell"
    return int(kafka.tool(tool, "--topic", topic, "--time", str(asked)).strip().rsplit(":", 1)[1])


@pytest.mark.timeout(180)
def test_what_is_local_and_what_is_remote_are_told_apart(eager_kafka: KafkaCluster) -> None:
    """As Kafka's own tool reports; a group's remote messages are those it has not read. Nothing is lost."""
    tiered = eager_kafka
    admin = AdminClient({"bootstrap.servers": tiered.bootstrap_servers})
    admin.create_topics([NewTopic("deep", 1, 1, config=LOCAL)])["deep"].result(30)
    plain = create_topic(tiered, 1, name="plain")
    produce(tiered, plain, [10])
    commit(tiered, plain, "other", [4])
    deadline = monotonic() + WAIT
    first = tiered.log_dir(1) / "deep-0" / f"{0:020}.log"
    while first.exists():
        assert monotonic() < deadline, tiered.log(1)
        produce(tiered, "deep", [20], size=1_000)
        sleep(PAUSE)
    commit(tiered, "deep", "behind", [7])

    async def run() -> dict[str, object]:
        collector = ClusterCollector(settings_of(tiered, log_dirs=True))
        try:
            # Configurations of the groups' topics are known from the first tick on.
            return dict(await tick(collector, 0))
        finally:
            await collector.close()

    before = offset(tiered, "deep", -4)
    assert before > 0
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
