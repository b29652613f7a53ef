"""Recorded shapes: CSV, series without entities, and loops that stay in step with day and week."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from operators.simulate.local_time import DAY, HOUR
from operators.simulate.patterns import Recorded, Scene
from tests.samples import NEW_YEAR

START = NEW_YEAR
"""A Thursday."""
SCENE = Scene()


def write(file: Path, hours: int, form: str = "iso", separator: str = ",") -> None:
    """A series an hour: the hour of the day, and on Sundays ten times as much."""
    moments = [START + hour * HOUR for hour in range(hours)]
    forms = {
        "iso": [
            datetime.fromtimestamp(m / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") for m in moments
        ],
        "zone": [datetime.fromtimestamp(m / 1000, UTC).isoformat() for m in moments],
        "s": [m // 1000 for m in moments],
        "ms": moments,
        "ns": [m * 1_000_000 for m in moments],
    }
    values = [level(m) for m in moments]
    pl.DataFrame({"time": forms[form], "load": values}).write_csv(file, separator=separator)


def level(moment: int) -> float:
    sunday = datetime.fromtimestamp(moment / 1000, UTC).weekday() == 6
    return (1.0 + moment % DAY / HOUR) * (10 if sunday else 1)


@pytest.mark.parametrize("form", ["iso", "zone", "s", "ms", "ns"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_of_any_usual_form_is_a_shape(tmp_path: Path, form: str, separator: str) -> None:
    """Without an entity; whatever its times and its delimiter are."""
    write(file := tmp_path / "load.csv", 24, form, separator)
    pattern = Recorded(path=str(file), metric="load")
    times = np.arange(START, START + DAY, HOUR)
    values = np.array([level(int(time)) for time in times])
    assert np.allclose(pattern.at(times, SCENE), values / values.mean())


@pytest.mark.parametrize(("hours", "period"), [(24 + 7, DAY), (7 * 24 + 31, 7 * DAY)])
def test_a_recording_stays_in_step_with_day_and_week(
    tmp_path: Path, hours: int, period: int
) -> None:
    """Years later noon is as noon was, and of a week or more a Sunday as a Sunday."""
    write(file := tmp_path / f"{hours}.csv", hours)
    pattern = Recorded(path=str(file), metric="load")
    later = np.arange(START, START + period, HOUR) + 52 * 7 * DAY
    factors = pattern.at(later, SCENE)
    by_hour = factors.reshape(-1, 24)
    assert (by_hour.argmax(axis=1) == 23).all()
    if period > DAY:
        sundays = [datetime.fromtimestamp(int(t) / 1000, UTC).weekday() == 6 for t in later[::24]]
        assert by_hour[:, 12].argmax() == sundays.index(True)


def test_a_parquet_file_without_entities_is_a_shape(tmp_path: Path) -> None:
    """What other tools write has times and values alone."""
    moments = pl.Series("timestamp", [START, START + HOUR]).cast(pl.Datetime("ms"))
    pl.DataFrame({"timestamp": moments, "load": [1.0, 3.0]}).write_parquet(tmp_path / "l.parquet")
    pattern = Recorded(path=str(tmp_path / "l.parquet"), metric="load")
    assert pattern.at(np.array([START, START + HOUR]), SCENE).tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"metric": "laod"}, "no column `laod`; did you mean `load`?"),
        ({"metric": "load", "entity": "a"}, "no column `entity_name`: leave `entity` out"),
    ],
)
def test_a_column_that_is_not_there_is_named(
    tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    """With the nearest one."""
    write(file := tmp_path / "load.csv", 24)
    with pytest.raises(ValueError, match=says):
        Recorded.model_validate({"path": str(file), **settings})
