"""What `mqpipe score` says of perfect, empty, random, late and all-on detectors, given as files.

Expected values are those of the definitions in docs/score.md, worked out here from the table of anomalies
and the labels alone.
"""

import io
import json
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from flows.config import Config
from flows.export import ExportOptions, export
from flows.loading import parse
from flows.samples import find_samples
from flows.score.command import ScoreOptions, score
from tests.samples import NEW_YEAR

MINUTE = 60_000
HOURS = 8
END = NEW_YEAR + HOURS * 60 * MINUTE
DAYS = (END - MINUTE - NEW_YEAR) / 86_400_000
GRACE = 300_000
FEW = settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])

CONFIG = """
interval: 60s
simulation:
  seed: {seed}
  fleets: [{{name: a, topics: 4, groups: 2}}, {{name: calm, topics: 2, groups: 1}}]
  anomalies:
    - {{kind: broker_down, rate: 4, duration: 20m, fleet: a}}
    - {{kind: consumer_stall, rate: 5, duration: 30m, fleet: a}}
    - {{kind: spike, rate: 3, duration: 15m, fleet: a}}
recovery: {{path: {state}}}
"""


@dataclass(frozen=True)
class Day:
    """Exported samples, and what went wrong in them."""

    uri: str
    wrong: list[dict[str, Any]]
    labelled: pl.DataFrame
    """Columns `entity`, `time`, `sick` of every sample."""
    calm: list[str]
    """Entities that nothing touches."""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Day]:
    """Of two seeds."""
    return [_day(tmp_path_factory.mktemp("day"), seed) for seed in (1, 2)]


def _day(folder: Path, seed: int) -> Day:
    config = parse(Config, CONFIG.format(seed=seed, state=folder / "state"), "c.yaml")
    uri = str(folder / "samples")
    export(config, ExportOptions(start=NEW_YEAR, end=END, out=uri, quiet=True))
    samples = find_samples(uri)
    frames = [
        samples.scan(entity_type).select(
            entity=pl.col("entity_name").cast(pl.String),
            time=pl.col("timestamp").cast(pl.Int64),
            sick=pl.col("anomaly").is_not_null(),
        )
        for entity_type in samples.files
    ]
    labelled = pl.concat(frames).collect()
    table = samples.anomalies()
    assert table is not None
    wrong = table.with_columns(pl.col("start", "end").cast(pl.Int64)).to_dicts()
    touched = {entity for one in wrong for entity in one["entities"]}
    assert len(wrong) > 3
    calm = sorted(set(labelled["entity"]) - touched)
    assert calm
    return Day(uri, wrong, labelled, calm)


def said(day: Day, file: Path, **options: Any) -> dict[str, Any]:
    """What the command prints as JSON."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert score(file, day.uri, ScoreOptions(as_json=True, **options)) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def of_alerts(day: Day, folder: Path, rows: Iterable[tuple[str, int, int]]) -> dict[str, Any]:
    """Of alerts as CSV."""
    file = folder / "alerts.csv"
    lines = [f"{entity},{start},{end}" for entity, start, end in rows]
    file.write_text("\n".join(["entity,start,end", *lines]) + "\n", encoding="utf-8")
    return said(day, file)


def of_scores(
    day: Day, folder: Path, scores: pl.Series | pl.Expr, **options: Any
) -> dict[str, Any]:
    """Of a score a sample, as Parquet."""
    file = folder / "scores.parquet"
    day.labelled.select("entity", "time", score=scores).write_parquet(file)
    return said(day, file, **options)


def every_series(result: dict[str, Any]) -> dict[str, Any]:
    """The means over all series."""
    (found,) = [s for s in result["series"] if s["entity_type"] is None and s["kind"] is None]
    return dict(found)


def at(day: Day, one: dict[str, Any], late: int = 0) -> tuple[str, int, int]:
    """An alert on an anomaly's root, over its time."""
    return one["entity"], one["start"] + late, max(one["end"], one["start"] + late)


