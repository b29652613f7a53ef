"""The three depths of a shutdown, each with a hanging target: drain, grace over, second signal."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash.hanging_job import INTERVAL_MS
from tests.forked import ROOT, Forked

GRACE = 60.0
"""Seconds of a drain that ends long before, however busy the machine is."""


class Job:
    """The job as a child process, up to the moment at which its target hangs."""

    def __init__(self, directory: Path, hang: str, grace: float) -> None:
        arguments = [str(directory), "--hang", hang, "--grace", str(grace)]
        self._process = Forked(
            "tests.crash.hanging_job", arguments, ROOT, os.environ, stdout=subprocess.PIPE
        )
        self._until("hanging")

    def drain(self) -> None:
        """Send SIGTERM, and see that the job drains."""
        self.signal()
        self._until("draining")

    def signal(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def _until(self, word: str) -> None:
        """Read its output up to a line with that word."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if word in line:
                return
        raise AssertionError(f"the job ended before it said `{word}`")

    def wait(self) -> int:
        """Its exit status; it is killed when it does not end in time."""
        try:
            return self._process.wait(GRACE)
        finally:
            self._process.kill()
            self._process.communicate()


def results(directory: Path, cluster: str) -> list[dict[str, Any]]:
    """What the job wrote about a cluster."""
    path = directory / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line["cluster"] == cluster]


def reports(lines: list[dict[str, Any]]) -> Counter[int]:
    """How often each due time was reported, those that a line says were missed among them."""
    return Counter(
        line["start"] - back * INTERVAL_MS
        for line in lines
        for back in range(max(1, line["missed"]))
    )


def run_again(directory: Path) -> None:
    """Start once more, so that what was left is reported, and drain."""
    job = Job(directory, "briefly", GRACE)
    job.drain()
    assert job.wait() == 0


def no_gaps(counts: Counter[int]) -> bool:
    """Whether every due time between the first and the last was reported."""
    return set(counts) == set(range(min(counts), max(counts) + 1, INTERVAL_MS))


@pytest.mark.timeout(300)
def test_a_drain_lets_a_slow_target_finish(tmp_path: Path) -> None:
    """The first signal: no new ticks, what is under way completes, exit 0, nothing is left."""
    job = Job(tmp_path, "briefly", GRACE)
    begin = time.monotonic()
    job.drain()
    status = job.wait()
    seconds = time.monotonic() - begin

    first = results(tmp_path, "hung")[0]
    assert status == 0
    assert first["outcome"] == "completed"
    assert seconds < GRACE
    run_again(tmp_path)
    counts = reports(results(tmp_path, "hung"))
    assert set(counts.values()) == {1}
    assert no_gaps(counts)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("hang", ["coroutine", "thread"])
def test_when_the_grace_is_over_the_end_is_forced(tmp_path: Path, hang: str) -> None:
    """The hung tick is given up, exit 1; every tick is reported exactly once all the same."""
    job = Job(tmp_path, hang, grace=1.0)
    job.drain()
    status = job.wait()
    run_again(tmp_path)

    assert status == 1
    lines = results(tmp_path, "hung")
    given_up = min(lines, key=lambda line: line["start"])
    assert (given_up["outcome"], given_up["error_class"]) in (
        ("failed", "cancelled"),
        ("missed", "missed"),
    )
    counts = reports(lines)
    assert set(counts.values()) == {1}
    assert no_gaps(counts)


@pytest.mark.timeout(300)
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Exit 1 without waiting for the grace; the next start reports what was cut off."""
    job = Job(tmp_path, "coroutine", grace=3600)
    while len(results(tmp_path, "well")) < 5:  # some epochs: the hung tick is in a snapshot
        time.sleep(0.01)
    job.drain()
    job.signal()
    status = job.wait()
    run_again(tmp_path)

    assert status == 1
    counts = reports(results(tmp_path, "hung"))
    assert no_gaps(counts)
    missed = [line for line in results(tmp_path, "hung") if line["outcome"] == "missed"]
    assert min(counts) in reports(missed)
