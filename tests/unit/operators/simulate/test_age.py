"""How old a lag is, by what its pattern says came before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.arrays import Floats, Ints
from operators.simulate.age import Ages
from operators.simulate.block import Block
from tests.samples import HOUR, INTERVAL, NEW_YEAR

NOON = NEW_YEAR + 12 * HOUR


def halved_at_noon(times: Ints) -> Floats:
    """Full traffic until noon, half of it from then on."""
    return np.where(times < NOON, 1.0, 0.5)


def test_a_lag_of_busier_hours_is_younger_than_it_would_be_at_todays_rate() -> None:
    """An hour after the halving, 5,400 messages at 1/s and then 0.5/s came in two hours."""
    block = Block.of(NOON + HOUR, INTERVAL, 1)
    ages = Ages(halved_at_noon).of(np.array([[5_400]]), np.array([[0.5]]), block)
    assert ages.item() == pytest.approx(7_200, abs=1)


def test_a_lag_of_more_than_a_day_goes_on_at_that_days_rate() -> None:
    """Three days' messages of a steady topic are three days old."""
    block = Block.of(NOON, INTERVAL, 2)
    steady = Ages(lambda times: np.ones(len(times)))
    ages = steady.of(np.array([[3 * 86_400] * 2]), np.ones((1, 2)), block)
    assert ages == pytest.approx(np.full((1, 2), 3 * 86_400.0))


def test_a_lag_without_traffic_has_an_age() -> None:
    """Where the pattern says that nothing comes, the rate at least of a thousandth counts."""
    block = Block.of(NOON, INTERVAL, 1)
    none = Ages(lambda times: np.zeros(len(times)))
    assert none.of(np.array([[1]]), np.zeros((1, 1)), block).item() == 1000.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200_000), min_size=2, max_size=20), st.integers(1, 19))
def test_ages_do_not_depend_on_blocks(lags: list[int], cut: int) -> None:
    """In one block or in two the ages are the same to the last bit."""
    cut = min(cut, len(lags) - 1)
    lag, rate = np.array([lags]), np.full((1, len(lags)), 0.7)
    ages = Ages(halved_at_noon)
    start = NOON - 5 * INTERVAL
    whole = ages.of(lag, rate, Block.of(start, INTERVAL, len(lags)))
    first = ages.of(lag[:, :cut], rate[:, :cut], Block.of(start, INTERVAL, cut))
    rest = Block.of(start + cut * INTERVAL, INTERVAL, len(lags) - cut)
    second = ages.of(lag[:, cut:], rate[:, cut:], rest)
    assert np.array_equal(whole, np.concatenate([first, second], axis=1))
