"""A detector's alerts or scores, held against a simulation, bucket by bucket."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import polars as pl

from flows.anomalies.alerts import ALERTS
from flows.anomalies.ground_truth import GroundTruth
from flows.anomalies.spans import (
    spans_of,
)
from flows.samples import Samples
from flows.score.events import Matches, Matching, match, merged
from flows.score.figures import Means, add_series
from flows.score.series import (
    NO_LABEL,
    Dealt,
    buckets_for,
    deal_samples,
    deal_scores,
    read_series,
)
from operators.schema.arrays import Flags, Floats, Ints

S = TypeVar("S")
T = TypeVar("T")

THRESHOLDS = 1_000
"""Quantiles of all scores that are tried as the threshold."""

SAMPLED = 1_000
"""Of a frame of scores, how many the quantiles are taken from."""

ALONE = 2_000_000
"""Samples up to which one process scores them all: starting others takes a second."""


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How to score. `grace` is in ms, `window` in ticks."""

    grace: int
    window: int
    threshold: float | None = None
    """The score from which a tick is an alert; None chooses it."""
    listed: int = 0
    """Alerts of a bucket, the longest, that are kept to be shown where scores were given."""


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
    """Scores of entities that have no sample."""
    alerts: pl.DataFrame
    """Those that are shown; shape: ALERTS."""


def evaluate_alerts(
    samples: Samples, ground_truth: GroundTruth, alerts: pl.DataFrame, settings: ScoreSettings
) -> Evaluation:
    """Score alerts; shape: ALERTS."""
    of_entity = {
        str(entity): (mine["start"].to_numpy(), mine["end"].to_numpy())
        for (entity,), mine in alerts.group_by("entity")
    }
    with _WorkPool(_rows(samples)) as work:
        parts = list(work.deal(samples, ground_truth, frozenset(ground_truth.touching)))
        score = partial(_score_alerts, parts, ground_truth, of_entity, settings)
        means = _merged(work.each(score, range(work.buckets)))
    matches = match(alerts, ground_truth, settings.grace)
    return Evaluation(matches, means, _paths(parts), None, 0, alerts)


def evaluate_scores(
    samples: Samples,
    ground_truth: GroundTruth,
    scores: Iterable[pl.DataFrame],
    settings: ScoreSettings,
) -> Evaluation:
    """Score scores; shape of each frame: `entity` (path), `time` (ms), `score`.

    Without a threshold that one is taken whose flagged ticks have the best F1 over all series.
    """
    with _WorkPool(_rows(samples)) as work:
        dealing = work.deal(samples, ground_truth)
        kept: list[Floats] = []
        given = deal_scores(_sampled(scores, kept), work.folder / "scores", work.buckets)
        parts = list(dealing)
        buckets = range(work.buckets)
        threshold = settings.threshold
        if threshold is None:
            tried = np.linspace(0, 1, THRESHOLDS)
            finite = np.concatenate([_NO_SCORES, *kept])
            edges = np.unique(np.quantile(finite, tried, method="lower")) if len(finite) else _ZERO
            counts = [*work.each(partial(_count, parts, given, edges), buckets)]
            threshold = float(edges[_best(np.sum(counts, axis=0))])
        score = partial(_score_scores, parts, given, ground_truth, threshold, settings)
        results = list(work.each(score, buckets))
    means = _merged(part for part, _, _ in results)
    matches = merged((found for _, found, _ in results), ground_truth)
    alerts = pl.concat([pl.DataFrame(schema=ALERTS), *(shown for _, _, shown in results)])
    entities = _paths(parts)
    known = set(entities)
    strangers = (
        n for name, n in zip(given.names, given.rows, strict=True) if name.path not in known
    )
    return Evaluation(matches, means, entities, threshold, sum(strangers), alerts)


