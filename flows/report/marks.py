"""What lies behind a plot's lines: filled spans, gaps, and anomalies with their labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from flows.report.anomalies import Placed, ReportedAnomaly, place
from flows.report.gaps import Gap
from flows.report.summary import Summary
from operators.schema.metrics import CLUSTER, Origin

LANES = 4
"""Lanes for anomalies over a plot's lines."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A span in which samples were filled, and their share of all. Times are ms."""

    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked on one plot; `left_out` anomalies found no room."""

    filled: Sequence[Filled]
    gaps: Sequence[Gap]
    anomalies: Sequence[Placed]
    left_out: int

    @property
    def lanes(self) -> int:
        """Lanes that the anomalies need."""
        return max((placed.lane + 1 for placed in self.anomalies), default=0)


def marks_of(
    cluster: str,
    types: Iterable[str],
    summary: Summary,
    found: Sequence[ReportedAnomaly],
    missing: Sequence[Gap],
) -> Marks:
    """The marks of a plot of a cluster's samples of these entity types (labels)."""
    types = frozenset(types)
    here = [a for a in found if a.cluster == cluster and a.types & types]
    placed = place(here, summary.buckets.start, summary.buckets.end, LANES)
    return Marks(
        filled=_filled(cluster, types, summary),
        gaps=[g for g in missing if g.cluster == cluster and g.type in types | {CLUSTER.label}],
        anomalies=placed,
        left_out=len(here) - len(placed),
    )


def _filled(cluster: str, types: frozenset[str], summary: Summary) -> list[Filled]:
    width = max(summary.buckets.width, summary.interval or 0)
    filled = pl.col("rows").filter(pl.col("origin") == Origin.FILLED.value).sum()
    shares = (
        summary.tick_rows.filter((pl.col("cluster") == cluster) & pl.col("type").is_in(types))
        .group_by("time")
        .agg((filled / (pl.col("rows") - pl.col("late")).sum()).round(2).alias("share"))
        .filter(pl.col("share") > 0)
        .sort("time")
    )
    spans: list[Filled] = []
    for time, share in shares.iter_rows():
        last = spans[-1] if spans else None
        if last and last.end == time and last.share == share:
            spans[-1] = Filled(last.start, time + width, share)
        else:
            spans.append(Filled(time, time + width, share))
    return spans
