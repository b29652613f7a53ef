"""Memory over a day of a large hybrid fleet, on a clock that runs faster than the wall's.

Collected clusters whose answers are simulated, each silent for an hour now and then, so that it
is filled; and simulated fleets beside them. All of it goes through the dataflow of `mqpipe run`:
sources, pools, offload, derivation, merge, a rolled Parquet sink and a recovery store. Each row is
an hour of that day; `late` ticks were missed, since the machine could not keep up.

    python -m tests.benchmarks.bench_day [--hours 24] [--speed 120] [--scale 1.0] [--json FILE]
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow

from flows.runtime import Workers, execute
from flows.state import JobState
from operators.background import Background
from operators.collect.settings import ExpectSettings
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import derive
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.joint_drain import drain_together
from operators.merge.like import like_fleet
from operators.merge.operator import merge
from operators.merge.plan import Plan
from operators.merge.settings import FillSettings
from operators.offload import offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schedule import RealTime
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CONSUMER_GROUP, TOPIC, EntityType, Origin
from operators.simulate.settings import FleetSettings, SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster, shard_of
from operators.targets import Target, TargetSource
from operators.ticks import Collected, TargetKind, Ticks
from sinks.parquet.rolled import RolledParquet
from sinks.parquet.settings import ParquetSettings
from sinks.rolled.settings import RollSettings
from tests.benchmarks.child_costs import memory
from tests.benchmarks.options import keep, parser_of
from tests.merge_by_hand import kafka_plan
from tests.samples import HOUR, MONDAY
from tests.sink_jobs import job_in

INTERVAL = 60_000
BROKERS, TOPICS, GROUPS = 10, 1000, 200
COLLECTED, FLEETS = 16, 10
OF: Mapping[str, EntityType] = {
    TargetKind.BROKERS.value: BROKER,
    TargetKind.TOPICS.value: TOPIC,
    TargetKind.GROUPS.value: CONSUMER_GROUP,
}


@dataclass
class Clock:
    """Milliseconds of the day, `speed` times as fast as the wall's."""

    speed: float
    begin: float = field(default_factory=time.monotonic)

    def __call__(self) -> int:
        """Now."""
        return MONDAY + int((time.monotonic() - self.begin) * 1000 * self.speed)

    @property
    def hour(self) -> float:
        """Hours that have passed."""
        return (self() - MONDAY) / HOUR


class Answers:
    """What collected clusters answer: a simulation of each kind, or for an hour nothing."""

    def __init__(self, clusters: list[str], fleet: FleetSettings) -> None:
        self._number = {cluster: number for number, cluster in enumerate(clusters)}
        self._shards = {
            (cluster, kind): Shard(shard_of(fleet, 1, cluster), None, origin=Origin.COLLECTED)
            for cluster in clusters
            for kind in OF
        }

    async def work(self, tick: Ticks, _left: float) -> Collected:
        """One tick of one target."""
        hour = (tick.start - MONDAY) // HOUR
        if (hour + self._number[tick.cluster]) % 6 == 5:
            raise ConnectionError("the cluster is silent for this hour")
        kind = str(tick.kind)
        made = self._shards[tick.cluster, kind].step(tick)
        wanted = OF[kind]
        return Collected(tuple(b for b in made if entity_type_of(b) is wanted))


