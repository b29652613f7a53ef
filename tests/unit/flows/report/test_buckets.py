"""Buckets of time: bounded in number, alike in ticks."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.buckets import MOST, buckets

YEAR = 366 * 86_400_000


@given(
    first=st.integers(0, 60 * YEAR),
    span=st.integers(0, 3 * YEAR),
    interval=st.none() | st.integers(100, 3_600_000),
    most=st.integers(2, 1000),
)
def test_buckets_hold_the_span_and_are_alike(
    first: int, span: int, interval: int | None, most: int
) -> None:
    """Never more than asked for, all timestamps inside, each as many ticks as the next."""
    found = buckets(first, first + span, interval, most)
    assert found.count <= most
    assert found.start <= first
    assert found.start + (found.count - 1) * found.width <= first + span < found.end
    assert found.width % (interval or 1) == 0


@pytest.mark.parametrize(
    ("span", "width"), [(3_600_000, 30_000), (86_400_000, 180_000), (YEAR, 86_400_000)]
)
def test_buckets_are_round_times(span: int, width: int) -> None:
    """An hour, a day and a year of 30 s ticks are cut where a person would cut them."""
    assert buckets(0, span - 30_000, 30_000, MOST).width == width


def test_a_timestamp_is_in_the_bucket_that_starts_before_it() -> None:
    """Each timestamp, the first and the last of a bucket too, finds its bucket."""
    found = buckets(1_000_000, 2_000_000, 1000, 100)
    times = pl.DataFrame({"timestamp": [found.start, found.start + found.width - 1, 2_000_000]})
    starts = times.select(found.time())["time"].to_list()
    assert starts == [found.start, found.start, 2_000_000 // found.width * found.width]
