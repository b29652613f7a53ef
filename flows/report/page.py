"""The report as one HTML page that needs no network: plots, tables, and what draws them."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import polars as pl

from flows.drawing.marks import Gap, ReportedAnomaly
from flows.drawing.page import PageLink, Plot, TableCell, cards, details, document, figures, table
from flows.report.plots import MOST_CLUSTERS
from flows.report.summary import RANKED, Summary
from flows.report.worst import worst
from flows.times import show_time
from flows.units import duration, period, share, short, size
from operators.schema.metrics import BROKER, CONSUMER_GROUP, NODE, QUEUE, TOPIC

LISTED = 200
"""Rows of the tables of anomalies and of gaps."""

_LEGEND = """Shaded: <span class="swatch filled"></span> filled samples, darker the more of them;
<span class="swatch gap"></span> a gap; <span class="swatch anomaly"></span> an anomaly.
Drag a plot to move all of them in time, Ctrl and wheel to zoom, double-click for the whole span."""


def page(
    summary: Summary,
    overview: pl.DataFrame,
    plots: Sequence[Plot],
    found: Sequence[ReportedAnomaly],
    missing: Sequence[Gap],
    library: str,
) -> str:
    """The page's HTML. `library` is JavaScript that makes `vegaEmbed` known."""
    drawn = list(dict.fromkeys(p.cluster for p in plots if p.cluster is not None))
    ends = {
        "anomalies": _anomalies(found),
        "gaps": _gaps(missing),
        "collection": _targets(summary),
    }
    sections = [
        _worst(summary, plots, missing),
        _fleet(summary, overview, plots, found, missing),
        *(_cluster(name, summary, overview, plots) for name in drawn),
        *ends.values(),
    ]
    links = {"worst": "Worst", "fleet": "Fleet" if overview.height > 1 else "In figures"}
    links |= {name: name.capitalize() for name, section in ends.items() if section}
    return document(
        f"mqpipe report: {summary.samples.uri}",
        _name(summary.samples.uri),
        _span(summary),
        links,
        sections,
        plots,
        library,
        _LEGEND,
    )


def _worst(summary: Summary, plots: Sequence[Plot], missing: Sequence[Gap]) -> str:
    """What was worst, and when; it says so where nothing was."""
    drawn = {plot.cluster for plot in plots}
    found = worst(summary, missing)
    rows = [
        (
            one.what,
            one.value,
            PageLink(one.where, f"#{_anchor(one.cluster)}") if one.cluster in drawn else one.where,
            show_time(one.start),
            _lasted(one.lasted),
        )
        for one in found
    ]
    heads = ("what", "at worst", "where", "from", "for")
    body = (
        f'<div class="worst">{table(heads, rows, words=5)}</div>'
        if rows
        else "<p>No broker was down, no partition without a leader or a replica, no group a minute behind.</p>"
    )
    return f'<section id="worst"><h2>Worst</h2>{body}</section>'


_HEADS = (
    "lowest health", "highest lag", "messages/s", "highest messages/s", "missing ticks", "anomalies",
    "brokers, nodes", "topics", "groups, queues", "samples", "filled", "late",
)  # fmt: skip


def _figures_of(row: Mapping[str, Any]) -> Sequence[TableCell]:
    """A cluster's figures, below _HEADS."""
    return (
        _number(row["health"]),
        _short(row["lag"]),
        _short(row["messages"]),
        _short(row["peak"]),
        row["missing"],
        row["anomalies"],
        row[BROKER.label] + row[NODE.label],
        row[TOPIC.label],
        row[CONSUMER_GROUP.label] + row[QUEUE.label],
        _short(row["samples"]),
        share(row["filled"], row["measured"]),
        _short(row["late"]),
    )


