"""Figures of series, and their means over the series that have something true."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from flows.anomalies.ground_truth import GroundTruth
from flows.anomalies.spans import (
    spans_of,
)
from flows.score.affiliation import affiliation
from flows.score.ranges import range_precision, range_recall
from flows.score.series import NO_LABEL, Series
from flows.score.volume import volume
from operators.schema.arrays import Flags, Floats


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """0 to 1, of one series or means over series; None where there is no such figure."""

    range_precision: float | None = None
    range_recall: float | None = None
    affiliation_precision: float | None = None
    affiliation_recall: float | None = None
    vus_pr: float | None = None
    vus_roc: float | None = None


NAMES = tuple(one.name for one in fields(ScoreFigures))

SeriesGroup = tuple[str, str]
"""What a mean is over: label of an entity type and kind of anomaly; `""` stands for all."""


class Means:
    """Sums of figures by group; they grow with the number of groups, not of series."""

    def __init__(self) -> None:
        self.sums: dict[SeriesGroup, Floats] = {}
        """By group: how many series there are, then of each figure its sum and its number."""

    def add(self, entity_type: str, kind: str, figures: ScoreFigures) -> None:
        """Take in a series' figures. `kind` is `""` where they are of all its anomalies."""
        values = np.array([getattr(figures, name) for name in NAMES], np.float64)
        known = ~np.isnan(values)
        row = np.concatenate([[1.0], np.where(known, values, 0.0), known])
        for group in ((entity_type, kind), ("", kind)):
            self._sum(group, row)

    def merge(self, other: "Means") -> None:
        """Take in what others have."""
        for group, row in other.sums.items():
            self._sum(group, row)

    def groups(self) -> Iterator[tuple[SeriesGroup, int, ScoreFigures]]:
        """Each group, how many series it has, and its means."""
        for group in sorted(self.sums):
            row = self.sums[group]
            sums, counts = row[1:].reshape(2, -1).tolist()
            means = [total / n if n else None for total, n in zip(sums, counts, strict=True)]
            yield group, int(row[0]), ScoreFigures(*means)

    def _sum(self, group: SeriesGroup, row: Floats) -> None:
        self.sums[group] = self.sums.get(group, 0.0) + row


def add_series(
    means: Means, series: Series, flagged: Flags, ground_truth: GroundTruth, window: int
) -> None:
    """Score one series that has something true: for all its anomalies, and for each kind.

    For a kind, the ticks that other kinds shaped are left out of the series. Scores are what the
    volume is of; where the detector gave none, what it flagged is.
    """
    scores = np.where(np.isnan(series.scores), -np.inf, series.scores)
    if not np.isfinite(scores).any():
        scores = flagged.astype(np.float64)
    label = series.entity_type.label
    true = series.labels != NO_LABEL
    of_all = figures_of(true, flagged, scores, window)
    means.add(label, "", of_all)
    for kind, others in _kinds(series, ground_truth):
        kept = ~others
        alone = bool(kept.all())
        figures = of_all if alone else figures_of(true[kept], flagged[kept], scores[kept], window)
        means.add(label, kind, figures)


def figures_of(true: Flags, flagged: Flags, scores: Floats, window: int) -> ScoreFigures:
    """The figures of one series, a value a tick."""
    true_runs, predicted = spans_of(true), spans_of(flagged)
    near_precision, near_recall = affiliation(true_runs, predicted, len(true))
    under = volume(true_runs, scores, window)
    return ScoreFigures(
        range_precision(true_runs, predicted) if len(predicted) else None,
        range_recall(true_runs, predicted) if len(true_runs) else None,
        near_precision,
        near_recall,
        under.pr if under else None,
        under.roc if under else None,
    )


def _kinds(series: Series, ground_truth: GroundTruth) -> Iterable[tuple[str, Flags]]:
    """Each kind among the labels, and which ticks others shaped."""
    places, where = np.unique(series.labels, return_inverse=True)
    kinds = ["" if place == NO_LABEL else ground_truth.kinds[place] for place in places.tolist()]
    for kind in sorted({*kinds} - {""}):
        yield kind, np.array([other not in ("", kind) for other in kinds])[where]
