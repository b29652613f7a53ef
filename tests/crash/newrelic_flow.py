"""A small dataflow into New Relic, run as its own process by the crash tests.

`python -m tests.crash.newrelic_flow DIRECTORY ENDPOINT START BATCHES [POINT COUNT]` numbers rows
in two partitions, a second apart from START (ms), and goes on where the recovery store says. With
a POINT it kills itself at the COUNTth time that it gets there: `append`, `settle` or `send`.
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

from sinks.dead_letters import DeadLetters, DeadLetterSettings
from sinks.delivery import Patience
from sinks.newrelic import NewRelic, NewRelicSettings, newrelic_sink
from sinks.segments import SegmentLog
from sinks.spool.store import Spool
from tests.crash.numbers import NumberSource
from tests.newrelic.payload import LICENSE_KEY

_PLACES: dict[str, Any] = {"append": SegmentLog, "settle": Spool, "send": NewRelic}


def _kill_at(point: str, count: int) -> None:
    place = _PLACES[point]
    original: Callable[..., Any] = getattr(place, point)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(place, point, counted)


def main() -> None:
    """Run until all batches are delivered."""
    directory, endpoint = Path(sys.argv[1]), sys.argv[2]
    start, batches = int(sys.argv[3]), int(sys.argv[4])
    if sys.argv[5:]:
        _kill_at(sys.argv[5], int(sys.argv[6]))
    store = directory / "recovery"
    if not store.exists():
        store.mkdir()
        init_db_dir(store, 1)
    settings = NewRelicSettings.model_validate(
        {
            "license_key": LICENSE_KEY,
            "endpoint": endpoint,
            "timeout": 2,
            "spool": {"path": directory / "spool"},
        }
    )
    letters = DeadLetters(DeadLetterSettings(path=directory / "dead"))
    patience = Patience(factor=0.01, maximum=0.1)
    flow = Dataflow("crash")
    stream = op.input("numbers", flow, NumberSource(batches, start, interval=1_000))
    sink = newrelic_sink(settings, 1, 1_000, letters, grace_left=lambda: 60.0, patience=patience)
    op.output("newrelic", stream, sink)
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
