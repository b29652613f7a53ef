"""What targets cost, up to 100,000 of them: the whole dataflow but for the network.

Each cluster has the three kinds of target, so 100 of them are 102. Instead of asking brokers, their
work waits 1 to 50 ms and gives a batch of ten topics. Ticks go through source, pools, offload,
derivation and merge to a sink that counts, with a recovery store. Each size runs in a process of
its own for a few ticks, all due at the same instant. CPU is from the first tick's due time to the last sample's coming to
the sink; `idle` is the share of a core in the seconds before, when nothing is due. `delay` is from a
tick's due time to its samples' coming to the sink; a straight line has the same CPU ms a target and
tick in each row.

    python -m tests.benchmarks.bench_targets [--targets 1000 10000 100000] [--interval 30]
        [--ticks 3] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.collection import Collection
from flows.runtime import Workers, execute
from flows.state import JobState
from flows.stream import Stream, stream
from operators.background import Background
from operators.derive.kafka import KAFKA_RULES
from operators.drain import Drain, look_for
from operators.fleets import FleetSource
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schedule import RealTime, after
from operators.schema.arrow import TIMESTAMP, entity_type_of, sample_batch
from operators.schema.clock import wall_clock
from operators.schema.events import nobody
from operators.schema.metrics import TOPIC
from operators.targets import Target, TargetSource
from operators.ticks import Collected, Outcome, TargetKind, Ticks
from tests.benchmarks.child_costs import ROOT
from tests.benchmarks.options import keep, parser_of
from tests.merge_by_hand import kafka_plan

TOPICS = 10
LONGEST_WORK = 0.05
SLOTS = 2_000
IDLE = 10
"""Seconds before the first tick in which nothing else happens."""


class Counting(DynamicSink[tuple[str, pa.RecordBatch]]):
    """Counts samples, and keeps how late each batch of topics was (ms).

    `cpu` are the process's CPU seconds when the last came.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.cpu = 0.0
        self.delays: list[float] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_CountingPartition":
        return _CountingPartition(self)


class _CountingPartition(StatelessSinkPartition[tuple[str, pa.RecordBatch]]):
    def __init__(self, counts: Counting) -> None:
        self._counts = counts

    def write_batch(self, items: list[tuple[str, pa.RecordBatch]]) -> None:
        now = time.time() * 1000
        for _, batch in items:
            self._counts.samples += batch.num_rows
            if entity_type_of(batch) is TOPIC:
                self._counts.delays.append(now - batch["timestamp"][0].value)
        self._counts.cpu = time.process_time()


def template() -> pa.RecordBatch:
    """Ten topics of a cluster."""
    names = [f"topic-{number}" for number in range(TOPICS)]
    columns: dict[str, Any] = {
        "entity_guid": names,
        "entity_name": names,
        "cluster_name": "cluster",
        "provider": "kafka",
        "origin": "collected",
        "topic": names,
        **{m.name: pa.array(range(TOPICS)).cast(m.type) for m in TOPIC.numeric},
    }
    return sample_batch(TOPIC, TOPICS, columns)


