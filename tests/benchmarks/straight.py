"""Draws cost against work from what the benchmarks wrote: a straight line over 1,000 times.

    python -m tests.benchmarks.straight FOLDER [--out docs/assets/cost.svg]

FOLDER holds `export.json`, `merge.json`, `targets.json` and `ranges.json` of these benchmarks, as
`python -m tests.benchmarks --full --json FOLDER` writes them. Both axes are logarithmic; the grey line costs
as much for each unit as the largest point does.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.pictures.drawing import BLUE, GREY, Spec, draw

Points = Sequence[tuple[float, float]]
"""Work, and CPU seconds."""


def export(folder: Path) -> Points:
    """Samples of an export by one worker."""
    rows = _read(folder / "export.json")["rows"]
    return [(row["samples"], row["cpu_seconds"]) for row in rows if row["workers"] == 1]


def merge(folder: Path) -> Points:
    """Topics of a tick, a tenth of them missing."""
    rows = _read(folder / "merge.json")
    return [(r["topics"], r["ms_per_tick"] / 1000) for r in rows if r["missing"] == "a tenth"]


def collect(folder: Path) -> Points:
    """Targets of a tick, without what a process of the fewest targets spends by waiting."""
    fewest, *rows = sorted(_read(folder / "targets.json"), key=lambda row: int(row["targets"]))
    return [
        (
            row["targets"],
            row["cpu_seconds"] / row["ticks"] - fewest["core_share"] * row["interval_seconds"],
        )
        for row in rows
    ]


def replay(folder: Path) -> Points:
    """Rows of a replay to Parquet."""
    return [(row["rows"], row["cpu_seconds"]) for row in _read(folder / "ranges.json")]


WAYS: Mapping[str, tuple[str, Callable[[Path], Points]]] = {
    "export": ("samples", export),
    "merge": ("topics a tick, a tenth missing", merge),
    "collect": ("targets a tick", collect),
    "replay": ("rows", replay),
}


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


def panel(name: str, unit: str, points: Points) -> Spec:
    """One way's points and its straight line."""
    work, cost = points[-1]
    x: Spec = {"field": "work", "type": "quantitative", "title": unit}
    y: Spec = {"field": "cost", "type": "quantitative", "title": "CPU seconds"}
    for axis, number in ((x, "~s"), (y, "~g")):
        axis["scale"] = {"type": "log", "nice": False, "padding": 12}
        axis["axis"] = {"format": number, "tickCount": 5, "grid": False}
    line = [{"work": at, "cost": cost / work * at} for at in (points[0][0], work)]
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


def main() -> None:
    """Draw, and print what each unit costs at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/assets/cost.svg"))
    options = parser.parse_args()
    panels = []
    for name, (unit, read) in WAYS.items():
        points = read(options.folder)
        panels.append(panel(name, unit, points))
        each = ", ".join(f"{work:,.0f}: {1e6 * cost / work:.3g}" for work, cost in points)
        print(f"{name}, µs for each of {unit}: {each}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw({"concat": panels, "columns": 2}, options.out)


if __name__ == "__main__":
    main()
