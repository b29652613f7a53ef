"""`mqpipe export`: simulated fleets over any time range, as fast as the machine goes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows import again
from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.observe.progress import samples_progress
from flows.options import require_before
from flows.runtime import Workers, execute
from flows.sinks import job_context, opened, parquet_at
from flows.state import JobState, hold
from flows.times import show_time
from flows.units import size
from flows.visible import say
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range, at_or_after
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.schema.secrets import without_password
from operators.simulate.anomalies.table import anomaly_table
from operators.simulate.spec import ShardSpec, by_cluster
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import ANOMALIES_FILE, OPEN, Store
from sinks.sink import Output

log = Log("mqpipe.export")

_DAY = 86_400_000
_STORE_PARTITIONS = 1
"""Of the recovery store: what an export stores is small, and each takes 3 ms of its start."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What the command line says; None where it says nothing. Times in ms, interval in seconds."""

    start: int | None = None
    end: int | None = None
    interval: float | None = None
    out: str | None = None
    seed: int | None = None
    workers: int = 1
    resume: bool = False
    overwrite: bool = False
    progress: bool = False
    quiet: bool = False
    """Whether nothing is said of what was written: it is for another use."""


@dataclass(frozen=True, slots=True)
class Span:
    """What an export is of: it goes on only as what it was begun as."""

    start: int
    end: int
    interval: int
    seed: int
    shards: str
    """Digest of the fleets: shapes, patterns and anomalies."""


def dataflow(
    fleets: FleetSource, outputs: Mapping[str, Output], advance: Callable[[int], None]
) -> Dataflow:
    """Ticks and simulation in, files out; `advance` gets how many rows came."""
    flow = Dataflow("mqpipe-export")
    samples = op.input("fleets", flow, fleets)
    seen = op.inspect("progress", samples, lambda _step, item: advance(item[1].num_rows))
    for name, output in outputs.items():
        op.output(name, seen, output)
    return flow


def export(config: Config, options: ExportOptions) -> int:
    """Run an export to its end.

    Raises:
        UsageError: the range is empty, or there is no fleet.
        CommandError: samples are in the way, or there is nothing to resume.
        StateError, FlowError: see there.
    """
    if again.kept() is not None:  # Its range is the one that it was begun with.
        options = replace(options, resume=True, overwrite=False, start=None, end=None)
    config = overridden(config, options)
    parquet = config.sinks.parquet or ParquetSettings()
    shards = by_cluster(config.simulation)
    if not shards:
        raise UsageError("nothing to export: `simulation.fleets` names no fleet")
    asked = [name for name, spec in shards.items() if spec.does_io]
    if asked:
        raise UsageError(
            f"cannot export {', '.join(asked)}: a generator with `io: true` is asked as ticks fall "
            "due; `mqpipe run` does that"
        )
    store = Store(parquet.path)
    name = sha256(store.path.encode()).hexdigest()[:12]
    with hold(config.recovery.path / f"export-{name}") as state:
        span = _span(config, shards, options, state)
        if not _begin(store, state, span, options):
            log.info("nothing started", cause="this export is complete", out=parquet.path)
            say(f"{without_password(parquet.path)}: already complete")
            return 0
        began = time.monotonic()
        drain = Drain(config.shutdown.grace, settle=0, epoch=config.recovery.epoch)
        fleets = FleetSource(
            shards, span.interval, Range(span.start, span.end), drain, account_id=config.account_id
        )
        job = replace(job_context(config, state, lambda _sink: list(shards)), bulk=True)
        files = opened([parquet.sink()], job)
        if not options.progress and not options.quiet:
            log.info("export started", out=parquet.path, **_readable(span))
        with samples_progress(_samples(shards, span), options.progress) as advance:
            execute(
                dataflow(fleets, files.outputs, advance),
                drain,
                Workers(options.workers),
                state.recovery(_STORE_PARTITIONS),
                config.shutdown.grace,
            )
        if drain.requested:
            say("stopped; go on with --resume", err=True)
            return 0
        store.write_table(anomaly_table(shards.values(), span.start, span.end), ANOMALIES_FILE)
        store.delete_folder_if_empty(OPEN)
        state.remember("export", {**asdict(span), "complete": True})
        state.forget()
    _warn_of_no_tick(span)
    if not options.quiet:
        _report(store, shards, span, time.monotonic() - began)
    return 0


