"""`mqpipe run` whose standard error does not take what is written: it runs and drains as ever."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.forked import MQPIPE, SCRIPT, Forked
from tests.mqpipe import samples, wait_until

pytestmark = pytest.mark.timeout(120)

CONFIG = """
interval: 500ms
simulation: {fleets: [{name: demo, brokers: 1, topics: 1, groups: 1}]}
sinks: {parquet: {path: samples}}
recovery: {path: state, epoch: 500ms}
metrics: {listen: null}
"""


@contextmanager
def full_disk() -> Iterator[int]:
    with Path("/dev/full").open("wb") as full:
        yield full.fileno()


@contextmanager
def reader_that_died() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def reader_that_hangs() -> Iterator[int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


@contextmanager
def terminal_that_is_held() -> Iterator[int]:
    ours, theirs = pty.openpty()
    yield theirs
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize(
    "stream", [full_disk, reader_that_died, reader_that_hangs, terminal_that_is_held]
)
def test_a_run_drains_whatever_its_standard_error_is(
    tmp_path: Path, stream: Callable[[], AbstractContextManager[int]]
) -> None:
    """SIGTERM ends it with 0, and every row is published."""
    with stream() as stderr:
        started_and_drained(tmp_path, stderr)


def started_and_drained(folder: Path, stderr: int) -> None:
    """Run until some ticks are there, and end."""
    (folder / "c.yaml").write_text(CONFIG)
    process = Forked(
        MQPIPE, ["run", "c.yaml"], folder, os.environ, stderr=stderr, stdout=subprocess.DEVNULL
    )
    try:
        log = folder / "state/run/parquet/demo/0000000000.log"
        wait_until(process, lambda: log.exists() and log.stat().st_size >= 20_000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    ticks = samples(folder / "samples", "topic")["timestamp"].dt.epoch("ms").sort().to_list()
    assert ticks == list(range(ticks[0], ticks[-1] + 1, 500))


def test_a_run_starts_without_a_standard_error(tmp_path: Path) -> None:
    """As by `2>&-`; the command's own errors are not shown, and their code is as ever."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "bad.yaml").write_text("no: key")
    for config, code in (("c.yaml", 0), ("bad.yaml", 2)):
        ran = subprocess.run(
            ["sh", "-c", f'exec "$0" run {config} --for 1s 2>&-', str(SCRIPT)],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (code, b"")
    assert samples(tmp_path / "samples", "topic").height == 2
