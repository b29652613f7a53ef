"""What collects: targets, their pools and clients, and what merge has to know of each cluster."""

import asyncio
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from flows.config import Config
from flows.observe import Observation
from operators.background import Background
from operators.collect.collector import Collectors
from operators.collect.settings import ClusterSettings
from operators.merge import Plan, like_fleet, preset_fleet
from operators.offload import TickWork
from operators.pool import Pool, Priority
from operators.targets import Target
from operators.ticks import TargetKind

_CLOSING = 5.0
"""Seconds for closing connections at the end."""


@dataclass(frozen=True)
class Collecting:
    """Everything of a dataflow that has to do with collected clusters."""

    targets: Mapping[str, Target]
    work: TickWork
    pools: Mapping[str, Pool]
    priorities: Mapping[str, Priority]
    deadline: float
    """Seconds from a tick's due time to the end of its last attempt."""
    plans: Mapping[str, Plan]


@contextmanager
def collecting(config: Config, seen: Observation) -> Iterator[Collecting]:
    """Pools on a loop in the background, and a client a cluster, while the block runs."""
    clusters = config.clusters if config.collects else ()
    background = Background()
    own = config.collectors if config.collects else ()
    collectors = Collectors(clusters, config.account_id, own)
    pools: dict[str, Pool] = {}
    try:
        pools = background.run(_pools(config, background, seen))
        # What is there by now stays: to look through it again at each big tick for garbage in
        # cycles would stop all threads for some 100 ms.
        gc.freeze()
        yield Collecting(
            targets={
                target.partition: target
                for target in (
                    *(
                        Target(c.name, kind, config.interval_ms)
                        for c in clusters
                        for kind in TargetKind
                    ),
                    *(Target(c.name, c.name, config.interval_ms) for c in own),
                )
            },
            work=collectors.work,
            pools=pools,
            priorities={cluster.name: cluster.priority for cluster in clusters},
            deadline=min(config.interval, config.fill.grace)
            if config.mode == "hybrid"
            else config.interval,
            plans={
                **{cluster.name: _plan(config, cluster) for cluster in clusters},
                **{
                    c.name: Plan(c.name, c.environment, config.account_id, joined=False)
                    for c in own
                },
            },
        )
    finally:
        with suppress(TimeoutError):
            background.run(_close(pools, collectors), _CLOSING)
        background.close()


async def _close(pools: Mapping[str, Pool], collectors: Collectors) -> None:
    await asyncio.gather(*(pool.close() for pool in pools.values()))
    await collectors.close()


async def _pools(config: Config, background: Background, seen: Observation) -> dict[str, Pool]:
    own = config.collectors if config.collects else ()
    kinds = [*(kind.value for kind in TargetKind), *(collector.name for collector in own)]
    pools = {
        kind: Pool(
            kind,
            config.pools.of(kind),
            loop=background.loop,
            listeners=seen.pool_listeners,
        )
        for kind in kinds
    }
    for pool in pools.values():
        seen.watch(pool)
    return pools


def _plan(config: Config, cluster: ClusterSettings) -> Plan:
    fleets = {fleet.name: fleet for fleet in config.simulation.fleets}
    fleet = fleets[cluster.like] if cluster.like else preset_fleet(cluster.environment)
    like = like_fleet(
        fleet, config.simulation.seed, cluster.name, config.account_id, cluster.expect
    )
    return Plan(cluster.name, cluster.environment, config.account_id, cluster.expect, like)
