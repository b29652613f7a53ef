"""`mqpipe init --from-cluster`: a real cluster measured, and a fleet like it."""

from pathlib import Path

import pytest

import flows.init_from_cluster
from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.init_from_cluster import init_from_cluster
from flows.loading import load, parse
from tests.kafka.cluster import KafkaCluster
from tests.kafka.workload import commit, create_topic, produce
from tests.mqpipe import mqpipe

pytestmark = pytest.mark.kafka


def config_of(servers: str) -> Config:
    text = f"mode: infrastructure\nclusters: [{{name: real, bootstrap_servers: '{servers}'}}]\n"
    return parse(Config, text, "config", {})


def test_a_fleet_is_like_the_cluster(
    kafka3: KafkaCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its brokers, the topic with its partitions and replicas, and the group that reads it."""
    monkeypatch.setattr(flows.init_from_cluster, "_MEASURED", 0.1)
    topic = create_topic(kafka3, 4, 2)
    produce(kafka3, topic, [10, 10, 10, 10])
    commit(kafka3, topic, f"group-{topic}", [1, 1, 1, 1])
    file = tmp_path / "sim.yaml"
    assert init_from_cluster(file, config_of(kafka3.bootstrap_servers), "real") == 0
    (fleet,) = load(Config, file).simulation.fleets
    assert fleet.name == "sim-real"
    assert fleet.brokers == (1, 2, 3)
    assert not isinstance(fleet.topics, int)
    assert not isinstance(fleet.groups, int)
    (found,) = [t for t in fleet.topics if t.name == topic]
    assert (found.partitions, found.replication_factor) == (4, 2)
    assert found.messages_per_second == 0
    (group,) = [g for g in fleet.groups if g.name == f"group-{topic}"]
    assert group.topics == (topic,)


def test_what_is_written_passes_the_check_whatever_groups_are_called(
    kafka3: KafkaCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a/b` beside `a:b`, and ids that are longer than a topic's name may be."""
    monkeypatch.setattr(flows.init_from_cluster, "_MEASURED", 0.1)
    topic = create_topic(kafka3, 1, 1)
    produce(kafka3, topic, [1])
    odd = ["a/b", "a:b", "a-b", "x" * 300, "x" * 301, "${HOME}", "\x1b[31m\r"]
    for group in odd:
        commit(kafka3, topic, group, [1])
    file = tmp_path / "sim.yaml"
    assert init_from_cluster(file, config_of(kafka3.bootstrap_servers), "real") == 0
    checked = mqpipe(tmp_path, "check", "sim.yaml")
    assert checked.code == 0, checked.err
    (fleet,) = load(Config, file).simulation.fleets
    assert not isinstance(fleet.groups, int)
    assert len([g for g in fleet.groups if topic in g.topics]) == len(odd)


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that the config has not, and one that cannot be reached: no file is written."""
    monkeypatch.setattr(flows.init_from_cluster, "_TIMEOUT", 5.0)
    file = tmp_path / "sim.yaml"
    config = config_of("127.0.0.1:1")
    with pytest.raises(UsageError, match="no cluster `other` in the config; there are: real"):
        init_from_cluster(file, config, "other")
    with pytest.raises(CommandError, match="Connection refused"):
        init_from_cluster(file, config, "real")
    assert not file.exists()
