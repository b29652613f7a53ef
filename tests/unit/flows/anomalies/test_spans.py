"""Runs of ticks, and which of them meet."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.anomalies.spans import Spans, overlapping, spans_of

FLAGS = st.lists(st.booleans(), max_size=40).map(lambda flags: np.array(flags, np.bool_))


def spans(*runs: tuple[int, int]) -> Spans:
    """Runs as an array."""
    return np.array(runs, np.int64).reshape(-1, 2)


def test_a_run_begins_with_its_first_tick_and_ends_after_its_last() -> None:
    """Also at both ends of the series."""
    flags = np.array([1, 1, 0, 1, 0, 0, 1], np.bool_)
    assert spans_of(flags).tolist() == [[0, 2], [3, 4], [6, 7]]
    assert spans_of(np.zeros(0, np.bool_)).shape == (0, 2)


@given(FLAGS)
def test_runs_hold_just_the_true_ticks(flags: np.ndarray) -> None:
    """In rising order, and never touching."""
    made = np.zeros(len(flags), np.bool_)
    found = spans_of(flags)
    for start, stop in found.tolist():
        made[start:stop] = True
    assert np.array_equal(made, flags)
    assert (found[1:, 0] > found[:-1, 1]).all()


def test_runs_that_only_touch_do_not_overlap() -> None:
    """Stop is exclusive."""
    of_one, of_other = overlapping(spans((0, 3), (5, 9)), spans((3, 5), (6, 7), (8, 12)))
    assert list(zip(of_one.tolist(), of_other.tolist(), strict=True)) == [(1, 1), (1, 2)]


@given(FLAGS, FLAGS)
def test_pairs_are_those_that_share_a_tick(one: np.ndarray, other: np.ndarray) -> None:
    """Each once, in order."""
    a, b = spans_of(one), spans_of(other)
    found = [pair.tolist() for pair in overlapping(a, b)]
    shared = [
        (i, j)
        for i, (start, stop) in enumerate(a.tolist())
        for j, (begin, end) in enumerate(b.tolist())
        if max(start, begin) < min(stop, end)
    ]
    assert list(zip(*found, strict=True)) == shared
