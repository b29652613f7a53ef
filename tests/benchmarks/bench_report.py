"""What does a report cost in time and memory, and does memory stay flat?

A fleet of four clusters (50 brokers, 500 topics and 100 groups each) is exported over a short
and over a ten times longer time. `mqpipe report` runs over each in a process of its own, beside a
bare loop that only reads the same columns. The peak of memory includes the drawing library.

    python -m tests.benchmarks.bench_report [--full] [--json FILE]
"""

import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from flows.report.summary import (
    OF_BROKERS,
    OF_CLUSTERS,
    OF_GROUPS,
    OF_TOPICS,
)
from flows.samples import find_samples
from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC
from tests.benchmarks.child_costs import SCRIPT, spent
from tests.benchmarks.options import keep, parser_of

CONFIG = """
interval: 30s
simulation:
  fleets:
    - {name: big, clusters: 4, brokers: 50, topics: 500, groups: 100}
  anomalies:
    - {kind: broker_down, rate: 0.005, duration: 30m}
    - {kind: consumer_stall, rate: 0.005}
metrics: {listen: null}
"""
START = datetime(2026, 1, 5, tzinfo=UTC)
SHORT_HOURS, FULL_HOURS = (1, 10), (32, 320)

READ = {
    CLUSTER: OF_CLUSTERS,
    BROKER: OF_BROKERS,
    CONSUMER_GROUP: OF_GROUPS,
    TOPIC: OF_TOPICS,
}
COMMON = ("timestamp", "cluster_name", "entity_name", "origin", "provider", "environment")


@dataclass(frozen=True)
class Cost:
    """Of one report."""

    samples: int
    seconds: float
    """Wall time."""
    cpu_seconds: float
    peak_mb: float
    bare_cpu_seconds: float
    page_kb: float


def bare(path: Path) -> int:
    """Read every column that a report reads, and keep one number of each; the samples' number."""
    samples = find_samples(str(path))
    queries = []
    for entity_type, measures in READ.items():
        names = dict.fromkeys((*COMMON, "anomaly", "late", *(m.metric for m in measures)))
        scan = samples.scan(entity_type).select(*names)
        queries.append(scan.select(pl.len(), pl.all().null_count().name.prefix("nulls of ")))
    return sum(int(q.collect(engine="streaming")["len"][0]) for q in queries)


def cost(path: Path) -> Cost:
    """Report on the samples below a path, in a process of its own."""
    started = time.process_time()
    samples = bare(path)
    bare_seconds = time.process_time() - started
    page = path / "report.html"
    report = spent([SCRIPT, "report", path, "--out", page], path.parent)
    return Cost(
        samples=samples,
        seconds=report.wall,
        cpu_seconds=report.cpu,
        peak_mb=report.peak_bytes / 2**20,
        bare_cpu_seconds=bare_seconds,
        page_kb=page.stat().st_size / 1024,
    )


def main() -> None:
    """Measure and print, or write as JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--full", action="store_true", help="10 and 100 million samples")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as folder:
        config = Path(folder, "c.yaml")
        config.write_text(CONFIG)
        for hours in FULL_HOURS if options.full else SHORT_HOURS:
            path = Path(folder, f"{hours}h")
            end = START + timedelta(hours=hours)
            span = ("--start", START.isoformat(), "--end", end.isoformat(), "--out", str(path))
            spent([SCRIPT, "export", config, *span], Path(folder))
            found.append(cost(path))
    print(
        f"{'samples':>12} {'seconds':>8} {'cpu s':>7} {'bare s':>7} {'peak MB':>8} {'page kB':>8}"
    )
    for one in found:
        print(
            f"{one.samples:>12,} {one.seconds:>8.1f} {one.cpu_seconds:>7.1f} "
            f"{one.bare_cpu_seconds:>7.1f} {one.peak_mb:>8.0f} {one.page_kb:>8.0f}"
        )
    print(f"peak of memory at ten times the samples: × {found[1].peak_mb / found[0].peak_mb:.2f}")
    keep([asdict(one) for one in found], options.json)


if __name__ == "__main__":
    main()