def _fleet(
    summary: Summary,
    overview: pl.DataFrame,
    plots: Sequence[Plot],
    found: Sequence[ReportedAnomaly],
    missing: Sequence[Gap],
) -> str:
    """What shows all clusters; of a single one its figures, which need no table."""
    if overview.height == 1:
        figures_of = zip(_HEADS, _figures_of(overview.row(0, named=True)), strict=True)
        shown = [(head, "–" if value is None else value) for head, value in figures_of]
        return f'<section id="fleet"><h2>In figures</h2>{cards(shown)}</section>'
    filled = share(float(overview["filled"].sum()), float(overview["measured"].sum()))
    numbers = [
        ("clusters", f"{overview.height:,}"),
        ("entities", f"{overview['entities'].sum():,}"),
        ("samples", _short(summary.rows)),
        ("filled", filled),
        ("anomalies", f"{len(found):,}"),
        ("gaps", f"{len(missing):,}"),
    ]
    drawn = {plot.cluster for plot in plots}
    rows = [
        (
            PageLink(row["cluster"], f"#{_anchor(row['cluster'])}")
            if row["cluster"] in drawn
            else row["cluster"],
            *_figures_of(row),
            row["provider"],
            row["environment"],
        )
        for row in overview.iter_rows(named=True)
    ]
    heads = ("cluster", *_HEADS, "provider", "environment")
    note = ""
    if overview.height > MOST_CLUSTERS:
        note = f"<p>The {MOST_CLUSTERS} clusters with the most messages are drawn one by one.</p>"
    own = [plot for plot in plots if plot.cluster is None]
    return (
        f'<section id="fleet"><h2>Fleet</h2>{cards(numbers)}'
        f"{table(heads, rows, words=1)}{note}{figures(own)}</section>"
    )


def _cluster(name: str, summary: Summary, overview: pl.DataFrame, plots: Sequence[Plot]) -> str:
    row = overview.row(by_predicate=pl.col("cluster") == name, named=True)
    own = [plot for plot in plots if plot.cluster == name]
    tables = []
    groups = summary.groups.filter((pl.col("cluster") == name) & (pl.col("lag") > 0))
    if groups.height:
        tables.append(
            details(
                "Groups by highest lag",
                (
                    "group", "highest lag", "highest lag, s", "lost messages", "least margin, s",
                    "longest to catch up, s", "mean lag", "most members changed",
                ),
                [
                    (
                        _entity(r["entity"]),
                        _short(r["lag"]),
                        _number(r["seconds"]),
                        _short(r["lost"]),
                        _short(r["margin"]),
                        _short(r["catch_up"]),
                        _short(r["mean"]),
                        r["changes"],
                    )
                    for r in groups.head(RANKED).iter_rows(named=True)
                ],
            )
        )  # fmt: skip
    unusable = pl.col("down_first").is_not_null()
    queues = summary.queues.filter((pl.col("cluster") == name) & ((pl.col("lag") > 0) | unusable))
    # Those that nobody could use first: their depth was not known while it lasted.
    queues = queues.sort(unusable, descending=True, maintain_order=True)
    if queues.height:
        tables.append(
            details(
                "Queues by highest depth",
                ("queue", "was down", "highest depth", "mean depth", "oldest message, s"),
                [
                    (
                        _entity(r["entity"]),
                        "yes" if r["down_first"] is not None else None,
                        _short(r["lag"]),
                        _short(r["mean"]),
                        _number(r["seconds"]),
                    )
                    for r in queues.head(RANKED).iter_rows(named=True)
                ],
            )
        )
    nodes = summary.nodes.filter(pl.col("cluster") == name)
    if nodes.height:
        tables.append(
            details(
                "Nodes",
                ("node", "was down", "memory alarm", "disk alarm", "highest memory", "its limit",
                 "lowest free disk", "most file descriptors", "of them"),
                [
                    (
                        _entity(r["entity"]),
                        _yes(None if r["up"] is None else not r["up"]),
                        _yes(r["memory_alarm"]),
                        _yes(r["disk_alarm"]),
                        _size(r["memory"]),
                        _size(r["memory_limit"]),
                        _size(r["disk"]),
                        r["files"],
                        r["files_limit"],
                    )
                    for r in nodes.head(LISTED).iter_rows(named=True)
                ],
            )
        )  # fmt: skip
    topics = summary.topics.filter(pl.col("cluster") == name)
    if topics.height:
        tables.append(
            details(
                "Topics by traffic",
                ("topic", "messages/s", "highest", "bytes/s", "highest lag"),
                [
                    (
                        _entity(r["entity"]),
                        _short(r["messages"]),
                        _short(r["peak"]),
                        _short(r["bytes"]),
                        _short(r["lag"]),
                    )
                    for r in topics.head(RANKED).iter_rows(named=True)
                ],
            )
        )
    where = ", ".join(part for part in (row["provider"], row["environment"]) if part)
    return (
        f'<section id="{_anchor(name)}" class="cluster"><h2>{escape(name)} '
        f"<small>{escape(where)}</small></h2>{figures(own)}"
        f'<div class="tables">{"".join(tables)}</div></section>'
    )


