"""A disk that gets full under a job's state or its samples: a clear end, and no loss."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from flows.state_disk import LEAST_BYTES
from tests.mqpipe import mqpipe, samples, start, wait_for_log

CONFIG = """
mode: simulation
interval: 200ms
simulation: {fleets: [{name: one, brokers: 3, topics: 5, groups: 2}]}
sinks: {parquet: {path: samples, roll: {every: 1s}}}
recovery: {path: state, epoch: 200ms}
metrics: {listen: null}
"""
MESSAGE = "no room on disk for the state in"


@pytest.mark.slow
def test_a_job_whose_state_has_no_room_drains_and_goes_on_with_room(
    tmp_path: Path, small_disk: Callable[[Path, str], None]
) -> None:
    """It says so and ends with 1, does not begin on such a disk, and then has every tick once."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    state = tmp_path / "state"
    small_disk(state, f"{2 * LEAST_BYTES}")
    job = start(tmp_path, "run", "c.yaml", "--no-live")
    wait_for_log(job, "started")
    (state / "full").write_bytes(bytes(LEAST_BYTES))
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1, errors
    assert errors.splitlines()[-1].startswith(f"mqpipe: {MESSAGE}")
    refused = mqpipe(tmp_path, "run", "c.yaml", "--no-live")
    assert refused.code == 1
    assert f"{MESSAGE} state/run: " in refused.err
    (state / "full").unlink()
    ended = mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--for", "1s")
    assert ended.code == 0, ended.err
    ticks = samples(tmp_path / "samples", "cluster")["timestamp"].cast(pl.Int64).to_list()
    assert ticks == list(range(ticks[0], ticks[-1] + 1, 200))


@pytest.mark.slow
def test_an_export_to_a_full_disk_says_so(
    tmp_path: Path, small_disk: Callable[[Path, str], None]
) -> None:
    """In one line, with what to do; with room it goes on."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    small_disk(tmp_path / "samples", "100k")
    span = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")
    full = mqpipe(tmp_path, "export", "c.yaml", *span, "--interval", "1m")
    assert full.code == 1
    last = full.err.splitlines()[-1]
    assert last.startswith(f"mqpipe: no room on disk for samples in {tmp_path / 'samples'}")
    assert "free some space" in last
    small_disk(tmp_path / "samples", "64m")
    ended = mqpipe(tmp_path, "export", "c.yaml", *span, "--interval", "1m", "--resume")
    assert ended.code == 0, ended.err
    assert len(samples(tmp_path / "samples", "cluster")) == 24 * 60
