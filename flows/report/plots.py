"""Which plots a report has: of the fleet, and of each cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from flows.drawing import charts
from flows.drawing.charts import MOST_ROWS, WHOLE, Axis, ChartLine
from flows.drawing.marks import Gap, Marks, ReportedAnomaly, place
from flows.drawing.page import Plot
from flows.drawing.themes import ORIGIN_COLOURS
from flows.report.marks import marks_of
from flows.report.summary import OF_BROKERS, OF_CLUSTERS, TOP, Measure, Summary
from flows.units import period, short
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    GROUP_TOPIC,
    QUEUE,
    Metric,
    Origin,
)

MOST_CLUSTERS = 40
"""Clusters that are drawn one by one; the table has all of them."""
HEALTH = (0, 50, 80, 95, 100)
"""Scores of a heat map's five colours: an offline partition is at most the second, a dead broker the third."""

_FLEET_LANES = 12
_METRICS: Mapping[str, Metric] = {m.name: m for t in ENTITY_TYPES for m in t.metrics}


def plots_of(
    summary: Summary,
    found: Sequence[ReportedAnomaly],
    missing: Sequence[Gap],
    clusters: Sequence[str],
) -> list[Plot]:
    """The fleet's plots, then those of the given clusters. What has no values is left out."""
    drawing = _Drawing(summary, found, missing)
    plots = list(drawing.fleet())
    for cluster in clusters:
        plots += drawing.cluster(cluster)
    return plots


