"""Draws cost against work from what the benchmarks wrote: a straight line over 1,000 times.

    python -m tests.benchmarks.cost_lines FOLDER [--out docs/assets/cost.svg]

FOLDER holds `export.json`, `merge.json`, `targets.json` and `ranges.json` of these benchmarks, or
some of them, as `python -m tests.benchmarks --full --json FOLDER` writes them. Both axes are
logarithmic. The grey line is straight: so much once, and so much for each unit; printed with how far
a point lies from it.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.drawings.vega import BLUE, GREY, Spec, draw

Points = Sequence[tuple[float, float]]
"""Work, and CPU seconds."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way of the data: the benchmark that measured it, its unit, and what that wrote as points."""

    benchmark: str
    unit: str
    points: Callable[[Any], Points]


def export(figures: Any) -> Points:
    """Samples of an export by one worker."""
    rows = figures["rows"]
    return [(row["samples"], row["cpu_seconds"]) for row in rows if row["workers"] == 1]


def merge(figures: Any) -> Points:
    """Topics of a tick, a tenth of them missing."""
    return [(r["topics"], r["ms_per_tick"] / 1000) for r in figures if r["missing"] == "a tenth"]


def collect(figures: Any) -> Points:
    """Targets of a tick."""
    rows = sorted(figures, key=lambda row: int(row["targets"]))
    return [(row["targets"], row["cpu_seconds"] / row["ticks"]) for row in rows]


def replay(figures: Any) -> Points:
    """Rows of a replay to Parquet."""
    return [(row["rows"], row["cpu_seconds"]) for row in figures]


WAYS: Mapping[str, Way] = {
    "export": Way("export", "samples", export),
    "merge": Way("merge", "topics a tick, a tenth missing", merge),
    "collect": Way("targets", "targets a tick", collect),
    "replay": Way("ranges", "rows", replay),
}


@dataclass(frozen=True, slots=True)
class Line:
    """CPU seconds once, and for each unit of work."""

    once: float
    each: float

    def at(self, work: float) -> float:
        """CPU seconds of so much work."""
        return self.once + self.each * work


def line_through(points: Points) -> Line:
    """The line whose relative distances from the points have the least squares."""
    work, cost = np.array(points).T
    once, each = np.linalg.lstsq(
        np.column_stack((1 / cost, work / cost)), np.ones(len(points)), rcond=None
    )[0]
    if once < 0:
        once, each = 0.0, float(np.mean(cost / work))
    return Line(float(once), float(each))


def panel(name: str, unit: str, points: Points, straight: Line) -> Spec:
    """One way's points and its straight line."""
    along = np.geomspace(points[0][0], points[-1][0], 60)
    x: Spec = {"field": "work", "type": "quantitative", "title": unit}
    y: Spec = {"field": "cost", "type": "quantitative", "title": "CPU seconds"}
    for axis, number in ((x, "~s"), (y, "~g")):
        axis["scale"] = {"type": "log", "nice": False, "padding": 12}
        axis["axis"] = {"format": number, "tickCount": 5, "grid": False}
    line = [{"work": at, "cost": straight.at(at)} for at in along.tolist()]
    dots = [{"work": at, "cost": spent} for at, spent in points]
    return {
        "title": name,
        "width": 230,
        "height": 190,
        "layer": [
            {"data": {"values": line}, "mark": {"type": "line", "color": GREY}},
            {"data": {"values": dots}, "mark": {"type": "point", "filled": True, "color": BLUE}},
        ],
        "encoding": {"x": x, "y": y},
    }


def draw_cost(folder: Path, out: Path) -> bool:
    """Draw what the benchmarks of a folder cost, and print what each unit does; False for none."""
    panels = []
    for name, way in WAYS.items():
        file = folder / f"{way.benchmark}.json"
        if not file.exists():
            continue
        points, unit = sorted(way.points(json.loads(file.read_text()))), way.unit
        straight = line_through(points)
        panels.append(panel(name, unit, points, straight))
        each = ", ".join(f"{work:,.0f}: {1e6 * cost / work:.3g}" for work, cost in points)
        off = max(abs(cost / straight.at(work) - 1) for work, cost in points)
        print(f"{name}, µs for each of {unit}: {each}")
        print(f"  {1e3 * straight.once:.3g} ms once, {1e6 * straight.each:.3g} µs each; "
              f"the furthest point {off:.0%} off")  # fmt: skip
    if panels:
        out.parent.mkdir(parents=True, exist_ok=True)
        draw({"concat": panels, "columns": 2}, out)
    return bool(panels)


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/assets/cost.svg"))
    options = parser.parse_args()
    if not draw_cost(options.folder, options.out):
        parser.error(f"{options.folder} holds nothing that the benchmarks wrote")


if __name__ == "__main__":
    main()
