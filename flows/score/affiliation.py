"""Affiliation precision and recall.

By Huet, Navarro, Rossi: Local Evaluation of Time Series Anomaly Detection Algorithms, KDD 2022.

Each true run has a zone: what lies nearer to it than to any other. A predicted tick is as good as
its distance to the run is unlikely to be beaten by a tick drawn at random from the zone; a true
tick likewise by its distance to the nearest prediction. Both are integrals over runs, and have a
closed form: see `_lost`.
"""

import numpy as np

from flows.anomalies.spans import (
    Spans,
)
from operators.schema.arrays import Floats, Ints


def affiliation(
    true_runs: Spans, predicted: Spans, ticks: int
) -> tuple[float | None, float | None]:
    """Precision and recall, 0 to 1, of a series of `ticks` ticks.

    Precision is the mean over the zones in which something was predicted, None where nothing
    was; recall is the mean over all true runs, None where there are none.
    """
    if not len(true_runs):
        return None, None
    runs = true_runs.astype(np.float64)
    middles = (runs[:-1, 1] + runs[1:, 0]) / 2
    low = np.concatenate([[0.0], middles])
    high = np.concatenate([middles, [float(ticks)]])
    zone, pieces = _cut(predicted.astype(np.float64), low, high)
    if not len(pieces):
        return None, 0.0
    return (
        _precision(runs, low, high, zone, pieces),
        _recall(runs, low, high, zone, pieces),
    )


def _cut(runs: Floats, low: Floats, high: Floats) -> tuple[Ints, Floats]:
    """The runs cut at the zones' borders: the zone of each piece, and the pieces."""
    first = np.searchsorted(high, runs[:, 0], side="right")
    last = np.searchsorted(low, runs[:, 1], side="left")
    counts = np.maximum(0, last - first)
    of = np.repeat(np.arange(len(runs)), counts)
    zone = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    starts = np.maximum(runs[of, 0], low[zone])
    stops = np.minimum(runs[of, 1], high[zone])
    return zone, np.stack([starts, stops], axis=1)


def _precision(runs: Floats, low: Floats, high: Floats, zone: Ints, pieces: Floats) -> float:
    start, stop = runs[zone, 0], runs[zone, 1]
    width = high[zone] - low[zone]
    length = pieces[:, 1] - pieces[:, 0]
    before = np.clip(start[:, None] - pieces, 0.0, None)
    after = np.clip(pieces - stop[:, None], 0.0, None)
    outside = (before[:, 0] - before[:, 1]) + (after[:, 1] - after[:, 0])
    left, right = start - low[zone], high[zone] - stop
    # A random tick is at most d away in the run itself, and up to d on each side of it.
    beaten = (stop - start) * outside
    for near, far in ((before[:, 1], before[:, 0]), (after[:, 0], after[:, 1])):
        for room in (left, right):
            beaten += _up_to(far, room) - _up_to(near, room)
    good = length - beaten / width
    totals, lengths = np.zeros(len(runs)), np.zeros(len(runs))
    np.add.at(totals, zone, good)
    np.add.at(lengths, zone, length)
    there = lengths > 0
    return float(np.mean(totals[there] / lengths[there]))


def _recall(runs: Floats, low: Floats, high: Floats, zone: Ints, pieces: Floats) -> float:
    # Between two predictions of a zone, each has the ticks that are nearer to it.
    same = zone[:-1] == zone[1:]
    middles = (pieces[:-1, 1] + pieces[1:, 0]) / 2
    from_ = low[zone].copy()
    until = high[zone].copy()
    from_[1:][same] = middles[same]
    until[:-1][same] = middles[same]
    start = np.maximum(runs[zone, 0], from_)
    stop = np.minimum(runs[zone, 1], until)
    stop = np.maximum(start, stop)
    left, right = low[zone], high[zone]
    # Before the prediction, d is what is left to its start, and after it what came since its stop.
    before = _lost(start, np.clip(pieces[:, 0], start, stop), pieces[:, 0], left)
    mirrored = _lost(-stop, -np.clip(pieces[:, 1], start, stop), -pieces[:, 1], -right)
    good = (stop - start) - (before + mirrored) / (right - left)
    totals = np.zeros(len(runs))
    np.add.at(totals, zone, good)
    return float(np.mean(totals / (runs[:, 1] - runs[:, 0])))


def _lost(start: Floats, stop: Floats, pivot: Floats, border: Floats) -> Floats:
    """∫ d + min(d, y − border) dy over y in [start, stop], where d = pivot − y.

    A tick at random is at most d away within d on either side, but for the zone's border; towards
    the pivot the zone is at least d wide.
    """
    middle = np.clip((border + pivot) / 2, start, stop)
    near, far = pivot - stop, pivot - start
    whole = (far**2 - near**2) / 2
    up = ((middle - border) ** 2 - (start - border) ** 2) / 2
    down = ((pivot - middle) ** 2 - near**2) / 2
    return whole + up + down


def _up_to(distance: Floats, room: Floats) -> Floats:
    """∫ min(d, room) from 0 to `distance`."""
    inside = np.minimum(distance, room)
    return inside**2 / 2 + room * (distance - inside)
