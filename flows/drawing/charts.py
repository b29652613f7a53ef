"""Vega-Lite specifications: one plot from frames and marks. Nothing here knows a metric's name.

Colours come from the theme by way of `style` names and ranges, so that one specification is
drawn in light and in dark.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import polars.selectors as cs

from flows.drawing.marks import Marks
from flows.units import short

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the version of the language; nothing is fetched from there."""

LANE = 17
"""Height of a lane of anomalies, in pixels."""
BAND = 44
"""Height of a series' band, in pixels."""
_NAME = 14
"""Height of its name above it."""
NARROW = 480
"""Width in pixels below which a band's name stands with its highest value alone."""
_SPIKE, _ABOVE = 8, 4
"""A series whose highest value is so many times what 95 % of it stay below is cut at so many times that."""
MOST_ROWS = 40
"""Rows of a heat map."""
ROW = 15
"""Height of a heat map's row, in pixels."""
WIDE = 520
"""Width in pixels from which anomalies are labelled by name rather than by number."""

WHOLE = ",d"
"""How whole numbers are written."""

ZOOM = {
    "name": "zoom",
    "select": {
        "type": "interval",
        "encodings": ["x"],
        "zoom": "wheel![event.ctrlKey || event.metaKey]",
    },
    "bind": "scales",
}
"""Drag to move, wheel with Ctrl to zoom, so that the page still scrolls; double-click resets."""

_SHORT = "format(datum.value, abs(datum.value) < 1 ? '~g' : '~s')"
"""Numbers of an axis: 0, 500, 1.5k, 2M."""

_TIME_AXIS: Spec = {
    "title": None,
    "labelOverlap": True,
    "labelSeparation": 8,
    "grid": False,
    "labelExpr": (
        "utchours(datum.value) || utcminutes(datum.value) || utcseconds(datum.value)"
        " ? utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S' : '%H:%M')"
        " : utcFormat(datum.value, '%d %b')"
    ),
}


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line: a column of the frame, what it is called, and how its values are written."""

    column: str
    title: str
    format: str = ",.1f"


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis that all plots share, ms since 1970."""

    start: int
    end: int

    def time(self, field: str = "time") -> Spec:
        """Encoding of a column with such times."""
        return {"field": field, "type": "temporal", "scale": {"type": "utc"}, "axis": _TIME_AXIS}


def lines(
    frame: pl.DataFrame,
    series: Sequence[ChartLine],
    axis: Axis,
    marks: Marks | None = None,
    *,
    y: str,
    height: int = 180,
    band: tuple[str, str] | None = None,
    domain: tuple[float, float] | None = None,
    stacked: bool = False,
) -> Spec:
    """Lines over time, or a stack of areas; `y` titles the axis with its unit.

    `frame` has `time` (ms) and the series' columns; a null breaks a line. `band` names two
    columns between which an area is shaded. What is beyond `domain` is cut off and bears a mark.
    """
    top = 0 if marks is None or not marks.lanes else marks.lanes * LANE + 4
    names = {one.column: one.title for one in series}
    scale: Spec = {"rangeMax": top, "zero": True, "nice": True}
    if domain is None and not frame.select(pl.max_horizontal(pl.col(list(names)).max())).item():
        domain = (0, 1)
    if domain is not None:
        scale |= {"domain": list(domain), "zero": False, "nice": False, "clamp": True}
    step = 1 if all(one.format == WHOLE for one in series) else 0
    values: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": y, "labelExpr": _SHORT, "tickCount": 4, "tickMinStep": step},
    }
    mark: Spec = {"type": "line", "clip": True}
    if stacked:
        mark = {"type": "area", "clip": True, "opacity": 0.75, "line": False}
        values["stack"] = "zero"
    drawn: Spec = {
        "transform": [
            {"fold": list(names), "as": ["column", "value"]},
            {"calculate": f"{_lookup(names)}[datum.column]", "as": "series"},
        ],
        "mark": mark,
        "encoding": {
            "x": axis.time(),
            "y": values,
            "color": _colours(list(names.values()), filled=stacked),
        },
    }
    layers = [_frame(axis), *_behind(axis, marks)]
    if band is not None:
        layers.append(_band(band, axis, values))
    layers.append(drawn)
    if domain is not None:
        beyond = frame.filter(pl.any_horizontal(pl.col(list(names)) > domain[1]))["time"]
        layers += _cut_marks(axis, [(int(time), top + 3.0) for time in beyond])
    layers += [_hover(series, axis), *_anomalies(axis, marks)]
    return _plot(_broken(frame, marks), height + top, layers)


