"""How fast are the Parquet sinks, beside a bare loop over pyarrow's writer?

The same blocks (entity-major, 20,000 rows, as an export makes them) are written with the same
settings: by a bare loop into one file for each epoch's rows, by `DirectParquet` called
directly, by it in a Bytewax dataflow, and by `RolledParquet` (log and files; its files are
written on a second thread). Rounds alternate, so that all see the same noise; the best of each
counts. Rates are rows a second of processor time, all threads together.

    python -m tests.benchmarks.bench_parquet [--rows 2000000] [--rounds 3] [--json FILE]
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from operators.schema.arrow import sample_batch
from operators.schema.metrics import BROKER, STRING, EntityType
from sinks.parquet.direct import DirectParquet
from sinks.parquet.files import ROW_GROUP_ROWS, writer_options
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.rolled.settings import RollSettings
from tests.benchmarks.options import keep, parser_of
from tests.samples import INTERVAL, NEW_YEAR
from tests.sink_jobs import job_in

BLOCK_ROWS = 20_000
EPOCH_ROWS = 500_000
ENTITIES = 10


def block(entity_type: EntityType, seed: int) -> pa.RecordBatch:
    """Consecutive ticks of a shard's entities within a day, all metrics of the type in it."""
    rng = np.random.default_rng(seed)
    ticks = BLOCK_ROWS // ENTITIES
    entity = np.repeat(np.arange(ENTITIES, dtype=np.int32), ticks)
    names = pa.DictionaryArray.from_arrays(entity, [f"sim-eu/e-{n}" for n in range(ENTITIES)])
    columns = {
        "timestamp": np.tile(NEW_YEAR + np.arange(ticks) * INTERVAL, ENTITIES),
        "entity_guid": names,
        "entity_name": names,
        "cluster_name": "sim-eu",
        "origin": "simulated",
        **{i.column: names if i.type == STRING else entity for i in entity_type.identity},
    }
    for metric in entity_type.metrics:
        values = 1000 + 300 * np.sin(np.arange(BLOCK_ROWS) / 100)
        values += 50 * rng.standard_normal(BLOCK_ROWS)
        if metric.type == STRING:
            columns[metric.name] = names
        elif metric.type != pa.bool_():
            columns[metric.name] = values.astype(metric.type.to_pandas_dtype())
    return sample_batch(entity_type, BLOCK_ROWS, columns)


def epochs(blocks: list[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The blocks in groups of an epoch's size."""
    size = EPOCH_ROWS // BLOCK_ROWS
    for first in range(0, len(blocks), size):
        yield blocks[first : first + size]


def bare(blocks: list[pa.RecordBatch], path: Path) -> None:
    """pyarrow's writer and nothing else: one file an epoch, row groups of the same size."""
    group = ROW_GROUP_ROWS // BLOCK_ROWS
    for number, epoch in enumerate(epochs(blocks)):
        schema = epoch[0].schema
        with pq.ParquetWriter(path / f"{number}.parquet", schema, **writer_options(schema)) as out:
            for first in range(0, len(epoch), group):
                out.write_table(pa.Table.from_batches(epoch[first : first + group]))


def direct(blocks: list[pa.RecordBatch], path: Path) -> None:
    """The sink's partition, called as the engine does."""
    sink = DirectParquet(ParquetSettings(path=str(path)), ["sim-eu"], "bench")
    part = sink.build_part("step", "sim-eu", None)
    for epoch in epochs(blocks):
        part.write_batch(epoch)
        part.snapshot()
    part.close()


def rolled(blocks: list[pa.RecordBatch], path: Path) -> None:
    """Log, then files on the background thread."""
    settings = ParquetSettings(path=str(path), roll=RollSettings(rows=EPOCH_ROWS))
    sink = RolledParquet(settings, job_in(path / "waiting", parts=lambda _: ["sim-eu"]))
    part = sink.build_part("step", "sim-eu", None)
    for epoch in epochs(blocks):
        part.write_batch(epoch)
        part.snapshot()
    part.close()
    sink.finish()


def flow(blocks: list[pa.RecordBatch], path: Path) -> None:
    """The direct sink in a dataflow of one worker, with epochs of a quarter of a second."""
    sink = DirectParquet(ParquetSettings(path=str(path)), ["sim-eu"], "bench")
    dataflow = Dataflow("bench")
    stream = op.input("in", dataflow, TestingSource([("sim-eu", b) for b in blocks]))
    op.output("out", stream, sink)
    run_main(dataflow, epoch_interval=timedelta(seconds=0.25))


def main() -> None:
    """Measure and print, or write as JSON."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, default=2_000_000)
    options = parser.parse_args()
    blocks = [block(BROKER, seed) for seed in range(options.rows // BLOCK_ROWS)]
    ways: dict[str, Callable[[list[pa.RecordBatch], Path], None]] = {
        "bare": bare,
        "direct": direct,
        "flow": flow,
        "rolled": rolled,
    }
    best: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            path = Path(tempfile.mkdtemp(prefix="mqpipe-bench-"))
            started = time.process_time()
            way(blocks, path)
            rate = options.rows / (time.process_time() - started)
            best[name] = max(rate, best.get(name, 0.0))
            shutil.rmtree(path)
    result = {
        name: {"rows_per_cpu_second": round(rate), "of_bare": round(rate / best["bare"], 3)}
        for name, rate in best.items()
    }
    for name, figures in result.items():
        print(f"{name:10}{figures['rows_per_cpu_second']:>12,} rows/s {figures['of_bare']:>8.0%}")
    keep(result, options.json)


if __name__ == "__main__":
    main()
