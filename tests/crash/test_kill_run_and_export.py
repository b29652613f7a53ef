"""kill -9 at random moments: no tick is lost, no sample is doubled."""

import random
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.mqpipe import delta_samples, kill, mqpipe, samples, start, stop, wait_for_log
from tests.mqpipe_cluster import times, until

LABELS = ("cluster", "broker", "topic", "consumer_group")
INTERVAL_MS = 200
CLUSTERS = 3

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


def wait_for_files_of_all(folder: Path) -> None:
    """Wait until the files have a tick of each cluster after this moment."""
    now = time.time() * 1000

    def there() -> bool:
        ticks = times(folder / "samples", "cluster").values()
        return len(ticks) == CLUSTERS and all(of[-1] > now for of in ticks)

    until(there)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kills", [3, pytest.param(10, marks=pytest.mark.long("kills a run many times"))]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_run_that_is_killed_has_every_tick_once(tmp_path: Path, workers: int, kills: int) -> None:
    """Files and tables hold each sample from the first tick to a shard's last once.

    A stop may fall between two shards' tick: the run that follows makes what is owed.
    """
    (tmp_path / "c.yaml").write_text(CONFIG)
    chance = random.Random(workers)
    arguments = ("run", "c.yaml", "--no-live", "--workers", str(workers))
    for _ in range(kills):
        assert killed_after(start(tmp_path, *arguments), chance.uniform(0.1, 3))
    stopped_at = []
    for _ in range(2):
        process = start(tmp_path, *arguments)
        wait_for_log(process, "started")
        wait_for_files_of_all(tmp_path)
        ended = stop(process)
        assert ended.code == 0, ended.err[-4000:]
        stopped_at.append(max(ticks_of(samples(tmp_path / "samples", "cluster"))))

    for label in LABELS:
        frame = samples(tmp_path / "samples", label)
        assert_frame_equal(delta_samples(tmp_path / "delta", label), frame)
        first = min(ticks_of(frame))
        assert stopped_at[0] - first > 1_000 * kills
        for (guid,), rows in frame.group_by("entity_guid"):
            ticks = ticks_of(rows)
            assert ticks == list(range(first, ticks[-1] + 1, INTERVAL_MS)), guid
            assert ticks[-1] > stopped_at[0], guid
    assert not [f for f in (tmp_path / "samples").rglob("*") if f.suffix not in ("", ".parquet")]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("end", "kills", "most"),
    [
        ("2026-01-01T08:00:00Z", 3, 0.7),
        pytest.param(
            "2026-01-03T00:00:00Z", 12, 2, marks=pytest.mark.long("exports 345,600 ticks twice")
        ),
    ],
    ids=["hours", "days"],
)
def test_export_killed_and_resumed_equals_an_uninterrupted_one(
    tmp_path: Path, end: str, kills: int, most: float
) -> None:
    """The rows of an export that was killed and went on are those of one that was not.

    It is killed within so many seconds, at most.
    """
    (tmp_path / "c.yaml").write_text(CONFIG)
    span = ("--start", "2026-01-01T00:00:00Z", "--end", end, "--interval", "1s")
    whole = mqpipe(tmp_path, "export", "c.yaml", *span, "--out", "whole")
    assert whole.code == 0, whole.err[-4000:]

    chance = random.Random(3)
    arguments = ("export", "c.yaml", *span, "--out", "killed", "--resume")
    killed = 0
    while killed < kills and killed_after(start(tmp_path, *arguments), chance.uniform(0.1, most)):
        killed += 1
    assert killed >= 2
    if killed == kills:
        ended = mqpipe(tmp_path, *arguments)
        assert ended.code == 0, ended.err[-4000:]
    for label in LABELS:
        assert_frame_equal(samples(tmp_path / "killed", label), samples(tmp_path / "whole", label))
