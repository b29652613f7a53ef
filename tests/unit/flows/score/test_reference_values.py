"""The figures of one series against what published packages give for it."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from flows.score.affiliation import affiliation
from flows.score.ranges import Bias, RangeSettings, range_precision, range_recall
from flows.score.spans import spans_of
from flows.score.volume import volume

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("reference.json").read_text(encoding="utf-8")
)
EXACT = 1e-9


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
