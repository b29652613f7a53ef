"""The table of clusters: what each is, how much of it there is, and how it fared."""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from flows.drawing.marks import Gap, ReportedAnomaly
from flows.report.summary import Summary
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    NODE,
    QUEUE,
    TOPIC,
    Origin,
)


def overview(
    summary: Summary, found: Sequence[ReportedAnomaly], missing: Sequence[Gap]
) -> pl.DataFrame:
    """One row a cluster, by name.

    Columns: `cluster`, `provider`, `environment`, a number of entities for each of `broker`,
    `node`, `topic`, `consumer_group`, `queue`, and of all (`entities`), `samples`, those of them that are
    of entities (`measured`) and not of a target's ticks, `filled`, `late`,
    `messages` (mean/s), `peak`, `lag` (highest), `health` (lowest), `anomalies`, `missing`
    (ticks of the cluster's own rows).
    """
    filled = pl.col("rows").filter(pl.col("origin") == Origin.FILLED.value).sum()
    clusters = summary.tick_rows.group_by("cluster").agg(
        pl.col("provider").drop_nulls().first(),
        pl.col("environment").drop_nulls().first(),
        pl.col("rows").sum().alias("samples"),
        pl.col("rows").filter(pl.col("type") != COLLECTION.label).sum().alias("measured"),
        filled.alias("filled"),
        pl.col("late").sum(),
    )
    levels = summary.clusters.group_by("cluster").agg(
        pl.col("messages").mean(),
        pl.col("peak").max(),
        pl.col("lag").max(),
        pl.col("health").min(),
    )
    table = clusters.join(levels, on="cluster", how="left")
    counts = {
        BROKER.label: summary.cells,
        NODE.label: summary.nodes,
        TOPIC.label: summary.topics,
        CONSUMER_GROUP.label: summary.groups,
        QUEUE.label: summary.queues,
    }
    for label, frame in counts.items():
        number = frame.group_by("cluster").agg(
            pl.col("entity").n_unique().cast(pl.Int64).alias(label)
        )
        table = table.join(number, on="cluster", how="left").with_columns(
            pl.col(label).fill_null(0)
        )
    ill = Counter(a.cluster for a in found)
    gone: Counter[str] = Counter()
    for gap in missing:
        if gap.type == CLUSTER.label:
            gone[gap.cluster] += gap.ticks
    names = table["cluster"].to_list()
    return table.with_columns(
        entities=pl.sum_horizontal(1, *counts),
        anomalies=pl.Series([ill[name] for name in names], dtype=pl.Int64),
        missing=pl.Series([gone[name] for name in names], dtype=pl.Int64),
    ).sort("cluster")
