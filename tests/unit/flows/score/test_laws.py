"""What perfect, empty, random, late and all-on detectors must get, by the figures' definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.anomalies.spans import (
    overlapping,
    spans_of,
)
from flows.score.affiliation import affiliation
from flows.score.ranges import RangeSettings, range_precision, range_recall
from flows.score.volume import volume
from operators.schema.arrays import Flags


def in_turn(first: bool, lengths: list[int]) -> Flags:
    """Runs of these lengths, true and false by turns."""
    found: Flags = np.repeat(np.arange(len(lengths)) % 2 != first, lengths)
    return found


def bits(data: bytes) -> Flags:
    """A flag a bit."""
    return np.unpackbits(np.frombuffer(data, np.uint8)).astype(np.bool_)


# By runs, few and long, and by bits, many and short: a flag drawn by itself takes most of the time.
flags = st.builds(
    in_turn, st.booleans(), st.lists(st.integers(1, 20), min_size=1, max_size=20)
) | st.binary(min_size=1, max_size=25).map(bits)


@st.composite
def two(draw: st.DrawFn) -> tuple[Flags, Flags]:
    """Labels with something true and something false, and predictions of the same length."""
    labels = draw(flags.filter(lambda f: bool(f.any() and not f.all())))
    return labels, np.resize(draw(flags), len(labels))


@given(flags)
def test_runs_say_what_the_flags_say(given_: Flags) -> None:
    """Painted again they are the flags, and no two of them touch."""
    spans = spans_of(given_)
    painted = np.zeros_like(given_)
    for start, stop in spans:
        painted[start:stop] = True
    assert (painted == given_).all()
    assert (spans[1:, 0] > spans[:-1, 1]).all()


@given(two())
def test_overlaps_are_the_pairs_that_share_a_tick(both: tuple[Flags, Flags]) -> None:
    """Each pair once, in order."""
    one, other = (spans_of(f) for f in both)
    expected = [
        (i, j)
        for i, (a, b) in enumerate(one.tolist())
        for j, (c, d) in enumerate(other.tolist())
        if a < d and c < b
    ]
    of, by = overlapping(one, other)
    assert list(zip(of.tolist(), by.tolist(), strict=True)) == expected


@given(two())
def test_perfect_detector_has_all(both: tuple[Flags, Flags]) -> None:
    """Predictions that are the truth: 1 everywhere."""
    truth = spans_of(both[0])
    ticks = len(both[0])
    assert affiliation(truth, truth, ticks) == pytest.approx((1, 1))
    assert range_recall(truth, truth) == pytest.approx(1)
    assert range_precision(truth, truth) == pytest.approx(1)


@given(two(), st.integers(0, 20))
def test_perfect_scores_beat_their_reverse(both: tuple[Flags, Flags], window: int) -> None:
    """Volumes are shares, and without slopes a perfect detector has all of both."""
    truth = spans_of(both[0])
    right = volume(truth, both[0].astype(np.float64), window)
    wrong = volume(truth, (~both[0]).astype(np.float64), window)
    sharp = volume(truth, both[0].astype(np.float64), 0)
    assert right is not None
    assert wrong is not None
    assert sharp is not None
    assert right.roc >= wrong.roc
    assert 0 <= wrong.pr <= 1
    assert (sharp.pr, sharp.roc) == pytest.approx((1, 1))


@given(flags)
def test_nothing_predicted_finds_nothing(labels: Flags) -> None:
    """Recall is 0, precision is no number."""
    truth, none = spans_of(labels), spans_of(np.zeros_like(labels))
    assert range_recall(truth, none) == 0
    assert range_precision(truth, none) == 0
    if labels.any():
        assert affiliation(truth, none, len(labels)) == (None, 0.0)


@given(two())
def test_all_on_detector_finds_everything(both: tuple[Flags, Flags]) -> None:
    """Recall is 1; its one long alert is as precise as the share of ticks that are true."""
    labels = both[0]
    truth, everything = spans_of(labels), spans_of(np.ones_like(labels))
    _, recall = affiliation(truth, everything, len(labels))
    assert recall == pytest.approx(1)
    assert range_recall(truth, everything) == pytest.approx(1)
    once = RangeSettings(reciprocal=False)
    assert range_precision(truth, everything, once) == pytest.approx(labels.mean())


@given(st.integers(20, 200), st.integers(1, 5), st.data())
def test_later_alert_affiliates_less(ticks: int, length: int, data: st.DataObject) -> None:
    """One anomaly, one alert as long after it: the farther away, the less."""
    start = data.draw(st.integers(0, ticks - 4 * length))
    truth = np.array([[start, start + length]])
    last = ticks - length
    shift = data.draw(st.integers(start, last - 1))
    near, far = (np.array([[at, at + length]]) for at in (shift, shift + 1))
    for one, other in zip(
        affiliation(truth, near, ticks), affiliation(truth, far, ticks), strict=True
    ):
        assert one is not None
        assert other is not None
        assert other <= one + 1e-12


@given(st.integers(0, 2**32 - 1))
def test_random_scores_are_worth_the_share_of_what_is_true(seed: int) -> None:
    """A tenth is true: precision is about a tenth at every recall, and the area no more."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(4_000, np.bool_)
    labels[rng.choice(2_000, 400, replace=False) * 2] = True
    found = volume(spans_of(labels), rng.random(4_000), 0)
    assert found is not None
    assert found.pr < 0.2


def test_nothing_or_everything_true_has_no_volume() -> None:
    """There is no curve to draw."""
    scores = np.arange(5.0)
    assert volume(spans_of(np.zeros(5, np.bool_)), scores) is None
    assert volume(spans_of(np.ones(5, np.bool_)), scores) is None
