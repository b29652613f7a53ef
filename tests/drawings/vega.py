"""Vega-Lite specifications as PNG or SVG files, in the report's colours."""

from pathlib import Path
from typing import Any

import vl_convert

from flows.drawing import library, themes

Spec = dict[str, Any]

GREY, BLUE, ORANGE = "#9a9a9a", "#1f6fb2", "#d9730d"
_CONFIG = {**themes.LIGHT, "background": "white", "font": "Liberation Sans, Arial, sans-serif"}


def draw(spec: Spec, file: Path) -> None:
    """Write a plot to a file whose suffix says the format: `.png` or `.svg`."""
    options: dict[str, Any] = {"vl_version": library.VERSION, "config": _CONFIG}
    if file.suffix == ".svg":
        file.write_text(vl_convert.vegalite_to_svg(spec, **options))
    else:
        file.write_bytes(vl_convert.vegalite_to_png(spec, scale=1.25, **options))
