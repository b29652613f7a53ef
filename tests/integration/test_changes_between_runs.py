"""Clusters, fleets and intervals that change between two runs on the same state."""

import socket
from pathlib import Path

import polars as pl
import pytest

from tests.mqpipe import kill, mqpipe, samples, start
from tests.mqpipe_cluster import until

pytestmark = pytest.mark.timeout(120)

CONFIG = """
mode: {mode}
interval: {interval}
{clusters}
simulation: {{seed: 5, fleets: [{fleets}]}}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state, epoch: 500ms}}
metrics: {{listen: null}}
"""


def run(
    folder: Path, fleets: str, interval: str = "500ms", clusters: str = "", seconds: str = "3s"
) -> None:
    named = ", ".join(f"{{name: {name}, topics: 2, groups: 1}}" for name in fleets.split())
    collected = ", ".join(
        f"{{name: {name}, bootstrap_servers: '127.0.0.1:1'}}" for name in clusters.split()
    )
    text = CONFIG.format(
        mode="hybrid" if clusters else "simulation",
        interval=interval,
        fleets=named,
        clusters=f"clusters: [{collected}]" if clusters else "",
    )
    (folder / "c.yaml").write_text(text)
    ended = mqpipe(folder, "run", "c.yaml", "--no-live", "--for", seconds)
    assert ended.code == 0, ended.err[-6000:]


def ticks(folder: Path, cluster: str) -> list[int]:
    frame = samples(folder / "samples", "cluster").filter(pl.col("cluster_name") == cluster)
    assert frame.select("entity_guid", "timestamp").is_unique().all()
    return frame["timestamp"].cast(pl.Int64).sort().to_list()


def test_fleets_come_and_go_and_what_stays_keeps_its_state(tmp_path: Path) -> None:
    """What stays has every tick over the restart; what left ends; what is new begins."""
    run(tmp_path, "stays leaves", clusters="down gone")
    left = ticks(tmp_path, "leaves")
    run(tmp_path, "stays comes", clusters="down fresh")
    stays = ticks(tmp_path, "stays")
    assert stays == list(range(stays[0], stays[-1] + 1, 500))
    assert ticks(tmp_path, "leaves") == left
    assert ticks(tmp_path, "comes")[0] > left[-1]
    run(tmp_path, "stays leaves", clusters="down")
    back = ticks(tmp_path, "leaves")
    assert back[: len(left)] == left
    assert back[len(left)] - left[-1] > 3000, "a fleet that comes back starts over"


def test_a_cluster_that_hangs_can_be_taken_out_after_a_crash(tmp_path: Path) -> None:
    """Its ticks that were under way go with it, and the job starts without it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / "c.yaml").write_text(
            "mode: hybrid\ninterval: 500ms\n"
            f"clusters: [{{name: hangs, bootstrap_servers: '127.0.0.1:{port}'}}]\n"
            "sinks: {parquet: {path: samples, roll: {every: 1s}}}\n"
            "recovery: {path: state, epoch: 500ms}\nmetrics: {listen: null}\n"
        )
        process = start(tmp_path, "run", "c.yaml", "--no-live")
        until(lambda: bool(list((tmp_path / "samples" / "type=collection").rglob("*.parquet"))))
        kill(process)
    run(tmp_path, "stays")


def test_changed_interval_goes_on_at_its_next_multiple(tmp_path: Path) -> None:
    """No tick of the new interval is lost or doubled where it changes."""
    run(tmp_path, "a")
    before = ticks(tmp_path, "a")
    run(tmp_path, "a", interval="1s", seconds="4s")
    after = ticks(tmp_path, "a")[len(before) :]
    assert after[0] == -(-(before[-1] + 500) // 1000) * 1000
    assert after == list(range(after[0], after[-1] + 1, 1000))


def test_changed_seed_starts_the_fleet_anew_and_says_so(tmp_path: Path) -> None:
    """Samples of two seeds are not mixed into one history."""
    run(tmp_path, "a")
    text = (tmp_path / "c.yaml").read_text().replace("seed: 5", "seed: 6")
    (tmp_path / "c.yaml").write_text(text)
    ended = mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--for", "2s")
    assert ended.code == 0, ended.err[-6000:]
    assert "fleet starts anew" in ended.err
