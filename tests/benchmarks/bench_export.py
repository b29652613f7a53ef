"""`mqpipe export` as a whole process, beside a bare loop of numpy and pyarrow.

The fleet has ten clusters, each of 100 brokers, 1,000 topics and 200 groups. Rows of the table
are so many ticks: 1 and 10 times the work, in full 100 and 1,000 times too. The bare loop draws a random number for each
metric of each sample (Philox) and writes as many rows and columns with the same Parquet settings:
of random numbers (`random`), or, since random numbers do not compress, of the export's own values
(`values`). It knows no physics, no names, no state and no exactly-once.

Start-up is measured by an export of one tick and subtracted, for the bare loop too. Rounds
alternate, so that all see the same noise; medians count. A rate is by processor seconds, of all
threads; `of N` is the bare loop's processor seconds over the export's.

    python -m tests.benchmarks.bench_export [--full] [--json FILE]
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from operators.fleets import BLOCK_ROWS
from operators.schema.arrow import entity_type_of
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shards
from operators.ticks import Ticks
from sinks.parquet.files import ROW_GROUP_ROWS, writer_options
from tests.benchmarks.child_costs import ROOT, SCRIPT, Spent, spent
from tests.benchmarks.options import keep, parser_of
from tests.samples import INTERVAL, NEW_YEAR

CLUSTERS = 10
FLEET = {"name": "f", "clusters": CLUSTERS, "brokers": 100, "topics": 1000, "groups": 200}
CONFIG = json.dumps(
    {
        "simulation": {"seed": 1, "fleets": [FLEET]},
        "sinks": {"parquet": {"path": "out"}},
        "recovery": {"path": "state"},
    }
)
BLOCK_TICKS = BLOCK_ROWS // (1 + 100 + 1000 + 200)
"""Of a cluster of this size, as the export makes them."""

SHORT = (24, 240)
FULL = (24, 240, 2_400, 24_000)
ONCE = 24_000
"""Ticks of which one round is enough: 312 million samples, 10 GB of files."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Rates are samples a processor second."""

    ticks: int
    workers: int
    samples: int
    metrics_a_sample: float
    cpu_seconds: float
    wall_seconds: float
    rate: float
    rate_at_20_metrics: float
    of_random: float | None
    of_values: float | None
    peak_mb: int
    bytes_a_sample: float


def block() -> list[pa.RecordBatch]:
    """A block of one cluster's samples."""
    spec = shards(SimulationSettings.model_validate({"seed": 1, "fleets": [FLEET]}))[0]
    return Shard(spec, None).step(Ticks(spec.cluster, NEW_YEAR, INTERVAL, BLOCK_TICKS))


