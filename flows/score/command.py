"""`mqpipe score`: a detector's alerts or scores against what the simulation made go wrong."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import typer

from flows.anomalies.ground_truth import GroundTruth, ground_truth_of
from flows.errors import CommandError
from flows.samples import Samples, SamplesError, clear_read_errors, find_samples
from flows.score.alerts import read_detected
from flows.score.evaluation import Evaluation, ScoreSettings, evaluate_alerts, evaluate_scores
from flows.score.events import EventScore, score_events
from flows.score.figures import ScoreFigures
from flows.score.volume import WINDOW
from flows.units import of, percent, whole_seconds
from flows.visible import say
from operators.schema.nearest import suggestion

DAY_MS = 86_400_000

LISTED = 2_000
"""Alerts, the longest of each bucket's, that a page may show where scores were given."""


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What the command line says."""

    grace: float = 300.0
    """Seconds after a recovery in which an alert is still right."""
    window: int = WINDOW
    """Ticks of the widest slope of VUS."""
    threshold: float | None = None
    """The score from which a tick is an alert; None chooses the best."""
    columns: Mapping[str, str] = field(default_factory=dict)
    entity: str | None = None
    as_json: bool = False
    out: Path | None = None
    """Where a page of pictures is written."""


def score(detected: Path, uri: str, options: ScoreOptions | None = None) -> int:
    """Print how well the alerts or scores of a file found the anomalies below a URI.

    Raises:
        UsageError: the file cannot be read.
        SamplesError: there are no samples below the URI, or no table of anomalies.
    """
    options = options or ScoreOptions()
    with clear_read_errors(uri):
        return _score(detected, uri, options)


def _score(detected: Path, uri: str, options: ScoreOptions) -> int:
    samples = find_samples(uri)
    table = samples.anomalies()
    if table is None:
        raise SamplesError(
            f"{uri}: no table of anomalies (_anomalies/anomalies.parquet) beside the samples; "
            "`mqpipe export` writes it"
        )
    first, last = samples.span()
    ground_truth = ground_truth_of(table, first, last)
    grace = round(options.grace * 1000)
    listed = 0 if options.out is None else LISTED
    settings = ScoreSettings(grace, options.window, options.threshold, listed)
    given = read_detected(detected, options.columns, options.entity)
    if options.entity is not None and given.has_entities:
        _say("--entity was not used: the file has a column of entities")
    if options.threshold is not None and given.scores is None:
        _say("--threshold was not used: the file has no scores")
    if given.alerts is not None:
        inside = given.alerts.filter((pl.col("start") <= last + grace) & (pl.col("end") >= first))
        if left := given.alerts.height - inside.height:
            _say(f"{of(left, 'alert')} outside the samples' time left out")
        result = evaluate_alerts(samples, ground_truth, inside, settings)
        _name_strangers(inside, result)
    else:
        result = evaluate_scores(samples, ground_truth, given.scores or (), settings)
        if result.passed_over:
            _say(f"{of(result.passed_over, 'score')} of entities that have no samples left out")
    days = max(1, last - first) / DAY_MS
    if options.as_json:
        typer.echo(json.dumps(summary(result, ground_truth, days), indent=2))
    else:
        for line in lines(result, ground_truth, days):
            say(line)
    if options.out is not None:
        _write_page(detected, samples, (first, last), result, ground_truth, options)
    return 0


def _write_page(
    detected: Path,
    samples: Samples,
    span: tuple[int, int],
    result: Evaluation,
    ground_truth: GroundTruth,
    options: ScoreOptions,
) -> None:
    # Its modules draw plots: where no page is asked for, they are not loaded.
    from flows.drawing.page import TableCell
    from flows.score.page import Scored, page

    days = max(1, span[1] - span[0]) / DAY_MS
    _, total = score_events(result.matches, ground_truth)
    precision = _precision(result)
    means = next((f for (t, k), _, f in result.means.groups() if not t and not k), ScoreFigures())
    grace = round(options.grace * 1000)
    numbers: list[tuple[str, TableCell]] = [
        ("anomalies", f"{total.anomalies:,}"),
        ("found", f"{len(total.delays):,}"),
        ("missed", f"{total.anomalies - len(total.delays):,}"),
        ("alerts", f"{result.matches.alerts:,}"),
        ("false alarms", f"{result.matches.alerts - result.matches.right:,}"),
        ("precision", _percent(precision)),
        ("recall", _percent(total.recall)),
        ("F1", _percent(_f1(precision, total.recall))),
        ("cause", _percent(total.cause)),
        ("median delay", _seconds(_quantile(total.delays, 0.5))),
        ("VUS-PR", "–" if means.vus_pr is None else f"{means.vus_pr:.3f}"),
        ("false, entity and day", f"{_false_rate(result, days):.3g}"),
    ]
    scored = Scored(
        detected.name, samples.uri, *span, result, ground_truth, result.alerts, grace, numbers,
        _event_rows(result, ground_truth), _series_rows(result),
    )  # fmt: skip
    out = options.out or Path("score.html")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(scored), encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{error.filename or out}: the page cannot be written there: {error.strerror}; "
            "name another place by --out"
        ) from error
    _say(f"{out}: what was found, missed and false")


def summary(result: Evaluation, ground_truth: GroundTruth, days: float) -> dict[str, Any]:
    """All figures, as plain values: shares from 0 to 1, delays in seconds, None for no figure."""
    kinds, total = score_events(result.matches, ground_truth)
    precision = _precision(result)
    return {
        "alerts": result.matches.alerts,
        "right": result.matches.right,
        "precision": precision,
        "recall": total.recall,
        "f1": _f1(precision, total.recall),
        "false_alarms_per_entity_and_day": _false_rate(result, days),
        "threshold": result.threshold,
        "all": _of_events(total),
        "kinds": {kind: _of_events(one) for kind, one in kinds.items()},
        "series": [
            {"entity_type": entity_type or None, "kind": kind or None, "series": count}
            | asdict(figures)
            for (entity_type, kind), count, figures in result.means.groups()
        ],
    }


def lines(result: Evaluation, ground_truth: GroundTruth, days: float) -> list[str]:
    """All figures as tables."""
    _, total = score_events(result.matches, ground_truth)
    if not total.anomalies:
        return _without_anomalies(result, days)
    precision = _precision(result)
    said = [
        f"precision {_percent(precision)}: {result.matches.right:,} of "
        f"{of(result.matches.alerts, 'alert')} {'is' if result.matches.alerts == 1 else 'are'} "
        "explained by an anomaly",
        f"F1 {_percent(_f1(precision, total.recall))}; false alarms per entity and day: "
        f"{_false_rate(result, days):.3g}",
    ]
    if result.threshold is not None:
        said.append(f"a score of {result.threshold:.6g} or more is an alert")
    series = _series_rows(result)
    events = _aligned(_event_rows(result, ground_truth))
    return [*events, *said, "", *_aligned(series)] if len(series) > 1 else [*events, *said]


def _without_anomalies(result: Evaluation, days: float) -> list[str]:
    """What can be said where nothing went wrong: each alert is a false alarm."""
    alerts = of(result.matches.alerts, "alert")
    return [
        "these samples have no anomaly, so nothing could be found or missed: a fleet gets some by "
        "`simulation.anomalies`",
        f"{alerts}, each a false alarm; false alarms per entity and day: "
        f"{_false_rate(result, days):.3g}"
        if result.matches.alerts
        else "no alert, and so no false alarm",
    ]


def _event_rows(result: Evaluation, ground_truth: GroundTruth) -> list[tuple[str, ...]]:
    """Event-wise figures, heads first."""
    kinds, total = score_events(result.matches, ground_truth)
    return [
        ("kind", "anomalies", "found", "recall", "cause", "to detect: median", "90 %", "worst"),
        *((kind, *_columns(one)) for kind, one in kinds.items()),
        ("all", *_columns(total)),
    ]


def _series_rows(result: Evaluation) -> list[tuple[str, ...]]:
    """Figures by series, heads first."""
    head = ("series of", "series", "VUS-PR", "VUS-ROC", "range: precision", "recall")
    return [
        (*head, "affiliation: precision", "recall"),
        *(
            (_group(entity_type, kind), f"{count:,}", *_shares(figures))
            for (entity_type, kind), count, figures in sorted(result.means.groups(), key=_order)
            if not entity_type or not kind
        ),
    ]


def _name_strangers(alerts: pl.DataFrame, result: Evaluation) -> None:
    """Say which alerts are on entities that do not exist, with the nearest that do."""
    known = set(result.entities)
    strangers = [e for e in alerts["entity"].unique(maintain_order=True) if e not in known]
    for stranger in strangers[:3]:
        hint = suggestion(str(stranger), result.entities)
        _say(f"an alert is on `{stranger}`, which has no samples: {hint}")
    if len(strangers) > 3:
        _say(f"and alerts on {len(strangers) - 3:,} other entities that have no samples")


def _say(text: str) -> None:
    say(text, err=True)


def _precision(result: Evaluation) -> float | None:
    matches = result.matches
    return matches.right / matches.alerts if matches.alerts else None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None or not precision + recall:
        return None if precision is None or recall is None else 0.0
    return 2 * precision * recall / (precision + recall)


def _false_rate(result: Evaluation, days: float) -> float:
    false = result.matches.alerts - result.matches.right
    return false / max(1, len(result.entities)) / days


def _of_events(one: EventScore) -> dict[str, Any]:
    return {
        "anomalies": one.anomalies,
        "found": len(one.delays),
        "recall": one.recall,
        "cause": one.cause,
        "delay_median": _quantile(one.delays, 0.5),
        "delay_p90": _quantile(one.delays, 0.9),
        "delay_worst": _quantile(one.delays, 1.0),
    }


def _columns(one: EventScore) -> tuple[str, ...]:
    return (
        f"{one.anomalies:,}",
        f"{len(one.delays):,}",
        _percent(one.recall),
        _percent(one.cause),
        *(_seconds(_quantile(one.delays, share)) for share in (0.5, 0.9, 1.0)),
    )


def _shares(figures: ScoreFigures) -> tuple[str, ...]:
    return tuple(
        "–" if value is None else f"{value:.3f}"
        for value in (
            figures.vus_pr,
            figures.vus_roc,
            figures.range_precision,
            figures.range_recall,
            figures.affiliation_precision,
            figures.affiliation_recall,
        )
    )


def _order(group: tuple[tuple[str, str], int, ScoreFigures]) -> tuple[bool, bool, str, str]:
    """Kinds, then entity types, then all."""
    (entity_type, kind), _, _ = group
    return not entity_type and not kind, bool(entity_type), kind, entity_type


def _group(entity_type: str, kind: str) -> str:
    return kind or (f"type {entity_type}" if entity_type else "all")


def _quantile(values: tuple[float, ...], share: float) -> float | None:
    found = pl.Series(values, dtype=pl.Float64).quantile(share, "linear")
    return None if found is None else float(found)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{percent(share)} %"


def _seconds(value: float | None) -> str:
    return "–" if value is None else whole_seconds(value)


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the first column to the left, the others to the right."""
    rows = list(rows)
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
