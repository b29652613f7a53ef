"""The anomalies that a report marks: from the labels of samples, and from the table beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from flows.report.summary import Summary, with_visible_names

CHARACTER = 1 / 100
"""Share of a plot's width that a label's character takes, where labels are shown."""


@dataclass(frozen=True, slots=True)
class ReportedAnomaly:
    """One anomaly. Times are ms since 1970; `peak` is None where only its samples report it."""

    label: str
    kind: str
    cluster: str
    entity: str
    """Path of the entity where it started; empty where its label does not say."""
    start: int
    peak: int | None
    end: int
    types: frozenset[str]
    """Entity types (labels) of the samples that it shaped."""
    rows: int
    """Samples that carry its label."""
    number: int = 0
    """Counts from 1, by start."""

    @property
    def name(self) -> str:
        """What a plot says: its kind, and the entity without the cluster."""
        return f"{self.kind} {self.entity.partition('/')[2]}".strip()


@dataclass(frozen=True, slots=True)
class Placed:
    """An anomaly in a lane of a plot, so that no two in a lane meet."""

    anomaly: ReportedAnomaly
    lane: int
    left: bool
    """Whether its label is to the left of it, for want of room to the right."""
    named: bool
    """Whether there is room for its name, or only for its number."""


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


def place(found: Sequence[ReportedAnomaly], start: int, end: int, lanes: int) -> list[Placed]:
    """Put anomalies into lanes, each with room for its name, or else for its number.

    The plot is of [start, end), ms. Those that shaped most are placed first; what finds no room
    at all is left out.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in range(lanes)]
    placed: list[Placed] = []
    waiting = sorted(found, key=lambda a: (-a.rows, a.start, a.label))
    for named in (True, False):
        left_over = []
        for anomaly in waiting:
            text = anomaly.name if named else str(anomaly.number)
            room = (end - start) * CHARACTER * (len(text) + 2)
            left = anomaly.start + room > end
            first = anomaly.start - room if left else anomaly.start
            last = max(anomaly.end, first + room)
            lane = next((n for n, others in enumerate(taken) if _free(others, first, last)), None)
            if lane is None:
                left_over.append(anomaly)
            else:
                taken[lane].append((first, last))
                placed.append(Placed(anomaly, lane, left, named))
        waiting = left_over
    return sorted(placed, key=lambda p: p.anomaly.number)


def _free(others: Sequence[tuple[float, float]], first: float, last: float) -> bool:
    return all(last <= start or first >= end for start, end in others)


def _parts(label: str) -> tuple[str, str]:
    """Kind and root entity of `<kind>:<root entity>:<start>`; a plug-in's own label is a kind."""
    kind, _, rest = label.partition(":")
    entity, found, _ = rest.partition(":")
    return (kind, entity) if found else (label, "")
