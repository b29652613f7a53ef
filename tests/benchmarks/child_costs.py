"""What a child process took: the measure of benchmarks that run mqpipe as its users do."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("mqpipe")


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds of all its threads, seconds on the clock, the most memory it had."""

    cpu: float
    wall: float
    peak_bytes: int

    def beyond(self, start_up: "Spent") -> "Spent":
        """What was spent on more than starting up."""
        return Spent(self.cpu - start_up.cpu, self.wall - start_up.wall, self.peak_bytes)


def spent(command: Sequence[str | Path], folder: Path, cwd: Path | None = None) -> Spent:
    """Run a command in a folder, or elsewhere with its output there, to its end.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.monotonic()
    log = folder / "benchmark.log"
    with log.open("w") as out:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd or folder,
            stdout=out,
            stderr=out,
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}:\n{log.read_text()[-4000:]}")
    return Spent(usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss * 1024)


def memory(process: int | str = "self") -> int:
    """Bytes of memory that a process has now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak(process: int) -> int:
    """Bytes of memory that a process had at most."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def cpu_seconds(process: int) -> float:
    """Processor seconds that a process has used, with threads that have ended.

    By its clock (`clock_getcpuclockid(3)`), which counts finer than the 10 ms of /proc.
    """
    sched = 2
    return time.clock_gettime(((~process) << 3) | sched)
