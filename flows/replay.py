"""`mqpipe replay`: the stream that `sinks.kafka` recorded, sent to other sinks again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import bytewax.operators as op
import pyarrow as pa
import pyarrow.compute as pc
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.config import Config
from flows.errors import CommandError, UsageError
from flows.observe.observation import Observation, observe
from flows.observe.picture import Job, Picture
from flows.observe.settings import MetricsSettings
from flows.options import require_before
from flows.runtime import Workers, execute
from flows.sinks import (
    job_context,
    opened,
    parquet_at,
    sinks_of,
    spool_sizes,
    taken_beside_rows,
    where_files_appear,
)
from flows.state import JobState, hold, read_document
from flows.times import show_time
from flows.units import of
from flows.visible import say
from operators.drain import Drain
from operators.recorded.operator import recorded
from operators.recorded.plan import ReplayError, ReplayPlan, replay_plan
from operators.recorded.source import RecordedSource
from operators.schema.arrow import Only, only
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.schema.unreadable import UnreadableMessage
from sinks.dead_letters import DeadLetters
from sinks.kafka.settings import KafkaSettings
from sinks.sink import Output, Sink

log = Log("mqpipe.replay")

_DELIVERY = 3600.0
"""Seconds that network sinks have to deliver what is left when all was read."""

_UNWATCHED = MetricsSettings(listen=None)
"""A replay may run beside the job that `metrics.listen` belongs to."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says: a range of samples' timestamps (ms), and where to.

    `asked` is the range as it was written, by which an unfinished replay is known again.
    """

    start: int | None = None
    end: int | None = None
    asked: tuple[str | None, str | None] = (None, None)
    out: str | None = None
    workers: int = 1
    live: bool = False


def dataflow(
    source: RecordedSource,
    outputs: Mapping[str, Output],
    letters: DeadLetters,
    saw: Callable[[str, pa.RecordBatch], None],
    more_to: Collection[str] = (),
) -> Dataflow:
    """Recorded samples to every sink, and what is none to dead letters.

    `more_to` are the sinks that take what is no row too: see `flows.stream.Stream`.
    """
    flow = Dataflow("mqpipe-replay")
    samples, unreadable = recorded("recorded", flow, source)
    rows = op.filter("rows", samples, lambda item: only(item[1]) is None)
    op.inspect("observe", rows, lambda _step, item: show(saw, *item))
    for name, output in outputs.items():
        op.output(name, samples if name in more_to else rows, output)
    op.output("dead_letters", unreadable, _UnreadableSink(letters))
    return flow


def show(saw: Callable[[str, pa.RecordBatch], None], part: str, batch: pa.RecordBatch) -> None:
    """Show a batch's samples by their clusters: a topic's partition has those of several."""
    names = batch.column("cluster_name").cast(pa.string())
    there = pc.unique(names).to_pylist()
    for name in there:
        same = pc.is_null(names) if name is None else pc.equal(names, name)
        saw(name or part, batch if len(there) == 1 else batch.filter(same))


def replay(config: Config, options: ReplayOptions) -> int:
    """Send a range of the recorded stream again; 1 where not everything was delivered.

    A replay that was stopped goes on where it was when the same is asked again.

    Raises:
        UsageError: nothing was recorded, or there is no sink for it.
        CommandError: the topic cannot be read, or samples are in the way.
        StateError, FlowError, ListenError: see there.
    """
    topic = config.sinks.kafka
    if topic is None:
        raise UsageError("nothing to replay: the config has no `sinks.kafka`")
    config = _to_the_others(config, options)
    sinks = sinks_of(config)
    if not sinks:
        raise UsageError("nowhere to replay to: give --out, or another sink in the config")
    drain = Drain(config.shutdown.grace, settle=0, epoch=config.recovery.epoch)
    with hold(_state_folder(config, sinks, topic, options)) as state:
        goes_on = bool(state.recall("replay"))
        plan = _plan(sinks, topic, options, state)
        job = Job(
            "replay",
            config.interval,
            sinks=config.sinks.names,
            spools=spool_sizes(sinks),
            files=where_files_appear(sinks, None, config.recovery.epoch),
        )
        with observe(job, drain, _UNWATCHED, live=options.live) as seen:
            alone = Only.EVENTS in taken_beside_rows(sinks)
            source = RecordedSource(topic, plan, drain, config.account_id, events_alone=alone)
            clean = _run(config, sinks, source, state, drain, options, seen)
            picture = seen.picture()
        if not clean or drain.requested:
            say("stopped; the same command goes on where it was", err=True)
            return 0 if clean else 1
        state.remember("replay", {})
        state.forget()
    say(
        f"replayed {source.messages:,} messages of {plan.topic}, {_spanned(source.span)}"
        + (", since it went on" if goes_on else "")
    )
    for line in _went(picture, config.dead_letters.path):
        say(line)
    return 0


def _spanned(span: tuple[int, int] | None) -> str:
    if span is None:
        return "no samples of the time asked for"
    return f"samples from {show_time(span[0])} to {show_time(span[1])}"


def _went(picture: Picture, dead_letters: Path) -> Iterator[str]:
    """How many samples went where, and how many messages held none."""
    for sink in picture.sinks:
        yield f"{sink.name}: {sum(sink.written.values()):,} samples"
        if dead := sum(sink.dead.values()):
            yield f"{sink.name}: {dead:,} of them are dead letters in {dead_letters}"
    if picture.unreadable:
        yield f"{of(picture.unreadable, 'message')} held what is no sample: dead letters in {dead_letters}"


def _state_folder(
    config: Config, sinks: Sequence[Sink], topic: KafkaSettings, options: ReplayOptions
) -> Path:
    """Where the state of this replay lies: one for each topic and places that it goes to."""
    places = [(sink.name, sink.place) for sink in sinks]
    name = sha256(repr((topic.topic, places)).encode()).hexdigest()[:12]
    folder = config.recovery.path / f"replay-{name}"
    if not folder.exists():
        # Before, folders were named after all settings of the sinks; such a replay goes on there.
        for other in sorted(config.recovery.path.glob("replay-*")):
            begun = read_document(other / "replay.json")
            if (
                begun
                and "to" not in begun
                and begun["asked"] == list(options.asked)
                and begun["plan"]["topic"] == topic.topic
            ):
                return other
    return folder


def _run(
    config: Config,
    sinks: Sequence[Sink],
    source: RecordedSource,
    state: JobState,
    drain: Drain,
    options: ReplayOptions,
    seen: Observation,
) -> bool:
    recovery = state.recovery()
    job = job_context(
        config,
        state,
        lambda _sink: source.list_parts(),
        seen.observer.hear,
        lambda: drain.grace_left if drain.requested else _DELIVERY,
    )
    # Its spools are its own, beside those of a live run; and no seed made what was recorded.
    job = replace(job, bulk=True, spools=state.path / "spool", seed=None)
    outputs = opened(sinks, job)
    more_to = [sink.name for sink in sinks if sink.takes_only]
    clean = execute(
        dataflow(source, outputs.outputs, job.letters, seen.saw, more_to),
        drain,
        Workers(options.workers),
        recovery,
        config.shutdown.grace,
        outputs.finish,
    )
    # What waits in a spool belongs to this replay, which is over only once that is delivered.
    return clean and (drain.requested or outputs.are_delivered)


def _plan(
    sinks: Sequence[Sink], topic: KafkaSettings, options: ReplayOptions, state: JobState
) -> ReplayPlan:
    """What to read: decided now, or when this replay was begun."""
    begun = state.recall("replay")
    if begun:
        if begun["asked"] != list(options.asked):
            raise CommandError(
                f"{state.path}: an unfinished replay of another range (--from {begun['asked'][0]} "
                f"--to {begun['asked'][1]}) lies there; finish it by asking the same, or remove it"
            )
        log.info("replay goes on", topic=topic.topic)
        return ReplayPlan.from_document(begun["plan"])
    for sink in sinks:
        if sink.holds_samples():
            raise CommandError(
                f"{sink.place} holds samples, with which those of a replay would mix; give "
                "another directory with --out"
            )
    start = options.start if options.start is not None else 0
    end = options.end if options.end is not None else wall_clock()
    require_before("--from", start, "--to", end)
    try:
        plan = replay_plan(topic, topic.topic, start, end)
    except ReplayError as error:
        raise CommandError(str(error)) from error
    state.forget()
    places = [sink.place for sink in sinks]
    state.remember("replay", {"asked": list(options.asked), "to": places, "plan": plan.document()})
    return plan


def _to_the_others(config: Config, options: ReplayOptions) -> Config:
    """The configuration with the sinks of a replay: not the one it is read from."""
    changes: dict[str, object] = {"kafka": None}
    if options.out is not None:
        none: dict[str, object] = dict.fromkeys(type(config.sinks).model_fields)
        changes = {**none, "parquet": parquet_at(options.out)}
    return config.model_copy(update={"sinks": config.sinks.model_copy(update=changes)})


class _UnreadableSink(DynamicSink[tuple[str, UnreadableMessage]]):
    """Keeps messages that are no samples as dead letters: at least once."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_UnreadablePartition":
        return _UnreadablePartition(self._letters)


class _UnreadablePartition(StatelessSinkPartition[tuple[str, UnreadableMessage]]):
    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def write_batch(self, items: list[tuple[str, UnreadableMessage]]) -> None:
        self._letters.put_unreadable([message for _, message in items])
