"""Running mqpipe as its users do: the console script, in a directory of its own."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests.forked import MQPIPE, Forked


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def mqpipe(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 90
) -> Ended:
    """Run mqpipe in a folder to its end."""
    process = start(folder, *arguments, env=env)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"mqpipe {arguments} did not end:\n{out}\n{err[-4000:]}") from None
    return Ended(process.returncode, out, err)


def start(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start mqpipe in a folder; its output is piped."""
    environment = {**os.environ, **(env or {})}
    pipe = subprocess.PIPE
    return Forked(MQPIPE, arguments, folder, environment, stdout=pipe, stderr=pipe)


def wait_for_log(process: subprocess.Popen[str], text: str) -> None:
    """Wait until a line on standard error has that text in it."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"ended without saying `{text}`:\n{''.join(seen)[-4000:]}")


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait for something that a process that goes on does on disk."""
    while not condition():
        assert process.poll() is None, "it ended before"
        time.sleep(0.05)


def stop(process: subprocess.Popen[str], timeout: float = 60) -> Ended:
    """SIGTERM, and wait for the drain."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> Ended:
    """SIGKILL at this moment."""
    process.kill()
    out, err = process.communicate()
    return Ended(process.returncode, out, err)


def delta_samples(folder: Path, label: str) -> pl.DataFrame:
    """All rows of one entity type's Delta table, in the columns and the order of `samples`."""
    frame = pl.read_delta(str(folder / label)).drop("date")
    return frame.cast({pl.Datetime: pl.Datetime("ms", "UTC")}).sort(
        "entity_guid", "timestamp", "origin"
    )


def samples(folder: Path, label: str) -> pl.DataFrame:
    """All samples of one entity type below a Parquet path, strings decoded, sorted by key.

    Files of builds with fewer columns have null there.
    """
    files = sorted((folder / f"type={label}").rglob("*.parquet"))
    if not files:
        return pl.DataFrame()
    frame = pl.concat(
        [pl.read_parquet(file, hive_partitioning=False) for file in files], how="diagonal"
    )
    strings = [name for name, kind in frame.schema.items() if kind in (pl.Categorical, pl.Enum)]
    return frame.with_columns(pl.col(strings).cast(pl.String)).sort(
        "entity_guid", "timestamp", "origin"
    )


def stored_epoch(state: Path) -> int:
    """The epoch up to which a job's recovery store has all snapshots; 0 before the first."""
    frontiers = [0]
    for part in (state / "recovery").glob("part-*.sqlite3"):
        with closing(sqlite3.connect(f"file:{part}?mode=ro", uri=True)) as store:
            frontiers += [epoch for (epoch,) in store.execute("SELECT worker_frontier FROM fronts")]
    return max(frontiers)
