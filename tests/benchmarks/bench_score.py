"""What does it cost to score a detector against a day of a fleet, in all figures?

A fleet of clusters of 651 entities each is exported over a day, with anomalies that touch most of
them. `mqpipe score` reads it, once beside a score for each sample, once beside alerts, with all its
processes; its memory is theirs together. With `--peers PYTHON` (an interpreter that has vus 0.0.6 and
prts 1.0.0.3) their time for single series of the same length is given beside ours.

    python -m tests.benchmarks.bench_score [--full] [--peers PYTHON] [--json FILE]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from flows.anomalies.spans import spans_of
from flows.samples import find_samples
from flows.score.affiliation import affiliation
from flows.score.ranges import range_precision, range_recall
from flows.score.volume import volume
from tests.benchmarks.child_costs import SCRIPT, cpu_seconds, spent
from tests.benchmarks.options import keep, parser_of

CONFIG = """
interval: 30s
simulation:
  fleets:
    - {{name: big, clusters: {clusters}, brokers: 20, topics: 270, groups: 90}}
  anomalies:
    - {{kind: broker_down, rate: 0.5, duration: 30m}}
    - {{kind: consumer_stall, rate: 0.14}}
    - {{kind: spike, rate: 0.046}}
metrics: {{listen: null}}
"""
START = datetime(2026, 1, 5, tzinfo=UTC)
TICKS = 2_880
PEERS = """
import json, sys, time
import numpy as np
from prts.time_series_metrics.precision import TimeSeriesPrecision
from prts.time_series_metrics.recall import TimeSeriesRecall
from vus.affiliation.generics import convert_vector_to_events as events
from vus.affiliation.metrics import pr_from_events
from vus.utils.metrics import metricor

given = np.load(sys.argv[1])
labels, scores = given["labels"].astype(int), given["scores"]
flagged = given["flagged"].astype(int)
def timed(work):
    begin = time.process_time()
    work()
    return time.process_time() - begin
print(json.dumps({
    "VUS": timed(lambda: metricor().RangeAUC_volume_opt(labels, scores, 100)),
    "range-based": timed(lambda: (
        TimeSeriesPrecision(0.0, "reciprocal", "flat").score(labels, flagged),
        TimeSeriesRecall(0.0, "reciprocal", "flat").score(labels, flagged),
    )),
    "affiliation": timed(lambda: pr_from_events(
        events(flagged), events(labels), (0, len(labels)))),
}))
"""


@dataclass(frozen=True)
class Cost:
    """Of one `mqpipe score`, all its processes together."""

    given: str
    samples: int
    anomalies: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def write_scores(path: Path, file: Path) -> None:
    """A poor detector's score for each sample: noise, and more where something is wrong."""
    rng = np.random.default_rng(0)
    samples = find_samples(str(path))
    writer: pq.ParquetWriter | None = None
    for entity_type in samples.files:
        rows = samples.scan(entity_type).select("entity_name", "timestamp", "anomaly")
        for frame in rows.collect_batches(chunk_size=500_000):
            score = rng.normal(size=len(frame)) + 2.0 * frame["anomaly"].is_not_null().to_numpy()
            table = pl.DataFrame(
                {"entity": frame["entity_name"], "time": frame["timestamp"], "score": score}
            ).to_arrow()
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()


def write_alerts(table: pl.DataFrame, file: Path) -> None:
    """An alert a minute after each onset, on one entity that the anomaly touches."""
    at = pl.col("start").dt.offset_by("1m")
    chosen = table.select(entity=pl.col("entities").list.last(), start=at, cause="entity")
    chosen.write_csv(file)


def cost(given: str, path: Path, file: Path, samples: int, anomalies: int) -> Cost:
    """Score a file, in a process of its own and those that it starts."""
    begin = time.monotonic()
    command = [str(SCRIPT), "score", str(file), "--against", str(path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak, cpu = 0, dict[int, float]()
    while child.poll() is None:
        memory = 0
        for process in _tree(child.pid):
            try:
                cpu[process] = cpu_seconds(process)
                memory += _proportional(process)
            except (OSError, ValueError):
                continue
        peak = max(peak, memory)
        time.sleep(0.2)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}")
    wall = time.monotonic() - begin
    return Cost(given, samples, anomalies, wall, sum(cpu.values()), peak / 2**20)


def _tree(process: int) -> list[int]:
    found = [process]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [one for child in children.read_text().split() for one in _tree(int(child))]
        except OSError:
            continue
    return found


def _proportional(process: int) -> int:
    """Bytes of memory; what processes share counts in parts."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def series_cost(python: str, folder: Path) -> dict[str, dict[str, float]]:
    """CPU seconds of one series of a day with six anomalies: ours, and the packages'."""
    rng = np.random.default_rng(1)
    labels = np.zeros(TICKS, np.bool_)
    for start in rng.integers(0, TICKS - 80, 6).tolist():
        labels[start : start + 60] = True
    scores = rng.normal(size=TICKS) + 2 * labels
    flagged = scores > 1.67
    np.savez(file := folder / "series.npz", labels=labels, scores=scores, flagged=flagged)
    truth, predicted = spans_of(labels), spans_of(flagged)
    ours: dict[str, Callable[[], Any]] = {
        "VUS": lambda: volume(truth, scores, 100),
        "range-based": lambda: (
            range_precision(truth, predicted),
            range_recall(truth, predicted),
        ),
        "affiliation": lambda: affiliation(truth, predicted, TICKS),
    }
    found = {name: {"ours": _cpu_of(work)} for name, work in ours.items()}
    done = subprocess.run([python, "-c", PEERS, file], capture_output=True, text=True, check=True)
    for name, seconds in json.loads(done.stdout.splitlines()[-1]).items():
        found[name]["theirs"] = seconds
    return found


def _cpu_of(work: Callable[[], Any], rounds: int = 50) -> float:
    begin = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - begin) / rounds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print, or write as JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--full", action="store_true", help="37 million samples of 13,020 entities")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with vus and prts")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
        folder = Path(name)
        config, path = folder / "c.yaml", folder / "day"
        config.write_text(CONFIG.format(clusters=20 if options.full else 1))
        span = ("--start", START.isoformat(), "--end", (START + timedelta(days=1)).isoformat())
        spent([SCRIPT, "export", config, *span, "--out", path], folder)
        samples = find_samples(str(path))
        counts = pl.collect_all([samples.scan(t).select(pl.len()) for t in samples.files])
        table = samples.anomalies()
        assert table is not None
        write_scores(path, folder / "scores.parquet")
        write_alerts(table, folder / "alerts.csv")
        rows = sum(frame.item() for frame in counts)
        found = [
            cost(given, path, folder / file, rows, len(table))
            for given, file in (("scores", "scores.parquet"), ("alerts", "alerts.csv"))
        ]
        peers = series_cost(options.peers, folder) if options.peers else {}
    print(
        f"{'given':8} {'samples':>12} {'anomalies':>9} {'seconds':>8} {'cpu s':>7} {'peak MB':>8}"
    )
    for one in found:
        print(
            f"{one.given:8} {one.samples:>12,} {one.anomalies:>9,} {one.seconds:>8.1f} "
            f"{one.cpu_seconds:>7.1f} {one.peak_mb:>8.0f}"
        )
    for figure, seconds in peers.items():
        print(
            f"{figure}: {seconds['ours'] * 1e3:.2f} ms a series, the package "
            f"{seconds['theirs'] * 1e3:.1f} ms: × {seconds['theirs'] / seconds['ours']:.1f}"
        )
    keep({"score": [asdict(one) for one in found], "series": peers}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