@FEW
@given(which=st.integers(0, 1), data=st.data())
def test_alerts_on_some_anomalies_and_on_nothing(
    which: int, data: st.DataObject, days: list[Day], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random: precision, recall, F1 and false alarms are shares of what was drawn."""
    day = days[which]
    # Of anomalies that touch each other's root, one alert may find both: each is found by its own.
    chosen = data.draw(st.lists(st.sampled_from(range(len(day.wrong))), unique=True), "found")
    false = data.draw(
        st.lists(st.tuples(st.sampled_from(day.calm), st.integers(0, HOURS * 60 - 2)), max_size=6),
        "false",
    )
    alerts = [at(day, day.wrong[n]) for n in chosen]
    alerts += [(e, NEW_YEAR + m * MINUTE, NEW_YEAR + m * MINUTE) for e, m in false]
    result = of_alerts(day, tmp_path_factory.mktemp("x"), alerts)
    explained = [
        one
        for one in day.wrong
        if any(
            e in one["entities"] and start <= one["end"] + GRACE and end >= one["start"]
            for e, start, end in alerts
        )
    ]
    assert result["alerts"] == len(alerts)
    assert result["right"] == len(chosen)
    recall = len(explained) / len(day.wrong)
    assert result["recall"] == pytest.approx(recall)
    entities = day.labelled["entity"].n_unique()
    assert result["false_alarms_per_entity_and_day"] == pytest.approx(len(false) / entities / DAYS)
    if not alerts:
        assert result["precision"] is None
        assert result["f1"] is None
        return
    precision = len(chosen) / len(alerts)
    assert result["precision"] == pytest.approx(precision)
    both = precision + recall
    assert result["f1"] == pytest.approx(2 * precision * recall / both if both else 0)


@pytest.mark.parametrize("which", [0, 1])
def test_perfect_alerts(which: int, days: list[Day], tmp_path: Path) -> None:
    """On each root, from onset to recovery: all is found, at once, and each cause."""
    day = days[which]
    result = of_alerts(day, tmp_path, [at(day, one) for one in day.wrong])
    everything = result["all"]
    assert (result["precision"], result["recall"], result["f1"]) == (1, 1, 1)
    assert (everything["cause"], everything["delay_worst"]) == (1, 0)
    assert result["false_alarms_per_entity_and_day"] == 0


@pytest.mark.parametrize("which", [0, 1])
def test_alerts_that_are_the_labels(which: int, days: list[Day], tmp_path: Path) -> None:
    """A moment for every shaped sample: no range is missed, cut, or too long."""
    day = days[which]
    sick = day.labelled.filter("sick")
    result = of_alerts(day, tmp_path, ((e, t, t) for e, t in sick.select("entity", "time").rows()))
    means = every_series(result)
    for figure in (
        "range_precision",
        "range_recall",
        "affiliation_precision",
        "affiliation_recall",
    ):
        assert means[figure] == pytest.approx(1)
    assert result["recall"] == 1


@pytest.mark.parametrize("which", [0, 1])
def test_no_alerts(which: int, days: list[Day], tmp_path: Path) -> None:
    """Nothing is found, and no share of nothing is a figure."""
    result = of_alerts(days[which], tmp_path, [])
    means = every_series(result)
    assert (result["precision"], result["recall"], result["f1"]) == (None, 0, None)
    assert result["all"]["cause"] == 0
    assert result["all"]["delay_median"] is None
    assert (means["range_precision"], means["range_recall"]) == (None, 0)
    assert (means["affiliation_precision"], means["affiliation_recall"]) == (None, 0)


@FEW
@given(which=st.integers(0, 1), late=st.integers(0, 60 * MINUTE))
def test_late_alerts(
    which: int, late: int, days: list[Day], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By how much, of the root's own anomaly; past recovery and grace it is a false alarm."""
    day = days[which]
    one = min(day.wrong, key=lambda one: one["start"])
    entity, start, end = at(day, one, late)
    result = of_alerts(day, tmp_path_factory.mktemp("x"), [(entity, start, end)])
    delays = [
        max(start, other["start"]) - other["start"]
        for other in day.wrong
        if entity in other["entities"] and start <= other["end"] + GRACE and end >= other["start"]
    ]
    assert result["right"] == min(1, len(delays))
    assert result["all"]["found"] == len(delays)
    worst = max(delays) / 1000 if delays else None
    assert result["all"]["delay_worst"] == pytest.approx(worst)


@pytest.mark.parametrize("which", [0, 1])
def test_alerts_that_are_always_on(which: int, days: list[Day], tmp_path: Path) -> None:
    """All is found at once, on every root; precision is the share of entities that are touched."""
    day = days[which]
    entities = sorted(set(day.labelled["entity"]))
    result = of_alerts(day, tmp_path, [(entity, NEW_YEAR, END) for entity in entities])
    touched = {e for one in day.wrong for e in one["entities"]} & set(entities)
    assert result["recall"] == 1
    assert result["precision"] == pytest.approx(len(touched) / len(entities))
    # Of one that was under way when the samples begin, that moment is the first of an alert.
    begun = max(0, NEW_YEAR - min(one["start"] for one in day.wrong)) / 1000
    assert (result["all"]["cause"], result["all"]["delay_worst"]) == (1, begun)
    means = every_series(result)
    assert means["range_recall"] == means["affiliation_recall"] == pytest.approx(1)


@pytest.mark.parametrize("which", [0, 1])
def test_scores_that_are_the_labels(which: int, days: list[Day], tmp_path: Path) -> None:
    """The threshold is found, and at it no range is missed, cut or too long."""
    result = of_scores(days[which], tmp_path, pl.col("sick").cast(pl.Float64))
    means = every_series(result)
    assert result["threshold"] == 1
    assert (result["precision"], result["recall"], result["f1"]) == (1, 1, 1)
    for figure in (
        "range_precision",
        "range_recall",
        "affiliation_precision",
        "affiliation_recall",
    ):
        assert means[figure] == pytest.approx(1)
    assert means["vus_pr"] > 0.75
    assert means["vus_roc"] > 0.9


@pytest.mark.parametrize("which", [0, 1])
def test_scores_that_are_all_alike_are_an_alert_that_is_always_on(
    which: int, days: list[Day], tmp_path: Path
) -> None:
    """One for each entity, whichever the value; above its threshold, none."""
    day = days[which]
    result = of_scores(day, tmp_path, pl.lit(0.3))
    assert result["alerts"] == day.labelled["entity"].n_unique()
    assert result["recall"] == 1
    assert every_series(result)["range_recall"] == pytest.approx(1)
    none = of_scores(day, tmp_path, pl.lit(0.3), threshold=0.4)
    assert (none["alerts"], none["precision"], none["recall"]) == (0, None, 0)


@FEW
@example(which=0, seed=0, scale=1.0)
@given(which=st.integers(0, 1), seed=st.integers(0, 2**32), scale=st.floats(0.01, 100))
def test_random_scores_are_judged_by_their_order(
    which: int,
    seed: int,
    scale: float,
    days: list[Day],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Scaled, they have the same figures; and they are worse than scores that know the labels."""
    day, folder = days[which], tmp_path_factory.mktemp("x")
    ranks = pl.Series(range(day.labelled.height)).shuffle(seed).cast(pl.Float64)
    plain = of_scores(day, folder, ranks, threshold=float(ranks.quantile(0.99) or 0))
    scaled = of_scores(
        day, folder, ranks * scale, threshold=float(ranks.quantile(0.99) or 0) * scale
    )
    assert every_series(scaled) == pytest.approx(every_series(plain))
    assert scaled["alerts"] == plain["alerts"]
    means = every_series(plain)
    knowing = every_series(of_scores(day, folder, ranks + 1e9 * pl.col("sick")))
    assert means["vus_pr"] < knowing["vus_pr"]
    assert means["vus_roc"] < knowing["vus_roc"]


@pytest.mark.parametrize("late", [1, 3, 8])
def test_late_scores_are_late_by_as_many_ticks(late: int, days: list[Day], tmp_path: Path) -> None:
    """The first shaped ticks of each run have none, and delays grow by no more than that."""
    day = days[0]
    shifted = (
        pl.col("sick").cast(pl.Float64).shift(late).over("entity", order_by="time").fill_null(0)
    )
    result = of_scores(day, tmp_path, shifted, threshold=1.0)
    at_once = of_scores(day, tmp_path, pl.col("sick").cast(pl.Float64), threshold=1.0)
    grown = result["all"]["delay_median"] - at_once["all"]["delay_median"]
    assert 0 < grown <= late * 60
    assert every_series(result)["range_recall"] < 1
    assert every_series(result)["vus_pr"] < every_series(at_once)["vus_pr"]
