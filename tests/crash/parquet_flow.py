"""A small dataflow into Parquet, run as its own process by the crash tests.

`python -m tests.crash.parquet_flow KIND DIRECTORY BATCHES [POINT COUNT]` numbers rows in two
partitions and goes on where the recovery store says. With a POINT it kills itself at the
COUNTth time that it gets there: `append`, `flush`, `create`, `move` or `moved`.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from sinks.parquet import ParquetSettings, RolledParquet, RollSettings, StraightParquet
from sinks.parquet.store import Store
from sinks.segments import SegmentLog
from tests.crash.numbers import PARTS, NumberSource


def _sink(kind: str, directory: Path) -> RolledParquet | StraightParquet:
    settings = ParquetSettings(path=str(directory / "samples"), roll=RollSettings(rows=300))
    if kind == "straight":
        return StraightParquet(settings, PARTS, "run")
    return RolledParquet(settings, PARTS, "run", directory / "waiting")


def _kill_at(point: str, count: int) -> None:
    place: Any = SegmentLog if point in ("append", "flush") else Store
    name = "move" if point == "moved" else point
    original: Callable[..., Any] = getattr(place, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and point != "moved":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, counted)


def main() -> None:
    """Run until all batches are published."""
    kind, directory, batches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if sys.argv[4:]:
        _kill_at(sys.argv[4], int(sys.argv[5]))
    store = directory / "recovery"
    if not store.exists():
        store.mkdir()
        init_db_dir(store, 1)
    flow = Dataflow("crash")
    stream = op.input("numbers", flow, NumberSource(batches))
    op.output("parquet", stream, _sink(kind, directory))
    print("running", flush=True)
    cluster_main(
        flow,
        [],
        0,
        epoch_interval=timedelta(milliseconds=20),
        recovery_config=RecoveryConfig(str(store)),
        worker_count_per_proc=2,
    )


if __name__ == "__main__":
    main()
