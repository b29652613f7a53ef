"""Colours of plots in light and in dark, as Vega-Lite's configuration.

The categories are those of Okabe and Ito, which colour-blind readers tell apart, a little
lighter on dark.
"""

from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"

ORIGIN_COLOURS = {"collected": "#0f8f6b", "simulated": "#4c7fd0", "filled": "#e39a26"}
"""By origin, legible on light and on dark."""

OUTCOME_COLOURS = {
    "found": "#0f8f6b", "found on what it touched": "#4c7fd0", "missed": "#d55e00",
    "false": "#b58900",
}  # fmt: skip
"""By what became of an anomaly or an alert, legible on light and on dark."""


def _theme(
    *,
    text: str,
    faint: str,
    grid: str,
    categories: list[str],
    heat: list[str],
    health: list[str],
    anomaly: str,
    gap: str,
) -> dict[str, Any]:
    return {
        "background": "transparent",
        "font": FONT,
        "padding": {"left": 2, "right": 8, "top": 4, "bottom": 2},
        "view": {"stroke": grid},
        "axis": {
            "labelColor": text,
            "titleColor": text,
            "domainColor": faint,
            "tickColor": faint,
            "gridColor": grid,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
        },
        "legend": {
            "labelColor": text,
            "titleColor": text,
            "labelFontSize": 11,
            "rowPadding": 1,
            "columnPadding": 12,
        },
        "title": {
            "color": text,
            "fontSize": 14,
            "anchor": "start",
            "subtitleColor": text,
            "subtitleFontSize": 12,
        },
        "line": {"strokeWidth": 1.5},
        "range": {"category": categories, "heatmap": heat, "ramp": heat, "diverging": health},
        "style": {
            "filled": {"color": ORIGIN_COLOURS["filled"]},
            "gap": {"color": gap, "fillOpacity": 0.5},
            "range": {"color": categories[0], "fillOpacity": 0.2},
            "band": {"color": categories[0], "fillOpacity": 0.35},
            "band-name": {"color": text, "baseline": "middle", "fontSize": 11},
            "missing": {"color": text, "strokeWidth": 1, "opacity": 0.55},
            "cut": {"color": anomaly, "filled": True},
            "hover": {"color": faint, "strokeWidth": 1},
            "moment": {"color": text},
            "anomaly": {"color": anomaly, "fillOpacity": 0.45},
            "anomaly-band": {"color": anomaly, "fillOpacity": 0.08},
            "anomaly-label": {
                "color": text,
                "baseline": "middle",
                "fontSize": 11,
            },
        },
    }


LIGHT = _theme(
    text="#24292f",
    faint="#8a929b",
    grid="#e4e7eb",
    categories=[
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7a5195", "#5f6b77",
    ],
    heat=["#eef3fb", "#a9c6ea", "#5b92d2", "#2561ab", "#0b2f63"],
    health=["#a5122a", "#ef8a62", "#fbe3c4", "#cfe8dc", "#5fae8b"],
    anomaly="#cf222e",
    gap="#9aa3ad",
)  # fmt: skip

DARK = _theme(
    text="#dbe2ea",
    faint="#7d8794",
    grid="#2c333c",
    categories=[
        "#4aa8e8", "#f0883e", "#2fc596", "#e39ac6", "#d9b23c", "#8fd0f5", "#b08bd0", "#9aa6b2",
    ],
    heat=["#182433", "#1f4878", "#2f7cc4", "#77b8f0", "#e3f2ff"],
    health=["#ff6b6b", "#e58b5a", "#8a7a55", "#3f6f5c", "#2a5a49"],
    anomaly="#ff6b6b",
    gap="#6b7480",
)  # fmt: skip
