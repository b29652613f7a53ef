"""kill -9 at any moment: each sample arrives at New Relic at least once, seldom twice."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from sinks.dead_letters import dead_letter_files
from tests.crash import flow_processes
from tests.crash.kills import KILLS
from tests.newrelic.behaviour import FAULTS, Status
from tests.newrelic.stand_in import StandIn

MORE = 40
"""Batches of a run that ends by itself."""


@pytest.fixture(scope="module")
def first_tick() -> int:
    """A time that all restarts of a test share, a few hours ago, in milliseconds."""
    return (time.time_ns() // 1_000_000_000 - 6 * 3_600) * 1_000


def start(directory: Path, newrelic: StandIn, first_tick: int, *options: object) -> "Popen[str]":
    return flow_processes.start("newrelic_flow", directory, newrelic.endpoint, first_tick, *options)


def finish(directory: Path, newrelic: StandIn, first_tick: int) -> tuple[int, int]:
    """Run to the end and check that all arrived; gives how many there are and how many came again."""
    rows = flow_processes.run_to_its_end(start(directory, newrelic, first_tick, "--more", MORE))
    arrived = Counter(
        (e["clusterName"], int(e["entityPath"].rpartition("/")[2])) for e in newrelic.events
    )
    sent = {(part, n) for part, count in rows.items() for n in range(count)}
    assert sent - set(arrived) == set()
    assert dead_letter_files(directory / "dead") == []
    return len(sent), arrived.total() - len(sent)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("faults", [0.0, 0.2], ids=["behaves", "misbehaves"])
def test_every_sample_arrives_after_kills_at_random_moments(
    tmp_path: Path, newrelic: StandIn, first_tick: int, faults: float, kills: int
) -> None:
    """The moments are random; the seed that the failure shows repeats them as far as time does."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    newrelic.faults(
        seed=seed,
        rate=faults,
        among=[fault for fault in FAULTS if fault not in (Status(429, retry_after=1), Status(413))],
    )
    for _ in range(kills):
        flow_processes.kill_at_random(start(tmp_path, newrelic, first_tick), moments)

    sent, again = finish(tmp_path, newrelic, first_tick)

    # Those of a request that was taken and not well answered have to come again.
    unanswered = sum(request.kept for request in newrelic.requests if request.reason)
    print(f"{again} of {sent} samples came again after {kills} kills, {unanswered} of them may")
    assert again - unanswered <= sent / 2, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["append", "send", "settle"])
@pytest.mark.parametrize("count", [1, 7])
def test_every_sample_arrives_after_a_kill_at_the_worst_points(
    tmp_path: Path, newrelic: StandIn, first_tick: int, point: str, count: int
) -> None:
    """In a write to the spool, before a POST, and between its answer and the noting of it."""
    flow_processes.killed_itself(start(tmp_path, newrelic, first_tick, "--kill-at", point, count))
    finish(tmp_path, newrelic, first_tick)


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
    job = start(tmp_path, newrelic, first_tick, "--grace", 1)
    _, message = job.communicate(timeout=100)
    assert job.returncode > 0
    assert "no room on disk for" in message
    assert "free some space" in message
    newrelic.up()
    small_disk(tmp_path / "spool", "64m")
    finish(tmp_path, newrelic, first_tick)
