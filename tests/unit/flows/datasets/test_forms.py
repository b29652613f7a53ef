"""The forms of TSB-AD and of NAB, read back as their own loaders do."""

import csv
import json
from pathlib import Path

from flows.datasets.files import file_name, write_table
from flows.datasets.nab import write_nab
from flows.datasets.tsb_ad import write_tsb_ad
from tests.unit.flows.datasets.some_series import ROOT, series

FLAGS = [0, 0, 0, 0, 0, 1, 1, 0, 1, 0]
ENTITIES = [series(FLAGS), series([0] * 10, "sim/broker-1"), series([0] * 9 + [1], "sim/orders")]


def table(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def test_tsb_ad_has_a_file_an_entity_that_has_an_anomaly(tmp_path: Path) -> None:
    """A column a metric, `Label` last; where training ends and the first anomaly is, in the name."""
    index, causes = write_tsb_ad(tmp_path, ENTITIES, univariate=False)
    names = [
        "001_mqpipe_id_1_MessageQueue_tr_2_1st_5.csv",
        "002_mqpipe_id_2_MessageQueue_tr_2_1st_9.csv",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    header, *rows = table(tmp_path / names[0])
    assert header == ["one", "two", "Label"]
    assert [int(row[-1]) for row in rows] == FLAGS
    assert [float(row[0]) for row in rows] == [n / 4 for n in range(10)]
    assert [(i.file, i.entity, i.metrics, i.train, i.shaped) for i in index] == [
        (names[0], ROOT, "one two", 2, 3),
        (names[1], "sim/orders", "one two", 2, 1),
    ]
    assert [(c.file, c.start, c.end, c.is_root) for c in causes] == [
        (names[0], 5, 7, True),
        (names[0], 8, 9, True),
        (names[1], 9, 10, False),
    ]


def test_univariate_tsb_ad_has_a_file_a_metric(tmp_path: Path) -> None:
    """Numbered on, with `Data` for its values; the metrics of one entity have its number in common."""
    index, _ = write_tsb_ad(tmp_path, ENTITIES, univariate=True)
    assert [(i.file[:14], i.metrics) for i in index] == [
        ("001_mqpipe_id_", "one"),
        ("002_mqpipe_id_", "two"),
        ("003_mqpipe_id_", "one"),
        ("004_mqpipe_id_", "two"),
    ]
    assert [i.file.split("_")[3] for i in index] == ["1", "1", "2", "2"]
    assert all(table(tmp_path / i.file)[0] == ["Data", "Label"] for i in index)


def test_nab_has_all_series_and_the_windows_of_their_anomalies(tmp_path: Path) -> None:
    """A file a metric of each entity; a window goes from the first shaped tick to the last."""
    index, causes = write_nab(tmp_path, ENTITIES)
    windows = json.loads((tmp_path / "labels/combined_windows.json").read_text())
    assert {f"data/{name}" for name in windows} == {i.file for i in index}
    assert len(index) == 6
    assert windows["mqpipe/sim__broker-1__one.csv"] == []
    assert windows["mqpipe/sim__broker-2__one.csv"] == [
        ["2026-01-01 00:02:30.000000", "2026-01-01 00:03:00.000000"],
        ["2026-01-01 00:04:00.000000", "2026-01-01 00:04:00.000000"],
    ]
    header, first, *_ = table(tmp_path / "data/mqpipe/sim__broker-2__two.csv")
    assert (header, first) == (["timestamp", "value"], ["2026-01-01 00:00:00", "0"])
    assert {(c.start_time, c.end_time) for c in causes if c.start == 5} == {
        ("2026-01-01T00:02:30Z", "2026-01-01T00:03:00Z")
    }


def test_tables_beside_the_series_have_a_header_and_a_row_each(tmp_path: Path) -> None:
    """Without a row there is no table."""
    (tmp_path / "tsb").mkdir()
    index, causes = write_tsb_ad(tmp_path / "tsb", ENTITIES, univariate=False)
    write_table(tmp_path / "series.csv", index)
    write_table(tmp_path / "causes.csv", causes)
    write_table(tmp_path / "none.csv", [])
    assert not (tmp_path / "none.csv").exists()
    header, *rows = table(tmp_path / "series.csv")
    assert header == ["file", "entity", "entity_type", "metrics", "ticks", "train", "shaped"]
    assert rows[0][1:] == [ROOT, "broker", "one two", "10", "2", "3"]
    assert len(table(tmp_path / "causes.csv")) == 1 + len(causes)


def test_names_of_files_tell_apart_what_entities_are_called() -> None:
    """Nothing in a name can lead out of the folder."""
    assert file_name("sim/broker-1", "one") == "sim__broker-1__one"
    assert file_name("a/../b", "x y") == "a__..__b__x%20y"
    assert "/" not in file_name("../../etc", "/")
