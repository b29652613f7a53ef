"""A cluster whose processes are in network namespaces of their own, as on two machines.

Needs root and the command `ip`, so it runs only where `MQPIPE_TEST_NAMESPACES` is set.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.forked import Forked
from tests.integration.test_cluster import CONFIG, EXPECTED, INTERVAL_MS, newest
from tests.mqpipe import wait_for_log
from tests.mqpipe_cluster import times, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not os.environ.get("MQPIPE_TEST_NAMESPACES"), reason="MQPIPE_TEST_NAMESPACES is not set"
    ),
]

NAMES = (f"mqpipe-{os.getpid()}-0", f"mqpipe-{os.getpid()}-1")
HOSTS = ("10.231.77.1", "10.231.77.2")
ENDS = ("end0", "end1")
ADDRESSES = ",".join(f"{host}:2101" for host in HOSTS)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def output_of(*command: str) -> str:
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture
def namespaces() -> Iterator[None]:
    """Two namespaces with a cable between them, and nothing else."""
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", ENDS[0], "netns", NAMES[0], "type", "veth", "peer", "name", ENDS[1],
           "netns", NAMES[1])  # fmt: skip
        for name, end, host in zip(NAMES, ENDS, HOSTS, strict=True):
            ip("-n", name, "addr", "add", f"{host}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        yield
    finally:
        for name in NAMES:
            for process in output_of("ip", "netns", "pids", name).split():
                os.kill(int(process), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False)


def started(folder: Path) -> list[subprocess.Popen[str]]:
    """A process on each host, once samples of this run are in files."""
    before = newest(folder)
    run = ["run", "c.yaml", "--no-live", "--addresses", ADDRESSES, "--process-id"]
    processes: list[subprocess.Popen[str]] = [
        Forked(
            "tests.mqpipe_in_namespace",
            [name, *run, str(number)],
            folder,
            os.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number, name in enumerate(NAMES)
    ]
    for process in processes:
        wait_for_log(process, "run started")
    until(lambda: newest(folder) > before + 2_000)
    return processes


def ended(processes: Sequence[subprocess.Popen[str]], code: int) -> list[str]:
    """Standard errors of processes that end with `code`."""
    said = []
    for process in processes:
        _, err = process.communicate(timeout=90)
        assert process.returncode == code, err[-4000:]
        said.append(err)
    return said


def stopped(processes: Sequence[subprocess.Popen[str]]) -> None:
    """SIGTERM to all, and a clean drain."""
    for process in processes:
        process.terminate()
    ended(processes, 0)


def has_each_sample_once(folder: Path) -> None:
    for label, entities in EXPECTED.items():
        found = times(folder / "samples", label)
        assert len(found) == entities
        for guid, ticks in found.items():
            assert ticks == list(range(ticks[0], ticks[-1] + 1, INTERVAL_MS)), f"{label} {guid}"


@pytest.mark.usefixtures("namespaces")
def test_processes_reach_each_other_by_the_network_alone(tmp_path: Path) -> None:
    """Two machines' worth of processes, stopped and started again: each sample once."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    for _ in range(2):
        stopped(started(tmp_path))
    has_each_sample_once(tmp_path)


@pytest.mark.usefixtures("namespaces")
def test_a_cable_that_is_cut_ends_all_and_together_they_go_on(tmp_path: Path) -> None:
    """No connection is closed, yet both sides end and say so; afterwards each sample is there once."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    processes = started(tmp_path)
    ip("-n", NAMES[1], "link", "set", ENDS[1], "down")
    for said in ended(processes, 1):
        assert "another process of the cluster is gone" in said
    ip("-n", NAMES[1], "link", "set", ENDS[1], "up")
    stopped(started(tmp_path))
    has_each_sample_once(tmp_path)
