"""`mqpipe check`: is this configuration right, what will it do, what does it cost, does it reach?"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import typer

from flows.config import Config
from flows.cost import NOTHING, Cost, cost_of
from flows.errors import CommandError
from flows.observe.picture import NO_SINK
from flows.sinks import job_context, sinks_of
from flows.state import JobState
from flows.visible import visible
from operators.collect.check import missing_permissions
from operators.collect.cluster import cluster_row
from operators.collect.collector import ClusterCollector
from operators.collect.custom import OwnCollector
from operators.collect.errors import CollectionError
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import ClusterSettings, CollectorSettings
from operators.schedule import at_or_after, wall_clock
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER
from operators.simulate.generators import GeneratorError
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, by_cluster
from operators.ticks import TargetKind, Ticks
from sinks.job import JobContext
from sinks.sink import Sink

_TICKS = 20
"""Simulated ticks on which the cost is measured; fewer where they have many samples."""
_SAMPLES = 100_000
"""Samples on which the cost is measured, about."""
_ALIKE = 5
"""Clusters of a fleet that are measured; the others are taken to be like them."""
_TIMEOUT = 10.0
"""Seconds that a cluster has to answer for each kind."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found when something was reached for."""

    what: str
    found: str
    problems: tuple[str, ...] = ()
    cost: Cost = NOTHING
    notes: tuple[str, ...] = ()
    """What is not wrong and still worth to know."""


def check(config: Config, *, connect: bool) -> int:
    """Print the plan and its cost; with `connect` reach clusters and sinks, 1 where one fails."""
    typer.echo(f"mode {config.mode}, a tick every {config.interval:g} s")
    cost, sinks = NOTHING, sinks_of(config)
    if config.simulates:
        simulated = _simulated(config, sinks)
        cost += simulated
        fleets = ", ".join(fleet.name for fleet in config.simulation.fleets) or "none"
        typer.echo(f"simulates: {fleets}: {_entities(simulated)}")
    findings = asyncio.run(_reach(config, sinks)) if connect else []
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


def _entities(cost: Cost) -> str:
    if not cost.entities:
        return "nothing"
    kinds = ", ".join(f"{count:,} {label}" for label, count in sorted(cost.entities.items()))
    return f"{cost.samples:,} entities ({kinds})"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


async def _reach(config: Config, sinks: Sequence[Sink]) -> list[Finding]:
    clusters = config.clusters if config.collects else ()
    own = config.collectors if config.collects else ()
    job = job_context(config, JobState(config.recovery.path, "check"))
    return await asyncio.gather(
        *(_cluster(config, cluster, sinks) for cluster in clusters),
        *(_own(config, collector, sinks) for collector in own),
        *(asyncio.to_thread(_probed, sink, job) for sink in sinks),
    )


def _probed(sink: Sink, job: JobContext) -> Finding:
    what = f"sink {sink.name}"
    try:
        return Finding(what, sink.probe(job))
    except (OSError, ValueError) as error:
        return Finding(what, "cannot be reached", tuple(str(error).splitlines()))


async def _own(config: Config, settings: CollectorSettings, sinks: Sequence[Sink]) -> Finding:
    """Ask a collector of one's own once, as a tick would."""
    collector, what = OwnCollector(settings, config.account_id), f"collector {settings.name}"
    tick = Ticks(settings.name, at_or_after(wall_clock(), config.interval_ms), config.interval_ms)
    try:
        async with asyncio.timeout(_TIMEOUT):
            collected = await collector.collect(tick, _TIMEOUT)
    except TimeoutError:
        return Finding(what, "cannot be asked", (f"no answer within {_TIMEOUT:g} s",))
    except CollectionError as error:
        return Finding(what, "cannot be asked", (str(error),))
    except Exception as error:
        # Whatever its own code raises is what a tick would fail of.
        return Finding(what, "cannot be asked", (f"{type(error).__name__}: {error}",))
    finally:
        with suppress(Exception):
            await collector.close()
    cost = cost_of(collected.batches, 1, sinks)
    return Finding(what, _entities(cost), (), cost)


async def _cluster(config: Config, cluster: ClusterSettings, sinks: Sequence[Sink]) -> Finding:
    """Collect each kind once, as a tick would: what fails here would fail there."""
    collector = ClusterCollector(cluster, config.account_id)
    now = at_or_after(wall_clock(), config.interval_ms)

    async def collect(kind: TargetKind) -> tuple[Sequence[pa.RecordBatch], str | None]:
        tick = Ticks(cluster.name, now, config.interval_ms, kind=kind)
        try:
            async with asyncio.timeout(_TIMEOUT):
                collected = await collector.collect(tick, _TIMEOUT)
        except TimeoutError:
            return (), f"{kind}: no answer within {_TIMEOUT:g} s"
        except CollectionError as error:
            return (), f"{kind}: {error}"
        return collected.batches, collected.error and f"{kind}: {collected.error}"

    try:
        found = await asyncio.gather(*(collect(kind) for kind in TargetKind))
    finally:
        await collector.close()
    batches = [batch for part, _ in found for batch in part]
    samples = [batch for batch in batches if entity_type_of(batch) is not CLUSTER]
    if batches:
        # What each kind knows of the cluster is one row in the end.
        identity = ClusterIdentity(cluster.name, cluster.environment, config.account_id)
        samples.append(cluster_row(identity, now, batches))
    cost = cost_of(samples, 1, sinks)
    problems = [problem for _, problem in found if problem]
    if any(not problem for _, problem in found):
        # It answers: what is not shown may be for a permission.
        problems += [problem.text for problem in await missing_permissions(cluster, _TIMEOUT)]
    found_in_words = _entities(cost)
    if cluster.probe is not None and not problems:
        found_in_words += f"; may probe by the topic {cluster.probe.topic}"
    return Finding(
        f"cluster {cluster.name}", found_in_words, tuple(problems), cost, collector.notes
    )
