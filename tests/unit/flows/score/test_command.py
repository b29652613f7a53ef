"""What `mqpipe score` prints of alerts and of scores."""

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from flows.samples import SamplesError, find_samples
from flows.score.command import ScoreOptions, score
from tests.hybrid_morning import SICK, hybrid, truth
from tests.samples import INTERVAL, NEW_YEAR

ONSET = NEW_YEAR + SICK.start * INTERVAL
END = NEW_YEAR + SICK.stop * INTERVAL


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
    assert score(file, str(tmp_path / "s")) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "1 alert outside the samples' time left out"
    lines = printed.out.splitlines()
    found = ["broker_down", "1", "1", "100.0", "%", "100.0", "%", "60", "s", "60", "s", "60", "s"]
    assert lines[1].split() == found
    assert lines[2].startswith("all")
    assert lines[3] == "precision 66.7 %: 2 of 3 alerts are explained by an anomaly"


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ("", "no alert, and so no false alarm"),
        (f"prod-eu,{ONSET}\n", "1 alert, each a false alarm; false alarms per entity and day: "),
    ],
)
def test_samples_without_an_anomaly_are_reported_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], alerts: str, said: str
) -> None:
    """A table of them would be dashes."""
    folder = truth(hybrid(tmp_path / "s")) / "_anomalies" / "anomalies.parquet"
    pq.write_table(pq.read_table(folder).slice(0, 0), folder)
    (tmp_path / "a.csv").write_text(f"entity,time\n{alerts}")
    assert score(tmp_path / "a.csv", str(tmp_path / "s")) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("these samples have no anomaly, so nothing could be found or missed")
    assert (second.startswith(said), "–" in second) == (True, False)


def test_alert_on_an_entity_that_does_not_exist_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the nearest that does."""
    truth(hybrid(tmp_path / "s"))
    file = tmp_path / "a.csv"
    file.write_text(f"entity,time\nsim-eu/broker-22,{ONSET}\n")
    assert score(file, str(tmp_path / "s")) == 0
    expected = "`sim-eu/broker-22`, which has no samples: did you mean `sim-eu/broker-2`?"
    assert expected in capsys.readouterr().err


def test_control_characters_of_an_alerts_name_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal would obey them."""
    truth(hybrid(tmp_path / "s"))
    file = tmp_path / "a.csv"
    file.write_text(f'entity,time\n"sim-eu/\x1b[2J",{ONSET}\n')
    assert score(file, str(tmp_path / "s")) == 0
    said = capsys.readouterr().err
    assert "sim-eu/\\x1b[2J" in said
    assert "\x1b" not in said


def scores_of(path: Path, sick: float, well: float) -> None:
    """A detector's scores of every sample: one value where it is shaped, another elsewhere."""
    samples = find_samples(str(path / "s"))
    frames = [
        samples.scan(entity_type)
        .select(
            entity=pl.col("entity_name").cast(pl.String),
            time="timestamp",
            score=pl.when(pl.col("anomaly").is_not_null()).then(sick).otherwise(well),
        )
        .collect()
        for entity_type in samples.files
    ]
    pl.concat(frames).write_parquet(path / "scores.parquet")


def test_perfect_scores_have_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best threshold is found, and every figure without slopes is 1."""
    truth(hybrid(tmp_path / "s"))
    scores_of(tmp_path, 1.0, 0.0)
    options = ScoreOptions(window=0, as_json=True)
    assert score(tmp_path / "scores.parquet", str(tmp_path / "s"), options) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["recall"], figures["threshold"]) == (1.0, 1.0)
    (of_all,) = (s for s in figures["series"] if s["entity_type"] is s["kind"] is None)
    for name in ("vus_pr", "vus_roc", "range_precision", "range_recall", "affiliation_recall"):
        assert of_all[name] == pytest.approx(1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_scores_without_a_finite_number_find_nothing_or_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float | None
) -> None:
    """A detector's failures are counted, in place of an error."""
    truth(hybrid(tmp_path / "s"))
    scores = pl.DataFrame(
        {"entity": ["sim-eu/broker-2"], "time": [ONSET], "score": [value]},
        schema_overrides={"score": pl.Float64},
    )
    scores.write_parquet(tmp_path / "scores.parquet")
    assert score(tmp_path / "scores.parquet", str(tmp_path / "s")) == 0
    count = "1 alert" if value == float("inf") else "0 alerts"
    assert f"of {count} " in capsys.readouterr().out


def test_names_of_alerts_reach_the_terminal_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters are shown, not sent."""
    truth(hybrid(tmp_path / "s"))
    file = tmp_path / "a.csv"
    file.write_text(f"entity,time\n\x1b[31mred,{ONSET}\n")
    assert score(file, str(tmp_path / "s")) == 0
    assert "`\\x1b[31mred`" in capsys.readouterr().err


def test_a_threshold_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One above all scores finds nothing; VUS does not ask for it."""
    truth(hybrid(tmp_path / "s"))
    scores_of(tmp_path, 1.0, 0.0)
    options = ScoreOptions(window=0, threshold=2.0, as_json=True)
    assert score(tmp_path / "scores.parquet", str(tmp_path / "s"), options) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["alerts"], figures["precision"], figures["recall"]) == (0, None, 0.0)
    assert figures["series"][0]["vus_pr"] == pytest.approx(1.0)


def test_samples_without_a_table_of_anomalies_cannot_be_scored_against(tmp_path: Path) -> None:
    """The message says which command writes one."""
    hybrid(tmp_path / "s")
    with pytest.raises(SamplesError, match="`mqpipe export` writes it"):
        score(tmp_path / "a.csv", str(tmp_path / "s"))


def test_options_that_a_file_has_no_use_for_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alerts with entities are scored without --entity and --threshold."""
    truth(hybrid(tmp_path / "s"))
    (tmp_path / "a.csv").write_text(f"entity,time\nsim-eu/broker-2,{ONSET}\n")
    options = ScoreOptions(entity="sim-eu", threshold=3.0)
    assert score(tmp_path / "a.csv", str(tmp_path / "s"), options) == 0
    reported = capsys.readouterr().err
    assert "--entity was not used" in reported
    assert "--threshold was not used" in reported
