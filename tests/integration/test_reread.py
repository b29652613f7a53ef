"""SIGHUP: a run rereads its configuration, or drains where it has none or a terminal is there."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from tests.forked import SCRIPT
from tests.mqpipe import samples, start, stop, wait_for_log
from tests.ports import PortClaim

pytestmark = pytest.mark.timeout(120)

CONFIG = """
interval: {interval}
simulation: {{seed: 1, fleets: [{{name: {fleet}}}]}}
sinks: {{parquet: {{path: samples}}}}
recovery: {{path: state, epoch: 500ms}}
metrics: {{listen: null}}
"""


def write(folder: Path, fleet: str, interval: str = "200ms") -> None:
    (folder / "c.yaml").write_text(CONFIG.format(fleet=fleet, interval=interval))


def ticks(folder: Path, cluster: str) -> list[int]:
    frame = samples(folder / "samples", "cluster").filter(pl.col("cluster_name") == cluster)
    return sorted(frame["timestamp"].cast(pl.Int64).to_list())


def wait_for_rows(log: Path) -> None:
    """Wait until samples lie in a partition's log."""
    until = time.monotonic() + 30
    while not any(file.stat().st_size for file in log.glob("*.log")):
        assert time.monotonic() < until, f"no rows in {log}"
        time.sleep(0.05)


def test_a_right_configuration_is_taken_on_and_no_tick_is_lost(tmp_path: Path) -> None:
    """The same process goes on with what is new; what stays has each tick, once."""
    write(tmp_path, "old")
    process = start(tmp_path, "run", "c.yaml")
    wait_for_log(process, "run started")
    wait_for_rows(tmp_path / "state" / "run" / "parquet" / "old")
    text = (tmp_path / "c.yaml").read_text()
    (tmp_path / "c.yaml").write_text(text.replace("{name: old}", "{name: old}, {name: new}"))
    process.send_signal(signal.SIGHUP)
    for said in ("configuration reread", "run ended", "run started"):
        wait_for_log(process, said)
    wait_for_rows(tmp_path / "state" / "run" / "parquet" / "new")
    ended = stop(process)
    assert ended.code == 0, ended.err[-4000:]
    kept, new = ticks(tmp_path, "old"), ticks(tmp_path, "new")
    assert kept == list(range(kept[0], kept[-1] + 1, 200))
    assert new
    assert new[0] > kept[0]


def test_a_wrong_configuration_is_refused_and_the_old_goes_on(tmp_path: Path) -> None:
    """With its faults in the log; a second look at the mended one takes it on."""
    write(tmp_path, "old")
    process = start(tmp_path, "run", "c.yaml")
    wait_for_log(process, "run started")
    (tmp_path / "c.yaml").write_text("intervall: 1s\n")
    process.send_signal(signal.SIGHUP)
    wait_for_log(process, "configuration refused, the old one goes on")
    wait_for_rows(tmp_path / "state" / "run" / "parquet" / "old")
    write(tmp_path, "other")
    process.send_signal(signal.SIGHUP)
    for said in ("configuration reread", "run started"):
        wait_for_log(process, said)
    assert stop(process).code == 0
    assert ticks(tmp_path, "old")


def test_a_process_of_a_cluster_does_not_reread(tmp_path: Path) -> None:
    """It ends the others where it starts again: it says so, and goes on."""
    write(tmp_path, "old")
    with PortClaim() as claim:
        address = f"127.0.0.1:{claim.port}"
        process = start(tmp_path, "run", "c.yaml", "--addresses", address)
        wait_for_log(process, "run started")
        process.send_signal(signal.SIGHUP)
        wait_for_log(process, "not reread")
        assert stop(process).code == 0


def test_without_a_configuration_it_drains(tmp_path: Path) -> None:
    """There is nothing to read again."""
    process = start(tmp_path, "run")
    wait_for_log(process, "run started")
    process.send_signal(signal.SIGHUP)
    wait_for_log(process, "run ended")
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_with_a_terminal_it_drains(tmp_path: Path) -> None:
    """A SIGHUP is then the terminal's end."""
    write(tmp_path, "old")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "run", "c.yaml"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_log(process, "run started")
    process.send_signal(signal.SIGHUP)
    wait_for_log(process, "run ended")
    process.communicate(timeout=30)
    assert process.returncode == 0
    os.close(ours)
    os.close(theirs)
