"""kill -9 at any moment: after the last restart each row is in the Parquet files once."""

import random
from pathlib import Path

import pytest

from tests.crash.jobs import KILLS, kill_at_random, killed_itself, run_to_its_end, start
from tests.crash.numbers import PARTS
from tests.samples import numbers_in

MORE = 60
"""Batches of a run that ends by itself."""


def finish(kind: str, directory: Path) -> None:
    """Run once more, to the end: all rows of all runs are in the files once."""
    rows = run_to_its_end(start("parquet_flow", directory, kind, "--more", MORE))
    for part in PARTS:
        assert numbers_in(directory / "samples", part) == list(range(rows[part]))
    assert list((directory / "samples").rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("kind", ["rolled", "straight"])
def test_every_row_is_there_once_after_kills_at_random_moments(tmp_path: Path, kind: str) -> None:
    """The moments are random; the seed that the failure shows repeats them as far as time does."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    for killed in range(1, KILLS + 1):
        kill_at_random(start("parquet_flow", tmp_path, kind), moments)
        for part in PARTS:
            seen = numbers_in(tmp_path / "samples", part)
            assert len(seen) == len(set(seen)), f"twice after kill {killed}, seed {seed}"
    finish(kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "point", "count"),
    [
        ("rolled", "append", 40),
        ("rolled", "flush", 9),
        ("rolled", "create", 4),
        ("rolled", "move", 4),
        ("rolled", "moved", 4),
        ("straight", "create", 6),
        ("straight", "move", 6),
        ("straight", "moved", 6),
    ],
)
def test_every_row_is_there_once_after_a_kill_at_the_worst_points(
    tmp_path: Path, kind: str, point: str, count: int
) -> None:
    """In a write to the log, before and after a file appears, between two files of a snapshot."""
    killed_itself(start("parquet_flow", tmp_path, kind, "--kill-at", point, count))
    finish(kind, tmp_path)
