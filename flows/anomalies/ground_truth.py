"""What really went wrong: the anomalies of a simulation, against which a detector is scored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from operators.schema.arrays import Ints
from operators.schema.metrics import COLLECTION, PROBE

NO_SERIES = (COLLECTION, PROBE)
"""Types whose samples are of the collection itself: no detector is asked about them."""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The anomalies of a simulation, by their place in its table; times in ms since 1970."""

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    roots: tuple[str, ...]
    """The path of the entity at which each began."""
    start: Ints
    end: Ints
    touching: Mapping[str, Ints]
    """By path of an entity: the anomalies that may shape it, root or not."""

    def __len__(self) -> int:
        return len(self.labels)


def ground_truth_of(table: pl.DataFrame, first: int, last: int) -> GroundTruth:
    """The anomalies that are under way in [first, last], ms since 1970.

    `table` is as `operators.simulate.ANOMALIES`.
    """
    within = table.filter(
        (pl.col("start").cast(pl.Int64) <= last) & (pl.col("end").cast(pl.Int64) >= first)
    )
    pairs = within.select("entities").with_row_index("place").explode("entities")
    touching = {
        str(entity): np.array(places, np.int64)
        for entity, places in pairs.drop_nulls().group_by("entities").agg("place").iter_rows()
    }
    return GroundTruth(
        tuple(within["label"]),
        tuple(within["kind"]),
        tuple(within["entity"]),
        within["start"].cast(pl.Int64).to_numpy(),
        within["end"].cast(pl.Int64).to_numpy(),
        touching,
    )
