"""The anomalies that a report marks: from the labels of samples, and from the table beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from flows.drawing.marks import ReportedAnomaly
from flows.report.summary import Summary, with_visible_names


def anomalies(summary: Summary) -> list[ReportedAnomaly]:
    """All anomalies of the samples' span, by start."""
    shaped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in summary.shaped.iter_rows(named=True):
        shaped[row["anomaly"]].append(row)
    known = _table(summary.samples.anomalies())
    found = [
        _anomaly(label, shaped.get(label, []), known.get(label))
        for label in shaped.keys() | known.keys()
    ]
    span = summary.buckets
    there = [a for a in found if a.start < span.end and a.end >= span.start]
    there.sort(key=lambda a: (a.start, a.label))
    return [replace(anomaly, number=n) for n, anomaly in enumerate(there, 1)]


def _table(table: pl.DataFrame | None) -> dict[str, dict[str, Any]]:
    if table is None:
        return {}
    times = [pl.col(name).cast(pl.Int64) for name in ("start", "peak", "end")]
    shown = with_visible_names(table.with_columns(times))
    return {row["label"]: row for row in shown.iter_rows(named=True)}


def _anomaly(
    label: str, shaped: Sequence[dict[str, Any]], known: dict[str, Any] | None
) -> ReportedAnomaly:
    types = frozenset(row["type"] for row in shaped)
    rows = sum(row["rows"] for row in shaped)
    if known is not None:
        return ReportedAnomaly(
            label=label,
            kind=known["kind"],
            cluster=known["cluster_name"],
            entity=known["entity"],
            start=known["start"],
            peak=known["peak"],
            end=known["end"],
            types=types,
            rows=rows,
        )
    kind, entity = _parts(label)
    return ReportedAnomaly(
        label=label,
        kind=kind,
        cluster=shaped[0]["cluster"],
        entity=entity,
        start=min(row["first"] for row in shaped),
        peak=None,
        end=max(row["last"] for row in shaped),
        types=types,
        rows=rows,
    )


def _parts(label: str) -> tuple[str, str]:
    """Kind and root entity of `<kind>:<root entity>:<start>`; a plug-in's own label is a kind."""
    kind, _, rest = label.partition(":")
    entity, found, _ = rest.partition(":")
    return (kind, entity) if found else (label, "")