@dataclass(frozen=True, slots=True)
class _Drawing:
    summary: Summary
    found: Sequence[ReportedAnomaly]
    missing: Sequence[Gap]

    @property
    def axis(self) -> Axis:
        return Axis(self.summary.buckets.start, self.summary.buckets.end)

    @property
    def each(self) -> str:
        """How long a bucket is, in words."""
        return period(self.summary.buckets.width)

    def fleet(self) -> Iterator[Plot]:
        """What shows all clusters at once; of a single one its own plots do."""
        if self.summary.tick_rows["cluster"].n_unique() == 1:
            return
        clusters = self.summary.clusters
        if clusters["messages"].count():
            yield self._fleet_traffic()
        # What a group lags on single topics is shown of the cluster.
        whole = pl.col("type") != GROUP_TOPIC.label
        worst = self.summary.lags.filter(whole)
        if worst.filter(pl.col("lag") > 0).height:
            yield self._fleet_lags(worst)
        if clusters["health"].count():
            yield self._fleet_health()
        yield from self._coverage(None)
        if self.found:
            yield self._fleet_anomalies()

    def cluster(self, cluster: str) -> Iterator[Plot]:
        """What shows one cluster."""
        own = self.summary.clusters.filter(pl.col("cluster") == cluster)
        marks = self._marks(cluster, CLUSTER.label)
        if own["messages"].count():
            yield Plot(
                f"cluster-{cluster}-traffic",
                "Traffic",
                f"{_unit('cluster.messagesInPerSecond')}: mean of {self.each}, shaded up to its "
                f"highest tick{_left_out(marks)}",
                charts.lines(
                    own,
                    [ChartLine("messages", "messages/s")],
                    self.axis,
                    marks,
                    y=_unit("cluster.messagesInPerSecond"),
                    band=("messages", "peak"),
                ),
                cluster,
            )
        if own["lag"].count():
            of = "queues" if self._has_queues(cluster) else "groups"
            yield self._spiky(
                own, "lag", "Lag", f"{_unit('cluster.totalLag')}, all {of} together", marks, WHOLE
            )
        yield from self._lags_of(cluster)
        yield from self._health_of(cluster, own, marks)
        yield from self._brokers_of(cluster)
        yield from self._coverage(cluster)

    def _spiky(
        self, own: pl.DataFrame, column: str, title: str, what: str, marks: Marks, format_: str
    ) -> Plot:
        """One line of a cluster's, cut off where a spike would flatten the rest."""
        cluster = own["cluster"][0]
        metric = next(m.metric for m in OF_CLUSTERS if m.column == column)
        unit = _unit(metric)
        values = own[column].cast(pl.Float64)
        highest, limit = values.max() or 0.0, charts.cut(values)
        note = f"{what}: highest of {self.each}"
        if limit < highest:  # type: ignore[operator]
            note += f", cut off at {short(limit)}; its highest is {short(highest)}"  # type: ignore[arg-type]
        return Plot(
            f"cluster-{cluster}-{column}",
            title,
            note + _left_out(marks),
            charts.lines(
                own,
                [ChartLine(column, f"{title.lower()}, {unit}", format_)],
                self.axis,
                marks,
                y=unit,
                domain=(0, limit) if limit < highest else None,  # type: ignore[operator]
            ),
            cluster,
        )

    def _has_queues(self, cluster: str) -> bool:
        return bool(self.summary.queues.filter(pl.col("cluster") == cluster).height)

    def _marks(self, cluster: str, *types: str) -> Marks:
        return marks_of(cluster, types, self.summary, self.found, self.missing)

    def _fleet_traffic(self) -> Plot:
        traffic = self.summary.clusters.select("cluster", "time", "messages")
        frame, series = _widest(traffic, "cluster", "messages", TOP, others=True)
        return Plot(
            "fleet-traffic",
            "Traffic of all clusters",
            f"{_unit('cluster.messagesInPerSecond')}: mean of {self.each}",
            charts.lines(
                frame,
                series,
                self.axis,
                y=_unit("cluster.messagesInPerSecond"),
                stacked=True,
                height=220,
            ),
        )

    def _fleet_lags(self, lags: pl.DataFrame) -> Plot:
        series_of = lags.select("entity", "time", value="lag")
        frame, series = _widest(series_of, "entity", "value", TOP, format_=WHOLE, highest=True)
        return Plot(
            "fleet-lag",
            "Top lagging groups and queues",
            f"{_unit('consumerGroup.totalLag')}: highest of {self.each}",
            charts.bands(frame, series, self.axis, unit=_unit("consumerGroup.totalLag")),
        )

    def _fleet_health(self) -> Plot:
        cells = self.summary.clusters.filter(pl.col("health").is_not_null())
        worst = cells.group_by("cluster").agg(pl.col("health").mean()).sort("health", "cluster")
        rows = sorted(worst["cluster"].head(MOST_ROWS))
        wide = self.summary.cell_buckets
        frame = (
            cells.filter(pl.col("cluster").is_in(rows))
            .group_by(pl.col("cluster").alias("row"), wide.time("time"))
            .agg(pl.col("health").min(), pl.lit(0.0).alias("filled"))
            .sort("row", "time")
        )
        return Plot(
            "fleet-health",
            "Health",
            f"health score (0 to 100) of each cluster: lowest of {period(wide.width)}"
            + ("" if worst.height <= MOST_ROWS else f", the {MOST_ROWS} lowest"),
            charts.heat_map(
                frame,
                self.axis,
                rows=rows,
                width=self._cell(wide.width),
                metrics={"health": "health score"},
                range_="diverging",
                domain=HEALTH,
            ),
            wide=True,
        )

    def _fleet_anomalies(self) -> Plot:
        placed = place(self.found, self.axis.start, self.axis.end, _FLEET_LANES)
        marks = Marks((), (), placed, len(self.found) - len(placed))
        return Plot(
            "fleet-anomalies",
            "Anomalies",
            f"what was wrong in simulated clusters, and when{_left_out(marks)}",
            charts.lanes(self.axis, marks),
            wide=True,
        )

    def _coverage(self, cluster: str | None) -> Iterator[Plot]:
        tick_rows = self.summary.tick_rows.filter(pl.col("type") != COLLECTION.label)
        if cluster is not None:
            tick_rows = tick_rows.filter(pl.col("cluster") == cluster)
        frame = (
            tick_rows.group_by("time", pl.col("origin").alias("series"))
            .agg((pl.col("rows") - pl.col("late")).sum().alias("value"))
            .sort("series", "time")
        )
        there = set(frame["series"])
        if not there:  # Of a cluster that never answered there are rows of targets' ticks alone.
            return
        yield Plot(
            "fleet-coverage" if cluster is None else f"cluster-{cluster}-coverage",
            "Coverage",
            f"samples of {self.each}{' by origin' if len(there) > 1 else f', all {next(iter(there))}'}",
            charts.bars(
                frame,
                self.axis,
                width=self._cell(self.summary.buckets.width),
                y="samples",
                colours={o.value: ORIGIN_COLOURS[o.value] for o in Origin if o.value in there},
                height=70,
            ),
            cluster,
            wide=True,
        )

    def _lags_of(self, cluster: str) -> Iterator[Plot]:
        lags = self.summary.lags.filter(pl.col("cluster") == cluster)
        for type_, name, title, metric in (
            (CONSUMER_GROUP.label, "groups", "Top lagging groups", "consumerGroup.totalLag"),
            (
                GROUP_TOPIC.label,
                "group-topics",
                "Groups on the topics that they lag on most",
                "consumerGroup.totalLag",
            ),
            (QUEUE.label, "queues", "Deepest queues", "queue.depth"),
        ):
            own = lags.filter(pl.col("type") == type_)
            waiting = own.filter(pl.col("lag").max().over("entity") > 0)
            if waiting.height == 0 or (type_ == GROUP_TOPIC.label and _same(waiting, lags)):
                continue
            marks = self._marks(cluster, type_)
            named = waiting.select(_without(cluster, "entity"), "time", value="lag")
            frame, series = _widest(named, "entity", "value", TOP, format_=WHOLE, highest=True)
            yield Plot(
                f"cluster-{cluster}-{name}",
                title,
                f"{_unit(metric)}: highest of {self.each}{_left_out(marks)}",
                charts.bands(frame, series, self.axis, marks, unit=_unit(metric)),
                cluster,
            )
            late = own.filter(pl.col("seconds").max().over("entity") > 0)
            if type_ == GROUP_TOPIC.label or not late.height:
                continue
            named = late.select(_without(cluster, "entity"), "time", value="seconds")
            frame, series = _widest(named, "entity", "value", TOP, highest=True)
            yield Plot(
                f"cluster-{cluster}-{name}-seconds",
                "Groups furthest behind" if name == "groups" else "Oldest messages",
                f"s, age of the oldest message that waits: highest of {self.each}"
                f"{_left_out(marks)}",
                charts.bands(frame, series, self.axis, marks, unit="s"),
                cluster,
            )

    def _brokers_of(self, cluster: str) -> Iterator[Plot]:
        cells = self.summary.cells.filter(pl.col("cluster") == cluster)
        shown = [m for m in OF_BROKERS if cells[m.column].count()]
        if not shown:
            return
        marks = self._marks(cluster, BROKER.label)
        first = shown[0].column
        brokers = cells.group_by("entity").agg(pl.col(first).max())
        loudest = brokers.sort([first, "entity"], descending=[True, False], nulls_last=True)
        chosen = loudest["entity"].head(MOST_ROWS)
        frame = (
            cells.filter(pl.col("entity").is_in(chosen.implode()))
            .select(
                _without(cluster, "entity").alias("row"),
                "time",
                "filled",
                *(m.column for m in shown),
            )
            .sort("row", "time")
        )
        rows = sorted(frame["row"].unique(), key=_natural)
        wide = self.summary.cell_buckets.width
        note = ", ".join(f"{_title(m)} ({m.how.value} of {period(wide)})" for m in shown[:1])
        yield Plot(
            f"cluster-{cluster}-brokers",
            "Brokers",
            note
            + ("" if brokers.height <= MOST_ROWS else f", the {MOST_ROWS} highest")
            + _left_out(marks),
            charts.heat_map(
                frame,
                self.axis,
                marks,
                rows=rows,
                width=self._cell(wide),
                metrics={m.column: _title(m) for m in shown},
            ),
            cluster,
            wide=True,
        )

    def _health_of(self, cluster: str, own: pl.DataFrame, marks: Marks) -> Iterator[Plot]:
        percents = [
            ChartLine("health", "health score"),
            ChartLine("availability", "availability %"),
        ]
        percents = [s for s in percents if own[s.column].count()]
        if percents:
            lowest = min(float(own[s.column].min()) for s in percents)  # type: ignore[arg-type]
            yield Plot(
                f"cluster-{cluster}-health",
                "Health",
                f"lowest of {self.each}{_left_out(marks)}",
                charts.lines(
                    own, percents, self.axis, marks, y="0 to 100", domain=(_floor(lowest), 100)
                ),
                cluster,
            )
        if own["errors"].count():
            yield self._spiky(own, "errors", "Errors", "% of requests that failed", marks, ",.2f")
        partitions = [
            ChartLine("under_replicated", "under-replicated", WHOLE),
            ChartLine("offline", "offline", WHOLE),
        ]
        partitions = [s for s in partitions if own[s.column].count()]
        if partitions:
            yield Plot(
                f"cluster-{cluster}-partitions",
                "Partitions in trouble",
                f"{_unit('cluster.offlinePartitionsCount')}: highest of {self.each}"
                f"{_left_out(marks)}",
                charts.lines(own, partitions, self.axis, marks, y="partitions"),
                cluster,
            )

    def _cell(self, width: int) -> int:
        """A bucket is drawn at least as wide as an interval, or ticks would look like gaps."""
        return max(width, self.summary.interval or 0)


