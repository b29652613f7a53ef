"""kill -9 at random moments: no tick is lost, no sample is doubled."""

import random
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.mqpipe import delta_samples, kill, mqpipe, samples, start, stop, wait_for_log

LABELS = ("cluster", "broker", "topic", "consumer_group")
INTERVAL_MS = 200

CONFIG = """
mode: simulation
interval: 200ms
simulation:
  seed: 7
  fleets:
    - {name: one, clusters: 2, brokers: 3, topics: 6, groups: 3, pattern: random}
    - {name: two, brokers: 2, topics: 4, groups: 2, pattern: business_hours}
sinks:
  parquet: {path: samples, roll: {rows: 2000, every: 2s}}
  deltalake: {path: delta, roll: {every: 1s}}
recovery: {path: state, epoch: 300ms}
metrics: {listen: null}
"""


def killed_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """SIGKILL so long after it started; False where it ended by itself before, and well."""
    wait_for_log(process, "started")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill(process)
        return True
    out, err = process.communicate()
    assert process.returncode == 0, f"ended with {process.returncode}:\n{out}\n{err[-4000:]}"
    return False


def ticks_of(frame: pl.DataFrame) -> list[int]:
    """Timestamps in milliseconds, in the frame's order."""
    ticks: list[int] = frame["timestamp"].cast(pl.Int64).to_list()
    return ticks


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
def test_run_killed_ten_times_has_every_tick_once(tmp_path: Path, workers: int) -> None:
    """Files and tables hold each sample from the first tick to a shard's last once.

    A stop may fall between two shards' tick: the run that follows makes what is owed.
    """
    (tmp_path / "c.yaml").write_text(CONFIG)
    chance = random.Random(workers)
    arguments = ("run", "c.yaml", "--no-live", "--workers", str(workers))
    for _ in range(10):
        assert killed_after(start(tmp_path, *arguments), chance.uniform(0.1, 3))
    stopped_at = []
    for _ in range(2):
        process = start(tmp_path, *arguments)
        wait_for_log(process, "started")
        time.sleep(2)
        ended = stop(process)
        assert ended.code == 0, ended.err[-4000:]
        stopped_at.append(max(ticks_of(samples(tmp_path / "samples", "cluster"))))

    for label in LABELS:
        frame = samples(tmp_path / "samples", label)
        assert_frame_equal(delta_samples(tmp_path / "delta", label), frame)
        first = min(ticks_of(frame))
        assert stopped_at[0] - first > 10_000
        for (guid,), rows in frame.group_by("entity_guid"):
            ticks = ticks_of(rows)
            assert ticks == list(range(first, ticks[-1] + 1, INTERVAL_MS)), guid
            assert ticks[-1] > stopped_at[0], guid
    assert not [f for f in (tmp_path / "samples").rglob("*") if f.suffix not in ("", ".parquet")]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_export_killed_and_resumed_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """The rows of an export that was killed and went on are those of one that was not."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    span = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-03T00:00:00Z", "--interval", "1s")
    whole = mqpipe(tmp_path, "export", "c.yaml", *span, "--out", "whole")
    assert whole.code == 0, whole.err[-4000:]

    chance = random.Random(3)
    kills = 0
    while killed_after(
        start(tmp_path, "export", "c.yaml", *span, "--out", "killed", "--resume"),
        chance.uniform(0.2, 2),
    ):
        kills += 1
    assert kills >= 2
    for label in LABELS:
        assert_frame_equal(samples(tmp_path / "killed", label), samples(tmp_path / "whole", label))
