"""Samples a second that a shard makes on one core, beside a bare numpy loop.

The bare loop draws as many numbers as the samples have metrics (Philox, uniform), scales each
column, and makes Arrow batches of the same schema: no physics, no names, no state. Times are of
the processor, best of so many.

    python -m tests.benchmarks.bench_simulate [--rows 1000000] [--rounds 3] [--json FILE]
"""

from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa

from operators.fleets import BLOCK_ROWS
from operators.schema.arrow import entity_type_of, sample_batch
from operators.schema.metrics import STRING
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, shards
from operators.ticks import Ticks
from tests.benchmarks.options import keep, parser_of
from tests.simulated_fleets import INTERVAL, START

FLEETS: dict[str, dict[str, Any]] = {
    "small": {"brokers": 3, "topics": 10, "groups": 5},
    "medium": {"brokers": 100, "topics": 1_000, "groups": 200},
    "large": {"brokers": 1_000, "topics": 10_000, "groups": 2_000},
}
WRONG = [
    {"kind": "spike", "rate": 0.05},
    {"kind": "broker_down", "rate": 0.05},
    {"kind": "consumer_stall", "rate": 0.05},
    {"kind": "cpu_spike", "rate": 0.05},
]


def simulated(spec: ShardSpec, rows: int) -> Iterator[list[pa.RecordBatch]]:
    """The shard's batches, block by block, of at least so many rows."""
    shard = Shard(spec, 1)
    count = max(1, BLOCK_ROWS // spec.entities)
    start = START
    for _ in range(1 + max(1, rows // (count * spec.entities))):
        yield shard.step(Ticks(spec.cluster, start, INTERVAL, count))
        start += count * INTERVAL


def bare(like: list[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Batches of the same schemas and lengths, of scaled random numbers."""
    draw = np.random.Generator(np.random.Philox(1))
    size = sum(batch.num_rows for batch in like)
    for _ in range(max(1, rows // size)):
        made = []
        for batch in like:
            kind = entity_type_of(batch)
            columns = {
                metric.name: pa.array((draw.random(batch.num_rows) * 1000 + 5).astype(
                    metric.type.to_pandas_dtype()
                ))
                for metric in kind.metrics
                if metric.type != STRING
            }  # fmt: skip
            made.append(sample_batch(kind, batch.num_rows, columns))
        yield made


def seconds_a_row(blocks: Callable[[], Iterator[list[pa.RecordBatch]]], rounds: int) -> float:
    """Processor seconds of a sample, best of so many; the first block is not counted."""
    best = float("inf")
    for _ in range(rounds):
        made = blocks()
        next(made)
        rows, begin = 0, process_time()
        for batches in made:
            rows += sum(batch.num_rows for batch in batches)
        best = min(best, (process_time() - begin) / max(rows, 1))
    return best


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="samples a row of the table")
    options = parser.parse_args()

    found = []
    print(f"{'fleet':<8} {'anomalies':<9} {'entities':>8} {'ticks a block':>13} "
          f"{'samples/s':>12} {'metrics/s':>13} {'bare, samples/s':>15} {'ratio':>6}")  # fmt: skip
    for name, shape in FLEETS.items():
        for wrong in ([], WRONG):
            settings = {"fleets": [{"name": "bench", **shape}], "anomalies": wrong}
            spec = shards(SimulationSettings.model_validate(settings))[0]
            one = next(simulated(spec, 1))
            rows = sum(batch.num_rows for batch in one)
            numbers = sum(b.num_rows * len(entity_type_of(b).numeric) for b in one) / rows
            ours = seconds_a_row(partial(simulated, spec, options.rows), options.rounds)
            theirs = seconds_a_row(partial(bare, one, options.rows), options.rounds)
            row = {
                "fleet": name,
                "anomalies": bool(wrong),
                "entities": spec.entities,
                "ticks_a_block": rows // spec.entities,
                "samples_per_second": 1 / ours,
                "metrics_per_second": numbers / ours,
                "bare_samples_per_second": 1 / theirs,
                "ratio": theirs / ours,
            }
            found.append(row)
            print(f"{name:<8} {'yes' if wrong else 'no':<9} {spec.entities:>8,} "
                  f"{rows // spec.entities:>13,} {1 / ours:>12,.0f} {numbers / ours:>13,.0f} "
                  f"{1 / theirs:>15,.0f} {theirs / ours:>6.2f}")  # fmt: skip
    keep(found, options.json)


if __name__ == "__main__":
    main()
