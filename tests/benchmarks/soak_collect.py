"""A soak of collection: many targets, faults at random, and what must hold at the end of it.

`mqpipe run` asks so many targets in one pool, over real connections to a service that behaves as
the target's fault of the moment wants: it answers, hangs, answers after 90 % of the time-out,
resets the connection every other time, or there is nobody at all. Half of the targets are
coroutines, half block in threads, of which those that hang are abandoned. At the end all is well
for a while; then checked is

- memory: the median after a quarter of the time beside that of the last quarter;
- threads and file descriptors: no more than before the faults began;
- that no tick was lost: each due tick of each target is a row of its own or counted in `missed`.

    python -m tests.benchmarks.soak_collect [--minutes 20] [--targets 200] [--json FILE]
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zlib import crc32

import polars as pl
import yaml

from tests.benchmarks.child_costs import ROOT, SCRIPT
from tests.benchmarks.options import keep, parser_of

INTERVAL = 5.0
TIMEOUT = 2.0
PHASE = 40_000
"""Milliseconds that a target keeps a fault, or none."""
CALM = 60.0
"""Seconds without faults, at the start and at the end."""
HANGS = 20.0
"""Seconds after which the service closes a connection that it left hanging."""
FAULTS = ("hang", "refuse", "slow", "flap")
FAULTY = 0.3
"""Share of targets that have a fault."""
GROWTH = 0.05
"""Share by which memory may grow between the two medians."""


class Reading(NamedTuple):
    """What the process holds at a moment (seconds since the start)."""

    at: float
    rss_mb: float
    threads: int
    fds: int


class _Faulty:
    """What a target of the soak is: its fault of the moment depends on its name and the tick."""

    def __init__(self, spec: Any, account_id: object, origin: object, **options: Any) -> None:
        self._cluster: str = spec.cluster
        self._port: int = options["port"]
        self._nobody: int = options["nobody"]
        self._begin: int = options["begin"]
        self._end: int = options["end"]

    def _ask(self, tick: int) -> tuple[int, str]:
        """The port to ask, and what the service is to do."""
        rng = random.Random(crc32(f"{self._cluster} {tick // PHASE}".encode()))
        calm = not self._begin <= tick < self._end or rng.random() > FAULTY
        fault = "well" if calm else rng.choice(FAULTS)
        if fault == "flap":
            fault = "reset" if tick // round(INTERVAL * 1000) % 2 else "well"
        return (self._nobody if fault == "refuse" else self._port), fault

    @staticmethod
    def _rows(answer: bytes) -> dict[str, list[dict[str, Any]]]:
        if answer != b"well\n":
            raise ConnectionResetError(f"it answered {answer!r}")
        return {"queue": [{"queue": "all", "queue.depth": 1}]}


class Awaits(_Faulty):
    """A target that is asked by a coroutine."""

    async def generate(self, tick: int, time_left: float) -> dict[str, list[dict[str, Any]]]:
        """One row, or what went wrong."""
        port, fault = self._ask(tick)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{fault}\n".encode())
            return self._rows(await reader.readline())
        finally:
            writer.close()


class Blocks(_Faulty):
    """A target that is asked in a thread, without a time-out of its own."""

    def generate(self, tick: int, time_left: float) -> dict[str, list[dict[str, Any]]]:
        """One row, or what went wrong."""
        port, fault = self._ask(tick)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{fault}\n".encode())
            return self._rows(connection.recv(100))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match (await reader.readline()).decode().strip():
        case "hang":
            await asyncio.sleep(HANGS)
        case "slow":
            await asyncio.sleep(0.9 * TIMEOUT)
            writer.write(b"well\n")
        case "reset":
            writer.transport.abort()
        case _:
            writer.write(b"well\n")
    writer.close()


@contextmanager
def service() -> Iterator[int]:
    """The service that all targets ask, in a thread; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1000), loop
    )
    yield started.result().sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def configured(targets: int, options: dict[str, int]) -> str:
    """The configuration: half of the targets await, half block."""
    half = targets // 2
    fleets = [
        {
            "name": name.lower(),
            "provider": "sqs",
            "clusters": clusters,
            "generator": {"use": f"{__spec__.name}:{name}", "io": True, "options": options},
        }
        for name, clusters in (("Awaits", half), ("Blocks", targets - half))
    ]
    return yaml.safe_dump(
        {
            "interval": INTERVAL,
            "simulation": {"fleets": fleets},
            "pools": {
                "simulation": {
                    "size": 60,
                    "timeout": TIMEOUT,
                    "attempts": 2,
                    "backoff": {"initial": 0.5, "max": 1.0},
                    "breaker": {"failures": 3, "probe": 20.0},
                }
            },
            # Each target has files of its own: at the end few rows of each are left to publish.
            "sinks": {"parquet": {"path": "samples", "roll": {"every": 120.0}}},
            "shutdown": {"grace": 60.0},
            "metrics": {"listen": None},
        }
    )


