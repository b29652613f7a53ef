"""Samples that other tools rewrote: a report and a score of them say the same."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.report.summary import Summary, summarize
from flows.samples import SamplesError, find_samples
from tests.mqpipe import mqpipe

pytestmark = pytest.mark.timeout(180)

CONFIG = """
interval: 60s
simulation:
  seed: 1
  fleets: [{name: a, clusters: 2}, {name: q, provider: sqs}]
  anomalies: [{kind: spike, rate: 3}]
"""
START = datetime(2026, 1, 1, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export over midnight, as mqpipe writes it."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "c.yaml").write_text(CONFIG)
    end = START + timedelta(hours=4)
    times = ("--start", START.isoformat(), "--end", end.isoformat())
    ended = mqpipe(folder, "export", "c.yaml", *times, "--out", "day")
    assert ended.code == 0, ended.err
    return folder / "day"


Rewrite = Callable[[Path, Path], None]


def by_duckdb(source: Path, target: Path) -> None:
    """Times in µs, strings without dictionaries, a name of its own."""
    query = f"select * from read_parquet('{source}', hive_partitioning=false)"
    duckdb.sql(f"copy ({query}) to '{target.parent}/data_{crc32(source.name.encode())}.parquet'")


def by_polars(source: Path, target: Path) -> None:
    pl.read_parquet(source, hive_partitioning=False).write_parquet(
        target.with_name(f"part-{target.name.rpartition('-')[0]}.parquet")
    )


def with_other_types(source: Path, target: Path) -> None:
    """Under mqpipe's own names: naive nanoseconds, large strings, single precision."""
    table = pq.read_table(source, partitioning=None)

    def other(column: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_dictionary(column.type):
            return column.cast(pa.large_string())
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("ns"))
        return column.cast(pa.float32()) if column.type == pa.float64() else column

    columns = {name: other(table[name]) for name in reversed(table.column_names)}
    pq.write_table(pa.table(columns), target)


def beside_files_without_rows(source: Path, target: Path) -> None:
    """What a tool leaves that filtered everything away, on days before and after too."""
    shutil.copy(source, target)
    empty = pq.read_table(source, partitioning=None).slice(0, 0)
    for date in ("2025-12-31", target.parent.name.removeprefix("date="), "2026-01-05"):
        folder = target.parent.with_name(f"date={date}")
        folder.mkdir(exist_ok=True)
        pq.write_table(empty, folder / "20250101T000000-0000-e-000000.parquet")


def in_other_folders(source: Path, target: Path) -> None:
    """Without dates, by the name of the entity type."""
    name = pq.read_table(source, columns=["entity_type"], partitioning=None)[0][0].as_py()
    folder = target.parents[2] / f"entity_type={name}"
    folder.mkdir(exist_ok=True)
    table = pq.read_table(source, partitioning=None).drop_columns(["entity_type"])
    pq.write_table(table, folder / f"{target.parent.name}-{target.name}")


def summary_of(path: Path) -> Summary:
    return summarize(find_samples(str(path)))


