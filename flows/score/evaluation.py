"""A detector's alerts or scores, held against a simulation, bucket by bucket."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import polars as pl

from flows.samples import Samples
from flows.score.events import ALERTS, Matches, match, merged
from flows.score.figures import Means, add_series
from flows.score.series import BUCKETS, NO_LABEL, NO_SERIES, Dealing, DealtSamples, Series
from flows.score.spans import Flags, Floats, Ints, spans_of
from flows.score.truth import Truth

T = TypeVar("T")

THRESHOLDS = 1_000
"""Quantiles of all scores that are tried as the threshold."""

SAMPLED = 1_000
"""Of a frame of scores, how many the quantiles are taken from."""

ALONE = 2_000_000
"""Samples up to which one process scores them all: starting others takes a second."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to score. `grace` is in ms, `window` in ticks."""

    grace: int
    window: int
    threshold: float | None = None
    """The score from which a tick is an alert; None chooses it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it."""

    matches: Matches
    means: Means
    entities: tuple[str, ...]
    """Paths of all that have samples."""
    threshold: float | None
    """The score from which a tick was an alert; None where there were alerts, no scores."""
    passed_over: int
    """Scores of entities or times that have no sample."""


def evaluate_alerts(
    samples: Samples, truth: Truth, alerts: pl.DataFrame, settings: Settings
) -> Evaluation:
    """Score alerts; shape: ALERTS."""
    of_entity = {
        str(entity): (mine["start"].to_numpy(), mine["end"].to_numpy())
        for (entity,), mine in alerts.group_by("entity")
    }
    with Dealing(_places(truth), truth.touching) as dealing:
        dealing.add_samples(samples)
        work = partial(_score_alerts, dealing.dealt(), truth, of_entity, settings)
        means = _merged(_each_bucket(work, dealing.rows))
    matches = match(alerts, truth, settings.grace)
    return Evaluation(matches, means, _entities(samples), None, 0)


def evaluate_scores(
    samples: Samples, truth: Truth, scores: Iterable[pl.DataFrame], settings: Settings
) -> Evaluation:
    """Score scores; shape of each frame: `entity` (path), `time` (ms), `score`.

    Without a threshold that one is taken whose flagged ticks have the best F1 over all series.
    """
    with Dealing(_places(truth)) as dealing:
        dealing.add_samples(samples)
        kept: list[Floats] = []
        passed_over = dealing.add_scores(_sampled(scores, kept))
        dealt = dealing.dealt()
        threshold = settings.threshold
        if threshold is None:
            tried = np.linspace(0, 1, THRESHOLDS)
            edges = (
                np.unique(np.quantile(np.concatenate(kept), tried, method="lower"))
                if kept
                else np.zeros(1)
            )
            counts = [*_each_bucket(partial(_count, dealt, edges), dealing.rows)]
            threshold = float(edges[_best(np.sum(counts, axis=0))])
        work = partial(_score_scores, dealt, truth, threshold, settings)
        parts = list(_each_bucket(work, dealing.rows))
    means = _merged(part for part, _ in parts)
    matches = merged((found for _, found in parts), truth)
    return Evaluation(matches, means, dealt.paths, threshold, passed_over)


def _score_alerts(
    dealt: DealtSamples,
    truth: Truth,
    of_entity: dict[str, tuple[Ints, Ints]],
    settings: Settings,
    bucket: int,
) -> Means:
    means = Means()
    for series in dealt.series(bucket):
        if (series.labels != NO_LABEL).any():
            flagged = _flagged(series.times, *of_entity.get(series.entity, (_NO, _NO)))
            add_series(means, series, flagged, truth, settings.window)
    return means


def _score_scores(
    dealt: DealtSamples, truth: Truth, threshold: float, settings: Settings, bucket: int
) -> tuple[Means, Matches]:
    means, alerts = Means(), []
    for series in dealt.series(bucket):
        flagged = series.scores >= threshold
        if (series.labels != NO_LABEL).any():
            add_series(means, series, flagged, truth, settings.window)
        alerts.append(_as_alerts(series, flagged))
    return means, match(pl.concat([pl.DataFrame(schema=ALERTS), *alerts]), truth, settings.grace)


def _as_alerts(series: Series, flagged: Flags) -> pl.DataFrame:
    spans = spans_of(flagged)
    return pl.DataFrame(
        {
            "entity": [series.entity] * len(spans),
            "start": series.times[spans[:, 0]],
            "end": series.times[spans[:, 1] - 1],
            "cause": [None] * len(spans),
        },
        schema=ALERTS,
    )


def _flagged(times: Ints, starts: Ints, ends: Ints) -> Flags:
    """The ticks that alerts last over; one between two ticks is at the one before."""
    edges = np.zeros(len(times) + 1, np.int64)
    begin = np.maximum(np.searchsorted(times, starts, side="right") - 1, 0)
    end = np.searchsorted(times, ends, side="right")
    np.add.at(edges, begin, 1)
    np.add.at(edges, np.maximum(end, begin), -1)
    return np.cumsum(edges[:-1]) > 0


def _count(dealt: DealtSamples, edges: Floats, bucket: int) -> Ints:
    """How many ticks that are false and true lie at each threshold; shape (2, thresholds + 1)."""
    counts = np.zeros((2, len(edges) + 1), np.int64)
    for series in dealt.series(bucket):
        place = np.searchsorted(edges, series.scores, side="right")
        place[np.isnan(series.scores)] = 0
        true = series.labels != NO_LABEL
        for row, chosen in enumerate((~true, true)):
            counts[row] += np.bincount(place[chosen], minlength=len(edges) + 1)
    return counts


def _best(counts: Ints) -> int:
    """The threshold with the best F1; a tick is flagged whose score is as high."""
    false, true = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1][:, 1:]
    positives = counts[1].sum()
    return int(np.argmax(2 * true / np.maximum(1, true + false + positives)))


def _sampled(scores: Iterable[pl.DataFrame], kept: list[Floats]) -> Iterable[pl.DataFrame]:
    for frame in scores:
        values = frame["score"].cast(pl.Float64).to_numpy()
        some = values[:: max(1, len(values) // SAMPLED)]
        kept.append(some[np.isfinite(some)])
        yield frame


def _each_bucket(work: Callable[[int], T], rows: int) -> Iterable[T]:
    """What `work` makes of each bucket, on all processors where there is much to do."""
    workers = min(os.cpu_count() or 1, 1 + rows // ALONE)
    if workers == 1:
        yield from map(work, range(BUCKETS))
        return
    # Forking beside the threads of polars may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as processes:
        yield from processes.map(work, range(BUCKETS), chunksize=4)


def _merged(parts: Iterable[Means]) -> Means:
    means = Means()
    for part in parts:
        means.merge(part)
    return means


def _places(truth: Truth) -> dict[str, int]:
    return {label: place for place, label in enumerate(truth.labels)}


def _entities(samples: Samples) -> tuple[str, ...]:
    """Paths of all entities that have samples."""
    names = [
        samples.scan(t).select(pl.col("entity_name").unique().cast(pl.String))
        for t in samples.files
        if t not in NO_SERIES
    ]
    found = pl.concat(names).unique().sort("entity_name").collect(engine="streaming")
    return tuple(found["entity_name"])


_NO: Ints = np.zeros(0, np.int64)