def bands(
    frame: pl.DataFrame,
    series: Sequence[ChartLine],
    axis: Axis,
    marks: Marks | None = None,
    *,
    unit: str,
) -> Spec:
    """A band for each series, below each other, from 0 to its own highest value, its name above.

    `frame` is as for `lines`. A series that is mostly a small part of its highest value is cut off
    (`_cut`) so that the rest is seen; what is cut off bears a mark.
    """
    top = 0 if marks is None or not marks.lanes else marks.lanes * LANE + 4
    columns: list[pl.Series] = []
    labels: list[Spec] = []
    beyond: list[tuple[int, float]] = []
    for n, one in enumerate(series):
        floor = float(top + (n + 1) * BAND)
        values = frame[one.column].cast(pl.Float64)
        highest, limit = _highest(values), cut(values)
        share = (values.clip(upper_bound=limit) / limit if limit else values * 0.0) * (BAND - _NAME)
        columns.append((floor - share).alias(f"y{n}"))
        written = f"{short(highest)} {unit}"
        above = f", cut off at {short(limit)} {unit}" if limit < highest else ""
        labels.append(
            {
                "time": axis.end,
                "y": floor - BAND + _NAME / 2,
                "name": f"{one.title}  highest {written}{above}",
                "brief": f"{one.title}  {written}",
            }
        )
        cut_off = frame.filter(pl.col(one.column) > limit)["time"]
        beyond += [(int(time), floor - (BAND - _NAME)) for time in cut_off]
    drawn = frame.with_columns(columns)
    height = top + BAND * len(series)
    # Of a scale, though one pixel is one: without any, what is not there is drawn at the top.
    pixels = {"domain": [0, height], "range": [0, height], "nice": False, "zero": False}
    areas: list[Spec] = [
        {
            "mark": {"type": "area", "style": "band", "clip": True, "line": {"strokeWidth": 1.2}},
            "encoding": {
                "x": axis.time(),
                "y": {**_pixels(f"y{n}"), "scale": pixels},
                "y2": {"datum": float(top + (n + 1) * BAND), "type": "quantitative"},
            },
        }
        for n in range(len(series))
    ]
    names: Spec = {
        "data": _rows(labels),
        "transform": [{"calculate": f"width >= {NARROW} ? datum.name : datum.brief", "as": "text"}],
        "mark": {
            "type": "text",
            "style": "band-name",
            "align": "right",
            "dx": -2,
            "limit": {"expr": "width - 4"},
        },
        "encoding": {"x": axis.time(), "y": _pixels("y"), "text": {"field": "text"}},
    }
    layers = [_frame(axis), *_behind(axis, marks), *areas, names, *_cut_marks(axis, beyond)]
    layers += [_hover(series, axis), *_anomalies(axis, marks)]
    return _plot(_broken(drawn, marks), height, layers)


def cut(values: pl.Series) -> float:
    """Where a series is cut off: its highest value, or less where a spike would flatten the rest."""
    usual, most = values.quantile(0.95), _highest(values)
    if usual is None or usual <= 0 or most <= _SPIKE * usual:
        return most
    return _ABOVE * usual


def _highest(values: pl.Series) -> float:
    return float(values.max() or 0.0)  # type: ignore[arg-type]


