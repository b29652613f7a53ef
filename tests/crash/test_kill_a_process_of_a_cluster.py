"""kill -9 of one process of a cluster: the others end and say so; together they go on."""

import random
from pathlib import Path

import pytest

from tests.mqpipe_cluster import Cluster, times, until

INTERVAL_MS = 200
LABELS = ("cluster", "broker", "topic", "consumer_group")

CONFIG = """
mode: simulation
interval: 200ms
simulation:
  seed: 7
  fleets:
    - {name: one, clusters: 4, brokers: 3, topics: 6, groups: 3, pattern: random}
    - {name: two, brokers: 2, topics: 4, groups: 2}
sinks:
  parquet: {path: samples, roll: {rows: 500, every: 1s}}
recovery: {path: state, epoch: 300ms}
metrics: {listen: null}
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "rounds", [2, pytest.param(6, marks=pytest.mark.long("kills a cluster many times"))]
)
def test_cluster_whose_processes_are_killed_has_every_sample_once(
    tmp_path: Path, rounds: int
) -> None:
    """After several kills and restarts the files hold each sample once; no tick is missing."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    chance = random.Random(5)

    def files() -> int:
        return len(list((tmp_path / "samples").rglob("*.parquet")))

    for _ in range(rounds):
        cluster = Cluster(tmp_path, "c.yaml", 2)
        before = files()
        until(lambda before=before: files() > before + chance.randrange(40))  # type: ignore[misc]
        killed = chance.randrange(2)
        cluster.processes[killed].kill()
        other = cluster.wait()[1 - killed]
        assert other.code == 1
        assert "another process of the cluster is gone" in other.err
        assert other.out == ""
    cluster = Cluster(tmp_path, "c.yaml", 2)
    before = files()
    until(lambda: files() > before)
    assert [ended.code for ended in cluster.stop()] == [0, 0]

    for label in LABELS:
        for guid, ticks in times(tmp_path / "samples", label).items():
            assert ticks == list(range(ticks[0], ticks[-1] + 1, INTERVAL_MS)), f"{label} {guid}"
