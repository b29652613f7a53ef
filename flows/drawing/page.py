"""One HTML page that needs no network: plots, tables, and what draws them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template

from flows.drawing import themes
from flows.drawing.charts import Spec

TableCell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot; `name` is unique, whatever clusters are called, and names its file.

    `cluster` is None for the whole fleet.
    A `wide` one has a row of the page for itself.
    """

    name: str
    title: str
    note: str
    spec: Spec
    cluster: str | None = None
    wide: bool = False


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


def cards(numbers: Iterable[tuple[str, TableCell]]) -> str:
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


class PageLink(str):
    """A cell's text that leads to a place in the page."""

    __slots__ = ("href",)
    href: str

    def __new__(cls, text: str, href: str) -> "PageLink":
        """The text, and where it leads."""
        link = super().__new__(cls, text)
        link.href = href
        return link


def details(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[TableCell]], *, words: int = 1
) -> str:
    """A table that shows when its title is clicked."""
    shown = table(heads, rows, words=words)
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[TableCell]], *, words: int) -> str:
    """A table whose first `words` columns are text and the others numbers."""

    def cell(value: TableCell, column: int) -> str:
        text = "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
        inside = escape(text)
        if isinstance(value, PageLink):
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


def _json(value: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("flows.drawing").joinpath("assets", name).read_text(encoding="utf-8")
