"""What a cluster's merge costs by its size: everything there, a tenth missing, nothing there.

Each row merges the same number of samples, in ticks of so many topics. Snapshots are taken at
each tick and timed by themselves. The first ticks, in which all names are learned, do not count.
A straight line has the same µs a sample in each row.

    python -m tests.benchmarks.bench_merge [--topics 100 1000 10000]
        [--samples 2000000] [--json FILE]
"""

import pickle
from time import perf_counter

import pyarrow as pa

from operators.collect.settings import ExpectSettings
from operators.merge.cluster import ClusterMerge
from operators.merge.like import like_fleet
from operators.merge.settings import FillSettings
from operators.schema.metrics import TOPIC, Origin
from operators.simulate.settings import FleetSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shard_of
from operators.simulate.topology import TopicShape, Topology
from operators.ticks import Outcome, TickResult, Ticks
from tests.benchmarks.options import keep, parser_of
from tests.merge_by_hand import kafka_plan
from tests.samples import NEW_YEAR

INTERVAL = 30_000
START = NEW_YEAR
FIRST = 2
"""Ticks that do not count."""
MISSING = {"none": 0.0, "a tenth": 0.1, "all": 1.0}
FLEET = FleetSettings(name="sim")


def topics_of(names: list[str], ticks: int) -> list[pa.RecordBatch]:
    """One batch of all topics for each of the ticks."""
    shapes = tuple(TopicShape(name, 6, 3, 500.0, 1_000) for name in names)
    spec = shard_of(FLEET, 1, "prod", Topology((1, 2, 3), shapes))
    shard = Shard(spec, None, origin=Origin.COLLECTED)
    made = []
    for n in range(ticks):
        batches = shard.step(Ticks("prod", START + n * INTERVAL, INTERVAL))
        made += [
            b for b in batches if b.schema.metadata[b"mqpipe.entity_type"] == TOPIC.name.encode()
        ]
    return made


def run(
    names: list[str], collected: list[pa.RecordBatch], ticks: int
) -> tuple[float, float, int, int]:
    """Seconds of merging, seconds of snapshots, samples that came out, bytes of the last state."""
    expect = ExpectSettings(topics=tuple(names))
    plan = kafka_plan(expect=expect, like=like_fleet(FLEET, 1, "prod", None, expect, "kafka"))
    merge = ClusterMerge(plan, FillSettings())
    merging = snapshots = 0.0
    rows = size = 0
    for n in range(ticks):
        due = Ticks("prod", START + n * INTERVAL, INTERVAL, kind="topics")
        begin = perf_counter()
        merge.on_ticks(due)
        if n < len(collected):
            given = TickResult(due, Outcome.COMPLETED, (collected[n],))
        else:
            given = TickResult(due, Outcome.FAILED)
        out = [*merge.on_result(given), *merge.on_time(due.end)]
        merged = perf_counter()
        size = len(pickle.dumps(merge.snapshot()))
        if n >= FIRST:
            rows += sum(batch.num_rows for batch in out)
            merging += merged - begin
            snapshots += perf_counter() - merged
    return merging, snapshots, rows, size


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--topics", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--samples", type=int, default=2_000_000, help="samples a row")
    options = parser.parse_args()

    table = []
    print(
        f"{'topics':>8} {'missing':>8} {'samples/s':>12} {'µs/sample':>10} {'ms/tick':>8} "
        f"{'ms/snapshot':>12} {'state, B/topic':>15}"
    )
    for count in options.topics:
        names = [f"topic-{n}" for n in range(count)]
        ticks = FIRST + max(4, options.samples // count)
        made = topics_of(names, min(ticks, 20))
        for label, share in MISSING.items():
            left = [batch.slice(0, round(count * (1 - share))) for batch in made]
            # Simulated once, given again and again: only the timestamps repeat.
            given = [] if share == 1 else [left[n % len(left)] for n in range(ticks)]
            results = [run(names, _at_their_ticks(given), ticks) for _ in range(options.rounds)]
            merging, snapshots, rows, size = min(results)
            row = {
                "topics": count,
                "missing": label,
                "samples_per_second": rows / merging,
                "us_per_sample": 1e6 * merging / rows,
                "ms_per_tick": 1e3 * merging / (ticks - FIRST),
                "ms_per_snapshot": 1e3 * snapshots / (ticks - FIRST),
                "state_bytes_per_topic": size / count,
            }
            table.append(row)
            print(
                f"{count:>8} {label:>8} {rows / merging:>12,.0f} {row['us_per_sample']:>10.2f} "
                f"{row['ms_per_tick']:>8.2f} {row['ms_per_snapshot']:>12.2f} "
                f"{row['state_bytes_per_topic']:>15.0f}"
            )
    keep(table, options.json)


def _at_their_ticks(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The batches with the timestamps of consecutive ticks."""
    moved = []
    for n, batch in enumerate(batches):
        tick = pa.scalar(START + n * INTERVAL, batch.schema.field("timestamp").type)
        moved.append(batch.set_column(0, "timestamp", pa.repeat(tick, batch.num_rows)))
    return [b.replace_schema_metadata(batches[0].schema.metadata) for b in moved]


if __name__ == "__main__":
    main()
