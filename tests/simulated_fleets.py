"""Helpers of the tests of simulated fleets: fleets in a line, samples as frames."""

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import ENTITY_TYPES, EntityType
from operators.simulate.settings import FleetSettings, SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, shards
from operators.ticks import Ticks
from tests.samples import MORNING

START = MORNING
"""Thursday, 1 January 2026, 10:00 UTC."""
INTERVAL = 30_000

KEY = ["entity_name", "timestamp"]


def spec_of(seed: int = 42, anomalies: Sequence[dict[str, Any]] = (), **fleet: Any) -> ShardSpec:
    """The one shard of a fleet `sim`."""
    kafka = {"topics": 7, "groups": 3} if fleet.get("provider", "kafka") == "kafka" else {}
    settings = {"name": "sim", **kafka, **fleet}
    return shards(
        SimulationSettings.model_validate(
            {"seed": seed, "fleets": [settings], "anomalies": list(anomalies)}
        )
    )[0]


def samples(
    shard: Shard,
    counts: Sequence[int],
    start: int = START,
    interval: int = INTERVAL,
    only: Collection[EntityType] = ENTITY_TYPES,
) -> dict[EntityType, pl.DataFrame]:
    """Samples of consecutive blocks by entity type, sorted by key, strings decoded."""
    found: dict[EntityType, list[pl.DataFrame]] = {}
    for count in counts:
        for batch in shard.step(Ticks(shard.spec.cluster, start, interval, count)):
            if entity_type_of(batch) not in only:
                continue
            batch.validate(full=True)
            found.setdefault(entity_type_of(batch), []).append(frame(batch))
        start += count * interval
    return {t: pl.concat(frames).sort(KEY) for t, frames in found.items()}


def frame(batch: Any) -> pl.DataFrame:
    """A batch as a polars frame with plain strings."""
    made = pl.from_arrow(batch)
    assert isinstance(made, pl.DataFrame)
    return made.with_columns(pl.col(pl.Categorical).cast(pl.String))


def fleet_of(settings: dict[str, Any]) -> FleetSettings:
    """Validated fleet settings."""
    return FleetSettings.model_validate(settings)
