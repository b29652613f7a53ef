"""Ticks of real NATS servers, and their rows as plain values."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from operators.derive.operator import ClusterDerivation
from operators.nats.collector import NatsCollector
from operators.nats.settings import NatsSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import EntityType
from operators.ticks import Outcome, TickResult, Ticks

INTERVAL = 30_000

Tick = Mapping[str, TickResult]


def settings_of(url: str | Sequence[str], **more: Any) -> NatsSettings:
    """Settings of a collected cluster `nats`."""
    return NatsSettings.model_validate({"name": "nats", "provider": "nats", "url": url, **more})


async def one_tick(
    collector: NatsCollector, derivation: ClusterDerivation, number: int, time_left: float = 20
) -> Tick:
    """What each kind gives at tick `number`, with its derived columns."""

    async def collect(kind: str) -> TickResult:
        tick = Ticks("nats", number * INTERVAL, INTERVAL, kind=kind)
        found = await collector.collect(tick, time_left)
        errors = found.error_class, found.error
        result = TickResult(tick, Outcome.COMPLETED, found.batches, found.raw, 1, 0.1, *errors)
        return derivation.derive(result)

    kinds = ("nodes", "queues")
    return dict(zip(kinds, await asyncio.gather(*map(collect, kinds)), strict=True))


async def ticks(settings: NatsSettings, *between: Callable[[], Awaitable[object]]) -> list[Tick]:
    """Ticks of one collector: one more than there are functions, each of which is called before the next."""
    collector, derivation = NatsCollector(settings), ClusterDerivation("nats", {})
    try:
        found = [await one_tick(collector, derivation, 0)]
        for number, act in enumerate(between, 1):
            await act()
            found.append(await one_tick(collector, derivation, number))
    finally:
        await collector.close()
    return found


def rows_of(tick: Tick, entity_type: EntityType) -> list[dict[str, Any]]:
    """All rows of one entity type."""
    batches: Sequence[pa.RecordBatch] = [
        b for r in tick.values() for b in r.batches if entity_type_of(b) is entity_type
    ]
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def by_name(tick: Tick, entity_type: EntityType) -> dict[str, dict[str, Any]]:
    """The rows by what stands after the cluster in their names."""
    return {row["entity_name"].partition("/")[2]: row for row in rows_of(tick, entity_type)}
