"""The report as one HTML page that needs no network: plots, tables, and what draws them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template
from urllib.parse import quote

import polars as pl

from flows.report import themes
from flows.report.anomalies import Anomaly
from flows.report.gaps import Gap
from flows.report.plots import MOST_CLUSTERS, Plot, words
from flows.report.summary import RANKED, Summary
from flows.times import show_time
from operators.schema.metrics import BROKER, CONSUMER_GROUP, QUEUE, TOPIC

LISTED = 200
"""Rows of the tables of anomalies and of gaps."""

_LEGEND = """Shaded: <span class="swatch filled"></span> filled samples, darker the more of them;
<span class="swatch gap"></span> a gap; <span class="swatch anomaly"></span> an anomaly.
Drag a plot to move all of them in time, Ctrl and wheel to zoom, double-click for the whole span."""

Cell = str | int | float | None


def page(
    summary: Summary,
    overview: pl.DataFrame,
    plots: Sequence[Plot],
    found: Sequence[Anomaly],
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
        _fleet(summary, overview, plots, found, missing),
        *(_cluster(name, summary, overview, plots) for name in drawn),
        *ends.values(),
    ]
    links = ["fleet", *(name for name, section in ends.items() if section)]
    return document(
        f"mqpipe report: {summary.samples.uri}",
        _name(summary.samples.uri),
        _span(summary),
        {name: name.capitalize() for name in links},
        sections,
        plots,
        library,
        _LEGEND,
    )


def document(
    title: str,
    heading: str,
    span: str,
    links: Mapping[str, str],
    sections: Iterable[str],
    plots: Sequence[Plot],
    library: str,
    legend: str,
) -> str:
    """A whole page's HTML; sections and legend are HTML, links lead to sections by their ids."""
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        heading=escape(heading),
        span=escape(span),
        links=" ".join(f'<a href="#{at}">{escape(text)}</a>' for at, text in links.items()),
        sections="\n".join(section for section in sections if section),
        legend=legend,
        version=escape(version("mqpipe")),
        css=_asset("page.css"),
        plots=_json({plot.name: plot.spec for plot in plots}),
        themes=_json({"light": themes.LIGHT, "dark": themes.DARK}),
        library=library.replace("</script", "<\\/script"),
        script=_asset("page.js"),
    )


def _fleet(
    summary: Summary,
    overview: pl.DataFrame,
    plots: Sequence[Plot],
    found: Sequence[Anomaly],
    missing: Sequence[Gap],
) -> str:
    filled = _share(float(overview["filled"].sum()), float(overview["measured"].sum()))
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
            _Link(row["cluster"], f"#{_anchor(row['cluster'])}")
            if row["cluster"] in drawn
            else row["cluster"],
            row["provider"],
            row["environment"],
            row[BROKER.label],
            row[TOPIC.label],
            row[CONSUMER_GROUP.label] + row[QUEUE.label],
            _short(row["samples"]),
            _short(row["messages"]),
            _short(row["peak"]),
            _short(row["lag"]),
            _number(row["health"]),
            _share(row["filled"], row["measured"]),
            _short(row["late"]),
            row["anomalies"],
            row["missing"],
        )
        for row in overview.iter_rows(named=True)
    ]
    heads = (
        "cluster", "provider", "environment", "brokers", "topics", "groups, queues", "samples",
        "messages/s", "highest", "highest lag", "lowest health", "filled", "late", "anomalies",
        "missing ticks",
    )  # fmt: skip
    note = ""
    if overview.height > MOST_CLUSTERS:
        note = f"<p>The {MOST_CLUSTERS} clusters with the most messages are drawn one by one.</p>"
    own = [plot for plot in plots if plot.cluster is None]
    return (
        f'<section id="fleet"><h2>Fleet</h2>{cards(numbers)}'
        f"{table(heads, rows, words=3)}{note}{figures(own)}</section>"
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
                ("group", "highest lag", "mean lag", "highest lag, s", "most members changed"),
                [
                    (
                        _entity(r["entity"]),
                        _short(r["lag"]),
                        _short(r["mean"]),
                        _number(r["seconds"]),
                        r["changes"],
                    )
                    for r in groups.head(RANKED).iter_rows(named=True)
                ],
            )
        )
    queues = summary.queues.filter((pl.col("cluster") == name) & (pl.col("lag") > 0))
    if queues.height:
        tables.append(
            details(
                "Queues by highest depth",
                ("queue", "highest depth", "mean depth", "oldest message, s"),
                [
                    (
                        _entity(r["entity"]),
                        _short(r["lag"]),
                        _short(r["mean"]),
                        _number(r["seconds"]),
                    )
                    for r in queues.head(RANKED).iter_rows(named=True)
                ],
            )
        )
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


