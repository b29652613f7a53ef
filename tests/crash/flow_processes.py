"""The small dataflows of the crash tests as processes that are killed and started again."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from tests.crash.numbers import PARTS
from tests.forked import ROOT, Forked


def start(module: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start one of the dataflows; its input and output are piped."""
    pipe = subprocess.PIPE
    given = [str(argument) for argument in arguments]
    name = f"tests.crash.{module}"
    return Forked(name, given, ROOT, os.environ, stdin=pipe, stdout=pipe, stderr=pipe)


def kill_at_random(job: "subprocess.Popen[str]", chance: random.Random) -> None:
    """SIGKILL at a moment of the first half second in which an endless job runs."""
    assert job.stdout is not None
    job.stdout.readline()
    try:
        job.wait(timeout=chance.uniform(0, 0.5))
    except subprocess.TimeoutExpired:
        job.kill()
    killed_itself(job)


def killed_itself(job: "subprocess.Popen[str]") -> None:
    """Wait until a job is killed, by itself or by the test."""
    _, errors = job.communicate(timeout=100)
    assert job.returncode == -signal.SIGKILL, errors


def run_to_its_end(*processes: "subprocess.Popen[str]") -> dict[str, int]:
    """Wait until a job ends well; gives how many rows each partition had over all its runs."""
    rows = {part: number for process in processes for part, number in ended_well(process).items()}
    assert sorted(rows) == sorted(PARTS)
    return rows


def ended_well(process: "subprocess.Popen[str]") -> dict[str, int]:
    """The same of one process of a cluster, for the partitions that it had."""
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    ends = [line.split() for line in errors.splitlines() if line.startswith("end ")]
    return {part: int(number) for _, part, number in ends}


def job_arguments(doc: str | None) -> argparse.ArgumentParser:
    """What each dataflow takes: where it works, how much more it makes, where it kills itself."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--more", type=int, help="batches of each partition; endless without")
    parser.add_argument("--kill-at", nargs=2, metavar=("POINT", "COUNT"))
    parser.add_argument("--cluster", nargs=2, metavar=("ADDRESSES", "PROCESS"))
    return parser


def kill_in(place: Any, name: str, count: int, *, before: bool = True) -> None:
    """Have this process killed at the `count`th call of a method, before it or after it.

    There it stands until its standard input is closed.
    """
    original: Callable[..., Any] = getattr(place, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and before:
            _die()
        result = original(*args, **kwargs)
        if calls == count:
            _die()
        return result

    setattr(place, name, counted)


def _die() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


def recovery_store(directory: Path) -> str:
    """The path of a job's recovery store, which is made where there is none."""
    store = directory / "recovery"
    if not store.exists():
        unfinished = directory / "recovery.new"
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed as it made it
        unfinished.mkdir()
        init_db_dir(unfinished, 1)
        unfinished.rename(store)
    return str(store)


def run(flow: Dataflow, directory: Path, cluster: Sequence[str] | None = None) -> None:
    """Run a dataflow on two workers with short epochs; its recovery store is in the directory.

    In a `cluster`, of so many addresses (with commas) and as this process, each has one worker.
    """
    addresses, process = cluster or ("", "0")
    recovery = RecoveryConfig(recovery_store(directory))
    print("running", flush=True)
    cluster_main(
        flow,
        addresses.split(",") if addresses else [],
        int(process),
        epoch_interval=timedelta(milliseconds=20),
        recovery_config=recovery,
        worker_count_per_proc=1 if addresses else 2,
    )
