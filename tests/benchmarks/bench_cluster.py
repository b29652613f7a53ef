"""The same export by one worker, by two threads, and by two processes as one cluster.

`2 apart` are two processes that know nothing of each other, with half of the clusters each: no way
of sharing the work can be faster on this machine. In the last row every batch is handed to the
other process, pickled and over TCP: what it costs where a sink's partitions do not lie beside their
source's. `wall` is the time on the clock of the slowest process; both are without start-up. Rounds
alternate; medians count.

    python -m tests.benchmarks.bench_cluster [--ticks 240] [--rounds 3] [--json FILE]
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_export import CLUSTERS
from tests.benchmarks.child_costs import ROOT, Spent, spent
from tests.benchmarks.options import keep, parser_of
from tests.ports import PortClaim


@dataclass(frozen=True, slots=True)
class Way:
    """How many processes share the work, and as one cluster or `apart`."""

    processes: int
    options: Sequence[str] = ()
    apart: bool = False


WAYS: Mapping[str, Way] = {
    "1 worker": Way(1),
    "2 apart": Way(2, ("--clusters", str(CLUSTERS // 2)), apart=True),
    "2 threads": Way(1, ("--threads", "2")),
    "2 processes": Way(2),
    "2 processes, crossing": Way(2, ("--cross",)),
}


def run(ticks: int, way: Way) -> Spent:
    """What all processes spent together, and the longest time of one."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="mqpipe-bench-"))
        ports = [stack.enter_context(PortClaim()) for _ in range(way.processes)]
        common = [sys.executable, "-m", "tests.benchmarks.export_process"]
        common += ["--ticks", str(ticks), "--store", *way.options]
        addresses = ",".join(f"127.0.0.1:{port.port}" for port in ports)

        def one(number: int) -> Spent:
            own = Path(name) / f"process-{number}"
            own.mkdir()
            place = ["--folder", str(own if way.apart else name)]
            if way.processes > 1 and not way.apart:
                place += ["--addresses", addresses, "--process-id", str(number)]
            return spent([*common, *place], own, ROOT)

        with ThreadPoolExecutor(way.processes) as pool:
            each = list(pool.map(one, range(way.processes)))
    return Spent(
        sum(s.cpu for s in each), max(s.wall for s in each), max(s.peak_bytes for s in each)
    )


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--ticks", type=int, default=240)
    options = parser.parse_args()
    found: dict[str, list[Spent]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            found[name].append(run(options.ticks, way).beyond(run(1, way)))
    rows = [
        {
            "way": name,
            "cpu_seconds": median(s.cpu for s in each),
            "wall_seconds": median(s.wall for s in each),
            "times_as_fast": median(
                one.wall / s.wall for one, s in zip(found["1 worker"], each, strict=True)
            ),
            "peak_mb": max(s.peak_bytes for s in each) // 2**20,
        }
        for name, each in found.items()
    ]
    print(f"{'':<22} {'CPU s':>7} {'wall s':>7} {'times as fast':>13} {'peak MB':>8}")
    for row in rows:
        print(f"{row['way']:<22} {row['cpu_seconds']:>7.2f} {row['wall_seconds']:>7.2f} "
              f"{row['times_as_fast']:>13.2f} {row['peak_mb']:>8}")  # fmt: skip
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    keep(rows, options.json)


if __name__ == "__main__":
    main()