class Watch:
    """Counts what comes, and looks at the process's memory each second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = threading.Event()
        self.samples: Counter[int] = Counter()
        self.filled: Counter[int] = Counter()
        self.missed: Counter[int] = Counter()
        self.peaks: dict[int, int] = {}
        threading.Thread(target=self._look, daemon=True).start()

    def saw(self, batch: pa.RecordBatch) -> None:
        """A batch on its way to the sink."""
        self.samples[int(self._clock.hour)] += batch.num_rows

    def covered(self, coverage: Any) -> None:
        """A settled tick."""
        self.filled[(coverage.timestamp - MONDAY) // HOUR] += coverage.filled

    def due(self, tick: Ticks) -> None:
        """A tick that is served."""
        self.missed[(tick.start - MONDAY) // HOUR] += tick.missed

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(1):
            hour = int(self._clock.hour)
            self.peaks[hour] = max(self.peaks.get(hour, 0), memory())


def run(hours: float, speed: float, scale: float, folder: Path) -> list[dict[str, Any]]:
    """The day, or its first hours; a row for each of them."""
    shape = {"brokers": BROKERS, "topics": TOPICS, "groups": GROUPS}
    fleet = {"name": "sim", "clusters": max(2, round(FLEETS * scale)), **shape}
    wrong = [{"kind": kind, "rate": 0.1} for kind in ("traffic_spike", "broker_down")]
    settings = {"seed": 1, "fleets": [fleet], "anomalies": wrong}
    shards = by_cluster(SimulationSettings.model_validate(settings))
    clusters = [f"real-{number}" for number in range(max(2, round(COLLECTED * scale)))]
    like = FleetSettings.model_validate({"name": "like", **shape})
    plans = {cluster: _plan(cluster, like) for cluster in clusters}
    answers, drain, background = Answers(clusters, like), Drain(), Background()
    pool = PoolSettings.model_validate({"size": 50, "attempts": 1, "breaker": {"probe": 0.5}})
    pools = {kind: Pool(kind, pool, loop=background.loop) for kind in OF}
    targets = [Target(cluster, kind, INTERVAL) for cluster in clusters for kind in OF]

    clock = Clock(speed)
    watch = Watch(clock)
    schedule = RealTime(MONDAY, clock, until=MONDAY + round(hours * HOUR))
    deadline = INTERVAL / 1000 / speed

    def left(tick: Ticks) -> float:
        """Seconds of the day from the tick on, of which the pool has `deadline` of the wall's."""
        return deadline + (clock() - tick.start) / 1000

    flow = Dataflow("day")
    partitions = {target.partition: target for target in targets}
    due = op.input("targets", flow, TargetSource(partitions, schedule, drain))
    ticks = op.inspect("due", due, lambda _step, item: watch.due(item[1]))
    sources = FleetSource(shards, INTERVAL, schedule, drain, catch_up=HOUR)
    simulated = op.input("fleets", flow, sources)
    seconds = partial(_seconds, clock)
    results = offload("collect", ticks, answers.work, pools, drain, deadline=left, clock=seconds)
    derived = derive("derive", results, dict.fromkeys(plans, KAFKA_RULES))
    fill = FillSettings(grace=INTERVAL / 2000)
    merged = merge("merge", ticks, derived, plans, fill, drain, watch.covered, clock)
    samples = op.merge("samples", merged, simulated)
    seen = op.inspect("seen", samples, lambda _step, item: watch.saw(item[1]))
    roll = RollSettings(every=HOUR / 1000 / speed)
    parquet = ParquetSettings(path=str(folder / "out"), roll=roll)
    parts = [*clusters, *shards]
    sink = RolledParquet(parquet, job_in(folder / "waiting", parts=lambda _: parts))
    op.output("parquet", seen, sink)
    drain_together("drain", flow, drain)

    state = JobState(folder / "state", "day")
    state.path.mkdir()
    begin = time.process_time()
    with ExitStack() as stack:
        stack.callback(background.close)
        stack.callback(watch.close)
        execute(flow, drain, Workers(), state.recovery(), 60.0, sink.finish)
        for one in pools.values():
            background.run(one.close())
    cpu = time.process_time() - begin
    print(f"{sum(watch.samples.values()):,} samples, {cpu:,.0f} CPU s, "
          f"{timedelta(seconds=round(time.monotonic() - clock.begin))} on the clock")  # fmt: skip
    return [
        {
            "hour": hour,
            "samples": watch.samples[hour],
            "filled": watch.filled[hour],
            "late": watch.missed[hour],
            "peak_mb": peak // 2**20,
        }
        for hour, peak in sorted(watch.peaks.items())
    ]


def _seconds(clock: Clock) -> float:
    return clock() / 1000


def _plan(cluster: str, like: FleetSettings) -> Plan:
    topology = shard_of(like, 1, cluster).topology
    expect = ExpectSettings(
        brokers=topology.brokers,
        topics=tuple(topic.name for topic in topology.topics),
        groups=tuple(group.name for group in topology.groups),
    )
    of_fleet = like_fleet(like, 1, cluster, None, expect, "kafka")
    return kafka_plan(cluster, expect=expect, like=of_fleet)


def main() -> None:
    """Print a table, and write it where asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=120.0, help="times the wall's clock")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clusters")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mqpipe-bench-") as name:
        rows = run(options.hours, options.speed, options.scale, Path(name))
    print(f"{'hour':>4} {'samples':>10} {'filled':>9} {'late':>5} {'peak MB':>8}")
    for row in rows:
        print(f"{row['hour']:>4} {row['samples']:>10,} {row['filled']:>9,} {row['late']:>5} "
              f"{row['peak_mb']:>8}")  # fmt: skip
    keep(rows, options.json)


if __name__ == "__main__":
    main()
