"""Ticks of a real RabbitMQ, and their rows as plain values."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from operators.derive.operator import ClusterDerivation
from operators.rabbitmq.collector import RabbitCollector
from operators.rabbitmq.derive import RABBIT_RULES
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import EntityType
from operators.ticks import Collected, Outcome, TickResult, Ticks
from tests.rabbitmq.server import PASSWORD, USER, Node

INTERVAL = 30_000


def settings_of(node: Node, **more: Any) -> RabbitSettings:
    """Settings of a collected cluster `rabbit`."""
    return RabbitSettings.model_validate(
        {
            "name": "rabbit",
            "provider": "rabbitmq",
            "url": node.url,
            "user": USER,
            "password": PASSWORD,
            **more,
        }
    )


Tick = Mapping[str, TickResult]


async def one_tick(
    collector: RabbitCollector, derivation: ClusterDerivation, number: int, time_left: float = 60
) -> Tick:
    """What each kind gives at tick `number`, with its derived columns."""

    async def collect(kind: str) -> TickResult:
        tick = Ticks("rabbit", number * INTERVAL, INTERVAL, kind=kind)
        found: Collected = await collector.collect(tick, time_left)
        result = TickResult(
            tick,
            Outcome.COMPLETED,
            found.batches,
            found.raw,
            1,
            0.1,
            found.error_class,
            found.error,
        )
        return derivation.derive(result)

    kinds = ("nodes", "queues")
    return dict(zip(kinds, await asyncio.gather(*map(collect, kinds)), strict=True))


def ticks(settings: RabbitSettings, *between: Callable[[], object]) -> list[Tick]:
    """Ticks of one collector: one more than there are functions, each of which is called before the next.

    What is read between two of them has been read by then.
    """

    async def run() -> list[Tick]:
        collector, derivation = RabbitCollector(settings), ClusterDerivation("rabbit", RABBIT_RULES)
        try:
            found = [await one_tick(collector, derivation, 0)]
            for number, act in enumerate(between, 1):
                await collector.settled()
                await asyncio.to_thread(act)
                found.append(await one_tick(collector, derivation, number))
        finally:
            await collector.close()
        return found

    return asyncio.run(run())


def noted(settings: RabbitSettings) -> tuple[tuple[str, ...], Tick]:
    """What a collector notes in one tick, and the tick."""

    async def run() -> tuple[tuple[str, ...], Tick]:
        collector = RabbitCollector(settings)
        try:
            tick = await one_tick(collector, ClusterDerivation("rabbit", RABBIT_RULES), 0)
            return collector.notes, tick
        finally:
            await collector.close()

    return asyncio.run(run())


def rows_of(tick: Tick, entity_type: EntityType) -> list[dict[str, Any]]:
    """All rows of one entity type."""
    batches: Sequence[pa.RecordBatch] = [
        b for r in tick.values() for b in r.batches if entity_type_of(b) is entity_type
    ]
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def row_of(tick: Tick, entity_type: EntityType, name: str) -> dict[str, Any]:
    """The one row of what is called `name` under its cluster."""
    rows = {row["entity_name"]: row for row in rows_of(tick, entity_type)}
    return rows[f"rabbit/{name}"]
