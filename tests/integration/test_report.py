"""`mqpipe report`: the command, and its page in a real browser."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.report.command import ReportOptions, report
from tests.browser import Browser, Theme, browser, missing
from tests.hybrid_morning import cluster_rows, hybrid, truth, write
from tests.mqpipe import mqpipe

CONFIG = """
interval: 30s
simulation:
  fleets:
    - {name: sim-eu, clusters: 2, brokers: 4, topics: 8, groups: 4}
    - {name: mq, provider: rabbitmq, queues: 4}
  anomalies:
    - {kind: broker_down, entity: sim-eu-1/broker-2, start: "2026-01-05T10:00:00Z", duration: 30m}
metrics: {listen: null}
"""
DAY = ("--start", "2026-01-05T00:00:00Z", "--end", "2026-01-06T00:00:00Z", "--out", "day")

LIGHT_TEXT, DARK_TEXT = "36,41,47", "219,226,234"
"""Colours of plots' texts, `r,g,b`."""

STATES = "[...document.querySelectorAll('.plot')].map(e => e.dataset.state)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of an exported day and of a hybrid morning."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "c.yaml").write_text(CONFIG)
    exported = mqpipe(folder, "export", "c.yaml", *DAY)
    assert exported.code == 0, exported.err
    truth(hybrid(folder / "hybrid"))
    for name in ("day", "hybrid"):
        report(str(folder / name), ReportOptions(folder / f"{name}.html"))
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; without one the tests are skipped, and in CI they fail."""
    if reason := missing():
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    with browser(tmp_path_factory.mktemp("profile")) as there:
        yield there


def draw_all(chromium: Browser) -> None:
    """Scroll through the page until every plot was in view, and wait until it is drawn."""
    chromium.run("document.querySelectorAll('.plot').forEach(e => e.style.minHeight = '1px')")
    for place in range(chromium.ask("document.querySelectorAll('.plot').length")):
        chromium.run(f"document.querySelectorAll('.plot')[{place}].scrollIntoView()")
        chromium.wait_for(f"document.querySelectorAll('.plot')[{place}].dataset.state")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(400, "dark"), (1600, "light")])
def test_page_draws_every_plot_without_a_word_on_the_console(
    folder: Path, chromium: Browser, theme: Theme, width: int
) -> None:
    """On a telephone and on a wide screen, in light and dark, nothing overflows sideways."""
    chromium.open(folder / "hybrid.html", width, theme)
    draw_all(chromium)
    states = chromium.ask(STATES)
    assert len(states) >= 20
    assert set(states) == {"drawn"}
    assert chromium.errors() == []
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    canvases = "[...document.querySelectorAll('.plot canvas')].map(c => c.clientWidth)"
    widths = chromium.ask(canvases)
    assert len(widths) == len(states)
    assert all(0.3 * min(width, 1560) < w <= width for w in widths)
    back = chromium.ask("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (theme == "light")


def colours(plot: str) -> str:
    """JavaScript: the colours of a plot's opaque pixels, as `r,g,b`."""
    return f"""(() => {{
      const c = document.querySelector("[data-plot='{plot}'] canvas");
      const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      const seen = new Set();
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 250) seen.add(d.slice(i, i + 3).join());
      return [...seen];
    }})()"""


def test_plots_are_not_empty(folder: Path, chromium: Browser) -> None:
    """Each canvas has more colours than an empty plot's axes have."""
    chromium.open(folder / "day.html", 1600, "light")
    draw_all(chromium)
    names = chromium.ask("[...document.querySelectorAll('.plot')].map(e => e.dataset.plot)")
    found = {name: len(chromium.ask(colours(name))) for name in names}
    assert {name: number for name, number in found.items() if number < 3} == {}


def test_zoom_moves_all_plots_and_all_resets_it(folder: Path, chromium: Browser) -> None:
    """A click zooms every plot to the middle half; another shows the whole again."""
    chromium.open(folder / "day.html", 1600, "light")
    draw_all(chromium)
    spans = "new Set(mqpipe.views().map(v => v.scale('x').domain().map(Number).join())).size"
    first = "mqpipe.views()[0].scale('x').domain().map(Number)"
    start, end = chromium.ask(first)
    chromium.run("document.querySelector('[data-zoom=\"0.5\"]').click()")
    chromium.wait_for(f"{first}[0] > {start} && {spans} === 1")
    inner = chromium.ask(first)
    assert inner == [start + (end - start) / 4, end - (end - start) / 4]
    chromium.run("document.querySelector('[data-reset]').click()")
    chromium.wait_for(f"{first}[0] === {start} && {spans} === 1")
    assert chromium.errors() == []


def test_theme_is_followed_while_the_page_is_open(folder: Path, chromium: Browser) -> None:
    """When the system turns dark, plots are drawn again in its colours."""
    plot = "cluster-prod-eu-coverage"
    chromium.open(folder / "hybrid.html", 1600, "light")
    draw_all(chromium)
    assert LIGHT_TEXT in chromium.ask(colours(plot))
    chromium.turn("dark")
    chromium.wait_for(f"{colours(plot)}.includes('{DARK_TEXT}')")
    assert LIGHT_TEXT not in chromium.ask(colours(plot))


def test_png_of_each_plot(tmp_path: Path) -> None:
    """`--png` writes one image a plot, of a legible size, without a browser."""
    write(tmp_path / "samples", cluster_rows("prod-eu", range(20)))
    ended = mqpipe(tmp_path, "report", "samples", "--png", "png")
    assert ended.code == 0, ended.err
    images = sorted((tmp_path / "png").iterdir())
    assert len(images) == (tmp_path / "report.html").read_text().count("data-plot=") >= 8
    for image in images:
        head = image.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", head[16:24])
        assert width >= 2000
        assert height >= 100


def test_report_of_nothing_is_an_error(tmp_path: Path) -> None:
    """No samples: exit code 1, a message that says where, no page."""
    ended = mqpipe(tmp_path, "report", "nowhere")
    assert (ended.code, ended.out) == (1, "")
    assert "nowhere: no samples there" in ended.err
    assert not (tmp_path / "report.html").exists()
