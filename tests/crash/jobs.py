"""The small dataflows of the crash tests as processes that are killed and started again."""

import argparse
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from tests.crash.numbers import PARTS

KILLS = int(os.environ.get("MQPIPE_TEST_KILLS", "6"))
"""How often each job is killed at a random moment; more where there is more time."""
ROOT = Path(__file__).parents[2]


def start(module: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start one of the dataflows; its output is piped."""
    command = [sys.executable, "-m", f"tests.crash.{module}", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


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


def run_to_its_end(job: "subprocess.Popen[str]") -> dict[str, int]:
    """Wait until a job ends well; gives how many rows each partition had over all its runs."""
    _, errors = job.communicate(timeout=100)
    assert job.returncode == 0, errors
    ends = [line.split() for line in errors.splitlines() if line.startswith("end ")]
    rows = {part: int(number) for _, part, number in ends}
    assert sorted(rows) == sorted(PARTS), errors
    return rows


def job_arguments(doc: str | None) -> argparse.ArgumentParser:
    """What each dataflow takes: where it works, how much more it makes, where it kills itself."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--more", type=int, help="batches of each partition; endless without")
    parser.add_argument("--kill-at", nargs=2, metavar=("POINT", "COUNT"))
    return parser


def kill_in(place: Any, name: str, count: int, *, before: bool = True) -> None:
    """Have this process killed at the `count`th call of a method, before it or after it."""
    original: Callable[..., Any] = getattr(place, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, counted)


def run(flow: Dataflow, directory: Path) -> None:
    """Run a dataflow on two workers with short epochs; its recovery store is in the directory."""
    store = directory / "recovery"
    if not store.exists():
        unfinished = directory / "recovery.new"
        unfinished.mkdir(exist_ok=True)
        init_db_dir(unfinished, 1)
        unfinished.rename(store)
    print("running", flush=True)
    cluster_main(
        flow,
        [],
        0,
        epoch_interval=timedelta(milliseconds=20),
        recovery_config=RecoveryConfig(str(store)),
        worker_count_per_proc=2,
    )
