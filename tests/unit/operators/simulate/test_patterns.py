"""Patterns: what each says about a time, and how they compose."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import sample_batch
from operators.schema.metrics import TOPIC
from operators.simulate.patterns import BUILT_IN, AnyPattern, Scene
from operators.simulate.spec import pattern_factor
from tests.samples import NEW_YEAR
from tests.simulated_fleets import spec_of

PATTERN: TypeAdapter[Any] = TypeAdapter(AnyPattern)
SCENE = Scene("UTC", (), 7)

NEEDS: dict[str, dict[str, Any]] = {
    "growth": {"since": "2026-01-01T00:00:00Z"},
    "step": {"start": "2026-01-01T00:00:00Z"},
    "sum": {"of": ["constant", "sine"]},
    "product": {"of": ["random_walk", "seasonal"]},
    "shift": {"of": "business_hours", "by": "3h"},
    "clip": {"of": "sine", "low": 0.8},
}
"""What a pattern cannot do without."""

KINDS = sorted(BUILT_IN.keys() - {"recorded"})


def factors(pattern: Any, *times: str | datetime, scene: Scene = SCENE) -> list[float]:
    """A pattern's factors at some times, in UTC where none is said."""
    moments = [datetime.fromisoformat(t) if isinstance(t, str) else t for t in times]
    aware = [m if m.tzinfo else m.replace(tzinfo=UTC) for m in moments]
    millis = np.array([round(m.timestamp() * 1000) for m in aware], np.int64)
    found: list[float] = PATTERN.validate_python(pattern).at(millis, scene).tolist()
    return found


@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(1_600_000_000, 1_900_000_000), min_size=1, max_size=30, unique=True),
)
def test_a_factor_depends_on_its_time_alone(kind: str, seconds: list[int]) -> None:
    """A pattern says the same of a time whether it is asked alone or among others."""
    pattern = PATTERN.validate_python({"kind": kind, **NEEDS.get(kind, {})})
    times = np.array(seconds, np.int64) * 1000
    together = pattern.at(times, SCENE)
    alone = [float(pattern.at(times[i : i + 1], SCENE)[0]) for i in range(len(times))]
    assert together.tolist() == alone
    assert together.shape == times.shape
    assert (together >= 0).all()


def test_business_hours_by_the_hour() -> None:
    """Office hours, peaks, evening, night and weekend have their factors."""
    day = [f"2026-01-07T{hour:02}:45" for hour in (3, 9, 10, 12, 15, 17, 18, 22, 23)]
    assert factors("business_hours", *day) == [0.2, 1.0, 1.3, 1.0, 1.3, 1.0, 0.6, 0.6, 0.2]
    assert factors("business_hours", "2026-01-10T10:45", "2026-01-11T23:45") == [0.3, 0.3]


def test_business_hours_honour_the_time_zone_and_its_daylight_saving() -> None:
    """Ten o'clock is ten o'clock where the fleet's users are, in winter and in summer."""
    for name in ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"):
        zone = ZoneInfo(name)
        local = [datetime(2026, month, 7, 10, 45, tzinfo=zone) for month in (1, 4, 7, 10)]
        assert factors("business_hours", *local, scene=Scene(name)) == [1.3] * 4
    assert factors("business_hours", "2026-01-07T10:45", scene=Scene("Asia/Tokyo")) == [0.6]


def test_holidays_count_as_weekend() -> None:
    """A holiday of the fleet is no working day, in local time."""
    scene = Scene("Europe/Berlin", (datetime(2026, 12, 25).date(),), 0)
    assert factors("business_hours", "2026-12-25T10:45+01:00", scene=scene) == [0.3]
    assert factors("business_hours", "2026-12-28T10:45+01:00", scene=scene) == [1.3]


def test_an_hour_sets_in_gradually() -> None:
    """Within the ramp the factor moves in a straight line; a ramp of zero is a step."""
    times = [f"2026-01-07T09:{minute:02}" for minute in (0, 15, 30)]
    assert factors("business_hours", *times) == pytest.approx([0.2, 0.6, 1.0])
    assert factors({"kind": "business_hours", "ramp": "0s"}, times[0]) == [1.0]


def test_seasons_by_the_month() -> None:
    """Each month has its factor."""
    months = [f"2026-{month:02}-15" for month in (1, 6, 8, 9, 10, 12)]
    assert factors("seasonal", *months) == [1.0, 0.85, 0.85, 1.25, 1.4, 1.4]


def test_growth_compounds_by_months_of_thirty_days() -> None:
    """Before its beginning there is none; in the middle of a month half of the month's."""
    growth = {"kind": "growth", "since": "2026-01-01T00:00:00Z", "rate": 0.1}
    times = ["2025-06-01", "2026-01-01", "2026-01-16", "2026-01-31", "2026-03-02"]
    assert factors(growth, *times) == pytest.approx([1.0, 1.0, 1.05, 1.1, 1.21])


def test_sine_has_its_crest_and_trough() -> None:
    """A quarter of the period after midnight is the crest, three quarters the trough."""
    times = [f"2026-01-07T{hour:02}:00" for hour in (0, 6, 12, 18)]
    assert factors({"kind": "sine", "amplitude": 0.4}, *times) == pytest.approx(
        [1.0, 1.4, 1.0, 0.6], abs=1e-6
    )
    late = {"kind": "shift", "of": {"kind": "sine", "amplitude": 0.4}, "by": "6h"}
    assert factors(late, times[2]) == pytest.approx([1.4], abs=1e-6)


def test_a_step_comes_and_goes() -> None:
    """Between its start and its end a step has its factor."""
    step = {"kind": "step", "start": "2026-01-02T00:00:00Z", "end": "2026-01-03T00:00:00Z"}
    assert factors(step, "2026-01-01", "2026-01-02", "2026-01-03") == [1.0, 2.0, 1.0]


