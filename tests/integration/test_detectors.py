"""Detectors that are held against simulated fleets, whole: what the page says, and that harder is harder."""

from collections.abc import Sequence

import pytest

from flows.detectors.bench import NAMES, held_against
from flows.detectors.cases import CASES, START, harder
from flows.detectors.page import section
from tests.documents import ROOT

QUICK = [name for name in NAMES if name != "isolation_forest"]
WITH_FOREST = pytest.mark.long("grows a forest of each entity, which takes minutes")
PAGE = ROOT / "docs/detectors.md"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_page_says_what_the_command_finds() -> None:
    """Recreated from its seed, a section is as it stands in docs."""
    place = len(CASES) - 1
    assert section(CASES[place], by_kind=place == 0) in PAGE.read_text(encoding="utf-8")


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
