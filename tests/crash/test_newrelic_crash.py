"""kill -9 at any moment: each sample arrives at New Relic at least once, seldom twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest

from sinks.dead_letters import dead_letter_files
from tests.crash.numbers import PARTS, ROWS
from tests.newrelic.behaviour import FAULTS, Status
from tests.newrelic.stand_in import StandIn

KILLS = int(os.environ.get("MQPIPE_TEST_KILLS", "6"))
"""How often the job is killed at a random moment; more where there is more time."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first_tick() -> int:
    """A time that all restarts of a test share, a few hours ago, in milliseconds."""
    return (time.time_ns() // 1_000_000_000 - 6 * 3_600) * 1_000


def start(
    directory: Path, newrelic: StandIn, first_tick: int, batches: int, *kill_at: str
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.crash.newrelic_flow", str(directory)]
    return subprocess.Popen(
        [*command, newrelic.endpoint, str(first_tick), str(batches), *kill_at],
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )


def finish(directory: Path, newrelic: StandIn, first_tick: int, batches: int) -> int:
    """Run to the end and check that all arrived; gives how many came more than once."""
    with start(directory, newrelic, first_tick, batches) as process:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    arrived = Counter(
        (e["clusterName"], int(e["entityName"].rpartition("/")[2])) for e in newrelic.events
    )
    assert set(arrived) == {(part, n) for part in PARTS for n in range(batches * ROWS)}
    assert dead_letter_files(directory / "dead") == []
    return arrived.total() - len(arrived)


@pytest.mark.slow
@pytest.mark.timeout(60 + 30 * KILLS)
@pytest.mark.parametrize("faults", [0.0, 0.2], ids=["behaves", "misbehaves"])
def test_every_sample_arrives_after_kills_at_random_moments(
    tmp_path: Path, newrelic: StandIn, first_tick: int, faults: float
) -> None:
    """The moments are random; the seed that the failure shows repeats them as far as time does."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    newrelic.faults(
        seed=seed,
        rate=faults,
        among=[fault for fault in FAULTS if fault not in (Status(429, retry_after=1), Status(413))],
    )
    batches = 60 * (KILLS + 1)
    for killed in range(KILLS):
        with start(tmp_path, newrelic, first_tick, batches) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(timeout=moments.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL, f"ended before kill {killed}, seed {seed}"

    twice = finish(tmp_path, newrelic, first_tick, batches)

    print(f"{twice} of {batches * ROWS * len(PARTS)} samples came again after {KILLS} kills")
    assert twice <= batches * ROWS * len(PARTS) / 2, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["append", "send", "settle"])
@pytest.mark.parametrize("count", [1, 7])
def test_every_sample_arrives_after_a_kill_at_the_worst_points(
    tmp_path: Path, newrelic: StandIn, first_tick: int, point: str, count: int
) -> None:
    """In a write to the spool, before a POST, and between its answer and the noting of it."""
    with start(tmp_path, newrelic, first_tick, 60, point, str(count)) as process:
        assert process.wait(timeout=100) == -signal.SIGKILL
    finish(tmp_path, newrelic, first_tick, 60)


@pytest.mark.slow
def test_a_full_disk_ends_the_job_and_loses_nothing(
    tmp_path: Path,
    newrelic: StandIn,
    first_tick: int,
    small_disk: Callable[[Path, str], None],
) -> None:
    """The message says where and what to do; with room the job goes on."""
    small_disk(tmp_path / "spool", "200k")
    newrelic.down()
    with start(tmp_path, newrelic, first_tick, 60) as process:
        assert process.stderr is not None
        message = process.stderr.read()
        assert process.wait(timeout=100) not in (0, None)
    assert "no room on disk for" in message
    assert "free some space" in message
    newrelic.up()
    small_disk(tmp_path / "spool", "64m")
    finish(tmp_path, newrelic, first_tick, 60)