def _cut_marks(axis: Axis, beyond: Sequence[tuple[int, float]]) -> list[Spec]:
    """Triangles where lines are cut off: at a time, so many pixels from the top."""
    if not beyond:
        return []
    return [
        {
            "data": _rows([{"time": time, "y": y} for time, y in beyond]),
            "mark": {"type": "point", "style": "cut", "shape": "triangle-up", "size": 22},
            "encoding": {"x": axis.time(), "y": _pixels("y")},
        }
    ]


def _pixels(field: str) -> Spec:
    """Encoding of a column that says how many pixels from the top something is."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def heat_map(
    frame: pl.DataFrame,
    axis: Axis,
    marks: Marks | None = None,
    *,
    rows: Sequence[str],
    width: int,
    metrics: Mapping[str, str],
    range_: str = "heatmap",
    domain: Sequence[float] = (),
) -> Spec:
    """Cells of `width` ms over time; a cell that is not there has no samples.

    `frame` has `row` (one of `rows`, in their order), `time` (ms), a column for each of
    `metrics` (column to title; of several, the reader chooses), and `filled`, the share of
    filled samples, which underlines a cell. `domain` has the values of the range's colours.
    """
    top = 0 if marks is None or not marks.lanes else marks.lanes * LANE + 4
    place: Spec = {
        "field": "row",
        "type": "nominal",
        "sort": list(rows),
        "scale": {"domain": list(rows), "range": [top, top + ROW * len(rows)], "padding": 0.08},
        "axis": {"title": None, "labelLimit": 140},
    }
    chosen = next(iter(metrics))
    colour: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": {"range": range_, "zero": True} | ({"domain": list(domain)} if domain else {}),
        "legend": {"title": None, "format": "~s", "orient": "top", "gradientLength": 160},
    }
    cells: Spec = {
        "transform": [
            {"calculate": "datum[metric]", "as": "value"},
            {"filter": "isValid(datum.value)"},
            {"calculate": f"datum.time + {width}", "as": "until"},
        ],
        "mark": {"type": "rect", "clip": True},
        "encoding": {
            "x": axis.time(),
            "x2": {"field": "until"},
            "y": place,
            "color": colour,
            "tooltip": [
                _when("time"),
                {"field": "row", "title": "of"},
                *({"field": c, "title": t, "format": ",.1f"} for c, t in metrics.items()),
            ],
        },
    }
    filled: Spec = {
        "transform": [
            {"filter": "datum.filled > 0"},
            {"calculate": f"datum.time + {width}", "as": "until"},
        ],
        "mark": {"type": "bar", "style": "filled", "clip": True, "height": {"band": 0.3}},
        "encoding": {
            "x": axis.time(),
            "x2": {"field": "until"},
            "y": {"field": "row", "type": "nominal", "sort": list(rows)},
            "tooltip": [_when("time"), {"field": "filled", "title": "filled", "format": ".0%"}],
        },
    }
    layers = [_frame(axis), cells, *_hatched(frame, axis, rows, width, list(metrics), top)]
    layers += _anomalies(axis, marks)
    if frame["filled"].max():
        layers.insert(2, filled)
    spec = _plot(frame, top + ROW * len(rows), layers)
    choice: Spec = {"name": "metric", "value": chosen}
    if len(metrics) > 1:
        labels = list(metrics.values())
        choice["bind"] = {
            "input": "select",
            "options": list(metrics),
            "labels": labels,
            "name": "show ",
        }
    return spec | {"params": [choice]}


def _hatched(
    frame: pl.DataFrame,
    axis: Axis,
    rows: Sequence[str],
    width: int,
    metrics: Sequence[str],
    top: int,
) -> list[Spec]:
    """Strokes across the cells that are not there while others of the same time are."""
    reported = frame.filter(pl.any_horizontal(pl.col(metrics).is_not_null())).select("row", "time")
    places = {name: float(top + ROW * n) for n, name in enumerate(rows)}
    every = pl.DataFrame({"row": list(rows)}).join(reported.select("time").unique(), how="cross")
    absent = every.join(reported, on=["row", "time"], how="anti").sort("row", "time")
    if not absent.height:
        return []
    strokes = [
        {"time": time, "until": time + width, "row": row, "from": places[row] + ROW - 1, "to": places[row] + 1}
        for row, time in absent.iter_rows()
    ]  # fmt: skip
    return [
        {
            "data": _rows(strokes),
            "mark": {"type": "rule", "style": "missing", "clip": True},
            "encoding": {
                "x": axis.time(),
                "x2": {"field": "until"},
                "y": _pixels("from"),
                "y2": {"field": "to"},
                "tooltip": [_when("time"), {"field": "row", "title": "no figures of"}],
            },
        }
    ]


def bars(
    frame: pl.DataFrame, axis: Axis, *, width: int, y: str, colours: Mapping[str, str], height: int
) -> Spec:
    """Stacked bars of `width` ms. `frame` has `time`, `series` (one of `colours`) and `value`.

    They are rectangles stacked here: Vega-Lite pads the axis of its own bars, and the plots would
    not be of one span.
    """
    order = pl.col("series").replace_strict({name: n for n, name in enumerate(colours)})
    high = pl.col("value").cum_sum().over("time")
    stacked = frame.sort(order, "time").with_columns(high=high, low=high - pl.col("value"))
    drawn: Spec = {
        "mark": {"type": "rect", "clip": True},
        "encoding": {
            "x": axis.time(),
            "x2": {"field": "until"},
            "y": {
                "field": "low",
                "type": "quantitative",
                "axis": {"title": y, "labelExpr": _SHORT, "tickCount": 3},
            },
            "y2": {"field": "high"},
            "color": _colours(list(colours), list(colours.values()), filled=True),
            "tooltip": [
                _when("time", "from"),
                _when("until", "to"),
                {"field": "series", "title": "origin"},
                {"field": "value", "title": f"{y}, each", "format": WHOLE},
            ],
        },
    }
    return _plot(_merged(stacked, width), height, [_frame(axis), drawn])


def _merged(bars_: pl.DataFrame, width: int) -> pl.DataFrame:
    """Bars side by side that are alike as one, without seams; `until` is where it ends."""
    alike = pl.struct("series", "low", "high")
    begins = (alike != alike.shift()) | (pl.col("time") != pl.col("time").shift() + width)
    return (
        bars_.with_columns(run=begins.fill_null(value=True).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.all().exclude("time").first(), pl.col("time").min(), until=pl.col("time").max())
        .with_columns(pl.col("until") + width)
        .drop("run")
    )


def lanes(axis: Axis, marks: Marks) -> Spec:
    """Anomalies alone, each in its lane."""
    return _plot(
        None, marks.lanes * LANE + 4, [_frame(axis), *_anomalies(axis, marks, shade=False)]
    )


def outcomes(
    frame: pl.DataFrame, axis: Axis, *, rows: Sequence[str], colours: Mapping[str, str]
) -> Spec:
    """Spans in rows, each in the colour of what became of it, and moments on them.

    `frame` has `row` (one of `rows`, in their order), `time` and `until` (ms), `series` (one of
    `colours`), `reported` (the tooltip's text), and `moment` (ms), null where there is none.
    """
    place: Spec = {
        "field": "row",
        "type": "nominal",
        "sort": list(rows),
        "scale": {"domain": list(rows)},
        "axis": {"title": None, "labelLimit": 140},
    }
    tooltip = [
        {"field": "row", "title": "of"},
        {"field": "series", "title": "outcome"},
        _when("time", "from"),
        _when("until", "to"),
        {"field": "reported", "title": "alert"},
    ]
    spans: Spec = {
        "mark": {"type": "bar", "clip": True, "height": {"band": 0.6}, "strokeWidth": 2},
        "encoding": {
            "x": axis.time(),
            "x2": {"field": "until"},
            "y": place,
            "color": _colours(list(colours), list(colours.values()), filled=True, named=True),
            "stroke": {**_colours(list(colours), list(colours.values())), "legend": None},
            "tooltip": tooltip,
        },
    }
    moments: Spec = {
        "transform": [{"filter": "isValid(datum.moment)"}],
        "mark": {"type": "tick", "style": "moment", "clip": True, "thickness": 2, "band": 0.95},
        "encoding": {"x": axis.time("moment"), "y": place, "tooltip": tooltip},
    }
    return _plot(frame, ROW * len(rows), [_frame(axis), spans, moments])


def _frame(axis: Axis) -> Spec:
    """A layer that shows nothing: it gives the time axis its span and lets it be zoomed.

    A span in more than one layer, or in one of rectangles, makes Vega-Lite warn.
    """
    scale = {"type": "utc", "domain": [axis.start, axis.end], "nice": False}
    return {
        "data": _rows([{"time": axis.start}]),
        "mark": {"type": "point", "opacity": 0},
        "params": [ZOOM],
        "encoding": {"x": {**axis.time(), "scale": scale}},
    }


def _plot(frame: pl.DataFrame | None, height: int, layers: Sequence[Spec]) -> Spec:
    spec: Spec = {"$schema": SCHEMA, "width": "container", "height": height, "layer": list(layers)}
    return spec if frame is None else spec | {"data": _data(frame)}


def _broken(frame: pl.DataFrame, marks: Marks | None) -> pl.DataFrame:
    """Rows without values in gaps, so that no line is drawn across them."""
    times = frame["time"]
    middles = [(g.start + g.end) // 2 for g in marks.gaps if not g.open] if marks else []
    # A gap within a bucket has no middle of its own: the bucket's value is there.
    width = times.diff().min()
    inside = [
        middle
        for middle in middles
        if isinstance(width, int) and ((times - middle).abs().min() or 0) > width / 2  # type: ignore[operator]
    ]
    gaps = pl.DataFrame({"time": inside}, schema={"time": pl.Int64})
    return pl.concat([frame, gaps], how="diagonal").sort("time")


def _data(frame: pl.DataFrame) -> Spec:
    """Values as CSV, a third of what they are as objects."""
    kinds = {n: "number" if kind.is_numeric() else "string" for n, kind in frame.schema.items()}
    text = frame.with_columns(cs.float().round_sig_figs(4)).write_csv()
    return {"values": text, "format": {"type": "csv", "parse": kinds}}


def _rows(rows: Sequence[Spec]) -> Spec:
    return {"values": list(rows)}


def _when(field: str, title: str = "time") -> Spec:
    return {
        "field": field,
        "type": "temporal",
        "title": title,
        "timeUnit": "utcyearmonthdatehoursminutesseconds",
        "format": "%Y-%m-%d %H:%M:%S",
    }


def _lookup(names: Mapping[str, str]) -> str:
    """An object of Vega's expression language, whose texts are those of JSON."""
    return json.dumps(dict(names))


def _title(text: str) -> str:
    """A tooltip's title. Vega-Lite makes an expression of it and leaves backslashes as they are."""
    return text.replace("\\", "\\\\")


def _colours(
    names: Sequence[str],
    range_: Sequence[str] | None = None,
    *,
    filled: bool = False,
    named: bool = False,
) -> Spec:
    """Each series in its colour; a legend where there are several, or one has to be `named`."""
    scale: Spec = {"domain": list(names)}
    if range_ is not None:
        scale["range"] = list(range_)
    symbol = "square" if filled else "stroke"
    legend = {"title": None, "orient": "bottom", "symbolType": symbol, "labelLimit": 180}
    return {
        "field": "series",
        "type": "nominal",
        "scale": scale,
        "legend": legend if named or len(names) > 1 else None,
    }


def _behind(axis: Axis, marks: Marks | None) -> list[Spec]:
    layers: list[Spec] = []
    if marks is None:
        return layers
    if marks.filled:
        rows = [{"from": f.start, "to": f.end, "share": f.share} for f in marks.filled]
        layers.append(
            {
                "data": _rows(rows),
                "mark": {"type": "rect", "style": "filled", "clip": True},
                "encoding": {
                    "x": axis.time("from"),
                    "x2": {"field": "to"},
                    "opacity": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1], "range": [0.12, 0.4]},
                        "legend": None,
                    },
                    "tooltip": [
                        {"field": "share", "title": "filled", "format": ".0%"},
                        _when("from", "from"),
                        _when("to", "to"),
                    ],
                },
            }
        )
    if marks.gaps:
        rows = [{"from": g.start, "to": g.end, "ticks": g.ticks} for g in marks.gaps]
        layers.append(
            {
                "data": _rows(rows),
                "mark": {"type": "rect", "style": "gap", "clip": True},
                "encoding": {
                    "x": axis.time("from"),
                    "x2": {"field": "to"},
                    "tooltip": [
                        {"field": "ticks", "title": "missing ticks"},
                        _when("from", "after"),
                        _when("to", "before"),
                    ],
                },
            }
        )
    return layers


