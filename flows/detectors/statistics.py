"""What statistics say of each series by itself. Scores: `entity` (path), `time` (ms), `score`."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from flows.detectors.features import as_scores, features, largest, standardised
from flows.samples import Samples
from operators.schema.arrays import Floats, Ints

DAY = 86_400_000
"""ms."""


def robust_z(samples: Samples) -> Iterator[pl.DataFrame]:
    """How far a metric is from its series' median, in robust deviations: the farthest metric's."""
    for one in features(samples):
        yield as_scores(one, largest(standardised(one.values)))


def seasonal_naive(samples: Samples) -> Iterator[pl.DataFrame]:
    """The same of what a metric differs by from its value a day ago; nothing of the first day.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 5.2.
    """
    for one in features(samples):
        yield as_scores(one, largest(standardised(one.values - _before(one.times, one.values))))


def _before(times: Ints, values: Floats) -> Floats:
    """The values a day before; NaN where there are none."""
    place = np.minimum(np.searchsorted(times, times - DAY), len(times) - 1)
    there = times[place] == times - DAY
    return np.where(there[:, None], values[place], np.nan)
