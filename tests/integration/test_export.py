"""`mqpipe export`: exact ranges, the same rows with any number of workers, and its refusals."""

import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.mqpipe import mqpipe, samples

HOUR = (
    *("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T01:00:00Z"),
    *("--interval", "30s", "--out", "out"),
)
ENTITIES = {"cluster": 2, "broker": 6, "topic": 20, "consumer_group": 10, "group_topic": 20}
"""Of the built-in fleet."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    ended = mqpipe(folder, "export", *HOUR)
    assert ended.code == 0, ended.err
    return folder


@pytest.mark.parametrize(("label", "entities"), ENTITIES.items())
def test_each_entity_has_each_tick_of_the_range_once(
    exported: Path, label: str, entities: int
) -> None:
    """An hour at 30 s is 120 samples an entity, and no key occurs twice."""
    frame = samples(exported / "out", label)
    counts = frame.group_by("entity_guid").len()
    assert (counts.height, set(counts["len"])) == (entities, {120})
    assert frame.select("entity_guid", "timestamp").is_unique().all()


def test_nothing_but_samples_and_anomalies_is_left(exported: Path) -> None:
    """A finished export has no folder of unfinished files."""
    folders = {folder.name for folder in (exported / "out").iterdir()}
    assert folders == {"_anomalies", *(f"type={label}" for label in ENTITIES)}


@pytest.mark.parametrize("workers", ["2", "4", "20"])
def test_rows_do_not_depend_on_workers(exported: Path, tmp_path: Path, workers: str) -> None:
    """The same seed gives the same samples with any number of workers."""
    ended = mqpipe(tmp_path, "export", *HOUR, "--workers", workers)
    assert ended.code == 0, ended.err
    for label in ENTITIES:
        assert_frame_equal(samples(tmp_path / "out", label), samples(exported / "out", label))


def test_another_seed_gives_other_samples(exported: Path, tmp_path: Path) -> None:
    """The seed matters."""
    assert mqpipe(tmp_path, "export", *HOUR, "--seed", "43").code == 0
    other = samples(tmp_path / "out", "topic")["topic.messagesInPerSecond"]
    assert not other.equals(samples(exported / "out", "topic")["topic.messagesInPerSecond"])


def test_files_are_read_by_duckdb_and_polars(exported: Path) -> None:
    """A type's folder is read as one table, its date from the path."""
    pattern = f"{exported}/out/type=topic/**/*.parquet"
    query = "select count(*), count(distinct entity_name), any_value(date) from read_parquet(?)"
    [(rows, names, date)] = duckdb.execute(query, [pattern]).fetchall()
    assert (rows, names, str(date)) == (20 * 120, 20, "2026-01-01")
    assert pl.scan_parquet(pattern).select(pl.len()).collect().item() == 20 * 120


def test_directory_with_samples_is_refused_without_resume_or_overwrite(exported: Path) -> None:
    """An export does not mix with what lies there; it says what to do."""
    ended = mqpipe(exported, "export", *HOUR)
    assert ended.code == 1
    assert "--overwrite" in ended.err
    assert "--resume" in ended.err


def test_finished_export_has_nothing_to_resume(exported: Path) -> None:
    """--resume of a complete export succeeds and changes nothing."""
    before = samples(exported / "out", "cluster")
    ended = mqpipe(exported, "export", *HOUR, "--resume")
    assert ended.code == 0, ended.err
    assert_frame_equal(samples(exported / "out", "cluster"), before)


def test_export_whose_samples_are_gone_starts_over(tmp_path: Path) -> None:
    """--resume of what was removed makes all of it again, and does not call it complete."""
    assert mqpipe(tmp_path, "export", *HOUR).code == 0
    shutil.rmtree(tmp_path / "out")
    ended = mqpipe(tmp_path, "export", *HOUR, "--resume")
    assert ended.code == 0, ended.err
    assert samples(tmp_path / "out", "cluster").height == 2 * 120


def test_overwrite_starts_over(tmp_path: Path) -> None:
    """--overwrite removes the samples that were there, and nothing else."""
    assert mqpipe(tmp_path, "export", *HOUR).code == 0
    (tmp_path / "out" / "note.txt").write_text("mine")
    other = [*HOUR[:3], "2026-01-01T00:30:00Z", *HOUR[4:]]
    ended = mqpipe(tmp_path, "export", *other, "--overwrite")
    assert ended.code == 0, ended.err
    assert samples(tmp_path / "out", "cluster").height == 2 * 60
    assert (tmp_path / "out" / "note.txt").read_text() == "mine"


def test_resume_with_another_range_is_refused(tmp_path: Path) -> None:
    """An export goes on only as what it was begun as."""
    assert mqpipe(tmp_path, "export", *HOUR).code == 0
    other = [*HOUR[:3], "2026-01-01T00:30:00Z", *HOUR[4:]]
    ended = mqpipe(tmp_path, "export", *other, "--resume")
    assert ended.code == 1
    assert (
        "--resume: this export was begun with another end (--start 2026-01-01T00:00:00Z"
        in ended.err
    )
    assert "{" not in ended.err.splitlines()[-1], "in the options' words"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--start", "tomorrow"], "not a time"),
        (["--interval", "fast"], "duration"),
        (["--interval", "0.2ms"], "at least 100ms"),
        (["--seed", "-1"], "--seed"),
        (["--start", "-99999999h"], "at most 100 years"),
        (["--start", "2026-01-02T00:00:00Z", "--end", "2026-01-01T00:00:00Z"], "before"),
        (["--resume", "--overwrite"], "one of them"),
        (["--workers", "0"], "workers"),
        (["none.yaml"], "cannot be read"),
    ],
)
def test_wrong_command_line_is_code_2(tmp_path: Path, options: list[str], word: str) -> None:
    """What cannot be meant is refused before anything is written."""
    ended = mqpipe(tmp_path, "export", *options)
    assert ended.code == 2
    assert word in ended.err
    assert list(tmp_path.iterdir()) == []


def test_anomalies_are_written_as_a_table_beside_the_samples(tmp_path: Path) -> None:
    """What happened, to what, when: the ground truth that a detector is scored against."""
    (tmp_path / "c.yaml").write_text(
        "simulation:\n"
        "  fleets: [{name: a}]\n"
        "  anomalies:\n"
        "    - {kind: broker_down, entity: a/broker-2, start: '2026-01-01T00:10:00Z',"
        " duration: 10m}\n"
        "sinks: {parquet: {path: out}}\n"
    )
    ended = mqpipe(tmp_path, "export", "c.yaml", *HOUR)
    assert ended.code == 0, ended.err
    [row] = pl.read_parquet(tmp_path / "out/_anomalies/anomalies.parquet").to_dicts()
    assert (row["kind"], row["entity"]) == ("broker_down", "a/broker-2")
    broker = samples(tmp_path / "out", "broker").filter(pl.col("entity_name") == "a/broker-2")
    shaped = broker.filter(pl.col("anomaly") == row["label"])["timestamp"]
    assert row["start"] <= shaped.min() <= shaped.max() <= row["end"]  # type: ignore[operator]
