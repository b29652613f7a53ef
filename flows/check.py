"""`mqpipe check`: is this configuration right, what will it do, what does it cost, does it reach?"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import typer

from flows.config import Config
from flows.cost import NOTHING, Cost, cost_of
from flows.observe.picture import NO_SINK
from flows.visible import visible
from operators.collect.check import missing_permissions
from operators.collect.cluster import cluster_row
from operators.collect.collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import ClusterSettings
from operators.schedule import at_or_after, wall_clock
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER
from operators.simulate.shard import Shard
from operators.simulate.spec import by_cluster
from operators.ticks import TargetKind, Ticks
from sinks.kafka.probe import probe as probe_topic
from sinks.newrelic.probe import probe
from sinks.parquet.store import Store

_TICKS = 20
"""Simulated ticks on which the cost is measured."""
_TIMEOUT = 10.0
"""Seconds that a cluster has to answer for each kind."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found when something was reached for."""

    what: str
    found: str
    problems: tuple[str, ...] = ()
    cost: Cost = NOTHING


def check(config: Config, *, connect: bool) -> int:
    """Print the plan and its cost; with `connect` reach clusters and sinks, 1 where one fails."""
    typer.echo(f"mode {config.mode}, a tick every {config.interval:g} s")
    cost = NOTHING
    if config.simulates:
        simulated = _simulated(config)
        cost += simulated
        fleets = ", ".join(fleet.name for fleet in config.simulation.fleets) or "none"
        typer.echo(f"simulates: {fleets}: {_entities(simulated)}")
    findings = asyncio.run(_reach(config)) if connect else []
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
    if not config.sinks.names:
        typer.echo(NO_SINK)
    if cost != NOTHING:
        for line in _bill(config, cost):
            typer.echo(line)
    return 1 if any(finding.problems for finding in findings) else 0


def _simulated(config: Config) -> Cost:
    now = at_or_after(wall_clock(), config.interval_ms)
    cost = NOTHING
    for spec in by_cluster(config.simulation).values():
        if spec.does_io:
            # It is asked in a run only; what it gives, and so what it costs, is not known before.
            typer.echo(f"  {spec.cluster}: what its generator gives shows when it runs")
            continue
        ticks = Ticks(spec.cluster, now, config.interval_ms, _TICKS)
        cost += cost_of(Shard(spec, config.account_id).step(ticks), _TICKS)
    return cost


def _bill(config: Config, cost: Cost) -> Iterator[str]:
    a_minute = 60 / config.interval
    yield (
        f"in all: {cost.samples:,} entities; {cost.samples * a_minute:,.0f} samples and "
        f"{cost.points * a_minute:,.0f} data points a minute; {cost.points:,} series"
    )
    if config.sinks.parquet is not None:
        size = _size(cost.parquet_bytes * a_minute * 60)
        yield f"sink parquet: {config.sinks.parquet.path}, about {size} an hour"
    if config.sinks.deltalake is not None:
        yield f"sink deltalake: {config.sinks.deltalake.path}"
    if config.sinks.newrelic is not None:
        size = _size(cost.newrelic_bytes * a_minute * 60)
        yield f"sink newrelic: {config.sinks.newrelic.region}, about {size} of events an hour"
    if config.sinks.kafka is not None:
        yield f"sink kafka: {config.sinks.kafka.topic}"


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


async def _reach(config: Config) -> list[Finding]:
    clusters = config.clusters if config.collects else ()
    found = await asyncio.gather(*(_cluster(config, cluster) for cluster in clusters))
    findings = list(found)
    if config.sinks.parquet is not None:
        findings.append(_tried("sink parquet", Store(config.sinks.parquet.path).probe))
    if config.sinks.deltalake is not None:
        from sinks.deltalake.tables import DeltaTables  # only where the extra is installed

        tables = DeltaTables(config.sinks.deltalake.path, "check")
        findings.append(await asyncio.to_thread(_tried, "sink deltalake", tables.probe))
    if config.sinks.kafka is not None:
        settings = config.sinks.kafka
        findings.append(
            await asyncio.to_thread(_tried, "sink kafka", partial(probe_topic, settings))
        )
    if config.sinks.newrelic is not None and config.account_id is not None:
        try:
            problems = await probe(config.sinks.newrelic, config.account_id, wall_clock())
        except (OSError, ValueError) as error:
            problems = [str(error)]
        findings.append(Finding("sink newrelic", "one probe sent", tuple(problems)))
    return findings


def _tried(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, attempt())
    except OSError as error:
        return Finding(what, "cannot be reached", (str(error),))


async def _cluster(config: Config, cluster: ClusterSettings) -> Finding:
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
    cost = cost_of(samples, 1)
    problems = [problem for _, problem in found if problem]
    if any(not problem for _, problem in found):
        # It answers: what is not shown may be for a permission.
        problems += [problem.text for problem in await missing_permissions(cluster, _TIMEOUT)]
    found_in_words = _entities(cost)
    if cluster.probe is not None and not problems:
        found_in_words += f"; may probe by the topic {cluster.probe.topic}"
    return Finding(f"cluster {cluster.name}", found_in_words, tuple(problems), cost)
