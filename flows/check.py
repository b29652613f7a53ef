"""`mqpipe check`: is this configuration right, what will it do, what does it cost, does it reach?"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from flows.config import NO_SINK, Config
from flows.cost import NOTHING, Cost, cost_of, entities_of
from flows.errors import CommandError
from flows.sinks import sinks_of
from flows.visible import visible
from operators.schedule import at_or_after, wall_clock
from operators.simulate.generators import GeneratorError
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


def check(config: Config, *, connect: bool) -> int:
    """Print the plan and its cost; with `connect` reach clusters and sinks, 1 where one fails."""
    typer.echo(f"mode {config.mode}, a tick every {config.interval:g} s")
    cost, sinks = NOTHING, sinks_of(config)
    if config.simulates:
        simulated = _simulated(config, sinks)
        cost += simulated
        fleets = ", ".join(fleet.name for fleet in config.simulation.fleets) or "none"
        typer.echo(f"simulates: {fleets}: {entities_of(simulated)}")
    findings = _reached(config, sinks) if connect else []
    if config.collects:
        for cluster in config.clusters:
            typer.echo(f"collects: {cluster.name} ({cluster.bootstrap_servers})")
        for own in config.collectors:
            typer.echo(f"collects: {own.name} (by {own.use})")
        if not connect:
            typer.echo("  what they hold, and so what they cost, shows with --connect")
    for finding in findings:
        cost += finding.cost
        outcome = "failed" if finding.problems else "ok"
        typer.echo(visible(f"{outcome}: {finding.what}: {finding.found}"))
        for problem in finding.problems:
            typer.echo(f"  {visible(problem)}")
        for note in finding.notes:
            typer.echo(f"  note: {visible(note)}")
    if not sinks:
        typer.echo(NO_SINK)
    if cost != NOTHING:
        for line in _bill(config, sinks, cost):
            typer.echo(line)
    return 1 if any(finding.problems for finding in findings) else 0


def _reached(config: Config, sinks: Sequence[Sink]) -> "list[Finding]":
    import asyncio

    from flows.reach import reach  # collects and delivers, of which a plan needs nothing

    return asyncio.run(reach(config, sinks))


def _simulated(config: Config, sinks: Sequence[Sink]) -> Cost:
    now = at_or_after(wall_clock(), config.interval_ms)
    cost = NOTHING
    fleets: dict[str, list[ShardSpec]] = {}
    for spec in by_cluster(config.simulation).values():
        if spec.does_io:
            # It is asked in a run only; what it gives, and so what it costs, is not known before.
            typer.echo(f"  {spec.cluster}: what its generator gives shows when it runs")
        else:
            fleets.setdefault(spec.fleet, []).append(spec)
    measured = sum(spec.entities for specs in fleets.values() for spec in specs[:_ALIKE])
    number = min(_TICKS, max(1, _SAMPLES // max(1, measured)))
    for specs in fleets.values():
        for spec in specs[:_ALIKE]:
            ticks = Ticks(spec.cluster, now, config.interval_ms, number)
            try:
                made = Shard(spec, config.account_id).step(ticks)
            except GeneratorError as error:
                raise CommandError(str(error)) from error
            cost += cost_of(made, number, sinks).times(len(specs) / len(specs[:_ALIKE]))
    return cost


def _bill(config: Config, sinks: Sequence[Sink], cost: Cost) -> Iterator[str]:
    a_minute = 60 / config.interval
    yield (
        f"in all: {cost.samples:,} entities; {cost.samples * a_minute:,.0f} samples and "
        f"{cost.points * a_minute:,.0f} data points a minute; {cost.points:,} series"
    )
    for sink in sinks:
        size = _size(cost.sizes[sink.name] * a_minute * 60)
        about = "" if sink.size_of is None else f", about {size} an hour"
        yield f"sink {sink.name}: {sink.place}{about}"
        for shape in sink.shapes:
            name = f"{sink.name} {shape}"
            size = _size(cost.sizes[name] * a_minute * 60)
            points = cost.points_at[name] * a_minute * 60
            yield f"  {shape}: about {size} and {points:,.0f} points an hour"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