def _anomalies(found: Sequence[ReportedAnomaly]) -> str:
    if not found:
        return ""
    most = sorted(found, key=lambda a: -a.rows)[:LISTED]
    rows = [
        (
            str(a.number),
            a.kind,
            a.entity or a.cluster,
            show_time(a.start),
            show_time(a.end),
            ", ".join(sorted(a.types)) or "nothing in this span",
            _short(a.rows),
        )
        for a in sorted(most, key=lambda a: (a.start, a.label))
    ]
    listed = table(("#", "kind", "entity", "from", "to", "shaped", "samples"), rows, words=6)
    return f'<section id="anomalies"><h2>Anomalies</h2>{_only(len(found))}{listed}</section>'


def _gaps(missing: Sequence[Gap]) -> str:
    if not missing:
        return ""
    longest = sorted(missing, key=lambda g: -g.ticks)[:LISTED]
    rows = [
        (
            g.cluster,
            g.type,
            g.ticks,
            show_time(g.start),
            "the end" if g.open else show_time(g.end),
        )
        for g in sorted(longest, key=lambda g: (g.start, g.cluster, g.type))
    ]
    heads = ("cluster", "samples of", "missing ticks", "last sample before", "first after")
    return (
        f'<section id="gaps"><h2>Gaps</h2>{_only(len(missing))}'
        f"{table(heads, rows, words=2)}</section>"
    )


def _targets(summary: Summary) -> str:
    if summary.targets.height == 0:
        return ""
    rows = [
        (
            f"{r['cluster']} {r['kind']}",
            r["error_class"] or "collected",
            r["error"],
            r["ticks"],
            r["missed"],
            _number(r["longest"]),
        )
        for r in summary.targets.head(LISTED).iter_rows(named=True)
    ]
    heads = ("target", "outcome", "last cause", "ticks", "missed ticks", "longest, s")
    return (
        f'<section id="collection"><h2>Collection</h2>{_only(summary.targets.height)}'
        f"{table(heads, rows, words=3)}</section>"
    )


def _only(number: int) -> str:
    return f"<p>The {LISTED} largest of {number:,}.</p>" if number > LISTED else ""


def _entity(path: str) -> str:
    return path.partition("/")[2]


def _anchor(cluster: str) -> str:
    return quote(f"cluster-{cluster}")


def _name(uri: str) -> str:
    return uri.partition("?")[0].rstrip("/") or uri


def _span(summary: Summary) -> str:
    first, last = summary.tick_rows["first"].min(), summary.tick_rows["last"].max()
    ticks = f", a tick every {period(summary.interval)}" if summary.interval else ""
    return (
        f"{show_time(int(first))} to {show_time(int(last))}{ticks}; "  # type: ignore[arg-type]
        f"a point is {period(summary.buckets.width)}"
    )


def _number(value: float | None) -> TableCell:
    return None if value is None else f"{value:,.1f}"


def _short(value: float | None) -> TableCell:
    return None if value is None else short(value)


def _lasted(ms: int) -> str:
    return period(ms) if ms < 3_600_000 else duration(ms // 1000)


def _size(value: int | None) -> TableCell:
    return None if value is None else size(value)


def _yes(value: int | bool | None) -> TableCell:
    return None if value is None else "yes" if value else "no"
