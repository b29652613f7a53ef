"""kill -9 at any moment: after the last restart each row is in the Parquet files once."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.crash.numbers import PARTS, ROWS
from tests.samples import numbers_in

KILLS = int(os.environ.get("MQPIPE_TEST_KILLS", "6"))
"""How often each job is killed at a random moment; more where there is more time."""
ROOT = Path(__file__).parents[2]


def start(kind: str, directory: Path, batches: int, *kill_at: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.crash.parquet_flow", kind, str(directory)]
    return subprocess.Popen(
        [*command, str(batches), *kill_at], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True
    )


def finish(kind: str, directory: Path, batches: int) -> None:
    with start(kind, directory, batches) as process:
        assert process.wait(timeout=100) == 0
    for part in PARTS:
        assert numbers_in(directory / "samples", part) == list(range(batches * ROWS))
    assert list((directory / "samples").rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("kind", ["rolled", "straight"])
def test_every_row_is_there_once_after_kills_at_random_moments(tmp_path: Path, kind: str) -> None:
    """The moments are random; the seed that the failure shows repeats them as far as time does."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    batches = 80 * (KILLS + 1)
    killed = 0
    while killed < KILLS:
        with start(kind, tmp_path, batches) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(timeout=moments.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL, f"ended before kill {killed}, seed {seed}"
        killed += 1
        for part in PARTS:
            seen = numbers_in(tmp_path / "samples", part)
            assert len(seen) == len(set(seen)), f"twice after kill {killed}, seed {seed}"
    finish(kind, tmp_path, batches)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "point", "count"),
    [
        ("rolled", "append", "40"),
        ("rolled", "flush", "9"),
        ("rolled", "create", "4"),
        ("rolled", "move", "4"),
        ("rolled", "moved", "4"),
        ("straight", "create", "6"),
        ("straight", "move", "6"),
        ("straight", "moved", "6"),
    ],
)
def test_every_row_is_there_once_after_a_kill_at_the_worst_points(
    tmp_path: Path, kind: str, point: str, count: str
) -> None:
    """In a write to the log, before and after a file appears, between two files of a snapshot."""
    with start(kind, tmp_path, 60, point, count) as process:
        assert process.wait(timeout=100) == -signal.SIGKILL
    finish(kind, tmp_path, 60)
