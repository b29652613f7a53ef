"""Numbers and lengths of time as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.units import minutes, of, percent, period, share, short, whole, whole_seconds


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.05, "0.05"), (950, "950"), (999.7, "1k"), (12_345, "12.3k"), (999_700, "1M"),
     (4_100_000, "4.1M"), (-2_000, "-2k")],
)  # fmt: skip
def test_short_numbers_have_three_figures(number: float, text: str) -> None:
    """What rounds up to the next unit takes it."""
    assert short(number) == text


@given(number=st.floats(1, 1e14))
def test_short_numbers_are_never_in_powers_of_ten(number: float) -> None:
    """`1e+03` is nothing that people read."""
    assert "e" not in short(number)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(90_000, "90 s"), (300_000, "5 min"), (21_600_000, "6 h"), (172_800_000, "2 d"), (250, "0.25 s")],
)  # fmt: skip
def test_periods_are_in_the_largest_whole_unit(ms: int, text: str) -> None:
    """As a configuration has them."""
    assert period(ms) == text


@pytest.mark.parametrize(
    ("part", "of_all", "text"),
    [(0, 9, "0 %"), (0, 0, "0 %"), (1, 10_000, "< 0.1 %"), (1, 1_000, "0.1 %"), (1, 8, "12.5 %")],
)
def test_a_little_of_something_is_not_nothing(part: int, of_all: int, text: str) -> None:
    assert share(part, of_all) == text


def test_percents_round_the_exact_quotient() -> None:
    """57.5 is even to 58, which a rounded share would miss."""
    assert (percent(23, 40, 0), percent(0.125)) == ("58", "12.5")


def test_lengths_of_time_that_are_compared_have_one_unit() -> None:
    assert (whole_seconds(1240.4), minutes(1242)) == ("1,240 s", "20.7 min")


def test_whole_numbers_are_counts() -> None:
    assert [whole(number) for number in (1234.4, 2_500_000.0)] == ["1,234", "2.50M"]


def test_one_of_something_has_no_plural() -> None:
    """And many have separators."""
    assert [of(n, "cluster") for n in (0, 1, 1200)] == ["0 clusters", "1 cluster", "1,200 clusters"]
