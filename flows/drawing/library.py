"""The drawing library: Vega-Lite, from the package that carries it.

vl-convert-python has both what a page needs (Vega, Vega-Lite and vega-embed as one script) and a
renderer to PNG that needs no browser. It is an extra: 85 MB that a streaming job has no use for.
"""

from functools import cache
from typing import Any

from flows.drawing import themes
from flows.drawing.charts import Spec
from flows.errors import MissingExtraError

VERSION = "6.1"
"""Version of Vega-Lite."""
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@cache
def script() -> str:
    """JavaScript that makes `vegaEmbed` known to a page; about 0.9 MB, and a second's work.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    text: str = _package().javascript_bundle(_SNIPPET, vl_version=VERSION)
    return text


def png(spec: Spec, title: str, note: str, width: int = 1000, scale: float = 2.0) -> bytes:
    """A plot as PNG, on white, `width` pixels wide before it is scaled, what it shows above it.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    plot = {**spec, "width": width, "title": {"text": title, "subtitle": note}}
    config = {**themes.LIGHT, "background": "white", "font": "Liberation Sans, Arial, sans-serif"}
    image: bytes = _package().vegalite_to_png(
        plot, vl_version=VERSION, config=config, scale=scale, allowed_base_urls=[]
    )
    return image


def _package() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError(
            "the report's plots are drawn by", "vl-convert-python>=1.8"
        ) from None
    return vl_convert