def overridden(config: Config, options: ExportOptions) -> Config:
    """The configuration with what the command line overrides."""
    changes: dict[str, object] = {}
    if options.interval is not None:
        changes["interval"] = options.interval
    if options.seed is not None:
        changes["simulation"] = config.simulation.model_copy(update={"seed": options.seed})
    if options.out is not None:
        parquet = parquet_at(options.out, config.sinks.parquet)
        changes["sinks"] = config.sinks.model_copy(update={"parquet": parquet})
    return config.model_copy(update=changes)


def _span(
    config: Config, shards: Mapping[str, ShardSpec], options: ExportOptions, state: JobState
) -> Span:
    """What to export; a resumed export keeps the range that it was begun with."""
    begun = state.recall("export") if options.resume else {}
    interval = config.interval_ms
    now = wall_clock()
    end = options.end if options.end is not None else begun.get("end", at_or_after(now, interval))
    start = options.start if options.start is not None else begun.get("start", end - _DAY)
    require_before("--start", start, "--end", end)
    shapes = sha256(repr(sorted(s.digest for s in shards.values())).encode())
    return Span(start, end, interval, config.simulation.seed, shapes.hexdigest()[:16])


def _begin(store: Store, state: JobState, span: Span, options: ExportOptions) -> bool:
    """Make sure that the export may begin or go on; False where it is complete already."""
    begun = state.recall("export")
    # Where its samples are gone, it starts over.
    if options.resume and begun and store.has_samples():
        differs = [key for key, value in asdict(span).items() if begun.get(key) != value]
        if differs:
            raise CommandError(
                f"--resume: this export was begun with another {', '.join(differs)} "
                f"({_in_words(replace(span, **{k: begun[k] for k in differs}))}); give the same, "
                "or --overwrite to start over"
            )
        return not begun.get("complete", False)
    if options.overwrite:
        store.clear()
    elif store.has_samples():
        advice = "there is nothing to resume there; " if options.resume else "--resume goes on, "
        raise CommandError(
            f"{store.path} holds samples: {advice}--overwrite removes them, or give another --out"
        )
    state.forget()
    state.remember("export", asdict(span))
    return True


def _readable(span: Span) -> dict[str, object]:
    return {
        "start": show_time(span.start),
        "end": show_time(span.end),
        "interval_seconds": span.interval / 1000,
        "seed": span.seed,
    }


def _in_words(span: Span) -> str:
    return (
        f"--start {show_time(span.start)} --end {show_time(span.end)} "
        f"--interval {span.interval / 1000:g}s --seed {span.seed}"
    )


def _ticks(span: Span) -> int:
    return Range(span.start, span.end).due(at_or_after(span.start, span.interval), span.interval)


def _samples(shards: Mapping[str, ShardSpec], span: Span) -> int:
    return sum(spec.entities for spec in shards.values()) * _ticks(span)


def _warn_of_no_tick(span: Span) -> None:
    if not _ticks(span):
        say(
            f"mqpipe: no tick lies in [{show_time(span.start)}, {show_time(span.end)}): ticks are the "
            f"multiples of the interval, {span.interval / 1000:g} s; nothing was written",
            err=True,
        )


def _report(store: Store, shards: Mapping[str, ShardSpec], span: Span, seconds: float) -> None:
    samples = _samples(shards, span)
    say(
        f"{without_password(store.path)}: {samples:,} samples at {_ticks(span):,} ticks from "
        f"{show_time(span.start)} to {show_time(span.end)}, {size(store.size())} of Parquet, "
        f"in {seconds:.1f} s" + (f" ({samples / seconds:,.0f} samples/s)" if samples else "")
    )
