"""What a million samples cost in each step on their way, of one core: the basis of a plan.

The samples are those of a simulated cluster of 100 brokers, 1,000 topics and 200 groups, in
blocks as an export makes them. Each step is done by itself; CPU seconds are medians of the
process's time. `sent` are compressed bytes, `raw` those before compression.

    python -m tests.benchmarks.bench_cost [--rounds 3] [--json FILE]
"""

import gzip
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import process_time

import pyarrow as pa
import pyarrow.parquet as pq

from operators.fleets import BLOCK_ROWS
from operators.schema.arrow import entity_type_of
from operators.schema.ipc import encode
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shards
from operators.ticks import Ticks
from sinks.newrelic.encode import events, metric_blocks
from sinks.newrelic.payloads import Payload, payloads
from sinks.parquet.files import writer_options
from tests.benchmarks.options import keep, parser_of
from tests.simulated_fleets import INTERVAL, START

FLEET = {"name": "f", "brokers": 100, "topics": 1000, "groups": 200}
BLOCKS = 5
CHUNK = 16_384
"""Rows that a sender encodes at a time."""

Counts = Mapping[str, float]
Batches = Sequence[pa.RecordBatch]


def simulate(_: Batches) -> Counts:
    """Make them."""
    made()
    return {}


def parquet(batches: Batches) -> Counts:
    """Write them as Parquet, a row group a batch."""
    size = 0
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, batch.schema, **writer_options(batch.schema)) as writer:
            writer.write_batch(batch)
        size += sink.getvalue().size
    return {"sent": size}


def message(batches: Batches) -> Counts:
    """Encode them as spools and Kafka messages hold them."""
    sizes = [len(encode(part)) for part in chunks(batches)]
    return {"sent": sum(sizes), "requests": len(sizes)}


def as_events(batches: Batches) -> Counts:
    """Encode them as New Relic events."""
    return _sent([p for part in chunks(batches) for p in payloads(events(part))])


def as_metrics(batches: Batches) -> Counts:
    """Encode them as New Relic metrics."""
    blocks = [metric_blocks(part, INTERVAL)[0] for part in chunks(batches)]
    return _sent([payload for rows in blocks for payload in payloads(rows)])


def _sent(made_: Sequence[Payload]) -> Counts:
    raw = sum(len(gzip.decompress(payload.body)) for payload in made_)
    return {"sent": sum(len(p.body) for p in made_), "raw": raw, "requests": len(made_)}


STEPS: Mapping[str, Callable[[Batches], Counts]] = {
    "simulate": simulate,
    "parquet": parquet,
    "message": message,
    "events": as_events,
    "metrics": as_metrics,
}


def made() -> list[pa.RecordBatch]:
    """Some blocks of the cluster's samples."""
    spec = shards(SimulationSettings.model_validate({"seed": 1, "fleets": [FLEET]}))[0]
    shard, ticks = Shard(spec, 1), BLOCK_ROWS // spec.entities
    starts = (START + n * ticks * INTERVAL for n in range(BLOCKS))
    return [b for at in starts for b in shard.step(Ticks(spec.cluster, at, INTERVAL, ticks))]


def chunks(batches: Batches) -> list[pa.RecordBatch]:
    """Parts of at most `CHUNK` rows."""
    return [b.slice(at, CHUNK) for b in batches for at in range(0, b.num_rows, CHUNK)]


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    options = parser.parse_args()
    batches = made()
    count = sum(batch.num_rows for batch in batches)
    numbers = sum(b.num_rows * len(entity_type_of(b).numeric) for b in batches) / count
    print(f"each of a million samples, {numbers:.1f} numbers a sample")
    print(f"{'step':<10} {'CPU s':>7} {'sent MB':>8} {'raw MB':>8} {'requests':>9}")
    rows = []
    for name, step in STEPS.items():
        seconds = []
        counts: Counts = {}
        for _ in range(options.rounds):
            begin = process_time()
            counts = step(batches)
            seconds.append(process_time() - begin)
        millions = count / 1e6
        row = {
            "step": name,
            "cpu_seconds": median(seconds) / millions,
            "sent_mb": counts.get("sent", 0) / 1e6 / millions,
            "raw_mb": counts.get("raw", 0) / 1e6 / millions,
            "requests": counts.get("requests", 0) / millions,
        }
        rows.append(row)
        print(f"{name:<10} {row['cpu_seconds']:>7.2f} {row['sent_mb']:>8.1f} "
              f"{row['raw_mb']:>8.1f} {row['requests']:>9.0f}")  # fmt: skip
    keep(rows, options.json)


if __name__ == "__main__":
    main()
