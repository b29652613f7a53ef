"""Range-based precision and recall (Tatbul et al., Precision and Recall for Time Series, 2018)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flows.anomalies.spans import (
    Spans,
    overlapping,
)
from operators.schema.arrays import Floats

Bias = Literal["flat", "front", "middle", "back"]

_UP_TO: Mapping[Bias, Callable[[Floats, Floats], Floats]] = {
    "flat": lambda i, _: i,
    "front": lambda i, length: i * length - i * (i - 1) / 2,
    "back": lambda i, _: i * (i + 1) / 2,
    "middle": lambda i, length: _middle(i, length),
}
"""By bias: the weight of the first i of a run's `length` ticks, the sum of the paper's δ."""


@dataclass(frozen=True, slots=True)
class RangeSettings:
    """What the paper leaves to its user; the values here are its own first choice.

    `alpha` weighs that a run was met at all against how much of it was; `bias` says which of its
    ticks count most; where `reciprocal`, a run that is met in x pieces counts 1/x.
    """

    alpha: float = 0.0
    bias: Bias = "flat"
    reciprocal: bool = True


def range_recall(
    true_runs: Spans, predicted: Spans, settings: RangeSettings | None = None
) -> float:
    """Share of the true runs that predictions cover, each run weighing the same; 0 without any."""
    how = settings or RangeSettings()
    if not len(true_runs):
        return 0.0
    of, by = overlapping(true_runs, predicted)
    start, length = true_runs[of, 0], (true_runs[:, 1] - true_runs[:, 0]).astype(np.float64)
    begin = (np.maximum(start, predicted[by, 0]) - start).astype(np.float64)
    end = (np.minimum(true_runs[of, 1], predicted[by, 1]) - start).astype(np.float64)
    up_to = _UP_TO[how.bias]
    covered = np.zeros(len(true_runs))
    np.add.at(covered, of, up_to(end, length[of]) - up_to(begin, length[of]))
    pieces = np.bincount(of, minlength=len(true_runs))
    shares = covered / up_to(length, length)
    if how.reciprocal:
        shares /= np.maximum(1, pieces)
    return float(np.mean(how.alpha * (pieces > 0) + (1 - how.alpha) * shares))


def range_precision(
    true_runs: Spans, predicted: Spans, settings: RangeSettings | None = None
) -> float:
    """Share of the predicted runs that the true ones cover, each weighing the same; 0 without any.

    The paper's precision has no α: that a prediction meets something is no merit by itself.
    """
    how = settings or RangeSettings()
    return range_recall(predicted, true_runs, RangeSettings(0.0, how.bias, how.reciprocal))


def _middle(i: Floats, length: Floats) -> Floats:
    """δ rises by 1 a tick up to the middle, and falls again: the weight of the first i ticks."""
    half = np.floor(length / 2)
    rising = np.minimum(i, half)
    falling = np.maximum(0.0, i - half)
    # The ticks after the middle weigh length - half, length - half - 1, …, 1.
    weight: Floats = rising * (rising + 1) / 2 + falling * (length - half)
    weight -= falling * (falling - 1) / 2
    return weight