def _anomalies(axis: Axis, marks: Marks | None, *, shade: bool = True) -> list[Spec]:
    if marks is None or not marks.anomalies:
        return []
    rows = [
        {
            "from": p.anomaly.start,
            "to": max(p.anomaly.end, p.anomaly.start + 1),
            "name": p.anomaly.name,
            "number": str(p.anomaly.number),
            "left": p.left,
            "named": p.named,
            "label": p.anomaly.label,
            "top": 2 + p.lane * LANE,
            "bottom": 2 + p.lane * LANE + LANE - 3,
            "middle": 2 + p.lane * LANE + (LANE - 3) / 2,
        }
        for p in marks.anomalies
    ]
    tooltip = [{"field": "label", "title": "anomaly"}, _when("from", "from"), _when("to", "to")]
    x = {"x": axis.time("from"), "x2": {"field": "to"}}
    band: Spec = {"mark": {"type": "rect", "style": "anomaly-band", "clip": True}, "encoding": x}
    bar: Spec = {
        "mark": {"type": "rect", "style": "anomaly", "clip": True},
        "encoding": {**x, "y": _pixels("top"), "y2": {"field": "bottom"}, "tooltip": tooltip},
    }
    label: Spec = {
        "transform": [
            {
                "calculate": f"datum.named && width >= {WIDE} ? datum.name : datum.number",
                "as": "text",
            },
        ],
        "mark": {
            "type": "text",
            "style": "anomaly-label",
            "clip": True,
            "align": {"expr": "datum.left ? 'right' : 'left'"},
            "dx": {"expr": "datum.left ? -3 : 3"},
        },
        "encoding": {
            "x": axis.time("from"),
            "y": _pixels("middle"),
            "text": {"field": "text"},
            "tooltip": tooltip,
        },
    }
    parts = [band, bar, label] if shade else [bar, label]
    return [{"data": _rows(rows), "layer": parts}]


def _band(columns: tuple[str, str], axis: Axis, values: Spec) -> Spec:
    low, high = columns
    return {
        "mark": {"type": "area", "style": "range", "clip": True},
        "encoding": {
            "x": axis.time(),
            "y": {"field": low, "type": "quantitative", "axis": values["axis"]},
            "y2": {"field": high},
        },
    }


def _hover(series: Sequence[ChartLine], axis: Axis) -> Spec:
    """A rule at the pointer that says every series' value there."""
    return {
        "mark": {"type": "rule", "style": "hover", "clip": True},
        "params": [
            {
                "name": "hover",
                "select": {
                    "type": "point",
                    "fields": ["time"],
                    "nearest": True,
                    "on": "pointermove",
                    "clear": "pointerout",
                },
            }
        ],
        "encoding": {
            "x": axis.time(),
            "opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0},
            "tooltip": [
                _when("time"),
                *(
                    {"field": s.column, "title": _title(s.title), "format": s.format}
                    for s in series
                ),
            ],
        },
    }
