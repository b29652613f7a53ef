"""VUS-PR and VUS-ROC (Paparrizos et al., Volume Under the Surface, PVLDB 15, 2022).

Labels are widened by slopes of every length from 0 to `window` ticks; for each length the curve
of range-based precision and recall over thresholds has an area; the volume is the mean of these
areas. Values are those of the package `vus` 0.0.6, whose authors are the paper's
(`RangeAUC_volume_opt`), computed for all lengths and thresholds at once.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flows.anomalies.spans import (
    Spans,
)
from operators.schema.arrays import Flags, Floats, Ints

THRESHOLDS = 250
"""Quantiles of the scores that are thresholds, as in the paper's code."""

WINDOW = 100
"""Ticks of the widest slope, where none is named."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Volumes under the surfaces, 0 to 1."""

    pr: float
    roc: float


def volume(true_runs: Spans, scores: Floats, window: int = WINDOW) -> Volume | None:
    """The volumes for one series; None where nothing or everything is true.

    Args:
        true_runs: The true runs.
        scores: A score a tick, the higher the more anomalous.
        window: Ticks of the widest slope.
    """
    ticks = len(scores)
    positives = int((true_runs[:, 1] - true_runs[:, 0]).sum())
    if not positives or positives == ticks:
        return None
    falling = -np.sort(-scores)
    # Equal thresholds are one point of every curve.
    thresholds = -np.unique(-falling[np.linspace(0, ticks - 1, THRESHOLDS).astype(int)])
    count = len(thresholds)
    predicted = np.searchsorted(-falling, -thresholds, side="right").astype(np.float64)

    near = _near(true_runs, window, ticks)
    reached = np.searchsorted(-thresholds, -scores[near], side="left")
    """The first threshold at which each of these ticks is predicted."""
    inside = _inside(true_runs, near)
    certain = np.bincount(reached[inside], minlength=count + 1)[:count].cumsum()
    slopes = _sloping(true_runs, near, inside, window)
    sloped = reached[~inside]
    order = np.argsort(sloped, kind="stable")
    sums = np.zeros((window + 1, len(order) + 1))
    np.cumsum(slopes[:, order], axis=1, out=sums[:, 1:])
    extra = sums[:, np.searchsorted(sloped[order], np.arange(count), side="right")]
    # Of the slopes only what is predicted counts, among the hits and in the labels' total.
    hits = certain + extra
    expected = positives + extra / 2
    recall = np.minimum(hits / expected, 1.0)
    recall *= _existence(true_runs, near, reached, window, count)
    false = (predicted - hits) / (ticks - expected)
    precision = hits / predicted
    return Volume(_area_pr(recall, precision), _area_roc(false, recall))


def _area_pr(recall: Floats, precision: Floats) -> float:
    """The mean area under curves of a row each."""
    areas = recall[:, 0] * precision[:, 0]
    areas += np.einsum("lk,lk->l", recall[:, 1:] - recall[:, :-1], precision[:, 1:])
    return float(areas.mean())


def _area_roc(false: Floats, recall: Floats) -> float:
    """The mean area under curves of a row each, from (0, 0) to (1, 1), by trapezes."""
    double = false[:, 0] * recall[:, 0] + (1 - false[:, -1]) * (1 + recall[:, -1])
    double += np.einsum("lk,lk->l", false[:, 1:] - false[:, :-1], recall[:, 1:] + recall[:, :-1])
    return float(double.mean() / 2)


def _inside(true_runs: Spans, ticks: Ints) -> Flags:
    """Which of these ticks are true."""
    run = np.searchsorted(true_runs[:, 0], ticks, side="right") - 1
    inside: Flags = (run >= 0) & (ticks < true_runs[run, 1])
    return inside


def _near(true_runs: Spans, window: int, ticks: int) -> Ints:
    """The ticks that the widest slopes reach."""
    reach = window // 2
    flags = np.zeros(ticks + 1, np.int64)
    np.add.at(flags, np.maximum(true_runs[:, 0] - reach, 0), 1)
    np.add.at(flags, np.minimum(true_runs[:, 1] + reach, ticks), -1)
    return np.flatnonzero(np.cumsum(flags[:-1]) > 0)


@lru_cache(maxsize=4)
def _slopes(window: int) -> Floats:
    """By length of the slope and distance from the run: the label; shape (window + 1, reach + 1)."""
    lengths = np.arange(window + 1)[:, None]
    distances = np.arange(window // 2 + 1)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.sqrt(1 - distances / lengths)
    return np.where((distances > 0) & (distances <= lengths // 2), slope, 0.0)


def _sloping(true_runs: Spans, near: Ints, inside: Flags, window: int) -> Floats:
    """The widened labels of the near ticks that are not true; shape (window + 1, ticks)."""
    ticks = near[~inside]
    slopes = _slopes(window)
    reach = window // 2
    labels = np.zeros((window + 1, len(ticks)))
    for start, stop in true_runs.tolist():
        first, middle, last = np.searchsorted(ticks, (start - reach, start, stop + reach)).tolist()
        labels[:, first:middle] += slopes[:, start - ticks[first:middle]]
        labels[:, middle:last] += slopes[:, ticks[middle:last] - stop + 1]
    return np.minimum(labels, 1.0, out=labels)


def _existence(true_runs: Spans, near: Ints, reached: Ints, window: int, thresholds: int) -> Floats:
    """By length of the slope and threshold: the share of runs that are met at all.

    Runs whose slopes touch are one. Shape (window + 1, thresholds).
    """
    reach = window // 2
    runs = len(true_runs)
    first_met = np.full((runs, reach + 1), thresholds)
    for run, (start, stop) in enumerate(true_runs.tolist()):
        first, begin, end, last = np.searchsorted(
            near, (start - reach, start, stop, stop + reach)
        ).tolist()
        first_met[run] = reached[begin:end].min()
        before = np.minimum.accumulate(reached[first:begin][::-1])
        after = np.minimum.accumulate(reached[end:last])
        for side in (before, after):
            if len(side):
                padded = np.concatenate([side, np.full(reach - len(side), side[-1])])
                first_met[run, 1:] = np.minimum(first_met[run, 1:], padded)
    halves = np.arange(reach + 1)
    apart = (true_runs[:-1, 1] - 1)[:, None] + halves < true_runs[1:, 0][:, None] - halves
    groups = np.concatenate([np.zeros((1, reach + 1), np.int64), np.cumsum(apart, axis=0)])
    begins = np.diff(groups, axis=0, prepend=-1).T > 0
    met = np.minimum.reduceat(first_met.T.ravel(), np.flatnonzero(begins))
    half = np.repeat(np.arange(reach + 1), begins.sum(axis=1))
    known = np.bincount(half * (thresholds + 1) + met, minlength=(reach + 1) * (thresholds + 1))
    counts = known.reshape(reach + 1, -1)[:, :thresholds]
    shares = np.cumsum(counts, axis=1) / begins.sum(axis=1)[:, None]
    found: Floats = shares[np.arange(window + 1) // 2]
    return found
