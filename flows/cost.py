"""What samples cost: how many there are, and how large they become at each sink."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from operators.schema.arrow import entity_type_of, one_batch, only
from operators.schema.metrics import COLLECTION, EntityType
from sinks.rolled.settings import RollSettings
from sinks.sink import Sink


@dataclass(frozen=True, slots=True)
class Pace:
    """How often something comes, in seconds."""

    interval: float
    """Between two ticks."""
    epoch: float
    """Between two snapshots."""

    def ticks_of(self, roll: RollSettings, rows: float) -> float:
        """Ticks that are published together, of so many rows each.

        Snapshots seal: the first after the oldest row's age, and its rows came after the one before.
        """
        step = max(self.interval, self.epoch)
        at_most = step * (roll.every // step + 1)
        return max(step, min(at_most, roll.rows / rows * self.interval)) / self.interval


@dataclass(frozen=True, slots=True)
class Cost:
    """What some clusters give, by tick, and the bytes of a tick at each sink."""

    entities: Counter[str]
    """By entity type's label; each gives a sample a tick."""
    outcomes: int
    """Samples a tick that report how it went: one of each target."""
    points: int
    """Metric values a tick: data points, and unique series."""
    sizes: Counter[str]
    """Bytes of a tick, by the name of a sink that knows, and of each shape of it (`name shape`)."""
    points_at: Counter[str]
    """Data points of a tick in each shape of a sink (`name shape`)."""

    @property
    def samples(self) -> int:
        """Samples a tick."""
        return sum(self.entities.values()) + self.outcomes

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.entities + other.entities,
            self.outcomes + other.outcomes,
            self.points + other.points,
            self.sizes + other.sizes,
            self.points_at + other.points_at,
        )

    def times(self, number: float) -> "Cost":
        """What so many of the same cost."""

        def each(counts: Counter[str]) -> Counter[str]:
            return Counter({name: round(count * number) for name, count in counts.items()})

        return Cost(
            each(self.entities),
            round(self.outcomes * number),
            round(self.points * number),
            each(self.sizes),
            each(self.points_at),
        )


NOTHING = Cost(Counter(), 0, 0, Counter(), Counter())


def cost_of(
    batches: Iterable[pa.RecordBatch], ticks: int, sinks: Sequence[Sink], pace: Pace
) -> Cost:
    """The cost of one tick, measured on the samples of so many, by encoding them."""
    given = [batch for batch in batches if batch.num_rows]
    rows_a_tick = sum(batch.num_rows for batch in given if only(batch) is None) / ticks
    clusters = max(map(_clusters, given), default=1)
    cost = NOTHING
    for batch in given:
        way = only(batch)
        rows = way is None
        taking = [sink for sink in sinks if way is None or way in sink.takes_only]
        entity_type = entity_type_of(batch)
        sizes: Counter[str] = Counter()
        points_at: Counter[str] = Counter()
        for sink in taking:
            if sink.size_of is not None and sink.roll is not None:
                together = pace.ticks_of(sink.roll, max(1, rows_a_tick) / clusters)
                sizes[sink.name] = round(_filed(sink.size_of, batch, ticks, together))
            elif sink.size_of is not None:
                sizes[sink.name] = round(sink.size_of(batch) / ticks)
            for shape, measure in sink.shapes.items():
                size = measure(batch)
                sizes[f"{sink.name} {shape}"] = round(size.bytes / ticks)
                points_at[f"{sink.name} {shape}"] = round(size.points / ticks)
        number = round(batch.num_rows / ticks) if rows else 0
        of_entities = entity_type is not COLLECTION
        cost += Cost(
            Counter({entity_type.label: number} if rows and of_entities else {}),
            0 if of_entities else number,
            round(_points(batch, entity_type) / ticks) if rows else 0,
            sizes,
            points_at,
        )
    return cost


def _filed(
    size_of: Callable[[pa.RecordBatch], int], batch: pa.RecordBatch, ticks: int, together: float
) -> float:
    """Bytes of a tick where files hold so many `together`, a file for each cluster.

    What a file has however few its ticks are is most of a small one: the sizes of two files show it
    from what a row adds.
    """
    rows: int = batch.num_rows
    clusters = _clusters(batch)
    first = max(1, round(rows / ticks / clusters))
    small = size_of(batch.slice(0, first))
    whole = batch if first < rows else one_batch([batch, _next_tick(batch)])
    row: float = (size_of(whole) - small) / (whole.num_rows - first)
    return clusters * (small - first * row) / together + rows / ticks * row


def _clusters(batch: pa.RecordBatch) -> int:
    return len(np.unique(batch.column("cluster_name").indices.to_numpy(zero_copy_only=False)))


def _next_tick(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What could come after a tick: of the same entities, with numbers as different as theirs."""
    backwards = pa.array(range(batch.num_rows - 1, -1, -1))

    def later(column: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(column.type):
            return pa.array(column.view(pa.int64()).to_numpy() + 1_000).view(column.type)
        numbers = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        return column.take(backwards) if numbers else column

    return pa.RecordBatch.from_arrays([later(c) for c in batch.columns], schema=batch.schema)


def _points(batch: pa.RecordBatch, entity_type: EntityType) -> int:
    names: Sequence[str] = [metric.name for metric in entity_type.numeric]
    return sum(batch.num_rows - batch.column(name).null_count for name in names)


def entities_of(cost: Cost) -> str:
    """How many entities of which types there are, in words."""
    if not cost.entities:
        return "nothing"
    kinds = ", ".join(f"{count:,} {label}" for label, count in sorted(cost.entities.items()))
    return f"{sum(cost.entities.values()):,} entities ({kinds})"
