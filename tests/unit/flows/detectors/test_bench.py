"""Detectors that are held against simulated fleets, and the page of it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.detectors.__main__ import main
from flows.detectors.bench import NAMES
from flows.detectors.cases import CASES
from flows.detectors.features import largest, standardised
from tests.hybrid_morning import hybrid, sick_cluster, truth, write

PAGE = Path(__file__).parents[4] / "docs/detectors.md"


def test_page_reports_every_case_and_every_detector() -> None:
    """In each table of results."""
    text = PAGE.read_text(encoding="utf-8")
    for case in CASES:
        assert f"## {case.name.capitalize()}\n" in text
        assert case.text in text
    for name in NAMES:
        assert text.count(f"\n| `{name}` |") == len(CASES) + 2  # who it is, and the difficulty


def test_difficulty_of_the_page_is_monotone() -> None:
    """Its last table, row by row."""
    text = PAGE.read_text(encoding="utf-8").split("| difficulty |")[1]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(NAMES)
    for row in rows:
        values = [float(cell) for cell in row.strip("|").split("|")[1:]]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]


def test_no_alert_that_ships_is_last() -> None:
    """Neither by F1 nor by VUS-PR, in the page's first table."""
    rows = PAGE.read_text(encoding="utf-8").split("| detector | precision")[1].splitlines()[2:8]
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]
    for column in (3, -1):
        value = {row[0]: float(row[column]) for row in cells}
        worst = min(value.values())
        for shipped in ("newrelic_alerts", "prometheus_rules"):
            assert value[shipped] > worst


@pytest.mark.parametrize("detector", NAMES)
def test_detector_writes_what_score_reads(tmp_path: Path, detector: str) -> None:
    """As CSV and as Parquet, with the same rows."""
    # A forest is grown for each entity: of one cluster there are seven.
    alone = detector == "isolation_forest"
    truth(write(tmp_path / "s", sick_cluster()) if alone else hybrid(tmp_path / "s"))

    def written(name: str) -> Path:
        assert main(["run", detector, str(tmp_path / "s"), "--out", str(tmp_path / name)]) == 0
        return tmp_path / name

    found = pl.read_parquet(written("a.parquet"))
    assert {"entity"} < {*found.columns}
    if not alone:  # it takes seconds, and nobody's rows are written otherwise
        assert pl.read_csv(written("a.csv")).shape == found.shape


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the exit code of it."""
    assert main(["run", "margin", str(tmp_path), "--out", "x.json"]) == 2
    assert "write .csv or .parquet" in capsys.readouterr().err
    assert main(["run", "margin", str(tmp_path), "--out", str(tmp_path / "x.csv")]) == 1
    assert "no samples there" in capsys.readouterr().err


def test_deviations_are_of_what_moves() -> None:
    """A normal feature's are its z; one that mostly stands still counts by its mean deviation."""
    drawn = np.random.default_rng(1).normal(50, 4, 20_000)
    still = np.zeros(20_000)
    still[::1000] = 1
    values = np.stack([drawn, np.full(20_000, 3.0), still], axis=1)
    found = standardised(values)
    assert found.shape == (20_000, 2)
    assert np.quantile(found[:, 0], 0.6827) == pytest.approx(1, rel=0.02)
    assert largest(found)[0] > 100
