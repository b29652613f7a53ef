"""Scrapes of `mqpipe run`'s page of clusters beside scrapes of the exporters of others.

All watch the same brokers. Between two scrapes the cluster changes as in `bench_collect`, and mqpipe
ticks; its page is asked for twice: `first` is the one that is made then, `again` the one that is kept.
Beside it runs the same job without `samples`, so the memory that the page takes is in the table, and
one with kafka_exporter's names in place of its own. `page_mb` is the page as it is without compression.

    python -m tests.benchmarks.bench_scrape [--partitions 10000] [--groups 1000] [--rounds 5]
        [--interval 20] [--kminion BINARY] [--kafka-exporter BINARY] [--json FILE]
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from tests.benchmarks import peers as exporters
from tests.benchmarks.bench_collect import BROKERS
from tests.benchmarks.child_costs import SCRIPT, cpu_seconds, peak
from tests.benchmarks.cluster_at_work import WorkingCluster
from tests.benchmarks.options import keep, parser_of
from tests.benchmarks.peers import Reader
from tests.kafka.cluster import KafkaCluster
from tests.ports import PortClaim

CONFIG = """
mode: infrastructure
interval: {interval}s
clusters:
  - name: bench
    bootstrap_servers: "{servers}"
sinks: {{parquet: {{path: samples}}}}
metrics: {{listen: "127.0.0.1:{port}", {more}}}
"""
PAGES: Mapping[str, str] = {
    "mqpipe without": "samples: false",
    "mqpipe": "samples: true",
    "mqpipe, theirs": "compatible: kafka_exporter",
}
"""By process: what its configuration says of its page."""


@contextmanager
def running(name: str, servers: str, interval: int) -> Iterator[Reader]:
    """A job, and its page."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(folder, "log").open("w") as log,
        PortClaim() as claim,
    ):
        given = {"interval": interval, "servers": servers, "port": claim.port}
        Path(folder, "c.yaml").write_text(CONFIG.format(**given, more=PAGES[name]))
        command = [str(SCRIPT), "run", "c.yaml", "--no-live"]
        url = f"http://127.0.0.1:{claim.port}/metrics"
        with subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
            try:
                yield Reader(name, process.pid, lambda: _size(url), url)
            finally:
                process.terminate()


def _size(url: str) -> int:
    with urlopen(url, timeout=60) as page:
        return len(page.read())


def measured(
    readers: Sequence[Reader], cluster: WorkingCluster, interval: int, rounds: int
) -> list[dict[str, Any]]:
    """A row for each process and kind of scrape; the medians of all rounds but the first."""
    wall: dict[tuple[str, str], list[float]] = {}
    cpu: dict[tuple[str, str], list[float]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for number in range(rounds + 1):
        cluster.change()
        time.sleep(interval - time.time() % interval + interval / 2)
        for reader in readers:
            for kind in ("first", "again") if reader.name in PAGES else ("first",):
                begin, used = time.monotonic(), cpu_seconds(reader.pid)
                sizes[reader.name, kind] = reader.read()
                if number:
                    wall.setdefault((reader.name, kind), []).append(time.monotonic() - begin)
                    cpu.setdefault((reader.name, kind), []).append(cpu_seconds(reader.pid) - used)
    pids = {reader.name: reader.pid for reader in readers}
    return [
        {
            "process": name,
            "scrape": kind,
            "seconds": median(wall[name, kind]),
            "cpu_seconds": median(cpu[name, kind]),
            "page_mb": sizes[name, kind] / 1e6,
            "peak_mb": peak(pids[name]) / 2**20,
        }
        for name, kind in wall
    ]


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--interval", type=int, default=20, help="seconds")
    exporters.add_options(parser)
    options = parser.parse_args()
    with (
        KafkaCluster(BROKERS, heap="1g") as kafka,
        WorkingCluster(kafka, options.partitions, options.groups) as cluster,
        ExitStack() as started,
    ):
        servers = kafka.bootstrap_servers
        ours = [started.enter_context(running(n, servers, options.interval)) for n in PAGES]
        theirs = started.enter_context(exporters.peers(options, servers))
        rows = measured([*ours, *theirs], cluster, options.interval, options.rounds)
    print(f"{options.partitions:,} partitions, {options.groups:,} groups")
    print(f"{'':>16}{'scrape':>8}{'s':>10}{'CPU s':>10}{'page MB':>10}{'peak MB':>10}")
    for row in rows:
        print(
            f"{row['process']:>16}{row['scrape']:>8}{row['seconds']:>10.4f}"
            f"{row['cpu_seconds']:>10.4f}{row['page_mb']:>10.2f}{row['peak_mb']:>10.1f}"
        )
    keep({"partitions": options.partitions, "groups": options.groups, "rows": rows}, options.json)


if __name__ == "__main__":
    main()
