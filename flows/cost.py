"""What samples cost: how many there are, and how large they become at each sink."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from operators.schema.arrow import entity_type_of, only
from operators.schema.metrics import EntityType
from sinks.sink import Sink


@dataclass(frozen=True, slots=True)
class Cost:
    """What some clusters give, by tick, and the bytes of a tick at each sink."""

    entities: Counter[str]
    """By entity type's label; each gives a sample a tick."""
    points: int
    """Metric values a tick: data points, and unique series."""
    sizes: Counter[str]
    """Bytes of a tick, by the name of a sink that knows, and of each shape of it (`name shape`)."""
    points_at: Counter[str]
    """Data points of a tick in each shape of a sink (`name shape`)."""

    @property
    def samples(self) -> int:
        """Samples a tick."""
        return sum(self.entities.values())

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.entities + other.entities,
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
            round(self.points * number),
            each(self.sizes),
            each(self.points_at),
        )


NOTHING = Cost(Counter(), 0, Counter(), Counter())


def cost_of(batches: Iterable[pa.RecordBatch], ticks: int, sinks: Sequence[Sink]) -> Cost:
    """The cost of one tick, measured on the samples of so many, by encoding them."""
    cost = NOTHING
    for batch in batches:
        if batch.num_rows == 0:
            continue
        way = only(batch)
        rows = way is None
        taking = [sink for sink in sinks if way is None or way in sink.takes_only]
        entity_type = entity_type_of(batch)
        measured = {sink.name: sink.size_of for sink in taking if sink.size_of is not None}
        sizes = Counter({name: round(size_of(batch) / ticks) for name, size_of in measured.items()})
        points_at: Counter[str] = Counter()
        for sink in taking:
            for shape, measure in sink.shapes.items():
                size = measure(batch)
                sizes[f"{sink.name} {shape}"] = round(size.bytes / ticks)
                points_at[f"{sink.name} {shape}"] = round(size.points / ticks)
        cost += Cost(
            Counter({entity_type.label: round(batch.num_rows / ticks)} if rows else {}),
            round(_points(batch, entity_type) / ticks) if rows else 0,
            sizes,
            points_at,
        )
    return cost


def _points(batch: pa.RecordBatch, entity_type: EntityType) -> int:
    names: Sequence[str] = [metric.name for metric in entity_type.numeric]
    return sum(batch.num_rows - batch.column(name).null_count for name in names)


def entities_of(cost: Cost) -> str:
    """How many entities of which types there are, in words."""
    if not cost.entities:
        return "nothing"
    kinds = ", ".join(f"{count:,} {label}" for label, count in sorted(cost.entities.items()))
    return f"{cost.samples:,} entities ({kinds})"
