"""Jobs whose clock is set, and jobs that are stopped: it costs the ticks that it skips."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from operators.schedule import AwakeClock
from tests.faketime import faketime
from tests.forked import MQPIPE, Forked
from tests.mqpipe import samples, stored_epoch
from tests.ports import PortClaim
from tests.served_health import health, wait_for_watermark

pytestmark = pytest.mark.timeout(120)

COLLECTOR = """
from operators.collect.samples import collected_batch
from operators.schema.metrics import QUEUE

class Jobs:
    def __init__(self, identity):
        self._identity = identity

    async def collect(self, tick, time_left):
        columns = {"queue": ["mail"], "queue.depth": [1]}
        return [collected_batch(self._identity, tick, QUEUE, [("mail",)], ["mail"], columns, "own")]
"""
STOPPED = AwakeClock.LONGEST_BREAK + 1
"""Seconds that a job is stopped: it notices no shorter stop."""

CONFIG = """
interval: 1s
mode: hybrid
collectors: [{{name: own, use: "jobs:Jobs"}}]
simulation: {{fleets: [{{name: demo, brokers: 1, topics: 1, groups: 1}}]}}
sinks: {{parquet: {{path: samples, roll: {{every: 1s}}}}}}
recovery: {{path: state, epoch: 1s}}
metrics: {{listen: {listen}}}
"""

PATTERN = """
import os
from pathlib import Path

import numpy as np

def sets_the_clock(times, scene):
    word = Path("set the clock")
    if word.exists():
        word.rename(os.environ["FAKETIME_TIMESTAMP_FILE"])
    return np.ones(len(times))