def reading(pid: int, begin: float) -> Reading:
    """What a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines())
    return Reading(
        round(time.monotonic() - begin, 1),
        int(values["VmRSS"].split()[0]) / 1024,
        int(values["Threads"]),
        len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - names are enough
    )


def watch(folder: Path, seconds: float) -> list[Reading]:
    """Run `mqpipe` for so long, and read what it holds every few seconds."""
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [SCRIPT, "run", "soak.yaml", "--no-live"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        begin = time.monotonic()
        readings: list[Reading] = []
        try:
            while (left := begin + seconds - time.monotonic()) > 0:
                time.sleep(min(INTERVAL, left))
                readings.append(reading(child.pid, begin))
            child.send_signal(signal.SIGTERM)
            code = child.wait(90)
        finally:
            child.kill()
    if code:
        raise RuntimeError(f"mqpipe ended with {code}:\n{(folder / 'log').read_text()[-4000:]}")
    return readings


def ticks_of(folder: Path, targets: int) -> tuple[Counter[str], int]:
    """How the ticks ended, by error class; and how many are neither a row nor counted."""
    rows = (
        pl.scan_parquet(folder / "samples/type=collection/**/*.parquet", hive_partitioning=False)
        .select("cluster_name", "timestamp", "collection.missed", "collection.errorClass")
        .with_columns(pl.col("timestamp").cast(pl.Int64), pl.col(pl.Categorical).cast(pl.String))
        .collect()
    )
    ended: Counter[str] = Counter()
    reported: set[tuple[str, int]] = set()
    step = round(INTERVAL * 1000)
    for cluster, tick, missed, error in rows.iter_rows():
        ended[error or "completed"] += max(1, missed)
        reported |= {(cluster, tick - n * step) for n in range(max(1, missed))}
    first, last = min(tick for _, tick in reported), max(tick for _, tick in reported)
    return ended, targets * len(range(first, last + 1, step)) - len(reported)


def judged(readings: list[Reading], ended: Counter[str], lost: int, targets: int) -> dict[str, Any]:
    """The figures, and what of them is not as it must be."""
    seconds = readings[-1].at
    early = [r for r in readings if 0.25 * seconds < r.at < 0.5 * seconds]
    late = [r for r in readings if r.at > 0.75 * seconds]
    calm = [r for r in readings if INTERVAL < r.at < CALM]
    least = min(r.fds for r in readings[-4:]), min(r.threads for r in readings[-4:])
    before = max(r.fds for r in calm), max(r.threads for r in calm)
    warm, end = median(r.rss_mb for r in early), median(r.rss_mb for r in late)
    failures = [
        what
        for what, holds in (
            (f"{lost} ticks are lost", lost == 0),
            ("memory grew", end <= warm * (1 + GROWTH)),
            ("file descriptors are left", least[0] <= before[0]),
            ("threads are left", least[1] <= before[1]),
            ("no tick failed", sum(ended.values()) > ended["completed"]),
        )
        if not holds
    ]
    return {
        "seconds": seconds,
        "targets": targets,
        "ticks": sum(ended.values()),
        "ended": dict(ended.most_common()),
        "lost": lost,
        "rss_mb_after_a_quarter": round(warm, 1),
        "rss_mb_at_the_end": round(end, 1),
        "rss_mb_most": round(max(r.rss_mb for r in readings), 1),
        "fds": {"before": before[0], "most": max(r.fds for r in readings), "after": least[0]},
        "threads": {
            "before": before[1],
            "most": max(r.threads for r in readings),
            "after": least[1],
        },
        "failures": failures,
    }


def main() -> int:
    """Soak, print the figures; 1 where something does not hold."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="keep log and samples there")
    options = parser.parse_args()

    seconds = max(options.minutes * 60, 4 * CALM)
    now = time.time()
    with tempfile.TemporaryDirectory() as temporary, service() as port, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        folder = Path(temporary)
        behaviour = {
            "port": port,
            "nobody": nobody.getsockname()[1],
            "begin": round((now + CALM) * 1000),
            "end": round((now + seconds - CALM) * 1000),
        }
        (folder / "soak.yaml").write_text(configured(options.targets, behaviour))
        readings = watch(folder, seconds)
        figures = judged(readings, *ticks_of(folder, options.targets), options.targets)
        if options.keep:
            shutil.copytree(folder, options.keep, dirs_exist_ok=True)
    print(json.dumps(figures, indent=2))
    keep({**figures, "readings": readings}, options.json)
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
