"""What a detector said, in the forms in which people have it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.errors import UsageError
from flows.score.alerts import read_detected
from tests.samples import NEW_YEAR


def rows(file: Path, **columns: str) -> list[tuple[str, int, int, str | None]]:
    """The alerts of a file: entity, start, end, cause."""
    found = read_detected(file, columns).alerts
    assert found is not None
    return found.rows()


def moments(file: Path, **columns: str) -> list[tuple[str, int]]:
    """The alerts of a file: entity and start."""
    return [(entity, start) for entity, start, _, _ in rows(file, **columns)]


@pytest.mark.parametrize("column", ["time", "timestamp", "start"])
def test_csv_has_iso_times_or_milliseconds(tmp_path: Path, column: str) -> None:
    """With an offset, without one (UTC), or as a number."""
    file = tmp_path / "a.csv"
    file.write_text(
        f"{column},entity,more\n1970-01-01T00:00:01Z,c/t,x\n1970-01-01 00:00:02,c,\n"
        "1970-01-01T01:00:03+01:00,c,y\n1769000000000,c/t,\n"
    )
    assert moments(file) == [("c/t", 1000), ("c", 2000), ("c", 3000), ("c/t", 1769000000000)]


def test_parquet_has_timestamps(tmp_path: Path) -> None:
    """With or without a time zone."""
    times = pl.Series([5_000]).cast(pl.Datetime("ms"))
    for zone in (None, "UTC"):
        column = times if zone is None else times.dt.replace_time_zone(zone)
        pl.DataFrame({"entity": ["c"], "time": column}).write_parquet(tmp_path / "a.parquet")
        assert moments(tmp_path / "a.parquet") == [("c", 5_000)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entity,when\nc,1\n", r"one of time, timestamp, start.*; these are there: entity, when"),
        ("time\n1\n", r"have a column `entity`"),
        ("entity,time\nc,1\nc,soon\n", r"row 2: not a time: 'soon'"),
        ("entity,time\nc,-6h\n", r"row 1: not a time"),
        ("", r"cannot be read"),
    ],
)
def test_wrong_alerts_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    """The message says which row or column, and what is expected."""
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_detected(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"alerts": ["down"]}', "an alert is an object, not a text"),
        ('{"alerts": [{"labels": ["c"], "startsAt": 1}]}', "an alert is an object, not a list"),
        ('{"c": [1, 2]}', "a window of `c` is no pair of start and end"),
        ('{"c": [[1, 2, 3]]}', "a window of `c` is no pair of start and end"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "an alert is an object, not a null"),
        ("1e999", "an alert is an object, not a number"),
        (" ", "it is empty"),
        ('[{"entity": "c", "time": NaN}]', "row 1: not a time: 'nan'"),
        ('[{"entity": "c", "time": 1}, {"entity": "c"}]', "row 2: no time"),
        ('{"alerts": [{"labels": {"cluster": "c"}}]}', "row 1: no time"),
    ],
)
def test_json_of_another_form_is_refused_in_words(
    tmp_path: Path, content: str, message: str
) -> None:
    """Whatever stands where an alert, its labels, a window or a time should."""
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_detected(file)


@pytest.mark.parametrize("content", ["[]", '{"alerts": []}', '{"c/t.csv": []}'])
def test_a_detector_that_found_nothing_has_no_alerts(tmp_path: Path, content: str) -> None:
    """Which is a result, and no wrong file."""
    (tmp_path / "a.json").write_text(content)
    assert rows(tmp_path / "a.json") == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": [1], "score": ["high"]}, r"a\.parquet: cannot be read: .*score"),
        ({"time": [None, 1], "score": [1.0, 1.0]}, r"a\.parquet: row 1: no time"),
        ({"time": [float("nan")], "score": [1.0]}, r"a\.parquet: row 1: no time"),
        ({"time": [[1]], "score": [1.0]}, r"a\.parquet: cannot be read"),
        ({"time": [timedelta(1)], "score": [1.0]}, r"a\.parquet: cannot be read"),
    ],
)
def test_wrong_scores_are_said_of_their_own_file(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    """Though they are read where samples are."""
    file = tmp_path / "a.parquet"
    entity = ["c"] * len(columns["time"])
    pl.DataFrame({"entity": entity, **columns}).write_parquet(file)
    scores = read_detected(file).scores
    assert scores is not None
    with pytest.raises(UsageError, match=message):
        list(scores)


def test_alerts_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UsageError, match=r"a\.csv: no such file"):
        read_detected(tmp_path / "a.csv")


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_are_seconds_ms_us_or_ns(tmp_path: Path, unit: int) -> None:
    """By their size."""
    file = tmp_path / "a.csv"
    file.write_text(f"entity,time\nc,{1_769_000_000 * unit}\n")
    assert moments(file) == [("c", 1_769_000_000_000)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_read(tmp_path: Path, separator: str) -> None:
    """Found from the first line."""
    file = tmp_path / "a.csv"
    lines = (("entity", "time", "end"), ("c", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"))
    file.write_text("\n".join(separator.join(line) for line in lines))
    assert rows(file) == [("c", NEW_YEAR, NEW_YEAR + 60_000, None)]


def test_columns_may_be_named(tmp_path: Path) -> None:
    """A name that is not there is refused with the nearest."""
    file = tmp_path / "a.csv"
    file.write_text("host,at\nc,2026-01-01T00:00:00Z\n")
    assert moments(file, entity="host", time="at") == [("c", NEW_YEAR)]
    with pytest.raises(UsageError, match="no column `hots`; did you mean `host`"):
        read_detected(file, {"entity": "hots", "time": "at"})


def test_a_file_of_one_series_is_whose_the_option_says(tmp_path: Path) -> None:
    """NAB's results have no entity."""
    file = tmp_path / "a.csv"
    file.write_text("timestamp,value,anomaly_score\n2026-01-01 00:00:00,3,0.5\n")
    found = read_detected(file, entity="c/t").scores
    assert found is not None
    assert [frame.rows() for frame in found] == [[("c/t", NEW_YEAR, 0.5)]]


