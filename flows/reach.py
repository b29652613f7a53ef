"""Reaching what a configuration names: each cluster as a tick would, each sink by a probe."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from flows.config import Config
from flows.cost import NOTHING, Cost, Pace, cost_of, entities_of
from flows.sinks import job_context, taken_beside_rows
from flows.state import JobState
from operators.collect.clusters import AnyCluster
from operators.collect.custom import CustomCollector
from operators.collect.errors import CollectionError
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import ClusterSettings, CollectorSettings
from operators.merge.report import collection_row
from operators.merge.row import cluster_row
from operators.schedule import at_or_after
from operators.schema.arrow import entity_type_of, one_batch
from operators.schema.clock import wall_clock
from operators.schema.metrics import CLUSTER
from operators.ticks import PROBE_KIND, Outcome, TickResult, Ticks
from sinks.job import JobContext
from sinks.sink import Sink

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


async def reach(config: Config, sinks: Sequence[Sink]) -> list[Finding]:
    """Reach every cluster that is collected, and every sink."""
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
    """Ask a custom collector once, as a tick would."""
    collector, what = CustomCollector(settings, config.account_id), f"collector {settings.name}"
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
    identity = ClusterIdentity(settings.name, settings.environment, config.account_id)
    reported = _outcome(identity, tick, collected.batches)
    cost = cost_of([*collected.batches, reported], 1, sinks, _pace(config))
    return Finding(what, entities_of(cost), (), cost)


def _outcome(
    identity: ClusterIdentity, tick: Ticks, batches: Sequence[pa.RecordBatch]
) -> pa.RecordBatch:
    """The row of a target that reports how its tick went."""
    result = TickResult(tick, Outcome.COMPLETED, tuple(batches), attempts=1, duration=0.1)
    return collection_row(identity, result)


def _pace(config: Config) -> Pace:
    return Pace(config.interval, config.recovery.epoch)


async def _cluster(config: Config, cluster: AnyCluster, sinks: Sequence[Sink]) -> Finding:
    """Collect each kind once, as a tick would: what fails here would fail there."""
    collector = cluster.collector(config.account_id, beside=taken_beside_rows(sinks))
    kinds = [kind for kind in cluster.kinds if kind != PROBE_KIND]
    now = at_or_after(wall_clock(), config.interval_ms)

    async def collect(kind: str) -> tuple[Sequence[pa.RecordBatch], str | None]:
        tick = Ticks(cluster.name, now, config.interval_ms, kind=kind)
        try:
            async with asyncio.timeout(_TIMEOUT):
                collected = await collector.collect(tick, _TIMEOUT)
        except TimeoutError:
            return (), f"no answer within {_TIMEOUT:g} s"
        except CollectionError as error:
            return (), str(error)
        return collected.batches, collected.error

    try:
        found = await asyncio.gather(*(collect(kind) for kind in kinds))
    finally:
        await collector.close()
    batches = [batch for part, _ in found for batch in part]
    samples = [batch for batch in batches if entity_type_of(batch) is not CLUSTER]
    if batches:
        # What each kind knows of the cluster is one row in the end.
        identity = ClusterIdentity(
            cluster.name, cluster.environment, config.account_id, provider=cluster.provider
        )
        samples.append(cluster_row(identity, now, batches))
        given = dict(zip(kinds, (part for part, _ in found), strict=True))
        outcomes = [
            _outcome(
                identity, Ticks(cluster.name, now, config.interval_ms, kind=k), given.get(k, ())
            )
            for k in cluster.kinds
        ]
        samples.append(one_batch(outcomes))
    cost = cost_of(samples, 1, sinks, _pace(config))
    causes: dict[str, list[str]] = {}
    for kind, (_, problem) in zip(kinds, found, strict=True):
        if problem:
            causes.setdefault(problem, []).append(kind)
    problems = [f"{', '.join(of)}: {cause}" for cause, of in causes.items()]
    if any(not problem for _, problem in found):
        # It answers: what is not shown may be for a permission.
        problems += await cluster.lacks(samples, _TIMEOUT, known=not problems)
    found_in_words = entities_of(cost)
    if isinstance(cluster, ClusterSettings) and cluster.probe is not None and not problems:
        found_in_words += f"; may probe by the topic {cluster.probe.topic}"
    return Finding(
        f"cluster {cluster.name}", found_in_words, tuple(problems), cost, collector.notes
    )
