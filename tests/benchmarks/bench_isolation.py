"""Do bad targets delay the good ones? Fifty targets through the real dataflow.

All fall due at the same instant, every interval. In the second run one hangs for ever, one
refuses, one answers after 90 % of its time-out and one flaps; the breaker is kept from hiding
them. Shown is what passes from a good target's due time to its result's leaving the operator,
its own work (1 ms up to `--work`) and the queueing for `--size` slots included.

    python -m tests.benchmarks.bench_isolation [--seconds 20] [--json FILE]
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from operators.background import Background
from operators.drain import Drain
from operators.offload import offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.schedule import RealTime
from operators.schema.clock import wall_clock
from operators.targets import Target, TargetSource
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.benchmarks.options import keep, parser_of

BAD = ("hangs", "refuses", "slow", "flaps")

Result = tuple[float, TickResult]
Work = Callable[[Ticks, float], Awaitable[Collected]]


class Stamped(DynamicSink[tuple[str, TickResult]]):
    """Keeps each result with the moment (epoch ms) at which it came."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_StampedPartition":
        return _StampedPartition(self.results)


class _StampedPartition(StatelessSinkPartition[tuple[str, TickResult]]):
    def __init__(self, results: list[Result]) -> None:
        self._results = results

    def write_batch(self, items: list[tuple[str, TickResult]]) -> None:
        now = time.time() * 1000
        self._results += [(now, result) for _, result in items]


def work_of(longest: float, timeout: float) -> Work:
    """The targets' behaviour, by their name."""
    rng = Random(1)
    calls = 0

    async def work(tick: Ticks, left: float) -> Collected:
        nonlocal calls
        match tick.cluster:
            case "hangs":
                await asyncio.sleep(3600)
            case "refuses":
                raise ConnectionRefusedError("nobody listens")
            case "slow":
                await asyncio.sleep(0.9 * timeout)
            case "flaps":
                calls += 1
                if calls % 2:
                    raise ConnectionResetError("gone again")
        await asyncio.sleep(rng.uniform(0.001, longest))
        return Collected()

    return work


def measure(clusters: list[str], options: argparse.Namespace) -> tuple[list[Result], float]:
    """The results of a run, and the share of a core that it took."""
    interval = round(options.interval * 1000)
    until = wall_clock() + round(options.seconds * 1000) + interval
    targets = {
        target.partition: target
        for target in (Target(cluster, "topics", interval) for cluster in clusters)
    }
    timeout = 0.8 * options.interval
    settings = PoolSettings.model_validate(
        {"size": options.size, "timeout": timeout, "breaker": {"failures": 1_000_000}}
    )
    background, drain, sink = Background(), Drain(), Stamped()
    pool = Pool("topics", settings, loop=background.loop)
    flow = Dataflow("isolation")
    ticks = op.input(
        "ticks", flow, TargetSource(targets, RealTime(wall_clock(), until=until), drain)
    )
    results = offload(
        "collect",
        ticks,
        work_of(options.work / 1000, timeout),
        {"topics": pool},
        drain,
        deadline=lambda _: options.interval,
    )
    op.output("out", results, sink)
    wall, cpu = time.perf_counter(), time.process_time()
    cluster_main(flow, [], 0, worker_count_per_proc=options.workers)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    background.run(pool.close())
    background.close()
    return sink.results, share


def summary(name: str, results: list[Result], share: float) -> dict[str, Any]:
    """Delays of the good targets, in milliseconds, and how all ticks ended."""
    delays = sorted(at - r.tick.start for at, r in results if r.tick.cluster not in BAD)
    outcomes = dict.fromkeys(Outcome, 0)
    for _, result in results:
        if result.tick.cluster not in BAD:
            outcomes[result.outcome] += 1
    return {
        "run": name,
        "ticks": len(delays),
        "not_completed": len(delays) - outcomes[Outcome.COMPLETED],
        "p50_ms": delays[len(delays) // 2],
        "p99_ms": delays[int(len(delays) * 0.99)],
        "max_ms": delays[-1],
        "core_share": share,
    }


def main() -> None:
    """Run without and with bad targets; print both."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each run")
    parser.add_argument("--interval", type=float, default=1, help="seconds")
    parser.add_argument("--targets", type=int, default=50)
    parser.add_argument("--size", type=int, default=15, help="slots of the pool")
    parser.add_argument("--work", type=float, default=20, help="longest work of a target, ms")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()

    good = [f"cluster-{number}" for number in range(options.targets - len(BAD))]
    rows = []
    print(f"{'run':<10} {'ticks':>7} {'failed':>7} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} core")
    for name, clusters in (
        ("all well", [*good, *(f"well-{number}" for number in range(len(BAD)))]),
        ("four bad", [*good, *BAD]),
    ):
        row = summary(name, *measure(clusters, options))
        rows.append(row)
        print(
            f"{name:<10} {row['ticks']:>7,} {row['not_completed']:>7} {row['p50_ms']:>7.1f} "
            f"{row['p99_ms']:>7.1f} {row['max_ms']:>7.1f} {row['core_share']:>4.0%}"
        )
    keep(rows, options.json)


if __name__ == "__main__":
    main()
