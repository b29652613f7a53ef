"""One tick of each kind of a real cluster, and its rows as plain values."""

import asyncio
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from operators.collect.cluster_collector import ClusterCollector
from operators.collect.errors import CollectionError
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import ClusterSettings
from operators.merge.report import collection_row
from operators.offload import tick_result
from operators.pool.task import Result
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import EntityType
from operators.ticks import Collected, Outcome, TargetKind, Ticks
from tests.kafka.cluster import Kafka

INTERVAL = 30_000
ATTEMPTS = 100
SHARED_THREADS = 6
"""The loop's few threads, in which big calls and pages are worked on: they stay."""
KINDS = tuple(kind.value for kind in TargetKind)


def settings_of(kafka: Kafka, **more: Any) -> ClusterSettings:
    """Settings of a collected cluster `real`."""
    return ClusterSettings.model_validate(
        {"name": "real", "bootstrap_servers": kafka.bootstrap_servers, **more}
    )


def secured_settings(client: Mapping[str, str], **more: Any) -> ClusterSettings:
    """Settings of a collected cluster `real` that is reached by these librdkafka properties."""
    properties = dict(client)
    servers = properties.pop("bootstrap.servers")
    return ClusterSettings.model_validate(
        {"name": "real", "bootstrap_servers": servers, "client": properties, **more}
    )


async def tick(
    collector: ClusterCollector, number: int = 0, time_left: float = 30.0
) -> Mapping[str, Collected]:
    """What each kind gives at tick `number`; all are asked at once, as in a run.

    A kind is asked again, as its pool would, while a coordinator still loads its groups.
    """

    async def collect(kind: str) -> Collected:
        for _ in range(ATTEMPTS):
            try:
                return await collector.collect(
                    Ticks("real", number * INTERVAL, INTERVAL, kind=kind), time_left
                )
            except CollectionError as error:
                if error.error_class != "unavailable":
                    raise
        raise AssertionError(f"{kind}: still unavailable after {ATTEMPTS} attempts")

    found = await asyncio.gather(*(collect(kind) for kind in KINDS))
    return dict(zip(KINDS, found, strict=True))


def collection_of(collected: Collected, kind: str) -> dict[str, Any]:
    """The COLLECTION row of a tick that gave this."""
    tick = Ticks("real", 0, INTERVAL, kind=kind)
    result = tick_result(tick, Result(Outcome.COMPLETED, collected, attempts=1))
    (row,) = collection_row(ClusterIdentity("real", "test", None), result).to_pylist()
    return dict(row)


def threads_and_files() -> tuple[int, int]:
    """How many threads and open files this process has."""
    gc.collect()
    me = Path("/proc/self")
    return len(list((me / "task").iterdir())), len(list((me / "fd").iterdir()))


def collect_once(settings: ClusterSettings) -> Mapping[str, Collected]:
    """One tick by a collector that is made for it."""

    async def run() -> Mapping[str, Collected]:
        collector = ClusterCollector(settings)
        try:
            return await tick(collector)
        finally:
            await collector.close()

    return asyncio.run(run())


def rows_of(collected: Collected, entity_type: EntityType) -> list[dict[str, Any]]:
    """All rows of one entity type."""
    batches = [b for b in collected.batches if entity_type_of(b) is entity_type]
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def row_of(collected: Collected, entity_type: EntityType, name: str) -> dict[str, Any]:
    """The one row of the entity that is called `name` under its cluster."""
    (row,) = [r for r in rows_of(collected, entity_type) if r["entity_name"] == f"real/{name}"]
    return row