"""
"""Sets the clock in the middle of a tick, once, where a file says to which time."""


class Job:
    """A command in a folder, with a clock of its own that can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs.py").write_text(COLLECTOR)
        (folder / "own.py").write_text(PATTERN)
        self._port = PortClaim()
        self.url = f"127.0.0.1:{self._port.port}"
        (folder / "c.yaml").write_text(CONFIG.format(listen=self.url))
        self._clock = folder / "clock"
        self._clock.write_text("+0")
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> None:
        """Start it in the job's folder."""
        clock = {**faketime(), "FAKETIME_NO_CACHE": "1"}
        env = {
            **os.environ,
            **clock,
            "PYTHONPATH": str(self.folder),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
        }
        with (self.folder / "log").open("a") as log:
            self.process = Forked(
                MQPIPE,
                arguments,
                self.folder,
                env,
                loaded_with=clock,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def set_clock(self, by: int) -> None:
        """Set its clock, to so many seconds beside the true time."""
        draft = self.folder / "clock.new"
        draft.write_text(f"{by:+d}")
        draft.replace(self._clock)

    def close(self) -> None:
        """Give its port back."""
        self._port.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(60)

    def log(self) -> list[dict[str, Any]]:
        """The events that it has logged."""
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def wait_for(self, event: str, times: int = 1) -> None:
        """Wait until it has logged an event so often."""
        while sum(line["event"] == event for line in self.log()) < times:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-4000:]
            time.sleep(0.05)

    def wait_for_watermark(self, origin: str, since: float) -> None:
        """Wait until samples of a tick after `since` (s) arrived."""
        assert self.process is not None
        wait_for_watermark(self.process, self.url, origin, since * 1000 + 1)

    def health(self) -> dict[str, Any]:
        """What `/health` answers; nothing, where nobody does."""
        return health(self.url)

    def seconds(self, label: str, entity: str, origin: str) -> list[int]:
        """The ticks of an entity's samples, sorted."""
        frame = samples(self.folder / "samples", label)
        own = frame.filter(entity_name=entity).filter(pl.col("origin") == origin)
        return own["timestamp"].dt.epoch("s").sort().to_list()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    one = Job(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.wait()
    one.close()


def each_once(seconds: list[int]) -> bool:
    return len(seconds) == len(set(seconds))


def runs(seconds: list[int]) -> list[tuple[int, int]]:
    """First and last of the stretches without a gap."""
    found: list[tuple[int, int]] = []
    for second in seconds:
        if found and second == found[-1][1] + 1:
            found[-1] = found[-1][0], second
        else:
            found.append((second, second))
    return found


def begun(job: Job, *arguments: str) -> None:
    """A run of which a snapshot is stored for certain."""
    job.start("run", "c.yaml", "--no-live", *arguments)
    job.wait_for("run started")
    job.wait_for_watermark("collected", time.time() + 1)
    seen = stored_epoch(job.folder / "state/run")
    while stored_epoch(job.folder / "state/run") < seen + 2:
        time.sleep(0.1)


def test_a_run_whose_clock_is_set_back_goes_on(job: Job) -> None:
    """From the new time's next tick; health says ready again, and a stop is a clean one."""
    begun(job)
    set_at = time.time()
    job.set_clock(-300)
    job.wait_for("run started", 2)
    while not job.health().get("ready"):
        time.sleep(0.1)
    job.wait_for_watermark("simulated", time.time() - 300)
    job.send(signal.SIGTERM)
    assert job.ended() == 0
    assert time.time() - set_at < 60
    new, old = runs(job.seconds("topic", "demo/orders", "simulated"))
    assert set_at - 300 < new[0] <= new[1] < set_at - 200 < old[0] <= old[1] <= set_at + 1
    collected = job.seconds("collection", "own/own", "collected")
    assert each_once(collected)
    assert min(collected) < set_at - 200 < max(collected)
    (said,) = [line for line in job.log() if line["event"] == "clock set back"]
    assert round(said["seconds"]) == 300


def test_a_stop_that_comes_with_a_step_is_clean(job: Job) -> None:
    """What was asked for just before goes on in the new start."""
    begun(job)
    job.set_clock(-300)
    job.send(signal.SIGTERM)
    assert job.ended() == 0
    seconds = job.seconds("topic", "demo/orders", "simulated")
    assert each_once(seconds)
    assert len(runs(seconds)) == 1


def test_a_run_whose_clock_is_set_forward_goes_on(job: Job) -> None:
    """A fleet's ticks are made; a target's are reported as missed, none is collected for another."""
    begun(job, "--for", "25s")
    set_at = time.time()
    job.set_clock(3600)
    job.wait_for_watermark("collected", set_at + 3600)
    assert job.health()["live"]
    assert job.ended() == 0
    assert time.time() - set_at > 3, "its end is not that of the clock that was set"
    (whole,) = runs(job.seconds("topic", "demo/orders", "simulated"))
    assert whole[1] - whole[0] > 3600
    seconds = job.seconds("collection", "own/own", "collected")
    assert each_once(seconds)
    assert not [s for s in seconds if set_at + 2 < s < set_at + 3590]
    reports = samples(job.folder / "samples", "collection")
    assert reports["collection.missed"].sum() >= 3590


def test_a_clock_that_is_set_in_the_middle_of_a_tick_holds_nobody_up(job: Job) -> None:
    """The engine waits for what lies between its look at the clock, before, and the source's."""
    config = job.folder / "c.yaml"
    config.write_text(
        config.read_text().replace("groups: 1", "groups: 1, pattern: {kind: own:sets_the_clock}")
    )
    begun(job)
    draft = job.folder / "draft"
    draft.write_text("+300")
    draft.rename(job.folder / "set the clock")
    job.wait_for("clock set forward")
    job.wait_for_watermark("simulated", time.time() + 300)
    job.send(signal.SIGTERM)
    assert job.ended() == 0
    assert len(runs(job.seconds("topic", "demo/orders", "simulated"))) == 1


def test_a_clock_set_forward_and_back_costs_nothing_twice(job: Job) -> None:
    """Ticks that the wrong hour skipped are collected when the clock is right again."""
    begun(job)
    job.set_clock(3600)
    job.wait_for_watermark("collected", time.time() + 3602)
    job.set_clock(0)
    back_at = time.time()
    job.wait_for("run started", 2)
    while not [
        s for s in job.seconds("collection", "own/own", "collected") if s > back_at > s - 60
    ]:
        time.sleep(0.2)
    health = job.health()
    job.send(signal.SIGTERM)
    assert job.ended() == 0
    assert health["live"]
    seconds = job.seconds("collection", "own/own", "collected")
    assert each_once(seconds)
    assert [s for s in seconds if back_at < s < back_at + 60]
    assert [s for s in seconds if s > back_at + 3000]
    assert len(runs(job.seconds("topic", "demo/orders", "simulated"))) == 1


def test_an_export_whose_clock_is_set_back_ends_with_the_same_samples(job: Job) -> None:
    """Of the range that it was begun with, though that is relative to a clock that was set."""
    (job.folder / "c.yaml").write_text(
        "interval: 1s\nsimulation: {fleets: [{name: demo, clusters: 6}]}\nrecovery: {path: state}"
    )
    started_at = time.time()
    job.start("export", "c.yaml", "--start", "-6h", "--end", "now", "--out", "samples")
    while not list((job.folder / "samples").glob("type=*/**/*.parquet")):
        time.sleep(0.02)
    job.set_clock(-3600)
    job.wait_for("clock set back")
    assert job.ended() == 0
    seconds = job.seconds("cluster", "demo-3", "simulated")
    assert (each_once(seconds), len(runs(seconds))) == (True, 1)
    assert len(seconds) == 6 * 3600
    assert abs(seconds[-1] - started_at) < 60


@pytest.mark.parametrize("ticks", [0, 1], ids=["at once", "after a tick"])
def test_a_run_that_was_stopped_goes_on(job: Job, ticks: int) -> None:
    """Also in its first moments; then a stop is a clean one, with the grace that it has."""
    job.start("run", "c.yaml", "--no-live")
    job.wait_for("run started")
    if ticks:
        job.wait_for_watermark("collected", time.time() - 1)
    job.send(signal.SIGSTOP)
    time.sleep(STOPPED)
    job.send(signal.SIGCONT)
    went_on = time.time()
    job.wait_for_watermark("collected", went_on + 1)
    job.wait_for_watermark("simulated", went_on + 1)
    job.send(signal.SIGTERM)
    assert job.ended() == 0
    assert len(runs(job.seconds("topic", "demo/orders", "simulated"))) == 1
    assert each_once(job.seconds("collection", "own/own", "collected"))
