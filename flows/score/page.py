"""What `mqpipe score --out` writes: what was found, missed and false, when, and which cause."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import polars as pl

from flows.anomalies.ground_truth import GroundTruth
from flows.drawing import charts, library
from flows.drawing.charts import MOST_ROWS, Axis
from flows.drawing.page import Plot, TableCell, cards, details, document, figures, table
from flows.drawing.themes import OUTCOME_COLOURS
from flows.score.evaluation import Evaluation
from flows.score.events import NEVER, Matching
from flows.times import show_time
from flows.units import whole_seconds
from flows.visible import visible

LISTED = 500
"""Rows of a table of anomalies, spans of the picture of false alarms."""

LEGEND = (
    "A mark on an anomaly is the first alert that it explains. Drag a plot to move all of them in "
    "time, Ctrl and wheel to zoom, double-click for the whole span."
)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a page is about."""

    detected: str
    """The file with what the detector said."""
    uri: str
    first: int
    last: int
    """First and last moment of the samples, ms since 1970."""
    result: Evaluation
    ground_truth: GroundTruth
    alerts: pl.DataFrame
    """Shape: ALERTS; of very many, the longest."""
    grace: int
    figures: Sequence[tuple[str, TableCell]]
    """Name and value of what stands at the top."""
    kinds: Sequence[Sequence[str]]
    series: Sequence[Sequence[str]]
    """Tables of the event-wise figures and of those by series, heads first."""


def page(scored: Scored) -> str:
    """The page's HTML.

    Raises:
        MissingExtraError: what draws the pictures is not installed.
    """
    drawing = _ScorePage(scored)
    plots = [*drawing.kinds(), *drawing.false_alarms()]
    sections = [_summary(scored)]
    for kind in sorted(set(scored.ground_truth.kinds)):
        own = [plot for plot in plots if plot.name == f"kind-{kind}"]
        sections.append(
            f'<section id="{_id(kind)}"><h2>{escape(visible(kind))}</h2>{figures(own)}'
            f'<div class="tables">{drawing.listed(kind)}</div></section>'
        )
    own = [plot for plot in plots if plot.name == "false-alarms"]
    if own:
        sections.append(
            f'<section id="false"><h2>False alarms</h2>{figures(own)}'
            f'<div class="tables">{drawing.strangers()}</div></section>'
        )
    links = {"score": "Score"} | {
        _id(kind): kind for kind in sorted(set(scored.ground_truth.kinds))
    }
    return document(
        f"mqpipe score: {scored.detected}",
        f"{scored.detected} against {scored.uri}",
        f"{show_time(scored.first)} to {show_time(scored.last)}; an alert is right until "
        f"{scored.grace // 1000} s after an anomaly",
        links | ({"false": "False alarms"} if own else {}),
        sections,
        plots,
        library.script(),
        LEGEND,
    )


def _summary(scored: Scored) -> str:
    shown = cards(scored.figures)
    both = [
        f"<p>{what}</p>{table(rows[0], rows[1:], words=1)}"
        for what, rows in (
            ("Anomaly by anomaly.", scored.kinds),
            ("Tick by tick: means over the series that have something true.", scored.series),
        )
        if len(rows) > 1
    ]
    return f'<section id="score"><h2>Score</h2>{shown}{"".join(both)}</section>'


def _id(kind: str) -> str:
    return "kind-" + "".join(letter if letter.isalnum() else "-" for letter in kind)


