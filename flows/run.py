"""`mqpipe run`: the streaming job."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import structlog
from bytewax.outputs import Sink

from flows.config import Config
from flows.runtime import Workers, execute
from flows.state import JobState, hold, new_run_id
from flows.stream import Stream, stream
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import RealTime, after
from operators.simulate import by_cluster
from sinks.parquet import RolledParquet

log = structlog.get_logger("mqpipe.run")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says. `limit` is in seconds; `afresh` keeps no state."""

    workers: Workers
    limit: float | None = None
    live: bool = False
    afresh: bool = False


def run(config: Config, options: RunOptions) -> int:
    """Run the streaming job until it is stopped; 0 after a clean drain, 1 where it was forced.

    Raises:
        StateError, FlowError: see there.
    """
    with _state(config, options) as state:
        drain = Drain(config.shutdown.grace)
        flow = stream(_parts(config, options, state, drain))
        log.info("run started", mode=config.mode, run=state.run, interval_seconds=config.interval)
        clean = execute(
            flow,
            drain,
            options.workers,
            config.recovery.epoch,
            None if options.afresh else state.recovery(),
            config.shutdown.grace,
        )
        log.info("run ended", clean=clean)
    return 0 if clean else 1


def _parts(config: Config, options: RunOptions, state: JobState, drain: Drain) -> Stream:
    shards = by_cluster(config.simulation) if config.simulates else {}
    fleets = FleetSource(
        shards,
        config.interval_ms,
        _schedule(config, options),
        drain,
        account_id=config.account_id,
        catch_up=round(config.catch_up * 1000),
        retired=state.retired("fleets", frozenset(shards)),
    )
    return Stream(fleets, _sinks(config, state, frozenset(shards)))


def _schedule(config: Config, options: RunOptions) -> RealTime:
    if options.limit is None:
        return RealTime()
    first = after(time.time_ns() // 1_000_000, config.interval_ms)
    return RealTime(until=first + round(options.limit * 1000))


def _sinks(
    config: Config, state: JobState, clusters: frozenset[str]
) -> dict[str, Sink[tuple[str, pa.RecordBatch]]]:
    sinks: dict[str, Sink[tuple[str, pa.RecordBatch]]] = {}
    if config.sinks.parquet is not None:
        sinks["parquet"] = RolledParquet(
            config.sinks.parquet,
            sorted(clusters | state.retired("parquet", clusters)),
            state.run,
            state.path / "parquet",
        )
    return sinks


@contextmanager
def _state(config: Config, options: RunOptions) -> Iterator[JobState]:
    if options.afresh:
        with tempfile.TemporaryDirectory(prefix="mqpipe-") as folder:
            yield JobState(Path(folder), new_run_id())
    else:
        with hold(config.recovery.path / "run", options.workers.process_id) as state:
            yield state
