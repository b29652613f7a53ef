"""Durations and sizes as they are written in a configuration."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.schema.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1h30m", 5400), ("30d", 2_592_000), (5, 5), ("1.5s", 1.5)],
)
def test_durations(text: str | int, seconds: float) -> None:
    """Durations are seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5", "3 apples", "10x", "-5s", -1, True, None, math.inf, math.nan]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """A bare number in a string has no unit, so it is refused too."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 512 * 2**20), ("2GiB", 2 * 2**30), ("1GB", 10**9), (7, 7)]
)
def test_sizes(text: str | int, size: int) -> None:
    """Sizes are bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "2Gi", "-1MB", -1, True, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    """Units are B, kB, MB, … and KiB, MiB, …."""
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(0, 18_250), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_add_up(number: int, unit: str) -> None:
    """A duration written twice in a row is the sum of both."""
    once = parse_duration(f"{number}{unit}")
    assert parse_duration(f"{number}{unit}{number}{unit}") == 2 * once
