"""`mqpipe run` on a cluster at work, for some intervals: what it costs with all that it does.

Parquet is its sink. Beside it run, on the same cluster and at the same time: the build that
`--beside` names, exporters of others, each scraped once an interval when nobody ticks, and a bare
Bytewax flow with one silent source, which is what the engine itself takes. Between two ticks the
cluster changes as in `bench_collect`. `cpu_seconds` is of one interval, its idle time included, the
first one left out; `idle` is the share of a core in seconds in which nothing is due. `--clusters`
names the same cluster several times, which is three targets each time.

    python -m tests.benchmarks.bench_watch [--partitions 10000] [--groups 1000] [--clusters 1]
        [--ticks 5] [--interval 30] [--beside PATH] [--kminion BINARY] [--kafka-exporter BINARY] [--json FILE]
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.benchmarks import peers as exporters
from tests.benchmarks.bench_collect import BROKERS
from tests.benchmarks.child_costs import ROOT, cpu_seconds, peak
from tests.benchmarks.cluster_at_work import WorkingCluster
from tests.benchmarks.options import keep, parser_of
from tests.kafka.cluster import KafkaCluster

IDLE = 5.0
"""Seconds before a tick in which nothing is done to the cluster."""


def configured(servers: str, clusters: int, interval: int) -> str:
    """The configuration."""
    return yaml.safe_dump(
        {
            "mode": "infrastructure",
            "interval": f"{interval}s",
            "clusters": [
                {"name": f"bench-{n:02}", "bootstrap_servers": servers} for n in range(clusters)
            ],
            "sinks": {"parquet": {"path": "samples"}},
            "metrics": {"listen": None},
        }
    )


@contextmanager
def running(root: Path, configuration: str) -> Iterator[int]:
    """A build's `mqpipe run`; its process's id."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w") as log:
        Path(folder, "c.yaml").write_text(configuration)
        command = [str(root.resolve() / ".venv/bin/mqpipe"), "run", "c.yaml", "--no-live"]
        with subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
            try:
                yield process.pid
            finally:
                process.terminate()
        if process.returncode:
            raise RuntimeError(f"{root} ended with {process.returncode}")


@contextmanager
def bare() -> Iterator[int]:
    """A bare flow; its process's id."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bare_flow"], cwd=ROOT
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def measured(
    pids: Mapping[str, int],
    scrapes: Sequence[Callable[[], int]],
    change: Callable[[], None],
    interval: int,
    ticks: int,
) -> list[dict[str, Any]]:
    """A row for each process."""
    cpu: dict[str, list[float]] = {name: [] for name in pids}
    idle: dict[str, list[float]] = {name: [] for name in pids}
    before: dict[str, float] = {}
    for number in range(ticks + 1):
        time.sleep(interval - time.time() % interval)
        now = {name: cpu_seconds(pid) for name, pid in pids.items()}
        if number > 1:
            for name, used in now.items():
                cpu[name].append(used - before[name])
        before = now
        time.sleep(interval / 3)
        for scrape in scrapes:
            scrape()
        change()
        time.sleep(max(0, interval - time.time() % interval - IDLE))
        at = {name: cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(IDLE - 1)
        for name, pid in pids.items():
            idle[name].append((cpu_seconds(pid) - at[name]) / (IDLE - 1))
    return [
        {
            "process": name,
            "cpu_seconds": sum(cpu[name]) / len(cpu[name]),
            "idle": median(idle[name]),
            "peak_mb": peak(pid) / 2**20,
        }
        for name, pid in pids.items()
    ]


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--clusters", type=int, default=1)
    parser.add_argument("--ticks", type=int, default=5)
    parser.add_argument("--interval", type=int, default=30, help="seconds")
    exporters.add_options(parser)
    options = parser.parse_args()
    builds = {"mqpipe": ROOT} | ({"beside": options.beside} if options.beside else {})
    with (
        KafkaCluster(BROKERS, heap="1g") as kafka,
        WorkingCluster(kafka, options.partitions, options.groups) as cluster,
        exporters.peers(options, kafka.bootstrap_servers) as peers,
        ExitStack() as started,
    ):
        configuration = configured(kafka.bootstrap_servers, options.clusters, options.interval)
        pids = {
            name: started.enter_context(running(root, configuration))
            for name, root in builds.items()
        }
        pids |= {peer.name: peer.pid for peer in peers}
        pids["bare flow"] = started.enter_context(bare())
        scrapes = [peer.read for peer in peers]
        rows = measured(pids, scrapes, cluster.change, options.interval, options.ticks)
    print(
        f"{options.partitions:,} partitions, {options.groups:,} groups, "
        f"{options.clusters} times, {options.interval} s"
    )
    print(f"{'':>16}{'CPU s':>10}{'idle':>10}{'peak MB':>10}")
    for row in rows:
        print(
            f"{row['process']:>16}{row['cpu_seconds']:>10.3f}{row['idle']:>10.2%}"
            f"{row['peak_mb']:>10.1f}"
        )
    keep(
        {
            "partitions": options.partitions,
            "groups": options.groups,
            "clusters": options.clusters,
            "rows": rows,
        },
        options.json,
    )


if __name__ == "__main__":
    main()
