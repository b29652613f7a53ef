"""A cluster's health."""

from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.health import Causes, health_score, stands_still

WHOLES = {
    "down": "known",
    "under_replicated": "partitions",
    "under_min_in_sync": "partitions",
    "offline": "partitions",
    "stalled": "groups",
}
WELL = Causes(0, 3, 0, 0, 0, 60, 0.05, 0, 10)


@st.composite
def causes(draw: st.DrawFn) -> Causes:
    """What may be wrong with a cluster."""
    known, partitions, groups = (draw(st.integers(1, 1000)) for _ in range(3))

    def part(whole: int) -> int:
        return draw(st.integers(0, whole))

    return Causes(
        part(known),
        known,
        part(partitions),
        part(partitions),
        part(partitions),
        partitions,
        draw(st.floats(0, 100)),
        part(groups),
        groups,
    )


@given(causes(), st.sampled_from([*WHOLES, "errors"]), st.data())
def test_no_cause_makes_health_rise(wrong: Causes, name: str, data: st.DataObject) -> None:
    """More of anything that is wrong, all else equal, is never healthier."""
    reported = asdict(wrong)
    if name == "errors":
        worse = replace(wrong, errors=data.draw(st.floats(reported["errors"], 100)))
    else:
        more = data.draw(st.integers(reported[name], reported[WHOLES[name]]))
        worse = replace(wrong, **{name: more})
    assert 0 <= health_score(worse) <= health_score(wrong) <= 100


@given(causes(), st.sampled_from([f.name for f in fields(Causes)]))
def test_what_is_not_known_takes_nothing_away(wrong: Causes, name: str) -> None:
    """None and NaN alike."""
    without = health_score(replace(wrong, **{name: None}))
    assert without >= health_score(wrong)
    assert health_score(replace(wrong, **{name: np.nan})) >= health_score(wrong)


@pytest.mark.parametrize(
    ("wrong", "least", "most"),
    [
        (WELL, 99, 100),
        (replace(WELL, down=1), 0, 80),
        (replace(WELL, down=1, under_replicated=60), 0, 60),
        (replace(WELL, offline=1), 0, 50),
        (replace(WELL, offline=60), 0, 0),
        (replace(WELL, down=3), 0, 30),
        (Causes(), 100, 100),
    ],
)
def test_health_reports_how_bad_it_is(wrong: Causes, least: float, most: float) -> None:
    """One of three brokers down: at most 80; an offline partition: 50; nothing wrong: at least 99."""
    assert least <= health_score(wrong) <= most


@given(st.lists(causes(), min_size=1, max_size=5))
def test_the_health_of_many_ticks_is_that_of_each(ticks: list[Causes]) -> None:
    """Arrays of causes have the scores of their elements."""
    together = Causes(**{f.name: [getattr(t, f.name) for t in ticks] for f in fields(Causes)})
    assert health_score(together).tolist() == [float(health_score(t)) for t in ticks]


def test_a_group_stands_still_where_it_consumes_nothing_for_long() -> None:
    """Not where it consumes, where its messages are young, or where that is not known."""
    still = stands_still([0, 1, 0, 0, np.nan], [60, 60, 59, np.nan, 60])
    assert still.tolist() == [True, False, False, False, False]
