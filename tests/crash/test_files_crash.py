"""kill -9 at any moment: after the last restart each row is in the files, or tables, once."""

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash.flow_processes import (
    ended_well,
    kill_at_random,
    killed_itself,
    recovery_store,
    run_to_its_end,
    start,
)
from tests.crash.kills import KILLS
from tests.crash.numbers import PARTS, ROWS
from tests.ports import PortClaim
from tests.samples import numbers_in, numbers_in_delta

MORE = 40
"""Batches of a run that ends by itself."""


def numbers(kind: str, directory: Path, part: str) -> list[int]:
    """The numbers of a partition's rows that readers see; one that is there twice is there twice."""
    read = numbers_in_delta if kind == "delta" else numbers_in
    return read(directory / "samples", part)


def start_all(
    kind: str, directory: Path, addresses: Sequence[str] = (), *last: object
) -> "list[subprocess.Popen[str]]":
    """Start a job of a process for each address, or of one; the last one has further options."""
    cluster, final = ("--cluster", ",".join(addresses)), max(0, len(addresses) - 1)
    arguments = ("files_flow", directory, kind, "--more", MORE, *cluster)
    others = [start(*arguments, number) for number in range(final)]
    return [*others, start(*arguments, final, *last)]


def finish(kind: str, directory: Path, addresses: Sequence[str] = ()) -> None:
    """Run once more, to the end: all rows of all runs are in the files once."""
    rows = run_to_its_end(*start_all(kind, directory, addresses))
    for part in PARTS:
        assert numbers(kind, directory, part) == list(range(rows[part]))
    assert list((directory / "samples").rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kind", ["rolled", "direct", "delta"])
def test_every_row_is_there_once_after_kills_at_random_moments(
    tmp_path: Path, kind: str, kills: int
) -> None:
    """The moments are random; the seed that the failure shows repeats them as far as time does."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    for killed in range(1, kills + 1):
        kill_at_random(start("files_flow", tmp_path, kind), moments)
        for part in PARTS:
            seen = numbers(kind, tmp_path, part)
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
        ("direct", "create", 6),
        ("direct", "move", 6),
        ("direct", "moved", 6),
        ("delta", "commit", 2),
        ("delta", "committed", 4),
    ],
)
def test_every_row_is_there_once_after_a_kill_at_the_worst_points(
    tmp_path: Path, kind: str, point: str, count: int
) -> None:
    """In a write to the log, before and after a file appears, between two files of a snapshot."""
    killed_itself(start("files_flow", tmp_path, kind, "--kill-at", point, count))
    finish(kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "processes"), [("rolled", 1), ("delta", 1), ("delta", 2)])
def test_every_row_is_there_once_where_a_process_dies_before_it_publishes_the_last(
    tmp_path: Path, kind: str, processes: int
) -> None:
    """The engine has ended and the other process has published; then partitions move, or stay."""
    recovery_store(tmp_path)
    with PortClaim() as one, PortClaim() as two:
        addresses = [f"127.0.0.1:{claim.port}" for claim in (one, two)]
        other, dies = start_all(kind, tmp_path, addresses, "--kill-at", "finish", 1)
        ends = ended_well(other)
        seen = {part: len(numbers(kind, tmp_path, part)) for part in PARTS}
        assert ends == {part: rows for part, rows in seen.items() if part in ends}
        assert sum(seen.values()) < len(PARTS) * MORE * ROWS
        killed_itself(dies)
        finish(kind, tmp_path, addresses[:processes])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rolled", "delta"])
def test_every_row_is_there_once_where_more_processes_go_on_than_the_one_that_died(
    tmp_path: Path, kind: str
) -> None:
    """It has published nothing of its last; each of those that follow publishes its partition's."""
    recovery_store(tmp_path)
    killed_itself(start("files_flow", tmp_path, kind, "--more", MORE, "--kill-at", "finish", 1))
    assert sum(len(numbers(kind, tmp_path, part)) for part in PARTS) < len(PARTS) * MORE * ROWS
    with PortClaim() as one, PortClaim() as two:
        finish(kind, tmp_path, [f"127.0.0.1:{claim.port}" for claim in (one, two)])
