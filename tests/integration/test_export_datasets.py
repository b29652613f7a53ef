"""`mqpipe export --format tsb-ad|nab`: forms that the field's own loaders read, with true labels."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from tests.mqpipe import mqpipe, samples

CONFIG = """
simulation:
  seed: 5
  fleets: [{name: sim}]
  anomalies:
    - {kind: broker_down, entity: sim/broker-2, start: "2026-01-01T00:20:00Z", duration: 10m}
sinks: {parquet: {path: ./parquet}}
"""
HOUR = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T01:00:00Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour as Parquet, in TSB-AD's form, and in NAB's."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "c.yaml").write_text(CONFIG)
    for extra in ((), ("--format", "tsb-ad", "--out", "tsb"), ("--format", "nab", "--out", "nab")):
        ended = mqpipe(folder, "export", "c.yaml", *HOUR, *extra)
        assert ended.code == 0, ended.err
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_tsb_ad_has_the_values_and_labels_of_the_parquet_export(folder: Path) -> None:
    """A column a metric, the label last; the name says how long the training part is."""
    of = {row["entity"]: row for row in rows(folder / "tsb" / "series.csv")}
    for label in ("broker", "topic"):
        for (entity,), expected in samples(folder / "parquet", label).group_by("entity_name"):
            if expected["anomaly"].is_null().all():
                assert entity not in of
                continue
            row = of[str(entity)]
            table = pl.read_csv(folder / "tsb" / row["file"])
            metrics = row["metrics"].split()
            assert table.columns == [*metrics, "Label"]
            by_time = expected.sort("timestamp")
            assert table["Label"].to_list() == by_time["anomaly"].is_not_null().cast(int).to_list()
            for metric in metrics:
                # A broker that is down measures nothing: a gap has the value before it.
                values = by_time[metric].forward_fill().backward_fill()
                assert table[metric].to_list() == pytest.approx(values.to_list())
            # As TSB-AD's own loader takes it from the name.
            train = int(row["file"].split(".")[0].split("_")[-3])
            first = table["Label"].to_list().index(1)
            assert train == int(row["train"]) == min(first, len(table) // 4)
            assert int(row["file"].split(".")[0].split("_")[-1]) == first


def test_nab_has_a_file_a_metric_and_all_windows(folder: Path) -> None:
    """Windows are the runs of labelled ticks; a series without any has none."""
    windows = json.loads((folder / "nab" / "labels" / "combined_windows.json").read_text())
    index = rows(folder / "nab" / "series.csv")
    assert {f"data/{name}" for name in windows} == {row["file"] for row in index}
    assert all((folder / "nab" / row["file"]).is_file() for row in index)
    name = "mqpipe/sim__broker-2__broker.messagesInPerSecond.csv"
    table = pl.read_csv(folder / "nab" / "data" / name)
    assert table.columns == ["timestamp", "value"]
    assert table["timestamp"][0] == "2026-01-01 00:00:00"
    (window,) = windows[name]
    assert window[0] == "2026-01-01 00:20:00.000000"


def test_each_run_has_its_cause(folder: Path) -> None:
    """Kind, label, and the entity at which the anomaly began."""
    causes = rows(folder / "tsb" / "causes.csv")
    assert {cause["root"] for cause in causes} == {"sim/broker-2"}
    assert {cause["kind"] for cause in causes} == {"broker_down"}
    entity_of = {row["file"]: row["entity"] for row in rows(folder / "tsb" / "series.csv")}
    for cause in causes:
        table = pl.read_csv(folder / "tsb" / cause["file"])
        assert table["Label"][int(cause["start"]) : int(cause["end"])].min() == 1
        assert (cause["is_root"] == "True") == (entity_of[cause["file"]] == cause["root"])


def test_same_seed_gives_the_same_bytes(folder: Path) -> None:
    """Every file, the card too."""
    ended = mqpipe(folder, "export", "c.yaml", *HOUR, "--format", "tsb-ad", "--out", "again")
    assert ended.code == 0, ended.err
    first, again = (
        {f.relative_to(folder / name): f.read_bytes() for f in (folder / name).rglob("*.*")}
        for name in ("tsb", "again")
    )
    assert first == again


def test_one_metric_and_one_column_on_demand(folder: Path) -> None:
    """As TSB-AD's univariate files are. What the command line says is in the card."""
    ended = mqpipe(
        folder, "export", "c.yaml", *HOUR, "--format", "tsb-ad", "--out", "uni", "--univariate",
        "--metric", "broker.cpuUsage", "--seed", "9",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    card = (folder / "uni" / "README.md").read_text()
    assert "seed 9." in card
    assert "  seed: 9\n" in card
    files = sorted((folder / "uni").glob("*_1st_*.csv"))
    assert len(files) == 3
    assert all(pl.read_csv(file).columns == ["Data", "Label"] for file in files)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "tsb"), "write parquet, tsb-ad or nab"),
        (("--univariate",), "go with --format"),
        (("--format", "nab", "--resume"), "--resume goes on with Parquet"),
        (("--format", "nab", "--out", "s3://b/c"), "writes to a directory"),
        (("--format", "nab", "--metric", "broker.cpuUsag"), "did you mean `broker.cpuUsage`"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """With 2, and nothing is written."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    ended = mqpipe(tmp_path, "export", "c.yaml", *HOUR, *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]


def test_what_others_put_there_is_not_replaced(tmp_path: Path) -> None:
    """--overwrite replaces a data set, and nothing else."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "nab").mkdir()
    (tmp_path / "nab" / "thesis.tex").write_text("years of work")
    nab = ("--format", "nab", "--out", "nab")
    for extra in ((), ("--overwrite",)):
        ended = mqpipe(tmp_path, "export", "c.yaml", *HOUR, *nab, *extra)
        assert ended.code == 1
    assert (tmp_path / "nab" / "thesis.tex").read_text() == "years of work"
