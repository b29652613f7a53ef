"""A cluster whose processes are in network namespaces of their own, as on two machines.

Needs root and the command `ip`, so it runs only where `MQPIPE_TEST_NAMESPACES` is set.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import times, until
from tests.integration.test_cluster import CONFIG, EXPECTED, INTERVAL_MS, newest
from tests.mqpipe import SCRIPT, wait_for_log

pytestmark = pytest.mark.skipif(
    not os.environ.get("MQPIPE_TEST_NAMESPACES"), reason="MQPIPE_TEST_NAMESPACES is not set"
)

NAMES = (f"mqpipe-{os.getpid()}-0", f"mqpipe-{os.getpid()}-1")
HOSTS = ("10.231.77.1", "10.231.77.2")
ADDRESSES = ",".join(f"{host}:2101" for host in HOSTS)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def namespaces() -> Iterator[None]:
    """Two namespaces with a cable between them, and nothing else."""
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ends = ("end0", "end1")
        ip("link", "add", ends[0], "netns", NAMES[0], "type", "veth", "peer", "name", ends[1],
           "netns", NAMES[1])  # fmt: skip
        for name, end, host in zip(NAMES, ends, HOSTS, strict=True):
            ip("-n", name, "addr", "add", f"{host}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False)


def start(folder: Path, number: int) -> subprocess.Popen[str]:
    run = [str(SCRIPT), "run", "c.yaml", "--no-live"]
    run += ["--addresses", ADDRESSES, "--process-id", str(number)]
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMES[number], *run],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("namespaces")
def test_processes_reach_each_other_by_the_network_alone(tmp_path: Path) -> None:
    """Two machines' worth of processes, stopped and started again: each sample once."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    for _ in range(2):
        before = newest(tmp_path)
        processes = [start(tmp_path, number) for number in range(2)]
        for process in processes:
            wait_for_log(process, "run started")
        until(lambda before=before: newest(tmp_path) > before + 2_000)  # type: ignore[misc]
        for process in processes:
            process.terminate()
        for process in processes:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err[-4000:]
    for label, entities in EXPECTED.items():
        found = times(tmp_path / "samples", label)
        assert len(found) == entities
        for guid, ticks in found.items():
            assert ticks == list(range(ticks[0], ticks[-1] + 1, INTERVAL_MS)), f"{label} {guid}"