def rewritten(day: Path, path: Path, rewrite: Rewrite) -> Path:
    for source in sorted(day.rglob("type=*/*/*.parquet")):
        target = path / source.relative_to(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        rewrite(source, target)
    return path


def frames(summary: Summary) -> dict[str, pl.DataFrame]:
    named = {
        name: getattr(summary, name)
        for name in (
            "tick_rows",
            "clusters",
            "cells",
            "groups",
            "queues",
            "topics",
            "lags",
            "shaped",
        )
    }
    return {name: frame.sort(frame.columns) for name, frame in named.items()}


def same(found: Summary, wanted: Summary) -> None:
    assert found.interval == wanted.interval
    for (name, one), other in zip(frames(found).items(), frames(wanted).values(), strict=True):
        floats = [c for c, t in other.schema.items() if t == pl.Float64]
        assert one.drop(floats).equals(other.drop(floats)), name
        for column in floats:
            difference = (one[column] - other[column]).abs()
            assert difference.is_null().equals(other[column].is_null()), (name, column)
            assert (difference <= 1e-6 * other[column].abs()).all(), (name, column)


@pytest.mark.parametrize(
    "rewrite",
    [by_duckdb, by_polars, with_other_types, beside_files_without_rows, in_other_folders],
)
def test_what_others_wrote_anew_is_read_as_the_same_samples(
    day: Path, tmp_path: Path, rewrite: Rewrite
) -> None:
    """Whatever has the columns."""
    same(summary_of(rewritten(day, tmp_path / "s", rewrite)), summary_of(day))


def test_one_file_of_all_entity_types_is_read_too(day: Path, tmp_path: Path) -> None:
    """By what its rows say that they are."""
    query = f"select * from read_parquet('{day}/type=*/*/*.parquet', union_by_name=true)"
    duckdb.sql(f"copy ({query}) to '{tmp_path}/all.parquet'")
    same(summary_of(tmp_path), summary_of(day))


def test_samples_without_a_time_are_shown_before_the_others(day: Path, tmp_path: Path) -> None:
    """A last look at them is no place to fail."""

    def timeless(source: Path, target: Path) -> None:
        none = pl.lit(None, dtype=pl.Datetime("ms", "UTC")).alias("timestamp")
        pl.read_parquet(source, hive_partitioning=False).with_columns(none).write_parquet(target)

    rewritten(day, tmp_path / "s", timeless)
    shown = mqpipe(tmp_path, "tail", "s", "--no-follow")
    assert shown.code == 0, shown.err
    assert {line.split()[0] for line in shown.out.splitlines()[1:]} == {"-"}


def test_the_commands_read_what_duckdb_wrote(day: Path, tmp_path: Path) -> None:
    """The table of anomalies too."""
    path = rewritten(day, tmp_path / "s", by_duckdb)
    (path / "_anomalies").mkdir()
    query = f"select * from '{day}/_anomalies/anomalies.parquet'"
    duckdb.sql(f"copy ({query}) to '{path}/_anomalies/a.parquet'")
    (tmp_path / "alerts.csv").write_text("entity,time\na-1/orders,2026-01-01T23:00:00Z\n")
    reported = [
        mqpipe(tmp_path, "score", "alerts.csv", "--against", str(where)) for where in (day, path)
    ]
    assert reported[0].code == 0, reported[0].err
    assert reported[0].out == reported[1].out
    ended = mqpipe(tmp_path, "report", str(path))
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("command", ["report", "score"])
def test_files_without_any_row_are_no_samples(day: Path, tmp_path: Path, command: str) -> None:
    """It is said, and no traceback."""
    for source in sorted(day.rglob("*.parquet")):
        target = tmp_path / "s" / source.relative_to(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(source, partitioning=None).slice(0, 0), target)
    (tmp_path / "alerts.csv").write_text("entity,time\na-1/orders,2026-01-01T23:00:00Z\n")
    arguments = (
        ("report", "s") if command == "report" else ("score", "alerts.csv", "--against", "s")
    )
    ended = mqpipe(tmp_path, *arguments)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "mqpipe: s: its files hold no sample"


@pytest.mark.parametrize("content", [b"", b"no Parquet", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_damaged_file_is_named(day: Path, tmp_path: Path, content: bytes) -> None:
    """With what to do."""
    rewritten(day, tmp_path / "s", by_polars)
    (tmp_path / "s" / "stray.parquet").write_bytes(content)
    with pytest.raises(SamplesError, match=r"stray\.parquet is no Parquet file, move it away"):
        find_samples(str(tmp_path / "s"))


def test_what_is_no_samples_is_passed_over(day: Path, tmp_path: Path) -> None:
    """Other tables beside samples, and Delta tables, which have a log of their own."""
    rewritten(day, tmp_path / "s", by_polars)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "s" / "other.parquet")
    shutil.copytree(day, tmp_path / "s" / "another")
    shutil.copytree(day / "type=topic", tmp_path / "s" / "topic")
    (tmp_path / "s" / "topic" / "_delta_log").mkdir()
    (tmp_path / "s" / "topic" / "_delta_log" / "0.json").write_text("{}")
    same(summary_of(tmp_path / "s"), summary_of(day))
