"""Settings of pools: defaults, bounds, and combinations that make no sense."""

from typing import Any

import pytest
from pydantic import ValidationError

from operators.pool.settings import PoolSettings, PoolsSettings


def test_each_kind_has_its_default_size() -> None:
    """Brokers 10, topics 15, groups 8, simulation 8 with a longer time-out."""
    pools = PoolsSettings()

    kinds = ("brokers", "topics", "groups", "simulation")
    assert [pools.of(kind).size for kind in kinds] == [10, 15, 8, 8]
    assert [pools.of(kind).timeout for kind in kinds] == [10.0, 10.0, 10.0, 15.0]


def test_an_own_kind_has_a_pool_too() -> None:
    """With the config's settings, or with the defaults."""
    pools = PoolsSettings.model_validate({"redis": {"size": 3}, "topics": {"queue": 5}})

    assert (pools.of("redis").size, pools.of("sql").size) == (3, 10)
    assert (pools.of("topics").size, pools.of("topics").queue) == (15, 5)


def test_durations_are_written_with_units() -> None:
    """`10s` and `1m` are seconds as floats."""
    settings = PoolSettings.model_validate(
        {"timeout": "250ms", "backoff": {"max": "1m"}, "breaker": {"probe": "2m"}}
    )

    assert (settings.timeout, settings.backoff.max, settings.breaker.probe) == (0.25, 60.0, 120.0)


def test_a_fixed_size_is_both_bounds() -> None:
    """Smallest and largest are the size; with `auto` they are `min` and `max`."""
    fixed = PoolSettings(size=7)
    tuned = PoolSettings(size="auto", min=2, max=9)

    assert (fixed.smallest, fixed.largest) == (7, 7)
    assert (tuned.smallest, tuned.largest) == (2, 9)
    assert (PoolSettings(size="auto").smallest, PoolSettings(size="auto").largest) == (1, 32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "a pool needs at least 1 slot"),
        ({"size": 5, "max": 9}, "`min` and `max` go with `size: auto`, and `size` is 5"),
        ({"size": "auto", "min": 9, "max": 3}, r"`min` \(9\) is above `max` \(3\)"),
        ({"size": "auto", "min": 40}, r"`min` \(40\) is above `max` \(32\)"),
        ({"backoff": {"initial": "1m"}}, r"`initial` \(60 s\) is above `max` \(30 s\)"),
        ({"attempts": 0}, "greater than or equal to 1"),
        ({"timeout": 0}, "greater than 0"),
        ({"queue": -1}, "greater than or equal to 0"),
        ({"retries": 3}, "Extra inputs are not permitted"),
        ({"size": "big"}, "auto"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    """The message says what is wrong, and what to do where that is not plain."""
    with pytest.raises(ValidationError, match=message):
        PoolSettings.model_validate(given)


def test_an_own_kinds_settings_are_checked() -> None:
    """An unknown kind is allowed, unknown settings of it are not."""
    with pytest.raises(ValidationError, match=r"redis\.slots"):
        PoolsSettings.model_validate({"redis": {"slots": 3}})
