"""Gaps: ticks of which a cluster has no samples of an entity type."""

from dataclasses import replace

import polars as pl

from flows.drawing.marks import Gap
from flows.report.summary import Summary
from operators.schema.metrics import CLUSTER, COLLECTION

_TOLERANCE = 1.5
"""Steps between two ticks above which one is missing."""


def gaps(summary: Summary) -> list[Gap]:
    """All gaps, by cluster, entity type and start.

    What is missing of an entity type while its cluster's own rows are missing too is one gap,
    the cluster's.

    Between two buckets a gap's edges are exact. Within a bucket it is known how many ticks a
    cluster's own rows lack, not which. A cluster that ends a while before the last samples of
    all has an open gap; one that begins later has none.
    """
    steps = _steps(summary)
    found = []
    ticked = summary.tick_rows.filter(pl.col("type") != COLLECTION.label)
    for (cluster, type_), rows in ticked.group_by("cluster", "type", maintain_order=True):
        found += _gaps_of(str(cluster), str(type_), _buckets(rows), steps, summary)
    joined = _joined(sorted(found, key=lambda g: (g.cluster, g.type, g.start)))
    whole = [g for g in joined if g.type == CLUSTER.label]
    return [g for g in joined if g.type == CLUSTER.label or not any(_within(g, w) for w in whole)]


def _within(gap: Gap, whole: Gap) -> bool:
    return gap.cluster == whole.cluster and whole.start <= gap.start and gap.end <= whole.end


def _joined(found: list[Gap]) -> list[Gap]:
    """Gaps between which no more than one tick has samples are one."""
    joined: list[Gap] = []
    for gap in found:
        last = joined[-1] if joined else None
        same = last and (last.cluster, last.type, last.end) == (gap.cluster, gap.type, gap.start)
        if last and same:
            joined[-1] = replace(last, end=gap.end, ticks=last.ticks + gap.ticks, open=gap.open)
        else:
            joined.append(gap)
    return joined


def _buckets(tick_rows: pl.DataFrame) -> pl.DataFrame:
    """One row a bucket, in order of time: first and last tick, and rows that are not late."""
    return (
        tick_rows.group_by("time")
        .agg(
            pl.col("first").min(),
            pl.col("last").max(),
            (pl.col("rows") - pl.col("late")).sum().alias("ticks"),
        )
        .sort("time")
    )


def _steps(summary: Summary) -> dict[tuple[str, int], int]:
    """Milliseconds between two ticks by cluster and bucket, from the cluster's own rows.

    It is a multiple of the shortest: longer where all buckets around say so, for then the
    interval was changed. Ticks that are lost for a shorter while are gaps.
    """
    interval = summary.interval or 1
    around = max(5, summary.buckets.count // 10)
    found = {}
    own = summary.tick_rows.filter(pl.col("type") == CLUSTER.label)
    for (cluster,), rows in own.group_by("cluster"):
        inner = (pl.col("last") - pl.col("first")) / (pl.col("ticks") - 1)
        between = pl.col("first") - pl.col("last").shift()
        step = pl.when(pl.col("ticks") > 1).then(inner).otherwise(between)
        steady = step.fill_null(strategy="backward").rolling_min(around, min_samples=1, center=True)
        for time, value in _buckets(rows).select("time", steady.alias("step")).iter_rows():
            if value is not None:
                found[str(cluster), time] = max(1, int(value / interval + 0.01)) * interval
    return found


def _gaps_of(
    cluster: str,
    type_: str,
    rows: pl.DataFrame,
    steps: dict[tuple[str, int], int],
    summary: Summary,
) -> list[Gap]:
    ordinary = summary.interval or summary.buckets.width
    found = []
    before = None
    for time, first, last, ticks in rows.iter_rows():
        step = steps.get((cluster, time), ordinary)
        if before is not None and first - before > _TOLERANCE * step:
            found.append(Gap(cluster, type_, before, first, round((first - before) / step) - 1))
        missing = round((last - first) / step) + 1 - ticks
        if type_ == CLUSTER.label and missing > 0:
            found.append(Gap(cluster, type_, first, last, missing))
        before = last
    end = int(summary.tick_rows["last"].max())  # type: ignore[arg-type]
    if before is not None and end - before > _TOLERANCE * ordinary:
        found.append(Gap(cluster, type_, before, end, round((end - before) / ordinary), open=True))
    return found
