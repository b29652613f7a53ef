"""Values of JSON that servers answer."""

import math
from typing import Any

import pytest

from operators.collect.values import below, listed, milliseconds, number, whole, word


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (7, 7), (True, 1), (7.0, 7), (-(2**63), -(2**63)), (2**63, None), (1e30, None), (7.5, None),
        (math.nan, None), (math.inf, None), ("7", None), (None, None),
    ],
)  # fmt: skip
def test_whole_numbers_are_those_that_a_column_holds(value: Any, found: int | None) -> None:
    """NATS writes no limit as 2^64 - 1."""
    assert whole(value) == found


def test_others_are_none() -> None:
    """A flag is no number, an empty text says nothing."""
    assert [number(value) for value in (7, 7.5, True, "7", None)] == [7.0, 7.5, None, None, None]
    assert [word(value) for value in ("on", "", 5, None)] == ["on", None, None, None]


def test_what_is_below_keys_may_miss_at_each_of_them() -> None:
    """Or not be an object there at all."""
    page = {"cluster": {"leader": "s1", "replicas": [{"name": "s2"}, None, 5]}}
    assert below(page, "cluster", "leader") == "s1"
    assert below(page, "cluster", "leader", "name") is None
    assert below(None, "cluster") is None
    assert listed(below(page, "cluster", "replicas")) == [{"name": "s2"}]
    assert listed(below(page, "cluster")) == []


@pytest.mark.parametrize(
    ("time", "found"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00:00.5+01:00", 1_767_225_600_500),
        ("0001-01-01T00:00:00Z", None),
        ("yesterday", None),
        (1_767_225_600, None),
    ],
)
def test_times_are_as_go_writes_them(time: Any, found: float | None) -> None:
    """Its zero time is none."""
    assert milliseconds(time) == found
