"""The figures of one series against what published packages give for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from flows.anomalies.spans import spans_of
from flows.score.affiliation import affiliation
from flows.score.ranges import Bias, RangeSettings, range_precision, range_recall
from flows.score.volume import volume

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("reference.json").read_text(encoding="utf-8")
)
EXACT = 1e-9

PACKAGES = ("vus==0.0.6", "prts==1.0.0.3")
IMPORTED = ("numpy==1.26.4", "scipy==1.15.3", "scikit-learn==1.7.2", "pandas==2.3.3", "tqdm")
"""What the packages' metrics import; vus asks for far more, for its models."""


@pytest.mark.parametrize("case", CASES)
def test_volumes_equal_those_of_the_papers_authors(case: dict[str, Any]) -> None:
    """VUS-PR and VUS-ROC of vus 0.0.6, for each widest slope, ties among the scores."""
    labels = np.array(case["labels"], np.bool_)
    found = volume(spans_of(labels), np.array(case["scores"]), case["window"])
    assert found is not None
    assert (found.pr, found.roc) == pytest.approx((case["vus_pr"], case["vus_roc"]), abs=EXACT)


@pytest.mark.parametrize("case", CASES)
def test_affiliation_equals_that_of_the_papers_authors(case: dict[str, Any]) -> None:
    """Precision and recall as vus 0.0.6 has them from the authors' own code."""
    truth, predicted = (spans_of(np.array(case[k], np.bool_)) for k in ("labels", "predicted"))
    expected = (case["affiliation_precision"], case["affiliation_recall"])
    assert affiliation(truth, predicted, len(case["labels"])) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("case", CASES)
def test_range_based_figures_equal_prts(case: dict[str, Any]) -> None:
    """Every bias, both ways to count pieces, with and without the reward of existence."""
    truth, predicted = (spans_of(np.array(case[k], np.bool_)) for k in ("labels", "predicted"))
    for name, expected in case["ranges"].items():
        what, bias, cardinality, alpha = name.split()
        how = RangeSettings(float(alpha), cast("Bias", bias), cardinality == "reciprocal")
        figure = range_recall if what == "recall" else range_precision
        assert figure(truth, predicted, how) == pytest.approx(expected, abs=EXACT), name


@pytest.mark.long(
    "installs vus and prts, with all that they import, in an environment of their own"
)
@pytest.mark.timeout(900)
def test_reference_values_are_what_the_packages_give(tmp_path: Path) -> None:
    """Recreated, by the versions that make_reference.py names."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--no-deps", *PACKAGES], check=True)
    subprocess.run([*pip, *IMPORTED], check=True)
    script = Path(__file__).with_name("make_reference.py")
    made = subprocess.run([python, script], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(made.stdout)
    for one, expected in zip(found, CASES, strict=True):
        for name in ("labels", "predicted", "window"):
            assert one[name] == expected[name]
        for name in expected.keys() - {"labels", "predicted", "window", "ranges"}:
            assert one[name] == pytest.approx(expected[name], abs=EXACT), name
        assert one["ranges"] == pytest.approx(expected["ranges"], abs=EXACT)