@dataclass(frozen=True)
class _ScorePage:
    scored: Scored

    @cached_property
    def axis(self) -> Axis:
        return Axis(self.scored.first, max(self.scored.last, self.scored.first + 1))

    @cached_property
    def anomalies(self) -> list[dict[str, Any]]:
        """Each anomaly and what became of it, by its onset."""
        ground_truth, matches = self.scored.ground_truth, self.scored.result.matches
        rows: list[dict[str, Any]] = []
        for place in np.argsort(ground_truth.start, kind="stable").tolist():
            first = int(matches.first[place])
            found = first != NEVER
            rows.append(
                {
                    "kind": ground_truth.kinds[place],
                    "row": f"{len(rows) + 1} {visible(ground_truth.roots[place])}",
                    "time": int(ground_truth.start[place]),
                    "until": int(ground_truth.end[place]),
                    "series": _outcome(found, bool(matches.rooted[place])),
                    "moment": first if found else None,
                    "delay": (first - int(ground_truth.start[place])) / 1000 if found else None,
                    "on": visible(self._on.get(place, (None, "–", None))[1]),
                    "named": self._on.get(place, (None, "–", None))[2],
                }
            )
        return rows

    @cached_property
    def _explained(self) -> tuple[dict[int, tuple[int, str, str | None]], pl.DataFrame]:
        """By anomaly its first alert (when, on what, the cause named); alerts that none explains."""
        first: dict[int, tuple[int, str, str | None]] = {}
        false = []
        matching = Matching(self.scored.ground_truth, self.scored.grace)
        for (entity,), mine in self.scored.alerts.group_by("entity", maintain_order=True):
            places, explained = matching.explained(
                str(entity), mine["start"].to_numpy(), mine["end"].to_numpy()
            )
            false.append(mine.filter(~pl.Series(explained.any(axis=1), dtype=pl.Boolean)))
            start, causes = mine["start"].to_list(), mine["cause"].to_list()
            for column, place in enumerate(places.tolist()):
                for at in np.flatnonzero(explained[:, column]).tolist():
                    came = max(start[at], int(self.scored.ground_truth.start[place]))
                    if place not in first or came < first[place][0]:
                        first[place] = (came, str(entity), causes[at])
        return first, pl.concat([self.scored.alerts.clear(), *false])

    @property
    def _on(self) -> dict[int, tuple[int, str, str | None]]:
        return self._explained[0]

    def kinds(self) -> Iterator[Plot]:
        """A picture a kind."""
        for kind in sorted(set(self.scored.ground_truth.kinds)):
            own = [row for row in self.anomalies if row["kind"] == kind]
            missed = sum(row["series"] == "missed" for row in own)
            # Those that were missed, or found late, are what one looks for.
            worst = sorted(own, key=lambda r: -1e18 if r["delay"] is None else -r["delay"])
            shown = sorted(worst[:MOST_ROWS], key=lambda r: (r["time"], r["row"]))
            more = f"; the {len(shown)} worst of {len(own):,}" if len(own) > len(shown) else ""
            yield Plot(
                f"kind-{kind}",
                f"{visible(kind)}: {len(own) - missed:,} of {len(own):,} found",
                f"each anomaly from onset to recovery, and its first alert{more}",
                self._spec(shown),
                wide=True,
            )

    def false_alarms(self) -> Iterator[Plot]:
        """One picture of the entities with the most."""
        false = self._explained[1]
        if not len(false):
            return
        most = false["entity"].value_counts(sort=True).head(MOST_ROWS)["entity"].to_list()
        longest = (
            false.filter(pl.col("entity").is_in(most))
            .with_columns(length=pl.col("end") - pl.col("start"))
            .sort("length", descending=True)
            .head(LISTED)
        )
        rows = [
            {
                "row": visible(row["entity"]),
                "time": max(row["start"], self.scored.first),
                "until": min(row["end"], self.scored.last),
                "series": "false",
                "moment": max(row["start"], self.scored.first),
                "on": visible(row["entity"]),
                "delay": None,
                "named": row["cause"],
            }
            for row in longest.iter_rows(named=True)
        ]
        more = f"; the {LISTED} longest of them" if len(false) > LISTED else ""
        yield Plot(
            "false-alarms",
            f"Alerts that nothing explains: {len(false):,}",
            f"on the entities with the most{more}",
            self._spec(rows, sorted({row["row"] for row in rows})),
            wide=True,
        )

    def listed(self, kind: str) -> str:
        """A kind's anomalies as a table."""
        own = [row for row in self.anomalies if row["kind"] == kind][:LISTED]
        heads = ("anomaly", "from", "to", "outcome", "first alert on", "cause named", "after, s")
        rows = [
            (
                row["row"], show_time(row["time"]), show_time(row["until"]), row["series"],
                row["on"], None if row["named"] is None else visible(row["named"]),
                None if row["delay"] is None else f"{row['delay']:,.0f}",
            )
            for row in own
        ]  # fmt: skip
        return details(f"The anomalies one by one ({len(own)})", heads, rows, words=6)

    def strangers(self) -> str:
        """False alarms by entity, as a table."""
        counts = (
            self._explained[1]
            .group_by("entity")
            .agg(pl.len().alias("n"), pl.col("start").min(), pl.col("end").max())
            .sort(["n", "entity"], descending=[True, False])
            .head(LISTED)
        )
        rows = [
            (visible(entity or "–"), show_time(start), show_time(end), n)
            for entity, n, start, end in counts.iter_rows()
        ]
        return details("By entity", ("entity", "first", "last", "alerts"), rows, words=3)

    def _spec(
        self, rows: Sequence[dict[str, Any]], order: Sequence[str] | None = None
    ) -> charts.Spec:
        frame = pl.DataFrame(
            [
                {key: row[key] for key in ("row", "time", "until", "series", "moment")}
                | {"reported": _reported(row)}
                for row in rows
            ],
            schema_overrides={"moment": pl.Int64},
        )
        there = {row["series"] for row in rows}
        colours = {name: colour for name, colour in OUTCOME_COLOURS.items() if name in there}
        names = order or [row["row"] for row in rows]
        return charts.outcomes(frame, self.axis, rows=names, colours=colours)


def _outcome(found: bool, rooted: bool) -> str:
    return "missed" if not found else "found" if rooted else "found on what it touched"


def _reported(row: dict[str, Any]) -> str:
    if row["moment"] is None:
        return "none"
    after = "" if row["delay"] is None else f", {whole_seconds(row['delay'])} after the onset"
    named = "" if row["named"] is None else f", which names {visible(row['named'])}"
    return f"on {row['on']}{after}{named}"
