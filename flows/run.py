"""`mqpipe run`: the streaming job."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
from bytewax.outputs import Sink

from flows import again
from flows.again import Handover, StartAgain, seconds_left
from flows.collection import Collection, collection, targets_of
from flows.config import Config
from flows.errors import ConfigError
from flows.loading import load
from flows.observe.observation import Observation, observe
from flows.observe.picture import Job
from flows.observe.shortfalls import shortfalls
from flows.pool_events import pool_events
from flows.runtime import Workers, execute, stateful_steps
from flows.sinks import (
    job_context,
    opened,
    sinks_of,
    spool_sizes,
    taken_beside_rows,
    where_files_appear,
)
from flows.state import RECOVERY_PARTITIONS, JobState, hold
from flows.stream import Stream, stream
from operators.drain import Drain, look_for
from operators.events import observers
from operators.fleets import FleetSource
from operators.schedule import ClockSteps, RealTime, after
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.simulate.spec import ShardSpec, by_cluster
from operators.targets import Target, TargetSource
from sinks.sink import Sink as SampleSink

log = Log("mqpipe.run")

_DELIVERY = 0.6
"""Share of the grace in which network sinks deliver, where others publish what waits after it."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says. `limit` is in seconds; `afresh` keeps no state.

    `fail_on_error` makes a failure of what is otherwise only said: see `shortfalls`.
    """

    workers: Workers
    limit: float | None = None
    live: bool = False
    afresh: bool = False
    fail_on_error: bool = False
    once: bool = False
    """Whether it ends after one tick of each target and fleet: the next one."""
    file: Path | None = None
    """Where the configuration lies, to be read again."""


def run(config: Config, options: RunOptions) -> int:
    """Run the streaming job until it is stopped; 0 after a clean drain, 1 where it was forced.

    With `fail_on_error` also 1 where every tick failed, or something waits or was refused.

    Raises:
        StateError, FlowError, ListenError: see there.
    """
    sinks = sinks_of(config)
    more_to = [sink.name for sink in sinks if sink.takes_only]
    beside = taken_beside_rows(sinks)
    shards = by_cluster(config.simulation) if config.simulates else {}
    shards = {c: replace(spec, beside=beside) for c, spec in shards.items()}
    computed = {name: spec for name, spec in shards.items() if not spec.does_io}
    asked = {name: spec for name, spec in shards.items() if spec.does_io}
    targets = targets_of(config, asked)
    grace = config.shutdown.grace
    look = look_for(len(targets) + len(computed), grace)
    drain = Drain(grace, look=look, epoch=config.recovery.epoch)
    kept = again.kept()
    steps = ClockSteps()
    with (
        _state(config, options, kept) as state,
        observe(
            _job(config, list(shards), targets, sinks, once=options.once),
            drain,
            config.metrics,
            live=options.live,
            process_id=options.workers.process_id,
        ) as seen,
        pool_events(sinks, config.account_id, options.workers.process_id) as more,
        collection(
            config,
            targets,
            asked,
            seen.watch,
            observers(seen.observer, more),
            beside=beside,
        ) as collectors,
    ):
        clusters = frozenset(computed) | collectors.plans.keys()
        recovery = state.recovery(1 if options.afresh else RECOVERY_PARTITIONS)
        share = 1.0 if all(sink.spool is not None for sink in sinks) else _DELIVERY
        outputs = opened(
            sinks,
            job_context(
                config,
                state,
                lambda sink: clusters | state.retired(sink, clusters),
                seen.observer.hear,
                lambda: drain.grace_left_of(share),
                options.workers.processes,
            ),
        )
        schedule = _schedule(config, options, kept, steps, seen)
        flow = stream(
            _parts(
                config,
                schedule,
                state,
                drain,
                computed,
                collectors,
                seen,
                outputs.outputs,
                more_to,
            )
        )
        sink_steps = {f"{flow.flow_id}.{name}" for name in outputs.outputs}
        state.written_by(version("mqpipe"), stateful_steps(flow) - sink_steps)
        try:
            clean = execute(
                flow,
                drain,
                options.workers,
                recovery,
                config.shutdown.grace,
                outputs.finish,
                steps,
                seen.clock_set,
                _reread(options),
            )
        except StartAgain as back:
            back.kept = _kept(schedule, state, options)
            raise
        fell_short = options.fail_on_error and shortfalls(seen.picture())
    return 1 if fell_short or not clean else 0


def _reread(options: RunOptions) -> Callable[[], bool] | None:
    """What reads the configuration again at SIGHUP, and reports whether it is right.

    None where there is no file of it, or a terminal whose end a SIGHUP may be: it drains then.
    """
    file = options.file
    if file is None or any(os.isatty(number) for number in range(3)):
        return None

    def reread() -> bool:
        try:
            config = load(Config, file)
            for sink in sinks_of(config):
                sink.require()
        except (ConfigError, ValueError, OSError) as error:
            what = "configuration refused, the old one goes on"
            log.error(what, config=str(file), faults=str(error))  # noqa: TRY400 - no fault of ours
            return False
        log.info("configuration reread", config=str(file))
        return True

    return reread


def _parts(
    config: Config,
    schedule: RealTime,
    state: JobState,
    drain: Drain,
    shards: Mapping[str, ShardSpec],
    collectors: Collection,
    seen: Observation,
    sinks: Mapping[str, Sink[tuple[str, pa.RecordBatch]]],
    more_to: Sequence[str],
) -> Stream:
    catch_up = round(config.catch_up * 1000)
    began = state.began([*collectors.targets, *shards], schedule.first(config.interval_ms))
    return Stream(
        targets=TargetSource(
            collectors.targets,
            schedule,
            drain,
            retired=state.retired("targets", frozenset(collectors.targets)),
            began=began,
        ),
        fleets=FleetSource(
            shards,
            config.interval_ms,
            schedule,
            drain,
            account_id=config.account_id,
            catch_up=catch_up,
            retired=state.retired("fleets", frozenset(shards)),
            began=began,
            listener=seen.observer.hear,
        ),
        collection=collectors,
        fill=config.fill if config.mode == "hybrid" else None,
        catch_up=catch_up,
        drain=drain,
        sinks=sinks,
        saw=seen.saw,
        listener=seen.observer.hear,
        more_to=more_to,
        measured=seen.measured,
    )


def _schedule(
    config: Config, options: RunOptions, kept: Handover | None, steps: ClockSteps, seen: Observation
) -> RealTime:
    start = wall_clock()
    until = None
    if kept is not None and kept.ends_at is not None:
        until = start + round(1000 * seconds_left(kept.ends_at))
    elif options.once:
        until = after(start, config.interval_ms) + 1
    elif options.limit is not None:
        until = after(start, config.interval_ms) + round(options.limit * 1000)
    return RealTime(start, until=until, set_by=lambda: steps.total_ms, there_until=seen.there_until)


def _kept(schedule: RealTime, state: JobState, options: RunOptions) -> Handover:
    end = schedule.end
    return Handover(
        ends_at=None if end is None else time.monotonic() + (end - wall_clock()) / 1000,
        state=str(state.path) if options.afresh else None,
    )


def _job(
    config: Config,
    fleets: list[str],
    targets: Sequence[Target],
    sinks: Sequence[SampleSink],
    *,
    once: bool,
) -> Job:
    return Job(
        name="run",
        interval=config.interval,
        mode=config.mode,
        targets=[target.partition for target in targets],
        fleets=fleets,
        sinks=config.sinks.names,
        spools=spool_sizes(sinks),
        files=where_files_appear(
            sinks, after(wall_clock(), config.interval_ms), config.recovery.epoch, once=once
        ),
    )


@contextmanager
def _state(config: Config, options: RunOptions, kept: Handover | None) -> Iterator[JobState]:
    if options.afresh:
        with _folder_of_one_run(kept) as folder, hold(folder) as state:
            yield state
    else:
        workers = options.workers
        path = config.recovery.path / "run"
        with hold(path, workers.process_id, workers.processes) as state:
            yield state


@contextmanager
def _folder_of_one_run(kept: Handover | None) -> Iterator[Path]:
    """A folder that is gone when the run ends, but not where it starts again."""
    left = None if kept is None else kept.state
    folder = Path(left or tempfile.mkdtemp(prefix="mqpipe-"))
    try:
        yield folder
    except StartAgain:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
