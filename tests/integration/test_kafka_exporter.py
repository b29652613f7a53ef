"""The page by kafka_exporter's names beside kafka_exporter's own, of the same brokers."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.peers import kafka_exporter
from tests.http_scrapes import get
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, delete_topic, member, produce
from tests.kafka_exporter import FAMILIES, OWN
from tests.mqpipe import start, stop
from tests.ports import PortClaim

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

CONFIG = """
mode: infrastructure
interval: 2s
clusters:
  - {{name: real, bootstrap_servers: "{servers}", topics: {{exclude: []}}}}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state}}
metrics: {{listen: "127.0.0.1:{port}", compatible: kafka_exporter}}
"""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(url: str) -> Series:
    """What a page has of Kafka, without the label `cluster`, which only mqpipe's has."""
    found: Series = {}
    for family in text_string_to_metric_families(get(url).text):
        if not family.name.startswith("kafka_") or family.name.startswith(OWN):
            continue
        assert family.type == "gauge"
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if k != "cluster")
            assert (sample.name, labels) not in found
            found[sample.name, labels] = sample.value
    return found


@pytest.fixture(scope="module")
def workload(kafka3: KafkaCluster) -> Iterator[list[str]]:
    """Topics that were and were not read: by a member, by a group without any, and in part."""
    names = [create_topic(kafka3, 3, replicas) for replicas in (1, 3, 3)]
    for name, counts in zip(names, ([5, 1, 7], [4, 0, 2], [1, 1, 1]), strict=True):
        produce(kafka3, name, counts)
    commit(kafka3, names[0], "exporter-gone", [2, 1])
    with member(kafka3, "exporter-live", names[1]) as consumer:
        offsets = [TopicPartition(names[1], 0, 3), TopicPartition(names[1], 2, 1)]
        consumer.commit(offsets=offsets, asynchronous=False)
        yield names
    for name in names:
        delete_topic(kafka3, name)


@contextmanager
def running(folder: Path, kafka: KafkaCluster) -> Iterator[str]:
    """A job's page, once it has what the groups' second tick found."""
    with PortClaim() as claim:
        text = CONFIG.format(servers=kafka.bootstrap_servers, port=claim.port)
        (folder / "c.yaml").write_text(text)
        process = start(folder, "run", "c.yaml")
        url = f"http://127.0.0.1:{claim.port}/metrics"
        try:
            end = time.monotonic() + 60
            while not _has_all(url) and time.monotonic() < end:
                assert process.poll() is None
                time.sleep(0.2)
            yield url
        finally:
            ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]


def _has_all(url: str) -> bool:
    try:
        return {name for name, _ in series(url)} >= FAMILIES.keys()
    except OSError:
        return False


def test_a_page_has_kafka_exporters_names_and_labels_and_no_others(
    kafka3: KafkaCluster, workload: list[str], tmp_path: Path
) -> None:
    """Each family that kafka_exporter has of a cluster, with its labels."""
    with running(tmp_path, kafka3) as url:
        found = series(url)
    assert {name: frozenset(k for k, _ in labels) for name, labels in found} == FAMILIES
    of = {"consumergroup": "exporter-gone", "topic": workload[0]}
    unread = frozenset({**of, "partition": "2"}.items())
    assert found["kafka_consumergroup_lag_sum", frozenset(of.items())] == 3 + 0
    assert found["kafka_consumergroup_current_offset_sum", frozenset(of.items())] == 2 + 1 - 1
    assert found["kafka_consumergroup_lag", unread] == -1


@pytest.mark.long("takes a peer: kafka_exporter, whose binary KAFKA_EXPORTER names")
def test_a_page_says_what_kafka_exporter_says(
    kafka3: KafkaCluster, workload: list[str], tmp_path: Path
) -> None:
    """Every series of either is one of the other, with the same value, from the same brokers."""
    binary = os.environ.get("KAFKA_EXPORTER") or shutil.which("kafka_exporter")
    if binary is None:
        pytest.skip("neither KAFKA_EXPORTER nor the path names kafka_exporter's binary")
    with (
        running(tmp_path, kafka3) as url,
        kafka_exporter(Path(binary), kafka3.bootstrap_servers) as theirs,
    ):
        assert theirs.url is not None
        ours = series(url)
        reported: Series = {}
        for _ in range(5):  # one of its pages may lack the series that it made last
            reported |= series(theirs.url)
    assert {name for name, _ in reported} == FAMILIES.keys()
    assert {topic for _, labels in reported for k, topic in labels if k == "topic"} >= {*workload}
    assert ours == reported
