"""How fast is a replay to Parquet, beside a bare loop that consumes the same messages?

A broker of its own is filled with batches of a simulated broker's samples (23 metrics) in
messages of `--message-rows`, over 4 partitions. Then, a few rounds each: a bare confluent-kafka
loop that consumes and counts; a bare loop that also decodes the batches by pyarrow and writes
them by pyarrow's writer with the same settings; and the replay's dataflow, one worker. The
consumer's threads are part of each. Rates are rows a second of processor time of this process,
all threads together, and of the clock; start-up (of one message a partition) is subtracted.

    python -m tests.benchmarks.bench_replay [--rows 2000000] [--message-rows 5000] [--json FILE]
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from confluent_kafka import TopicPartition

from operators.drain import Drain
from operators.recorded.operator import recorded
from operators.recorded.plan import OffsetStretch, ReplayPlan, consumer, replay_plan
from operators.recorded.source import RecordedSource
from operators.schema.ipc import encode
from operators.schema.kafka import KafkaConnection
from operators.schema.metrics import BROKER
from sinks.parquet.direct import DirectParquet
from sinks.parquet.files import ROW_GROUP_ROWS, writer_options
from sinks.parquet.settings import ParquetSettings
from tests.benchmarks.bench_parquet import block
from tests.benchmarks.options import keep, parser_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.topics import new_topic, produce
from tests.samples import NEW_YEAR

PARTITIONS = 4
FAR = 2 * NEW_YEAR


def fill(bootstrap: str, rows: int, message_rows: int) -> str:
    """A topic with so many rows, and its name."""
    topic = new_topic(bootstrap, partitions=PARTITIONS, max_message_bytes="4000000")
    blocks = [block(BROKER, seed) for seed in range(8)]
    values = [
        encode(samples.slice(start, message_rows))
        for samples in blocks
        for start in range(0, samples.num_rows, message_rows)
    ]
    count = rows // message_rows
    produce(
        bootstrap,
        topic,
        ((n % PARTITIONS, NEW_YEAR, values[n % len(values)]) for n in range(count)),
    )
    return topic


def bare_consume(connection: KafkaConnection, plan: ReplayPlan, _path: Path) -> None:
    """Consume and count, one partition after the other."""
    for _ in _messages(connection, plan):
        pass


def bare_to_parquet(connection: KafkaConnection, plan: ReplayPlan, path: Path) -> None:
    """Consume, decode and write, with nothing in between."""
    writer = None
    held: list[pa.RecordBatch] = []
    for value in _messages(connection, plan):
        with pa.ipc.open_stream(value) as reader:
            held.append(reader.read_next_batch())
        if writer is None:
            schema = held[0].schema
            writer = pq.ParquetWriter(path / "bare.parquet", schema, **writer_options(schema))
        if sum(batch.num_rows for batch in held) >= ROW_GROUP_ROWS:
            writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
            held = []
    if writer is not None:
        if held:
            writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
        writer.close()


def _messages(connection: KafkaConnection, plan: ReplayPlan) -> Iterator[bytes]:
    for stretch in plan.stretches:
        reader = consumer(connection, **{"enable.partition.eof": False})
        reader.assign([TopicPartition(plan.topic, stretch.partition, stretch.start)])
        at = stretch.start
        while at < stretch.end:
            for message in reader.consume(min(100, stretch.end - at), timeout=1):
                assert message.error() is None
                at = (message.offset() or 0) + 1
                yield bytes(message.value() or b"")
        reader.close()


def replay(connection: KafkaConnection, plan: ReplayPlan, path: Path) -> None:
    """The dataflow of a replay to Parquet."""
    source = RecordedSource(connection, plan, Drain())
    flow = Dataflow("replay")
    samples, others = recorded("recorded", flow, source)
    parquet = DirectParquet(ParquetSettings(path=str(path)), source.list_parts(), "bench")
    op.output("parquet", samples, parquet)
    op.output("unreadable", others, TestingSink([]))
    run_main(flow, epoch_interval=timedelta(seconds=1))


def measure(
    way: Callable[[KafkaConnection, ReplayPlan, Path], None],
    connection: KafkaConnection,
    plan: ReplayPlan,
) -> tuple[float, float]:
    """Seconds of processor time and of the clock, with start-up subtracted."""
    one_each = tuple(OffsetStretch(s.partition, s.start, s.start + 1) for s in plan.stretches)
    short = ReplayPlan(plan.topic, plan.start, plan.end, one_each)
    seconds = []
    for each in (short, plan):
        path = Path(tempfile.mkdtemp(prefix="mqpipe-bench-"))
        cpu, clock = time.process_time(), time.perf_counter()
        way(connection, each, path)
        seconds.append((time.process_time() - cpu, time.perf_counter() - clock))
        shutil.rmtree(path)
    return seconds[1][0] - seconds[0][0], seconds[1][1] - seconds[0][1]


def main() -> None:
    """Measure and print, or write as JSON."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--message-rows", type=int, default=5_000)
    options = parser.parse_args()
    ways = {"consume": bare_consume, "bare to parquet": bare_to_parquet, "replay": replay}
    best: dict[str, tuple[float, float]] = {}
    with KafkaCluster(1, heap="512m", settings={"message.max.bytes": "4000000"}) as cluster:
        topic = fill(cluster.bootstrap_servers, options.rows, options.message_rows)
        connection = KafkaConnection(bootstrap_servers=cluster.bootstrap_servers)
        plan = replay_plan(connection, topic, 0, FAR)
        rows = plan.messages * options.message_rows
        for _ in range(options.rounds):
            for name, way in ways.items():
                cpu, clock = measure(way, connection, plan)
                known = best.get(name, (0.0, 0.0))
                best[name] = max(rows / cpu, known[0]), max(rows / clock, known[1])
    bare = best["bare to parquet"][0]
    for name, (cpu, clock) in best.items():
        print(
            f"{name:18}{cpu:>12,.0f} rows/s of CPU{clock:>12,.0f} rows/s of the clock"
            f"{cpu / bare:>7.0%} of bare"
        )
    result = {
        name: {"rows_per_cpu_second": round(cpu), "rows_per_second": round(clock)}
        for name, (cpu, clock) in best.items()
    }
    keep(result, options.json)


if __name__ == "__main__":
    main()
