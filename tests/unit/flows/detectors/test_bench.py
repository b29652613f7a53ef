"""Detectors that are held against simulated fleets, and the page of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.detectors.__main__ import main
from flows.detectors.bench import NAMES, held_against
from flows.detectors.cases import CASES, START, harder
from flows.detectors.features import largest, standardised
from flows.detectors.page import section
from tests.hybrid_morning import hybrid, truth

QUICK = [name for name in NAMES if name != "isolation_forest"]
WITH_FOREST = pytest.mark.long("grows a forest of each entity, which takes most of a minute")
PAGE = Path(__file__).parents[4] / "docs/detectors.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_page_says_what_the_command_finds() -> None:
    """Made anew from its seed, a section is as it stands in docs."""
    place = len(CASES) - 1
    assert section(CASES[place], by_kind=place == 0) in PAGE.read_text(encoding="utf-8")


def test_page_tells_of_every_case_and_every_detector() -> None:
    """In each table of results."""
    text = PAGE.read_text(encoding="utf-8")
    for case in CASES:
        assert f"## {case.name.capitalize()}\n" in text
        assert case.text in text
    for name in NAMES:
        assert text.count(f"\n| `{name}` |") == len(CASES) + 2  # who it is, and the difficulty


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("seed", "names"),
    [(10, QUICK), *(pytest.param(seed, NAMES, marks=WITH_FOREST) for seed in (10, 11))],
    ids=["10-quick", "10", "11"],
)
def test_harder_anomalies_are_found_less_by_every_detector(seed: int, names: Sequence[str]) -> None:
    """VUS-PR of each falls with the difficulty."""
    results = []
    for difficulty in (0.0, 0.4, 0.8):
        case = harder(difficulty, days=2)
        simulation = case.config.simulation.model_copy(update={"seed": seed})
        config = case.config.model_copy(update={"simulation": simulation})
        results.append(held_against(config, START, case.end, names))
    for name in names:
        easy, middle, hard = (r[name].vus_pr for r in results)
        assert easy > middle > hard, name


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
    truth(hybrid(tmp_path / "s"))
    for name in ("a.csv", "a.parquet"):
        assert main(["run", detector, str(tmp_path / "s"), "--out", str(tmp_path / name)]) == 0
    written = pl.read_parquet(tmp_path / "a.parquet")
    assert pl.read_csv(tmp_path / "a.csv").shape == written.shape
    assert {"entity"} < {*written.columns}


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
