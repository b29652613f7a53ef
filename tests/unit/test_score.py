"""Alerts scored against anomalies: what is right, what is found, and how fast."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import UsageError
from flows.samples import SamplesError
from flows.score.command import Score, read_alerts, score, score_of
from operators.simulate.truth import ANOMALIES
from tests.recorded import SICK, hybrid, truth
from tests.samples import INTERVAL, NEW_YEAR

ONSET = NEW_YEAR + SICK.start * INTERVAL
END = NEW_YEAR + SICK.stop * INTERVAL


def anomalies(*found: tuple[str, str, int, int]) -> pl.DataFrame:
    """A table of anomalies of (kind, entity, start, end), each touching its cluster too."""
    rows = [
        {
            "kind": kind,
            "label": f"{kind}:{entity}:{start}",
            "cluster_name": "c",
            "entity": entity,
            "entities": [entity, "c"],
            "start": start,
            "peak": start,
            "end": end,
        }
        for kind, entity, start, end in found
    ]
    frame = pl.from_arrow(pa.Table.from_pylist(rows, ANOMALIES))
    assert isinstance(frame, pl.DataFrame)
    return frame


def alerts(*found: tuple[str, int]) -> pl.DataFrame:
    """Alerts of (entity, ms)."""
    return pl.DataFrame(found, schema={"entity": pl.String, "time": pl.Int64}, orient="row")


TRUTH = anomalies(("spike", "c/t", 10_000, 20_000), ("broker_down", "c/broker-1", 50_000, 60_000))


def test_alert_on_what_an_anomaly_touches_while_it_lasts_is_right() -> None:
    """On its root or along its cause, from onset to recovery; what is elsewhere is wrong."""
    given_ = alerts(
        ("c/t", 10_000), ("c", 20_000), ("c/t", 9_999), ("c/t", 20_001), ("c/other", 15_000)
    )
    kinds, total = score_of(given_, TRUTH, 0)
    assert total == Score(5, 2, 2, (0.0,))
    assert (total.precision, total.recall) == (0.4, 0.5)
    assert kinds["broker_down"].recall == 0.0


def test_first_alert_counts_for_the_time_to_detect() -> None:
    """Later ones change nothing but precision's denominator."""
    given_ = alerts(("c/t", 19_000), ("c/t", 13_000), ("c", 15_000))
    assert score_of(given_, TRUTH, 0)[0]["spike"] == Score(3, 3, 1, (3.0,))


def test_grace_lets_alerts_come_after_the_recovery() -> None:
    """Lag outlives its cause; so may the alert on it."""
    given_ = alerts(("c/t", 24_000))
    assert score_of(given_, TRUTH, 0)[1].right == 0
    assert score_of(given_, TRUTH, 4)[1] == Score(1, 1, 2, (14.0,))


def test_one_alert_may_be_explained_by_two_anomalies() -> None:
    """Both are found by it, and it is one right alert."""
    both = anomalies(("spike", "c/t", 0, 20_000), ("drop", "c/u", 5_000, 20_000))
    assert score_of(alerts(("c", 6_000)), both, 0)[1] == Score(1, 1, 2, (1.0, 6.0))


def test_nothing_given_or_nothing_wrong_is_no_number() -> None:
    """Without alerts there is no precision, without anomalies no recall."""
    assert score_of(alerts(), TRUTH, 0)[1].precision is None
    assert score_of(alerts(("c", 1)), anomalies(), 0)[1].recall is None


entities = st.sampled_from(["c", "c/t", "c/u", "c/broker-1"])


@given(
    found=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), entities, st.integers(0, 1000), st.integers(0, 500)),
        max_size=8,
        unique_by=lambda f: f[:3],
    ),
    given_=st.lists(st.tuples(entities, st.integers(0, 1500)), max_size=20),
    grace=st.integers(0, 2),
)
def test_score_is_what_a_plain_search_finds(
    found: list[tuple[str, str, int, int]], given_: list[tuple[str, int]], grace: int
) -> None:
    """Whatever the anomalies and alerts."""
    spans = [(k, e, start, start + length) for k, e, start, length in found]

    def explains(span: tuple[str, str, int, int], alert: tuple[str, int]) -> bool:
        _, entity, start, end = span
        return alert[0] in (entity, "c") and start <= alert[1] <= end + grace * 1000

    delays = [
        min(alert[1] - span[2] for alert in given_ if explains(span, alert)) / 1000
        for span in spans
        if any(explains(span, alert) for alert in given_)
    ]
    right = sum(any(explains(span, alert) for span in spans) for alert in given_)
    total = score_of(alerts(*given_), anomalies(*spans), grace)[1]
    assert total == Score(len(given_), right, len(spans), tuple(sorted(delays)))


@pytest.mark.parametrize("column", ["time", "timestamp", "start"])
def test_csv_has_iso_times_or_milliseconds(tmp_path: Path, column: str) -> None:
    """With an offset, without one (UTC), or as a number."""
    file = tmp_path / "a.csv"
    file.write_text(
        f"{column},entity,more\n1970-01-01T00:00:01Z,c/t,x\n1970-01-01 00:00:02,c,\n"
        "1970-01-01T01:00:03+01:00,c,y\n4000,c/t,\n"
    )
    assert read_alerts(file).rows() == [("c/t", 1000), ("c", 2000), ("c", 3000), ("c/t", 4000)]


def test_parquet_has_timestamps(tmp_path: Path) -> None:
    """With or without a time zone."""
    times = pl.Series([5_000]).cast(pl.Datetime("ms"))
    for zone in (None, "UTC"):
        column = times if zone is None else times.dt.replace_time_zone(zone)
        pl.DataFrame({"entity": ["c"], "time": column}).write_parquet(tmp_path / "a.parquet")
        assert read_alerts(tmp_path / "a.parquet").rows() == [("c", 5_000)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entity,when\nc,1\n", r"one of time, timestamp, start; these are there: entity, when"),
        ("time\n1\n", r"have the columns `entity`"),
        ("entity,time\nc,1\nc,soon\n", r"alert 2: not a time: 'soon'"),
        ("entity,time\nc,-6h\n", r"alert 1: not a time"),
        ("", r"cannot be read as CSV"),
    ],
)
def test_wrong_alerts_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    """The message says which row or column, and what is expected."""
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_alerts(file)


def test_alerts_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UsageError, match=r"a\.csv: cannot be read"):
        read_alerts(tmp_path / "a.csv")


def test_score_is_printed_by_kind_and_in_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each kind, one for all, and the precision; alerts of another time are left out."""
    truth(hybrid(tmp_path / "s"))
    file = tmp_path / "a.csv"
    file.write_text(
        f"entity,time\nsim-eu/broker-2,{ONSET + 60_000}\nsim-eu,{END + 300_000}\n"
        f"prod-eu,{ONSET}\nsim-eu,{NEW_YEAR - 1}\n"
    )
    assert score(file, str(tmp_path / "s"), 300.0) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 alerts outside the samples' time left out"
    assert lines[2].split() == [
        "broker_down",
        "1",
        "1",
        "100.0",
        "%",
        "60",
        "s",
        "60",
        "s",
        "60",
        "s",
    ]
    assert lines[3].startswith("all")
    assert lines[4] == "precision 66.7 %: 2 of 3 alerts are explained by an anomaly"


def test_samples_without_a_table_of_anomalies_cannot_be_scored_against(tmp_path: Path) -> None:
    """The message says which command writes one."""
    hybrid(tmp_path / "s")
    with pytest.raises(SamplesError, match="`mqpipe export` writes it"):
        score(tmp_path / "a.csv", str(tmp_path / "s"), 0.0)