class _WorkPool:
    """Processes and a folder for so many samples; a context manager."""

    def __init__(self, rows: int) -> None:
        self.buckets = buckets_for(rows)
        self._workers = min(os.cpu_count() or 1, 1 + rows // ALONE)
        self._open = ExitStack()
        self._processes: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory("-mqpipe-score")))
        if self._workers > 1:
            # Forking beside the threads of polars may hang.
            executor = ProcessPoolExecutor(self._workers, mp_context=get_context("forkserver"))
            self._processes = self._open.enter_context(executor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def each(self, work: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
        """What `work` makes of each, in their order, by all processes at once."""
        if self._processes is None:
            return map(work, items)
        chunk = 1 + len(items) // (8 * self._workers)
        return self._processes.map(work, items, chunksize=chunk)

    def deal(
        self, samples: Samples, ground_truth: GroundTruth, wanted: Iterable[str] | None = None
    ) -> Iterator[Dealt]:
        """Deal samples out, each process some of the files."""
        labels = {label: place for place, label in enumerate(ground_truth.labels)}
        deal = partial(_deal, samples, self.folder, self._workers, self.buckets, labels, wanted)
        return self.each(deal, range(self._workers))


def _deal(
    samples: Samples,
    folder: Path,
    workers: int,
    buckets: int,
    labels: Mapping[str, int],
    wanted: Iterable[str] | None,
    worker: int,
) -> Dealt:
    files = {type_: paths[worker::workers] for type_, paths in samples.files.items()}
    mine = replace(samples, files={type_: paths for type_, paths in files.items() if paths})
    return deal_samples(mine, folder / f"samples-{worker}", buckets, labels, wanted)


def _score_alerts(
    parts: Sequence[Dealt],
    ground_truth: GroundTruth,
    of_entity: Mapping[str, tuple[Ints, Ints]],
    settings: ScoreSettings,
    bucket: int,
) -> Means:
    means = Means()
    for series in read_series(parts, (), bucket):
        if (series.labels != NO_LABEL).any():
            flagged = _flagged(series.times, *of_entity.get(series.entity, (_NO, _NO)))
            add_series(means, series, flagged, ground_truth, settings.window)
    return means


def _score_scores(
    parts: Sequence[Dealt],
    given: Dealt,
    ground_truth: GroundTruth,
    threshold: float,
    settings: ScoreSettings,
    bucket: int,
) -> tuple[Means, Matches, pl.DataFrame]:
    means, matching, shown = Means(), Matching(ground_truth, settings.grace), []
    for series in read_series(parts, (given,), bucket):
        flagged = series.scores >= threshold
        if (series.labels != NO_LABEL).any():
            add_series(means, series, flagged, ground_truth, settings.window)
        spans = spans_of(flagged)
        start, end = series.times[spans[:, 0]], series.times[spans[:, 1] - 1]
        matching.add(series.entity, start, end)
        if settings.listed and len(spans):
            shown.append(pl.DataFrame({"entity": series.entity, "start": start, "end": end}))
    return means, matching.matches(), _longest(shown, settings.listed)


def _longest(frames: Sequence[pl.DataFrame], most: int) -> pl.DataFrame:
    """Alerts without a cause; shape: ALERTS."""
    if not frames:
        return pl.DataFrame(schema=ALERTS)
    length = pl.col("end") - pl.col("start")
    alerts = pl.concat(frames).sort(length, descending=True).head(most)
    return alerts.with_columns(cause=pl.lit(None, pl.String))


def _flagged(times: Ints, starts: Ints, ends: Ints) -> Flags:
    """The ticks that alerts last over; one between two ticks is at the one before."""
    edges = np.zeros(len(times) + 1, np.int64)
    begin = np.maximum(np.searchsorted(times, starts, side="right") - 1, 0)
    end = np.searchsorted(times, ends, side="right")
    np.add.at(edges, begin, 1)
    np.add.at(edges, np.maximum(end, begin), -1)
    return np.cumsum(edges[:-1]) > 0


def _count(parts: Sequence[Dealt], given: Dealt, edges: Floats, bucket: int) -> Ints:
    """How many ticks that are false and true lie at each threshold; shape (2, thresholds + 1)."""
    counts = np.zeros((2, len(edges) + 1), np.int64)
    for series in read_series(parts, (given,), bucket):
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


def _merged(parts: Iterable[Means]) -> Means:
    means = Means()
    for part in parts:
        means.merge(part)
    return means


def _rows(samples: Samples) -> int:
    """How many samples there are, by what the files say of themselves."""
    counts = [samples.scan(type_).select(pl.len()) for type_ in samples.files]
    return sum(frame.item() for frame in pl.collect_all(counts))


def _paths(parts: Iterable[Dealt]) -> tuple[str, ...]:
    """Paths of all entities that have samples."""
    return tuple(sorted({name.path for part in parts for name in part.names}))


_NO: Ints = np.zeros(0, np.int64)
_NO_SCORES: Floats = np.zeros(0)
_ZERO: Floats = np.zeros(1)