def job(targets: int, interval: int, ticks: int, folder: Path) -> dict[str, Any]:
    """Run in this process; interval in milliseconds."""
    rng, batch = random.Random(1), template()

    async def work(tick: Ticks, _left: float) -> Collected:
        await asyncio.sleep(rng.uniform(0.001, LONGEST_WORK))
        if tick.kind != TargetKind.TOPICS:
            return Collected()
        moment = pa.repeat(pa.scalar(tick.start, TIMESTAMP), TOPICS)
        columns = [moment, *batch.columns[1:]]
        return Collected((pa.RecordBatch.from_arrays(columns, schema=batch.schema),))

    clusters = [f"cluster-{number}" for number in range(ceil(targets / len(TargetKind)))]
    background, drain, counts = Background(), Drain(look=look_for(targets)), Counting()
    settings = PoolSettings(size=SLOTS, queue=targets)
    pools = {kind.value: Pool(kind.value, settings, loop=background.loop) for kind in TargetKind}
    start = wall_clock()
    # Building so many partitions takes a while; all of it is before the first tick.
    first = after(start + targets // 5 + 2 * IDLE * 1000, interval)
    schedule = RealTime(first - 1, until=first + ticks * interval)
    kinds = {Target(c, kind.value, interval) for c in clusters for kind in TargetKind}
    state = JobState(folder, "bench")
    flow = _flow(kinds, work, pools, clusters, schedule, drain, counts)
    used: list[float] = []
    for early in (IDLE, 0):
        wait = (first - wall_clock()) / 1000 - early
        threading.Timer(wait, lambda: used.append(time.process_time())).start()
    clean = execute(flow, drain, Workers(), state.recovery(), 60.0)
    idle, due = used
    cpu = counts.cpu - due
    completed = sum(pool.stats.outcomes[Outcome.COMPLETED] for pool in pools.values())
    for pool in pools.values():
        background.run(pool.close())
    background.close()
    delays = sorted(counts.delays)
    return {
        "targets": len(kinds),
        "interval_seconds": interval / 1000,
        "ticks": ticks,
        "clean": clean,
        "completed": completed,
        "samples": counts.samples,
        "cpu_seconds": cpu,
        "cpu_ms_a_tick": 1000 * cpu / (len(kinds) * ticks),
        "core_share": cpu / (ticks * interval / 1000),
        "idle_share": (due - idle) / IDLE,
        "delay_p50_ms": delays[len(delays) // 2],
        "delay_p99_ms": delays[len(delays) * 99 // 100],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "store_mb": sum(f.stat().st_size for f in (folder / "recovery").iterdir()) / 2**20,
    }


def _flow(
    targets: set[Target],
    work: Any,
    pools: dict[str, Pool],
    clusters: list[str],
    schedule: RealTime,
    drain: Drain,
    counts: Counting,
) -> Dataflow:
    by_partition = {target.partition: target for target in targets}
    plans = {cluster: kafka_plan(cluster, "bench") for cluster in clusters}
    rules = dict.fromkeys(clusters, KAFKA_RULES)
    deadline = next(iter(targets)).interval / 1000
    return stream(
        Stream(
            targets=TargetSource(by_partition, schedule, drain),
            fleets=FleetSource({}, 1000, schedule, drain),
            collection=Collection(by_partition, work, pools, {}, deadline, plans, rules),
            fill=None,
            catch_up=0,
            drain=drain,
            sinks={"count": counts},
            saw=lambda _cluster, _batch: None,
            listener=nobody,
        )
    )


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--targets", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--interval", type=float, default=30.0, help="seconds")
    parser.add_argument("--ticks", type=int, default=3)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    interval = round(options.interval * 1000)
    if options.job is not None:
        print(json.dumps(job(options.targets[0], interval, options.ticks, options.job)))
        return
    rows = []
    print(f"{'targets':>8} {'completed':>10} {'samples':>10} {'CPU ms a tick':>13} {'core':>6} "
          f"{'idle':>5} {'p50 ms':>8} {'p99 ms':>8} {'peak MB':>8} {'store MB':>8}")  # fmt: skip
    for targets in options.targets:
        with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as folder:
            row = _in_a_process(targets, options, folder)
        rows.append(row)
        print(f"{row['targets']:>8,} {row['completed']:>10,} {row['samples']:>10,} "
              f"{row['cpu_ms_a_tick']:>13.3f} {row['core_share']:>6.0%} "
              f"{row['idle_share']:>5.0%} {row['delay_p50_ms']:>8.0f} {row['delay_p99_ms']:>8.0f} {row['peak_mb']:>8} "
              f"{row['store_mb']:>8.1f}", flush=True)  # fmt: skip
    keep(rows, options.json)


def _in_a_process(targets: int, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    sizes = ["--targets", str(targets), "--interval", str(options.interval)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_targets", *sizes]
    command += ["--ticks", str(options.ticks), "--job", folder]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    row: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return row


if __name__ == "__main__":
    main()
