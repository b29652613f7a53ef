"""A job with a target that hangs: what the tests of shutdown start and stop.

Appends one JSON line a result to `results.jsonl` in the given directory, as soon as it is there.

    python -m tests.crash.hanging_job DIRECTORY --grace SECONDS --hang coroutine|thread|briefly
"""

import argparse
import asyncio
import json
import logging
import sys
import threading
from pathlib import Path
from random import Random

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.runtime import Workers, execute
from operators.background import Background
from operators.drain import Drain
from operators.offload import offload
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.pool.thread import in_thread
from operators.schedule import RealTime
from operators.schema.clock import wall_clock
from operators.targets import Target, TargetSource
from operators.ticks import Collected, TickResult, Ticks

INTERVAL_MS = 200


class Lines(DynamicSink[tuple[str, TickResult]]):
    """Appends a line a result."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_LinesPartition":
        return _LinesPartition(self._path)


class _LinesPartition(StatelessSinkPartition[tuple[str, TickResult]]):
    def __init__(self, path: Path) -> None:
        self._path = path

    def write_batch(self, items: list[tuple[str, TickResult]]) -> None:
        with self._path.open("a") as file:
            for cluster, result in items:
                line = {
                    "cluster": cluster,
                    "start": result.tick.start,
                    "missed": result.missed,
                    "outcome": result.outcome,
                    "error_class": result.error_class,
                }
                file.write(json.dumps(line) + "\n")


def main() -> int:
    """Run until a signal comes; 0 after a clean drain, 1 after a forced one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--hang", choices=["coroutine", "thread", "briefly"], required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    forever = threading.Event()

    async def work(tick: Ticks, left: float) -> Collected:
        if tick.cluster == "hung":
            print("hanging", flush=True)
            if options.hang == "thread":
                await in_thread(forever.wait)
            while options.hang != "briefly" or not drain.requested:
                await asyncio.sleep(0.05)
        return Collected()

    store = options.directory / "recovery"
    if not store.exists():
        store.mkdir()
        init_db_dir(store, 1)
    background, drain = Background(), Drain(grace=options.grace, epoch=0.2)
    pool = Pool("topics", PoolSettings(timeout=3600), loop=background.loop, rng=Random(0))
    targets = {
        f"{cluster}/topics": Target(cluster, "topics", INTERVAL_MS) for cluster in ("hung", "well")
    }
    flow = Dataflow("hanging")
    ticks = op.input("ticks", flow, TargetSource(targets, RealTime(wall_clock()), drain))
    results = offload("collect", ticks, work, {"topics": pool}, drain, deadline=lambda _: 3600)
    op.output("out", results, Lines(options.directory / "results.jsonl"))
    recovery = RecoveryConfig(str(store))
    clean = execute(flow, drain, Workers(), recovery, options.grace)
    background.run(pool.close())
    background.close()
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
