"""Whether what is not yet read will be lost."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.outlook import (
    BEHIND,
    CATCHING_UP,
    KEEPING_UP,
    NOT_KNOWN,
    STALLED,
    STATES,
    Outlook,
    Standing,
    outlook,
    smoothed,
)

INF, NAN = float("inf"), float("nan")

SLOW = {
    "lag": 10_000.0,
    "retained": 36_000.0,
    "age": 1_000.0,
    "consumed": 4.0,
    "pace": 4.0,
    "produced": 10.0,
    "lost": 0.0,
    "retention": 3_600.0,
    "room": INF,
}


def ahead(**given_: float) -> dict[str, Any]:
    """The outlook of one group that reads 4 of 10 messages/s, with a thousand seconds behind it."""
    arrays = {name: np.array([value]) for name, value in {**SLOW, **given_}.items()}
    found = outlook(Standing(**arrays, interval=30.0))
    return {f.name: getattr(found, f.name)[0] for f in fields(Outlook)}


def test_a_slow_group_loses_when_its_oldest_message_is_as_old_as_the_retention() -> None:
    """It gets older by 1 − 4/10 a second: (3,600 − 1,000) / 0.6 s; it never catches up."""
    found = ahead()
    assert found["margin"] == pytest.approx(2_600 / 0.6)
    assert (found["catch_up"], found["state"]) == (INF, BEHIND)


def test_a_group_that_stands_still_has_what_is_left_of_the_retention() -> None:
    """Nothing is read: the first unread message goes when it is old enough."""
    found = ahead(consumed=0.0, pace=3.0)
    assert (found["margin"], found["state"]) == (2_600, STALLED)


def test_a_partition_that_fills_goes_sooner() -> None:
    """Of 13,000 messages that are kept 10,000 are unread; 6 more come than go in a second."""
    assert ahead(room=13_000.0)["margin"] == pytest.approx(3_000 / 6)


def test_a_group_that_catches_up_says_when() -> None:
    """10,000 messages at 15 less 10 in a second; nothing is in sight of being lost."""
    found = ahead(consumed=15.0, pace=15.0)
    assert (found["margin"], found["catch_up"]) == (INF, 2_000)
    assert found["state"] == CATCHING_UP


def test_nothing_is_trusted_to_be_read_in_the_last_moments() -> None:
    """A tick and a half before it may be lost, even what catches up has no more than that."""
    assert ahead(consumed=15.0, pace=15.0, age=3_555.0)["margin"] == 45


def test_what_is_gone_is_losing() -> None:
    """More lag than messages: the log begins after the commit."""
    found = ahead(lag=50_000.0, age=NAN)
    assert (found["margin"], found["unread"], found["of_messages"]) == (0, 36_000, 100)
    assert STATES[found["state"]] == "losing"
    assert STATES[ahead(lost=1.0)["state"]] == "losing"


def test_who_keeps_up_has_nothing_to_fear() -> None:
    """Its messages are young, or it has none."""
    for given_ in ({"lag": 0.0, "age": 0.0}, {"lag": 20.0, "age": 2.0}):
        found = ahead(**given_)
        assert (found["margin"], found["catch_up"], found["state"]) == (INF, 0, KEEPING_UP)


@pytest.mark.parametrize("name", ["lag", "age", "retention", "pace", "produced"])
def test_what_is_not_known_is_said_by_no_figure(name: str) -> None:
    """Without a lag, an age, a retention or rates, what needs them is not known."""
    found = ahead(**{name: NAN})
    unknown = {
        "lag": ("margin", "catch_up"),
        "age": ("margin", "of_time"),
        "retention": ("margin", "of_time"),
        "pace": ("catch_up",),
        "produced": ("catch_up",),
    }[name]
    assert all(np.isnan(found[of]) for of in unknown)
    assert name not in ("lag", "pace", "produced") or found["state"] == NOT_KNOWN


amounts = st.floats(0, 1e9)


@given(
    st.builds(
        Standing,
        **{name: st.lists(amounts, min_size=3, max_size=3).map(np.array) for name in SLOW},
        interval=st.floats(0.001, 1e4),
    )
)
def test_no_outlook_is_nonsense(at: Standing) -> None:
    """Times and shares are never negative; more retention never makes the margin shorter."""
    found = outlook(at)
    for values in (found.margin, found.catch_up, found.of_messages, found.of_time, found.unread):
        assert (values >= 0).all()
    assert (found.of_messages <= 100).all()
    longer = outlook(replace(at, retention=at.retention * 2))
    far = at.retention - at.age > 2 * at.interval
    assert (longer.margin >= found.margin)[far].all()


def test_a_smoothed_rate_follows_in_minutes() -> None:
    """Of a step, 63 % after two minutes, however many readings there were between."""
    one = smoothed(np.array([1.0]), np.array([0.0]), np.array([120.0]))
    four = np.array([0.0])
    for _ in range(4):
        four = smoothed(np.array([1.0]), four, np.array([30.0]))
    assert one == pytest.approx(1 - np.exp(-1))
    assert four == pytest.approx(one)
    assert smoothed(np.array([2.0]), np.array([NAN]), np.array([30.0])) == 2
