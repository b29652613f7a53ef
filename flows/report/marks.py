"""What is marked on a plot of samples: filled spans, gaps, and anomalies with their labels."""

from collections.abc import Iterable, Sequence

import polars as pl

from flows.drawing.marks import Filled, Gap, Marks, ReportedAnomaly, place
from flows.report.summary import Summary
from operators.schema.metrics import CLUSTER, Origin

LANES = 4
"""Lanes for anomalies over a plot's lines."""


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