def _widest(
    frame: pl.DataFrame,
    key: str,
    value: str,
    most: int,
    *,
    others: bool = False,
    highest: bool = False,
    format_: str = ",.1f",
) -> tuple[pl.DataFrame, list[ChartLine]]:
    """The largest series side by side, a column each, `time` first; the rest as one if asked."""
    size = pl.col(value).max() if highest else pl.col(value).mean()
    ranked = (
        frame.group_by(key)
        .agg(size)
        .sort([value, key], descending=[True, False], nulls_last=True)[key]
    )
    chosen = list(ranked[:most])
    series = [ChartLine(f"s{n}", name, format_) for n, name in enumerate(chosen)]
    columns = [
        pl.col(value).filter(pl.col(key) == name).first().alias(f"s{n}")
        for n, name in enumerate(chosen)
    ]
    if others and len(ranked) > most:
        columns.append(pl.col(value).filter(~pl.col(key).is_in(chosen)).sum().alias("others"))
        series.append(ChartLine("others", f"{len(ranked) - most} others", format_))
    return frame.group_by("time").agg(columns).sort("time"), series


def _same(topics: pl.DataFrame, lags: pl.DataFrame) -> bool:
    """Whether groups' lag on topics is that of the groups, each of which reads one."""
    groups = lags.filter(pl.col("type") == CONSUMER_GROUP.label)
    highest = [
        frame.group_by("entity")
        .agg(pl.col("lag").max())["lag"]
        .sort(descending=True)[:TOP]
        .to_list()
        for frame in (topics, groups)
    ]
    return highest[0] == highest[1]


def _without(cluster: str, column: str) -> pl.Expr:
    """An entity's path without its cluster."""
    return pl.col(column).str.strip_prefix(f"{cluster}/")


def _floor(percent: float) -> float:
    """Where an axis up to 100 begins, so that a dip to this is seen."""
    return next((100 - room for room in (1, 2, 5, 10, 20, 50) if percent > 100 - 0.9 * room), 0)


def _natural(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _unit(metric: str) -> str:
    return _METRICS[metric].unit


def _title(measure: Measure) -> str:
    metric = _METRICS[measure.metric]
    return f"{metric.meaning}, {metric.unit}"


def _left_out(marks: Marks) -> str:
    return f"; {marks.left_out} more anomalies in the table" if marks.left_out else ""
