"""What pools ask: targets, their pools and clients, and what merge has to know of each cluster.

Targets are collected clusters, custom collectors, and simulated clusters whose generator
does I/O.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias, get_args

from flows.config import Config
from operators.background import Background
from operators.collect.clusters import AnyCluster
from operators.collect.samples import PROVIDER
from operators.collect.step import Collectors, Collects
from operators.derive.rules import Rules
from operators.events import Observer
from operators.merge.like import Like, like_fleet, preset_fleet
from operators.merge.plan import Plan
from operators.offload import TickWork
from operators.pool.pool import Pool
from operators.pool.settings import Priority
from operators.schema.arrow import Only
from operators.simulate.presets import Provider
from operators.simulate.spec import ShardSpec
from operators.targets import Target
from operators.ticks import KAFKA_KINDS, PROBE_KIND, SIMULATION_KIND

Shards: TypeAlias = Mapping[str, ShardSpec]

_APART = 20
"""Milliseconds between clusters that are asked one after another: what one costs, about."""

_CLOSING = 5.0
"""Seconds for closing connections at the end."""


@dataclass(frozen=True)
class Collection:
    """Everything of a dataflow that has to do with targets."""

    targets: Mapping[str, Target]
    work: TickWork
    pools: Mapping[str, Pool]
    priorities: Mapping[str, Priority]
    deadline: float
    """Seconds from a tick's due time to the end of its last attempt."""
    plans: Mapping[str, Plan]
    rules: Mapping[str, Rules | None]
    """How each cluster's ticks are compared."""


@contextmanager
def collection(
    config: Config,
    targets: Sequence[Target],
    asked: Shards,
    watch: Callable[[Pool], None],
    observer: Observer,
    *,
    beside: frozenset[Only] = frozenset(),
) -> Iterator[Collection]:
    """Pools on a loop in the background, and a client a cluster, while the block runs.

    `targets` are those of `targets_of`, `asked` the simulated clusters whose generator does I/O,
    by name. `watch` gets every pool, `observer` what happens in them and ticks that
    lack a part. `beside` says what is collected besides rows, to be sent in one way alone.
    """
    background = Background()
    collectors = Collectors(_collectors(config, asked, beside), observer.hear)
    pools: dict[str, Pool] = {}
    try:
        kinds = dict.fromkeys([*KAFKA_KINDS, *(target.kind for target in targets)])
        pools = background.run(_pools(config, list(kinds), background, observer))
        for pool in pools.values():
            watch(pool)
        # What is there by now stays: to look through it again at each big tick for garbage in
        # cycles would stop all threads for some 100 ms.
        gc.freeze()
        yield Collection(
            targets={target.partition: target for target in targets},
            work=collectors.work,
            pools=pools,
            priorities={cluster.name: cluster.priority for cluster in config.clusters},
            deadline=min(config.interval, config.fill.grace)
            if config.mode == "hybrid"
            else config.interval,
            plans=_plans(config, asked),
            rules=_rules(config, asked),
        )
    finally:
        for closing in (_close(pools), collectors.close()):
            with suppress(TimeoutError):
                background.run(closing, _CLOSING)
        background.close()


async def _close(pools: Mapping[str, Pool]) -> None:
    await asyncio.gather(*(pool.close() for pool in pools.values()))


def targets_of(config: Config, asked: Shards) -> Sequence[Target]:
    """Every target of a run: one cluster x one kind, and the `asked` simulated clusters.

    The clusters are not asked in one moment, but one after another within half the interval.
    """
    clusters = config.clusters if config.collects else ()
    own = config.collectors if config.collects else ()
    kinds = {
        **{c.name: tuple(c.kinds) for c in clusters},
        **{collector.name: (collector.name,) for collector in own},
        **dict.fromkeys(asked, (SIMULATION_KIND,)),
    }
    interval = config.interval_ms
    apart = min(_APART, interval / 2 / max(1, len(kinds)))
    return [
        Target(cluster, kind, interval, delay=round(place * apart))
        for place, (cluster, of) in enumerate(kinds.items())
        for kind in of
    ]


def _collectors(config: Config, asked: Shards, beside: frozenset[Only]) -> Mapping[str, Collects]:
    """What collects, by cluster; only that is imported which there is some of."""
    account = config.account_id
    collectors: dict[str, Collects] = {}
    if asked:
        from operators.simulate.pooled import PooledGenerator

        collectors |= {name: PooledGenerator(spec, account) for name, spec in asked.items()}
    if config.collects:
        collectors |= {c.name: c.collector(account, beside=beside) for c in config.clusters}
    if config.collects and config.collectors:
        from operators.collect.custom import CustomCollector

        collectors |= {c.name: CustomCollector(c, account) for c in config.collectors}
    return collectors


def _plans(config: Config, asked: Shards) -> Mapping[str, Plan]:
    account = config.account_id
    plans = {
        name: Plan(name, spec.environment, account, provider=PROVIDER)
        for name, spec in asked.items()
    }
    if config.collects:
        plans |= {cluster.name: _plan(config, cluster) for cluster in config.clusters}
        plans |= {
            c.name: Plan(c.name, c.environment, account, provider=PROVIDER)
            for c in config.collectors
        }
    return plans


def _rules(config: Config, asked: Shards) -> Mapping[str, Rules | None]:
    """Those of each provider; custom collectors and generators give no counters but `totals`."""
    rules: dict[str, Rules | None] = {name: {} for name in asked}
    if config.collects:
        rules |= {collector.name: {} for collector in config.collectors}
        rules |= {cluster.name: cluster.derivations for cluster in config.clusters}
    return rules


async def _pools(
    config: Config, kinds: Sequence[str], background: Background, observer: Observer
) -> dict[str, Pool]:
    return {
        kind: Pool(
            kind,
            config.pools.of(kind),
            loop=background.loop,
            observer=observer,
        )
        for kind in kinds
    }


def _plan(config: Config, cluster: AnyCluster) -> Plan:
    return Plan(
        cluster.name,
        cluster.environment,
        config.account_id,
        cluster.expect,
        _like(config, cluster),
        provider=cluster.provider,
        joined_kinds=tuple(kind for kind in cluster.kinds if kind != PROBE_KIND),
        servers=cluster.servers,
    )


def _like(config: Config, cluster: AnyCluster) -> Like:
    """The fleet that a cluster is like; nothing where no fleet is of its provider."""
    fleets = {fleet.name: fleet for fleet in config.simulation.fleets}
    if cluster.like:
        fleet = fleets[cluster.like]
    elif cluster.provider in get_args(Provider):
        fleet = preset_fleet(cluster.environment, cluster.provider)
    else:
        return Like()
    seed, account = config.simulation.seed, config.account_id
    return like_fleet(fleet, seed, cluster.name, account, cluster.expect, cluster.provider)
