"""Several processes as one cluster: they start, end and are rescaled together."""

from pathlib import Path

import pytest

from tests.mqpipe import mqpipe, wait_for_log
from tests.mqpipe_cluster import Cluster, times, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

INTERVAL_MS = 500
EXPECTED = {"cluster": 6, "broker": 15 + 2, "topic": 20 + 1, "consumer_group": 10 + 1}
"""How many entities of each type there are: those of the fleet, and what is filled."""

CONFIG = """
mode: hybrid
interval: 500ms
clusters:
  - name: down
    bootstrap_servers: 127.0.0.1:1
    expect: {brokers: [1, 2], topics: [orders], groups: [billing]}
simulation:
  seed: 7
  fleets:
    - {name: sim, clusters: 5, brokers: 3, topics: 4, groups: 2}
sinks:
  parquet: {path: samples, roll: {rows: 1000, every: 2s}}
recovery: {path: state, epoch: 500ms}
metrics: {listen: null}
"""


def newest(folder: Path) -> int:
    """The last tick (ms) that a published file has of any simulated cluster; 0 without files.

    And 0 where a file goes while it is read: a restart takes back what no state knows of.
    """
    try:
        found = times(folder / "samples", "cluster")
    except FileNotFoundError:
        return 0
    return max((ticks[-1] for ticks in found.values()), default=0)


def test_rescaled_cluster_has_every_sample_once(tmp_path: Path) -> None:
    """2, 3, then 1 process with 2 workers on one store: no tick is lost, no sample is doubled."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    for processes, options in ((2, ()), (3, ()), (1, ("--workers", "2"))):
        before = newest(tmp_path)
        cluster = Cluster(tmp_path, "c.yaml", processes, *options)
        until(lambda before=before: newest(tmp_path) > before + 2_000)  # type: ignore[misc]
        for ended in cluster.stop():
            assert ended.code == 0, ended.err[-4000:]
            assert ended.out == ""

    for label, entities in EXPECTED.items():
        found = times(tmp_path / "samples", label)
        assert len(found) == entities
        for guid, ticks in found.items():
            assert ticks == list(range(ticks[0], ticks[-1] + 1, INTERVAL_MS)), f"{label} {guid}"
    runs = {file.name.split("-sim")[0] for file in (tmp_path / "samples").rglob("*-sim*")}
    assert len(runs) == 1


def test_one_process_asked_to_end_ends_them_all(tmp_path: Path) -> None:
    """A drain of one is a drain of the cluster: every process ends with 0."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    cluster = Cluster(tmp_path, "c.yaml", 2)
    until(lambda: newest(tmp_path) > 0)
    cluster.processes[1].terminate()
    assert [ended.code for ended in cluster.wait()] == [0, 0]


def test_process_that_waits_for_others_ends_when_asked(tmp_path: Path) -> None:
    """Before the cluster is complete nothing is under way: SIGTERM ends the process with 0."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    cluster = Cluster(tmp_path, "c.yaml", 2, only=[1])
    wait_for_log(cluster.processes[0], "retrying")
    [ended] = cluster.stop()
    assert ended.code == 0, ended.err[-4000:]


def test_state_of_a_cluster_is_not_for_others(tmp_path: Path) -> None:
    """Who comes while any process of a cluster lives is refused, whatever its number."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    cluster = Cluster(tmp_path, "c.yaml", 2, only=[1])
    refused = mqpipe(tmp_path, "run", "c.yaml", "--no-live")
    cluster.stop()
    assert refused.code == 1
    assert "another mqpipe uses this state" in refused.err
