"""Alerts that open and close by what holds for a while."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.detectors.spells import as_alerts, held


@pytest.mark.parametrize(
    ("broken", "moments", "quiet", "expected"),
    [
        ("0111110000000", 3, 2, [(3, 7)]),
        ("0110110110000", 3, 2, []),
        ("0111010111000", 3, 2, [(3, 11)]),
        ("0111001110000", 3, 2, [(3, 5), (8, 10)]),
        ("0100000000", 1, 5, [(1, 6)]),
        ("0001111", 3, 2, [(5, 6)]),
    ],
)
def test_alert_opens_after_so_many_and_closes_after_so_many_quiet(
    broken: str, moments: int, quiet: int, expected: list[tuple[int, int]]
) -> None:
    """Whatever breaks again before it was quiet for long enough is the same alert."""
    flags = np.array([c == "1" for c in broken])
    assert list(held(flags, moments, quiet)) == expected


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_alerts_are_what_a_state_machine_opens(
    given_: list[bool], moments: int, quiet: int
) -> None:
    """Tick by tick, as a service does it."""
    expected, opened, run, calm = [], None, 0, 0
    for place, one in enumerate(given_):
        run, calm = (run + 1, 0) if one else (0, calm + 1)
        if opened is None and run >= moments:
            opened = place
        elif opened is not None and calm >= quiet:
            expected.append((opened, place))
            opened = None
    if opened is not None:
        expected.append((opened, len(given_) - 1))
    assert list(held(np.array(given_, np.bool_), moments, quiet)) == expected


def test_spells_that_touch_are_one_alert() -> None:
    """On one entity; those on others are theirs."""
    alerts = as_alerts([("b", 1, 2), ("a", 5, 9), ("a", 1, 6), ("a", 20, 21)])
    assert alerts.rows() == [("a", 1, 9, None), ("a", 20, 21, None), ("b", 1, 2, None)]