def bare(values: str, ticks: int, folder: Path) -> None:
    """As many numbers, rows and columns as an export of so many ticks."""
    draw = np.random.Generator(np.random.Philox(1))
    like = block()
    writers = {}
    for batch in like:
        name = entity_type_of(batch).label
        options = writer_options(batch.schema)
        writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", batch.schema, **options)
    held: dict[str, list[pa.RecordBatch]] = {name: [] for name in writers}
    # An export of a single tick has blocks of one tick.
    blocks = CLUSTERS * max(1, round(ticks / BLOCK_TICKS))
    for _ in range(blocks):
        for batch in like if ticks > 1 else [b.slice(0, b.num_rows // BLOCK_TICKS) for b in like]:
            drawn = _drawn(draw, batch, keep=values == "random")
            group = held[entity_type_of(batch).label]
            group.append(drawn)
            if sum(b.num_rows for b in group) >= ROW_GROUP_ROWS:
                writers[entity_type_of(batch).label].write_table(_table(group))
                group.clear()
    for name, group in held.items():
        if group:
            writers[name].write_table(_table(group))
        writers[name].close()


def _table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches).combine_chunks()


def _drawn(draw: np.random.Generator, batch: pa.RecordBatch, *, keep: bool) -> pa.RecordBatch:
    """A batch with a fresh random number in each metric, or the same one after drawing them."""
    columns = list(batch.columns)
    for metric in entity_type_of(batch).numeric:
        index = batch.schema.get_field_index(metric.name)
        numbers = draw.random(batch.num_rows)
        if keep and columns[index].null_count == 0:
            columns[index] = pa.array(numbers * 1000).cast(metric.type, safe=False)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def export(ticks: int, workers: int, folder: Path) -> Spent:
    """An export of so many ticks, whose files stay in `folder`/out."""
    (folder / "c.yaml").write_text(CONFIG)
    span = ("--start", _iso(NEW_YEAR), "--end", _iso(NEW_YEAR + ticks * INTERVAL))
    return spent(
        [SCRIPT, "export", "c.yaml", *span, "--overwrite", "--workers", str(workers)], folder
    )


def _iso(moment: int) -> str:
    return f"{np.datetime64(moment, 'ms')}Z"


def loop(values: str, ticks: int, folder: Path) -> Spent:
    """The bare loop in a process of its own."""
    module = "tests.benchmarks.bench_export"
    command = [sys.executable, "-m", module, "--bare", values, "--ticks", str(ticks)]
    return spent([*command, "--folder", str(folder)], folder, ROOT)


def measure(ticks: int, workers: int, rounds: int, *, beside: bool) -> Row:
    """One line: the export and, `beside` it, the bare loops, in turn."""
    ours: list[Spent] = []
    ratios: dict[str, list[float]] = {"random": [], "values": []}
    written = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
            folder = Path(name)
            start_up = export(1, workers, folder)
            ours.append(export(ticks, workers, folder).beyond(start_up))
            written = sum(file.stat().st_size for file in (folder / "out").rglob("*.parquet"))
            shutil.rmtree(folder / "out")
            for values in ratios if beside else ():
                theirs = loop(values, ticks, folder).beyond(loop(values, 1, folder))
                # Blocks are whole: the loop may do some ticks more or less.
                share = ticks / (BLOCK_TICKS * round(ticks / BLOCK_TICKS))
                ratios[values].append(theirs.cpu * share / ours[-1].cpu)
    like = block()
    entities = sum(b.num_rows for b in like) // BLOCK_TICKS * CLUSTERS
    rows = sum(b.num_rows for b in like)
    metrics = sum(b.num_rows * len(entity_type_of(b).numeric) for b in like) / rows
    samples = entities * ticks
    cpu = median(s.cpu for s in ours)
    return Row(
        ticks,
        workers,
        samples,
        round(metrics, 1),
        round(cpu, 2),
        round(median(s.wall for s in ours), 2),
        samples / cpu,
        samples / cpu * metrics / 20,
        median(ratios["random"]) if beside else None,
        median(ratios["values"]) if beside else None,
        max(s.peak_bytes for s in ours) // 2**20,
        written / samples,
    )


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--full", action="store_true", help="100 and 1,000 times the work too")
    parser.add_argument("--rounds", type=int, help="3 in full, else 1")
    parser.add_argument("--bare", choices=["random", "values"], help=argparse.SUPPRESS)
    parser.add_argument("--ticks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.bare, options.ticks, options.folder)
        return
    rounds = options.rounds or (3 if options.full else 1)
    sizes = FULL if options.full else SHORT
    middle = sizes[1]
    rows = []
    print(f"{'ticks':>6} {'workers':>7} {'samples':>11} {'CPU s':>7} {'wall s':>7} "
          f"{'samples/CPU s':>13} {'at 20 metrics':>13} {'of random':>9} {'of values':>9} "
          f"{'peak MB':>7} {'B/sample':>8}")  # fmt: skip
    for ticks, workers in [*((size, 1) for size in sizes), (middle, 2)]:
        turns = 1 if ticks >= ONCE else rounds
        row = measure(ticks, workers, turns, beside=ticks == middle and workers == 1)
        rows.append(row)
        random, values = (
            "" if ratio is None else f"{ratio:.2f}" for ratio in (row.of_random, row.of_values)
        )
        print(f"{ticks:>6} {workers:>7} {row.samples:>11,} {row.cpu_seconds:>7.2f} "
              f"{row.wall_seconds:>7.2f} {row.rate:>13,.0f} {row.rate_at_20_metrics:>13,.0f} "
              f"{random:>9} {values:>9} {row.peak_mb:>7} {row.bytes_a_sample:>8.1f}",
              flush=True)  # fmt: skip
    one, two = (row.wall_seconds for row in rows if row.ticks == middle)
    load = os.getloadavg()[0]
    print(f"2 workers are {one / two:.2f} times as fast as 1, at a load of {load:.1f}")
    found = {"rows": [asdict(row) for row in rows], "workers_1_to_2": one / two, "load": load}
    keep(found, options.json)


if __name__ == "__main__":
    main()
