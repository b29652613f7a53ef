"""`mqpipe check`: is this configuration right, what will it do, and what does it cost?"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import typer

from flows.config import Config
from operators.schema.arrow import entity_type_of
from operators.simulate import Shard, by_cluster
from operators.ticks import Ticks


@dataclass(frozen=True, slots=True)
class Cost:
    """What some clusters give at each tick."""

    entities: Counter[str]
    """By entity type."""
    points: int
    """Metric values: also the number of unique series."""
    bytes: int
    """Arrow bytes, before any sink's compression."""


def check(config: Config) -> int:
    """Print the plan and what it costs."""
    shards = by_cluster(config.simulation) if config.simulates else {}
    a_minute = 60 / config.interval
    typer.echo(f"mode {config.mode}, a tick every {config.interval:g} s")
    if shards:
        total = Counter[str]()
        points = 0
        for spec in shards.values():
            batches = Shard(spec, config.account_id).step(Ticks(spec.cluster, 0, 1000))
            total += Counter({entity_type_of(b).label: b.num_rows for b in batches})
            points += sum(map(_points, batches))
        samples = sum(total.values())
        kinds = ", ".join(f"{count:,} {label}" for label, count in sorted(total.items()))
        typer.echo(f"simulates {len(shards)} clusters: {samples:,} entities ({kinds})")
        typer.echo(
            f"  {samples * a_minute:,.0f} samples and {points * a_minute:,.0f} data points a "
            f"minute, {points:,} series"
        )
    return 0


def _points(batch: pa.RecordBatch) -> int:
    names = {metric.name for metric in entity_type_of(batch).numeric}
    return sum(
        batch.num_rows - batch.column(name).null_count
        for name in batch.schema.names
        if name in names
    )
