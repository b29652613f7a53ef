"""`mqpipe check`: is this configuration right, what will it do, what does it cost, does it reach?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import typer

from flows.config import Config
from flows.cost import NOTHING, Cost, Pace, cost_of, entities_of
from flows.errors import NO_SINK, CommandError
from flows.sinks import sinks_of, taken_beside_rows
from flows.units import size
from flows.visible import say, visible
from operators.schedule import at_or_after
from operators.schema.arrow import Only, entity_type_of, one_batch, only
from operators.schema.clock import wall_clock
from operators.simulate.generators import GeneratorError
from operators.simulate.left_out import LeftOut, left_out
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, by_cluster
from operators.ticks import Ticks
from sinks.sink import Sink

if TYPE_CHECKING:
    from flows.reach import Finding

_TICKS = 20
"""Simulated ticks on which the cost is measured; fewer where they have many samples."""
_SAMPLES = 100_000
"""Samples on which the cost is measured, about."""
_ALIKE = 5
"""Clusters of a fleet that are measured; the others are taken to be like them."""


def check(config: Config, *, connect: bool, as_json: bool = False) -> int:
    """Print the plan and its cost; with `connect` reach clusters and sinks, 1 where one fails."""
    plan = _plan(config, connect=connect)
    if as_json:
        from flows.effective import effective

        typer.echo(json.dumps(_document(plan) | {"config": effective(config)}, indent=2))
    else:
        for line in _lines(plan):
            say(line)
    return 1 if any(finding.problems for finding in plan.findings or ()) else 0


@dataclass(frozen=True, slots=True)
class _JobPlan:
    config: Config
    sinks: Sequence[Sink]
    simulated: Cost
    unknown: Sequence[str]
    """Simulated clusters whose generator is asked in a run only."""
    notes: Sequence[LeftOut]
    """What fleets leave out."""
    findings: "Sequence[Finding] | None"
    """None where nothing was reached for."""

    @property
    def cost(self) -> Cost:
        return sum((finding.cost for finding in self.findings or ()), self.simulated)


def _plan(config: Config, *, connect: bool) -> _JobPlan:
    sinks = sinks_of(config)
    simulated, unknown = _simulated(config, sinks) if config.simulates else (NOTHING, [])
    notes = left_out(_simulated_for(config, sinks)) if config.simulates else []
    findings = _reached(config, sinks) if connect else None
    return _JobPlan(config, sinks, simulated, unknown, notes, findings)


def _lines(plan: _JobPlan) -> Iterator[str]:
    config, cost = plan.config, plan.cost
    yield f"mode {config.mode}, a tick every {config.interval:g} s"
    if config.simulates:
        for cluster in plan.unknown:
            yield f"  {cluster}: what its generator gives shows when it runs"
        fleets = ", ".join(fleet.name for fleet in config.simulation.fleets) or "none"
        yield f"simulates: {fleets}: {entities_of(plan.simulated)}"
        for fleet, _, note in plan.notes:
            yield f"  note: {visible(f'{fleet}: {note}')}"
    if config.collects:
        for name, place in _collected(config):
            yield f"collects: {name} ({place})"
        if plan.findings is None:
            yield "  what they hold, and so what they cost, shows with --connect"
    for finding in plan.findings or ():
        outcome = "failed" if finding.problems else "ok"
        yield visible(f"{outcome}: {finding.what}: {finding.found}")
        for problem in finding.problems:
            yield f"  {visible(problem)}"
        for note in finding.notes:
            yield f"  note: {visible(note)}"
    if not plan.sinks:
        yield NO_SINK
    if cost != NOTHING:
        yield from _bill(config, plan.sinks, cost)
    else:
        for sink in plan.sinks:
            yield f"sink {sink.name}: {sink.place}"
    yield _verdict(plan)


def _verdict(plan: _JobPlan) -> str:
    """What came of it, in the last line."""
    if plan.findings is None:
        return "ok: the configuration is right; --connect tries what it names too"
    failed = [finding.what for finding in plan.findings if finding.problems]
    if failed:
        return visible(f"failed: {', '.join(failed)}; the configuration itself is right")
    return "ok: the configuration is right, and all that it names can be reached"


def _document(plan: _JobPlan) -> dict[str, Any]:
    """The same, to be read by programs; what was not reached for has no findings."""
    config, cost = plan.config, plan.cost
    a_minute = 60 / config.interval
    return {
        "mode": config.mode,
        "interval_seconds": config.interval,
        "simulates": [fleet.name for fleet in config.simulation.fleets if config.simulates],
        "collects": dict(_collected(config)),
        "unknown": list(plan.unknown),
        "notes": {
            fleet: ". ".join(left.note for left in of_fleet)
            for fleet, of_fleet in groupby(plan.notes, key=attrgetter("fleet"))
        },
        "entities": dict(sorted(cost.entities.items())),
        "samples_per_minute": cost.samples * a_minute,
        "data_points_per_minute": cost.points * a_minute,
        "series": cost.points,
        "sinks": [
            {
                "name": sink.name,
                "place": sink.place,
                "bytes_per_hour": None
                if sink.size_of is None
                else cost.sizes[sink.name] * a_minute * 60,
                "shapes": {
                    shape: {
                        "bytes_per_hour": cost.sizes[f"{sink.name} {shape}"] * a_minute * 60,
                        "points_per_hour": cost.points_at[f"{sink.name} {shape}"] * a_minute * 60,
                    }
                    for shape in sink.shapes
                },
            }
            for sink in plan.sinks
        ],
        "findings": None
        if plan.findings is None
        else [
            {
                "what": finding.what,
                "ok": not finding.problems,
                "found": finding.found,
                "problems": list(finding.problems),
                "notes": list(finding.notes),
            }
            for finding in plan.findings
        ],
    }


def _collected(config: Config) -> Iterator[tuple[str, str]]:
    """What is collected, and where from."""
    if config.collects:
        yield from ((cluster.name, cluster.address) for cluster in config.clusters)
        yield from ((own.name, f"by {own.use}") for own in config.collectors)


def _reached(config: Config, sinks: Sequence[Sink]) -> "list[Finding]":
    import asyncio

    from flows.reach import reach  # collects and delivers, of which a plan needs nothing

    return asyncio.run(reach(config, sinks))


def _simulated_for(config: Config, sinks: Sequence[Sink]) -> list[ShardSpec]:
    """The simulated clusters, with what these sinks take besides rows."""
    beside = taken_beside_rows(sinks)
    return [replace(spec, beside=beside) for spec in by_cluster(config.simulation).values()]


def _simulated(config: Config, sinks: Sequence[Sink]) -> tuple[Cost, list[str]]:
    """What simulated clusters cost, and those of which it is not known before they run."""
    now = at_or_after(wall_clock(), config.interval_ms)
    pace = Pace(config.interval, config.recovery.epoch)
    cost = NOTHING
    unknown: list[str] = []
    fleets: dict[str, list[ShardSpec]] = {}
    for spec in _simulated_for(config, sinks):
        if spec.does_io:
            unknown.append(spec.cluster)
        else:
            fleets.setdefault(spec.fleet, []).append(spec)
    measured = sum(spec.entities for specs in fleets.values() for spec in specs[:_ALIKE])
    number = min(_TICKS, max(1, _SAMPLES // max(1, measured)))
    for specs in fleets.values():
        made: list[pa.RecordBatch] = []
        for spec in specs[:_ALIKE]:
            ticks = Ticks(spec.cluster, now, config.interval_ms, number)
            try:
                made += Shard(spec, config.account_id).step(ticks)
            except GeneratorError as error:
                raise CommandError(str(error)) from error
        of_some = cost_of(_joined(made), number, sinks, pace)
        cost += of_some.times(len(specs) / len(specs[:_ALIKE]))
    return cost, unknown


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of one kind as one: to measure a batch takes as long for few rows as for many."""
    kinds: dict[tuple[str, Only | None], list[pa.RecordBatch]] = {}
    for batch in batches:
        kinds.setdefault((entity_type_of(batch).label, only(batch)), []).append(batch)
    return map(one_batch, kinds.values())


def _bill(config: Config, sinks: Sequence[Sink], cost: Cost) -> Iterator[str]:
    a_minute = 60 / config.interval
    entities = cost.samples - cost.outcomes
    outcomes = f" ({cost.outcomes * a_minute:,.0f} of them report how ticks went)"
    yield (
        f"in all: {entities:,} entities; {cost.samples * a_minute:,.0f} samples"
        f"{outcomes if cost.outcomes else ''} and "
        f"{cost.points * a_minute:,.0f} data points a minute; {cost.points:,} series"
    )
    for sink in sinks:
        bytes_an_hour = round(cost.sizes[sink.name] * a_minute * 60)
        about = "" if sink.size_of is None else f", about {size(bytes_an_hour)} an hour"
        yield f"sink {sink.name}: {sink.place}{about}"
        for shape in sink.shapes:
            name = f"{sink.name} {shape}"
            bytes_an_hour = round(cost.sizes[name] * a_minute * 60)
            points = cost.points_at[name] * a_minute * 60
            yield f"  {shape}: about {size(bytes_an_hour)} and {points:,.0f} points an hour"