WEBHOOK = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Lag", "cluster": "c", "group": "billing"},
            "startsAt": "2026-01-01T00:00:00.000Z",
            "endsAt": "0001-01-01T00:00:00Z",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "Down", "cluster": "c", "broker": "2"},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2026-01-01T00:01:00Z",
        },
    ],
}
INCIDENT = {
    "openTime": NEW_YEAR,
    "closeTime": NEW_YEAR + 60_000,
    "title": "Lag",
    "tags.entityPath": "c/billing",
}
WINDOWS = {"c/t.csv": [["2026-01-01 00:00:00.000000", "2026-01-01 00:01:00.000000"]]}
FROM, TO = NEW_YEAR, NEW_YEAR + 60_000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (WEBHOOK, [("c/billing", FROM, FROM, None), ("c/broker-2", FROM, TO, None)]),
        ([INCIDENT], [("c/billing", FROM, TO, None)]),
        (WINDOWS, [("c/t", FROM, TO, None)]),
        ([{"entity": "c", "time": FROM, "cause": "c/t"}], [("c", FROM, FROM, "c/t")]),
    ],
)
def test_alerting_systems_own_forms_are_read(tmp_path: Path, content: Any, expected: Any) -> None:
    """Alertmanager's webhook, New Relic's incidents, NAB's windows, plain objects."""
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    assert rows(file) == expected


def test_a_table_of_incidents_is_read(tmp_path: Path) -> None:
    """As New Relic exports CSV: of each incident a row as it opened and one as it closed, written later."""
    file = tmp_path / "incidents.csv"
    file.write_text(
        "timestamp,event,openTime,closeTime,tags.entityPath,tags.entity.name\n"
        f"{FROM + 5},open,{FROM},,c/billing,x\n{TO + 5},close,{FROM},{TO},c/billing,x\n"
        f"{TO + 5},close,{FROM},{TO},,c/orders\n"
    )
    assert rows(file) == [
        ("c/billing", FROM, FROM, None),
        ("c/billing", FROM, TO, None),
        ("c/orders", FROM, TO, None),
    ]


def test_json_lines_are_read(tmp_path: Path) -> None:
    """One alert a line."""
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in (INCIDENT, INCIDENT)))
    assert len(rows(file)) == 2