def test_every_stretch_has_one_burst() -> None:
    """In each hour a burst rises to its factor once and lasts its length."""
    minutes = np.arange(0, 48 * 3600, 5, dtype=np.int64) * 1000
    pattern = PATTERN.validate_python({"kind": "bursts", "every": "1h", "length": "10m"})
    by_hour = pattern.at(minutes, SCENE).reshape(48, -1)
    assert by_hour.max(axis=1) == pytest.approx(np.full(48, 3.0), abs=0.1)
    assert ((by_hour > 1).sum(axis=1) * 5).tolist() == pytest.approx([600] * 48, abs=10)
    assert len(set(by_hour.argmax(axis=1).tolist())) > 20


def test_random_patterns_stay_in_their_bounds_and_have_a_mean_of_one() -> None:
    """Random and random walk stray no further than their amplitude."""
    times = np.arange(200_000, dtype=np.int64) * 60_000
    for kind in ("random", "random_walk"):
        made = PATTERN.validate_python({"kind": kind, "amplitude": 0.3}).at(times, SCENE)
        assert 0.7 <= made.min() < 0.85
        assert 1.15 < made.max() <= 1.3
        assert made.mean() == pytest.approx(1.0, abs=0.06)


def test_a_random_walk_moves_little_at_a_time() -> None:
    """Neighbouring minutes of a random walk are alike, those of a random pattern are not."""
    times = np.arange(10_000, dtype=np.int64) * 60_000
    walk, random = (
        np.abs(np.diff(PATTERN.validate_python(kind).at(times, SCENE))).max()
        for kind in ("random_walk", "random")
    )
    assert walk < 0.01 < 0.3 < random


def test_patterns_compose() -> None:
    """Sum, product and clip do what they say."""
    two, three = ({"kind": "constant", "value": value} for value in (2.0, 3.0))
    assert factors({"kind": "sum", "of": [two, three]}, "2026-01-01") == [5.0]
    assert factors({"kind": "product", "of": [two, three]}, "2026-01-01") == [6.0]
    assert factors({"kind": "clip", "of": three, "high": 2.5}, "2026-01-01") == [2.5]
    assert factors({"kind": "clip", "of": two, "low": 2.5}, "2026-01-01") == [2.5]


def test_a_recorded_shape_is_looped(tmp_path: Path) -> None:
    """A metric's recorded values, by their mean, repeat after their length."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = [NEW_YEAR + minute * 60_000 for minute in range(4)]
    columns: dict[str, Any] = {
        "timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
        "entity_name": ["a/orders"] * 4,
        "topic.messagesInPerSecond": [10.0, 20.0, 30.0, 20.0],
    }
    file = tmp_path / "recorded.parquet"
    pq.write_table(pa.Table.from_batches([sample_batch(TOPIC, 4, columns)]), file)
    pattern = {"kind": "recorded", "path": str(file), "entity": "a/orders"}
    asked = [datetime.fromtimestamp(NEW_YEAR / 1000 + seconds, UTC) for seconds in (0, 60, 90, 270)]
    assert factors(pattern, *asked) == pytest.approx([0.5, 1.0, 1.25, 0.75])
    with pytest.raises(ValidationError, match="no two samples"):
        PATTERN.validate_python({**pattern, "entity": "b/orders"})
    with pytest.raises(ValidationError, match="cannot read"):
        PATTERN.validate_python({**pattern, "path": str(tmp_path / "none.parquet")})


def lunch(times: Ints, scene: Scene, depth: float = 0.5) -> Floats:
    """A custom pattern: less at noon (UTC)."""
    return np.where(times // 3_600_000 % 24 == 12, depth, 1.0)


def broken(times: Ints, scene: Scene) -> Floats:
    """A pattern that gives one factor too few."""
    return np.ones(len(times) - 1)


def test_a_custom_pattern() -> None:
    """A function that is named as module:name is a pattern, with its options."""
    own = {"kind": f"{__name__}:lunch", "options": {"depth": 0.1}}
    assert factors(own, "2026-01-01T12:30", "2026-01-01T13:30") == [0.1, 1.0]
    product = {"kind": "product", "of": [own, "seasonal"]}
    assert factors(product, "2026-10-01T12:30") == pytest.approx([0.14])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("buisness_hours", "did you mean `business_hours`?"),
        (f"{__name__}:nothing", "AttributeError"),
        ("no.such.module:pattern", "is its folder in PYTHONPATH"),
        (f"{__name__}:broken", "it must give 4 finite factors"),
        ({"kind": f"{__name__}:lunch", "options": {"height": 1}}, "unexpected keyword"),
        ({"kind": "sine", "amplitude": 2}, "less than or equal to 1"),
        ({"kind": "sine", "amplitud": 0.2}, "Extra inputs are not permitted"),
        ({"kind": "bursts", "every": "1m", "length": "2m"}, "at most `every`"),
        ({"kind": "product", "of": []}, "at least 1 item"),
    ],
)
def test_patterns_that_make_no_sense_are_refused(pattern: Any, words: str) -> None:
    """Each fault of a pattern has its message, when the config is read."""
    with pytest.raises(ValidationError, match=words):
        PATTERN.validate_python(pattern)


def test_the_factor_of_a_shard_is_its_patterns() -> None:
    """A shard's factor is that of its fleet's pattern, in its time zone."""
    spec = spec_of(pattern="business_hours", time_zone="Asia/Tokyo")
    noon = np.array([round(datetime(2026, 1, 7, 3, 45, tzinfo=UTC).timestamp() * 1000)])
    assert pattern_factor(spec, noon).tolist() == [1.0]
