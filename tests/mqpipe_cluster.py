"""Processes of mqpipe that run one job together, on addresses of this machine."""

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from tests.mqpipe import Ended, samples, start, wait_for_log
from tests.ports import PortClaim


class Cluster:
    """So many processes of `mqpipe run` in one folder, or `only` some of them."""

    def __init__(
        self,
        folder: Path,
        config: str,
        processes: int,
        *options: str,
        only: Sequence[int] | None = None,
    ) -> None:
        self._ports = ExitStack()
        claims = [self._ports.enter_context(PortClaim()) for _ in range(processes)]
        addresses = ",".join(f"127.0.0.1:{claim.port}" for claim in claims)
        common = ("run", config, "--no-live", "--addresses", addresses, *options)
        self.processes = [
            start(folder, *common, "--process-id", str(number))
            for number in (range(processes) if only is None else only)
        ]
        for process in self.processes:
            wait_for_log(process, "run started")

    def stop(self) -> list[Ended]:
        """SIGTERM to all, and wait for the drain."""
        for process in self.processes:
            process.terminate()
        return self.wait()

    def wait(self, timeout: float = 60) -> list[Ended]:
        """Wait until all have ended; whoever does not is killed."""
        ended = []
        for process in self.processes:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            ended.append(Ended(process.returncode, out, err))
        self._ports.close()
        return ended


def until(condition: Callable[[], bool], timeout: float = 60) -> None:
    """Wait for something that shows on disk."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come to pass")
        time.sleep(0.1)


def times(folder: Path, label: str) -> dict[str, list[int]]:
    """By entity GUID: the timestamps (ms) of all its published samples, in order."""
    frame = samples(folder, label)
    if frame.is_empty():
        return {}
    frame = frame.select("entity_guid", pl.col("timestamp").cast(pl.Int64))
    return {
        str(guid): rows["timestamp"].sort().to_list()
        for (guid,), rows in frame.group_by("entity_guid")
    }