def _anomalies(found: Sequence[Anomaly]) -> str:
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
            show_time(g.start),
            "the end" if g.open else show_time(g.end),
            g.ticks,
        )
        for g in sorted(longest, key=lambda g: (g.start, g.cluster, g.type))
    ]
    heads = ("cluster", "samples of", "last sample before", "first after", "missing ticks")
    return (
        f'<section id="gaps"><h2>Gaps</h2>{_only(len(missing))}'
        f"{table(heads, rows, words=4)}</section>"
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


def cards(numbers: Iterable[tuple[str, Cell]]) -> str:
    """Few figures in large type: what each is, and its value."""
    each = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in numbers
    )
    return f'<dl class="cards">{each}</dl>'


def figures(plots: Sequence[Plot]) -> str:
    """Where plots of the page are drawn."""
    narrow = [plot.name for plot in plots if not plot.wide]
    alone = narrow[-1] if len(narrow) % 2 else None
    each = "".join(
        f"<figure{' class=wide' if plot.wide or plot.name == alone else ''}>"
        f"<figcaption><b>{escape(plot.title)}</b> <span>{escape(plot.note)}</span>"
        f'</figcaption><div class="plot" data-plot="{escape(plot.name)}" '
        f'style="min-height:{plot.spec["height"]}px"></div></figure>'
        for plot in plots
    )
    return f'<div class="figures">{each}</div>'


class _Link(str):
    """A cell's text that leads to a place in the page."""

    __slots__ = ("href",)
    href: str

    def __new__(cls, text: str, href: str) -> "_Link":
        """The text, and where it leads."""
        link = super().__new__(cls, text)
        link.href = href
        return link


def details(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, words: int = 1
) -> str:
    """A table that shows when its title is clicked."""
    shown = table(heads, rows, words=words)
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, words: int) -> str:
    """A table whose first `words` columns are text and the others numbers."""

    def cell(value: Cell, column: int) -> str:
        text = "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
        inside = escape(text)
        if isinstance(value, _Link):
            inside = f'<a href="{escape(value.href)}">{inside}</a>'
        return f"<td>{inside}</td>" if column < words else f'<td class="n">{inside}</td>'

    head = "".join(
        f"<th>{escape(h)}</th>" if n < words else f'<th class="n">{escape(h)}</th>'
        for n, h in enumerate(heads)
    )
    body = "".join(
        f"<tr>{''.join(cell(value, n) for n, value in enumerate(row))}</tr>" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
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
    first, last = summary.presence["first"].min(), summary.presence["last"].max()
    ticks = f", a tick every {words(summary.interval)}" if summary.interval else ""
    return (
        f"{show_time(int(first))} to {show_time(int(last))}{ticks}; "  # type: ignore[arg-type]
        f"a point is {words(summary.buckets.width)}"
    )


def _number(value: float | None) -> Cell:
    return None if value is None else f"{value:,.1f}"


def _short(value: float | None) -> Cell:
    """A number in at most five characters: `950`, `12.3k`, `4.1M`."""
    if value is None:
        return None
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _share(part: float, whole: float) -> str:
    percent = 100 * part / whole if whole else 0.0
    return "0 %" if percent == 0 else "< 0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def _json(value: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("flows.report").joinpath("assets", name).read_text(encoding="utf-8")
