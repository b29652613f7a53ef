"""What samples cost: how many there are, and how large they become at each sink."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import EntityType
from sinks.newrelic.encode import events
from sinks.newrelic.payloads import payloads
from sinks.parquet.files import writer_options


@dataclass(frozen=True, slots=True)
class Cost:
    """What some clusters give, by tick, and the bytes of a sample at each sink."""

    entities: Counter[str]
    """By entity type's label; each gives a sample a tick."""
    points: int
    """Metric values a tick: data points, and unique series."""
    newrelic_bytes: float
    """Compressed bytes of events, of one tick."""
    parquet_bytes: float
    """Bytes of Parquet, of one tick."""

    @property
    def samples(self) -> int:
        """Samples a tick."""
        return sum(self.entities.values())

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.entities + other.entities,
            self.points + other.points,
            self.newrelic_bytes + other.newrelic_bytes,
            self.parquet_bytes + other.parquet_bytes,
        )


NOTHING = Cost(Counter(), 0, 0.0, 0.0)


def cost_of(batches: Iterable[pa.RecordBatch], ticks: int) -> Cost:
    """The cost of one tick, measured on the samples of so many, by encoding them."""
    cost = NOTHING
    for batch in batches:
        if batch.num_rows == 0:
            continue
        entity_type = entity_type_of(batch)
        compressed = sum(len(payload.body) for payload in payloads(events(batch)))
        cost += Cost(
            Counter({entity_type.label: round(batch.num_rows / ticks)}),
            round(_points(batch, entity_type) / ticks),
            compressed / ticks,
            _parquet_size(batch) / ticks,
        )
    return cost


def _points(batch: pa.RecordBatch, entity_type: EntityType) -> int:
    names: Sequence[str] = [metric.name for metric in entity_type.numeric]
    return sum(batch.num_rows - batch.column(name).null_count for name in names)


def _parquet_size(batch: pa.RecordBatch) -> int:
    """Bytes of the rows in a file, without what every file has however few its rows are."""

    def size(table: pa.Table) -> int:
        buffer = pa.BufferOutputStream()
        with pq.ParquetWriter(buffer, batch.schema, **writer_options(batch.schema)) as writer:
            writer.write_table(table)
        return int(buffer.getvalue().size)

    table = pa.Table.from_batches([batch])
    return size(table) - size(table.slice(0, 0))
