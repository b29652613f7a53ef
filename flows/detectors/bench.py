"""Detectors held against simulated fleets."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.anomalies.ground_truth import GroundTruth, ground_truth_of
from flows.config import Config
from flows.detectors.forest import isolation_forest
from flows.detectors.margin import margin
from flows.detectors.newrelic_alerts import newrelic_alerts
from flows.detectors.prometheus_rules import prometheus_rules
from flows.detectors.statistics import robust_z, seasonal_naive
from flows.export import ExportOptions, export
from flows.samples import Samples, SamplesError, find_samples
from flows.score.evaluation import Evaluation, ScoreSettings, evaluate_alerts, evaluate_scores
from flows.score.events import EventScore, score_events
from flows.score.figures import ScoreFigures
from flows.score.volume import WINDOW

GRACE = 300_000
"""ms after a recovery in which an alert is still right."""

ALERTING: Mapping[str, Callable[[Samples], pl.DataFrame]] = {
    "newrelic_alerts": newrelic_alerts,
    "prometheus_rules": prometheus_rules,
}
"""Detectors that give alerts, by name."""

SCORING: Mapping[str, Callable[[Samples], Iterable[pl.DataFrame]]] = {
    "robust_z": robust_z,
    "seasonal_naive": seasonal_naive,
    "isolation_forest": isolation_forest,
    "margin": margin,
}
"""Detectors that give a score a sample, by name."""

NAMES = (*ALERTING, *SCORING)


@dataclass(frozen=True, slots=True)
class DetectorResult:
    """How well one detector did."""

    precision: float
    """0 where it said nothing."""
    events: EventScore
    """Of all anomalies."""
    kinds: Mapping[str, EventScore]
    false_alarms: float
    """An entity and day."""
    means: Mapping[str, ScoreFigures]
    """By kind of anomaly; of all by `""`."""

    @property
    def recall(self) -> float:
        """Share of the anomalies that were found."""
        return self.events.recall or 0.0

    @property
    def f1(self) -> float:
        """Event-wise, 0 to 1."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def vus_pr(self) -> float:
        """Mean over the series that have an anomaly."""
        return self.means[""].vus_pr or 0.0


def held_against(
    config: Config, start: int, end: int, names: Iterable[str]
) -> dict[str, DetectorResult]:
    """Export a configuration's fleets over [start, end), ms since 1970, and score detectors on them.

    Raises:
        CommandError: see `flows.export`.
    """
    with tempfile.TemporaryDirectory(prefix="mqpipe-detectors-") as folder:
        state = config.recovery.model_copy(update={"path": Path(folder) / "state"})
        own = config.model_copy(update={"recovery": state})
        out = str(Path(folder) / "samples")
        export(own, ExportOptions(start=start, end=end, out=out, quiet=True))
        samples = find_samples(out)
        return {name: result_of(name, samples) for name in names}


def result_of(name: str, samples: Samples) -> DetectorResult:
    """Run a detector on samples and score it.

    Raises:
        SamplesError: there is no table of anomalies beside them.
    """
    table = samples.anomalies()
    if table is None:
        raise SamplesError(f"{samples.uri}: no table of anomalies beside the samples")
    first, last = samples.span()
    ground_truth = ground_truth_of(table, first, last)
    settings = ScoreSettings(GRACE, WINDOW)
    if name in ALERTING:
        evaluation = evaluate_alerts(samples, ground_truth, ALERTING[name](samples), settings)
    else:
        evaluation = evaluate_scores(samples, ground_truth, SCORING[name](samples), settings)
    return _result(evaluation, ground_truth, (last - first) / 86_400_000)


def _result(evaluation: Evaluation, ground_truth: GroundTruth, days: float) -> DetectorResult:
    matches = evaluation.matches
    kinds, events = score_events(matches, ground_truth)
    false = matches.alerts - matches.right
    return DetectorResult(
        precision=matches.right / matches.alerts if matches.alerts else 0.0,
        events=events,
        kinds=kinds,
        false_alarms=false / len(evaluation.entities) / days,
        means={k: figures for (t, k), _, figures in evaluation.means.groups() if not t},
    )
