"""Each entity's series as numbers that a detector can compare with each other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from flows.samples import Samples
from operators.schema.arrays import Floats, Ints
from operators.schema.metrics import Metric

_TOTALS = ("ffset", "retainedMessages", "diskSize", "uptime")
"""What names of metrics hold that grow for ever: their level says nothing."""

_TO_NORMAL = (1.4826, 1.2533)
"""What makes a normal distribution's deviation of the median and the mean absolute one."""


@dataclass(frozen=True, slots=True)
class Features:
    """One entity's series."""

    entity: str
    times: Ints
    """ms since 1970, rising."""
    values: Floats
    """Shape (ticks, features); NaN where something was not measured."""


def features(samples: Samples) -> Iterator[Features]:
    """Every entity's series. A feature more says how much of what others measure a tick lacks.

    A metric that may be endless counts as its inverse: what is far away is near 0.
    """
    for entity_type in samples.files:
        columns = [metric.name for metric in entity_type.numeric if _is_feature(metric)]
        frame = samples.scan(entity_type).select(
            pl.col("entity_name").cast(pl.String),
            pl.col("timestamp").cast(pl.Int64),
            *(pl.col(name).cast(pl.Float64) for name in columns),
        )
        ordered = frame.collect().sort("entity_name", "timestamp")
        for (entity,), rows in ordered.group_by("entity_name", maintain_order=True):
            values = rows.select(columns).to_numpy()
            endless = np.isinf(values).any(axis=0)
            values[:, endless] = 1 / (1 + np.maximum(values[:, endless], 0))
            measured = ~np.isnan(values).all(axis=0)
            values = values[:, measured]
            lacking = np.isnan(values).mean(axis=1, keepdims=True)
            times = rows["timestamp"].to_numpy()
            yield Features(str(entity), times, np.hstack([values, lacking]))


def as_scores(one: Features, scores: Floats) -> pl.DataFrame:
    """Scores of a series, those that are known; columns: `entity`, `time`, `score`."""
    frame = pl.DataFrame({"entity": one.entity, "time": one.times, "score": scores})
    return frame.filter(pl.col("score").is_not_nan())


def standardised(values: Floats) -> Floats:
    """How many deviations each value is from its feature's median; constant features are left out.

    The deviation is that of the median absolute one; of a feature that mostly stands still, of the
    mean absolute one (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
    """
    values = values[:, ~np.isnan(values).all(axis=0)]
    away = np.abs(values - np.nanmedian(values, axis=0))
    median, mean = np.nanmedian(away, axis=0), np.nanmean(away, axis=0)
    scale = np.where(median > 0, _TO_NORMAL[0] * median, _TO_NORMAL[1] * mean)
    moves = scale > 0
    found: Floats = away[:, moves] / scale[moves]
    return found


def largest(deviations: Floats) -> Floats:
    """The largest deviation at each tick; 0 where nothing moves, NaN where nothing is known."""
    if not deviations.shape[1]:
        return np.zeros(len(deviations))
    known = ~np.isnan(deviations).all(axis=1)
    found = np.where(np.isnan(deviations), -np.inf, deviations).max(axis=1)
    return np.where(known, found, np.nan)


def _is_feature(metric: Metric) -> bool:
    return not any(word in metric.name for word in _TOTALS)
