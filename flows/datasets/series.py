"""Each entity's metrics as a series with labels and causes."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from flows.anomalies.ground_truth import NO_SERIES, GroundTruth
from flows.anomalies.spans import (
    spans_of,
)
from flows.samples import Samples
from operators.schema.arrays import Flags
from operators.schema.metrics import EntityType


@dataclass(frozen=True, slots=True)
class ShapedTicks:
    """A run of shaped ticks, [start, end) by their place in the series, and what shaped it."""

    start: int
    end: int
    kind: str
    label: str
    root: str
    """Path of the entity at which the anomaly began."""


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One entity's series."""

    entity: str
    entity_type: EntityType
    times: pl.Series
    values: pl.DataFrame
    """A column a metric, without nulls: a gap has the value before it."""
    label: Flags
    causes: tuple[ShapedTicks, ...]

    @property
    def first(self) -> int | None:
        """The first tick that an anomaly shaped; None where none did."""
        return int(np.argmax(self.label)) if self.label.any() else None

    @property
    def train(self) -> int:
        """How many ticks from the start a detector may learn from.

        What comes before the first shaped one, a quarter of the series at the most.
        """
        quarter = len(self.label) // 4
        return quarter if self.first is None else min(quarter, self.first)


def labelled_series(
    samples: Samples, ground_truth: GroundTruth, metrics: Collection[str] = ()
) -> Iterator[LabelledSeries]:
    """All entities' series, those of one cluster and entity type at a time.

    `metrics` are those that are wanted; all numbers of the entity type without it. A metric
    without any value is left out, and an entity without any metric.
    """
    for entity_type in samples.files:
        if entity_type in NO_SERIES:
            continue
        names = [m.name for m in entity_type.numeric if not metrics or m.name in metrics]
        if not names:
            continue
        scan = samples.scan(entity_type)
        clusters = scan.select(pl.col("cluster_name").unique().cast(pl.String))
        for cluster in sorted(clusters.collect(engine="streaming")["cluster_name"]):
            mine = scan.filter(pl.col("cluster_name") == cluster)
            frame = mine.select("entity_name", "timestamp", "anomaly", *names).collect()
            parts = frame.partition_by("entity_name", as_dict=True, maintain_order=True)
            for (entity,), part in sorted(parts.items(), key=lambda item: str(item[0])):
                found = _series(
                    str(entity), entity_type, part.sort("timestamp"), names, ground_truth
                )
                if found.values.width:
                    yield found


def _series(
    entity: str,
    entity_type: EntityType,
    rows: pl.DataFrame,
    names: list[str],
    ground_truth: GroundTruth,
) -> LabelledSeries:
    there = [name for name in names if rows[name].null_count() < len(rows)]
    values = rows.select(pl.col(there).forward_fill().backward_fill())
    labels = rows["anomaly"].cast(pl.String)
    return LabelledSeries(
        entity,
        entity_type,
        rows["timestamp"],
        values,
        labels.is_not_null().to_numpy(),
        tuple(_causes(labels, ground_truth)),
    )


def _causes(labels: pl.Series, ground_truth: GroundTruth) -> Iterator[ShapedTicks]:
    places = {label: place for place, label in enumerate(ground_truth.labels)}
    for label in labels.drop_nulls().unique(maintain_order=True):
        place = places.get(label)
        if place is not None:
            flags = (labels == label).fill_null(value=False).to_numpy()
            for start, end in spans_of(flags).tolist():
                yield ShapedTicks(
                    start, end, ground_truth.kinds[place], label, ground_truth.roots[place]
                )
