"""Parquet files: their places, names, metadata and encodings, and who can read them."""

import errno
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from operators.schema.arrow import schema_of
from operators.schema.metrics import ENTITY_TYPES, TOPIC, EntityType
from sinks.disk import DiskFullError, UnwritableError
from sinks.parquet.direct import DirectParquet
from sinks.parquet.files import FileContext, HeldRows, SampleFiles, by_date, writer_options
from sinks.parquet.settings import ParquetSettings
from sinks.parquet.store import Store
from tests.samples import INTERVAL, NEW_YEAR, numbered, numbers_in, published

DAY_TICKS = 86_400_000 // INTERVAL


def context(path: Path, held: int = 500_000) -> FileContext:
    return FileContext(Store(str(path)), "run-1", {"seed": "42"}, HeldRows(held))


def written(path: Path, *batches: pa.RecordBatch, held: int = 500_000) -> None:
    files = SampleFiles(context(path, held), "sim-eu", 3)
    for batch in batches:
        files.write(batch)
    files.finish("3:100")
    files.publish()


def test_a_file_holds_one_type_and_one_date(tmp_path: Path) -> None:
    """The path says both, and the name says run, partition and sequence."""
    across_midnight = numbered(range(DAY_TICKS - 2, DAY_TICKS + 3))
    written(tmp_path, across_midnight, numbered([1, 2], entity_type=TOPIC))
    assert [str(f.relative_to(tmp_path)) for f in published(tmp_path)] == [
        "type=broker/date=2026-01-01/run-1-sim-eu-000003.parquet",
        "type=broker/date=2026-01-02/run-1-sim-eu-000003.parquet",
        "type=topic/date=2026-01-01/run-1-sim-eu-000003.parquet",
    ]
    first, second, _ = published(tmp_path)
    assert pq.ParquetFile(first).metadata.num_rows == 2
    assert pq.ParquetFile(second).metadata.num_rows == 3


@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_what_is_read_is_what_was_written(tmp_path: Path, entity_type: EntityType) -> None:
    """Every entity type, with dictionary strings, nulls and exact numbers."""
    batch = pa.RecordBatch.from_pylist(
        [
            {"timestamp": NEW_YEAR, "entity_guid": "a", "origin": "filled", "late": False},
            {
                "timestamp": NEW_YEAR + 1,
                **{m.name: _value(m.type) for m in entity_type.metrics},
                **{i.column: _value(i.type) for i in entity_type.identity},
            },
        ],
        schema=schema_of(entity_type),
    )
    written(tmp_path, batch)
    table = pq.ParquetFile(published(tmp_path)[0]).read()
    assert table.schema.equals(schema_of(entity_type))
    assert table.to_pylist() == batch.to_pylist()


def _value(type_: pa.DataType) -> object:
    if pa.types.is_dictionary(type_):
        return "word"
    return 1 / 3 if pa.types.is_floating(type_) else 7


def test_metadata_reports_where_a_file_comes_from(tmp_path: Path) -> None:
    """Schema version, mqpipe's version, run, partition, sequence, siblings, position, the flow's."""
    written(tmp_path, numbered([1]))
    metadata = Store(str(tmp_path)).metadata(
        "type=broker/date=2026-01-01/run-1-sim-eu-000003.parquet"
    )
    assert metadata.pop("mqpipe.version")
    assert metadata == {
        "mqpipe.entity_type": "MESSAGE_QUEUE_BROKER",
        "mqpipe.schema_version": "2",
        "mqpipe.run": "run-1",
        "mqpipe.partition": "sim-eu",
        "mqpipe.sequence": "3",
        "mqpipe.seed": "42",
        "mqpipe.files": "1",
        "mqpipe.position": "3:100",
    }


def test_nothing_is_visible_before_it_is_published(tmp_path: Path) -> None:
    """Unfinished files lie where readers do not look, and do not end in .parquet."""
    files = SampleFiles(context(tmp_path), "sim-eu", 0)
    files.write(numbered(range(10)))
    assert list(tmp_path.rglob("*.parquet")) == []
    files.finish()
    assert list(tmp_path.rglob("*.parquet")) == []
    files.publish()
    assert numbers_in(tmp_path) == list(range(10))
    assert list((tmp_path / "_open").iterdir()) == []


def test_blocks_are_gathered_into_row_groups(tmp_path: Path) -> None:
    """A row group has about 100,000 rows, whatever the size of the blocks."""
    written(tmp_path, *[numbered(range(n, n + 40), start=NEW_YEAR) for n in range(0, 800, 40)])
    block = pa.concat_tables([pa.table(numbered(range(500)))] * 80).combine_chunks().to_batches()[0]
    written(tmp_path / "large", block, block, block, block, block, block)
    metadata = pq.ParquetFile(published(tmp_path)[0]).metadata
    assert (metadata.num_row_groups, metadata.num_rows) == (1, 800)
    metadata = pq.ParquetFile(published(tmp_path / "large")[0]).metadata
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert sizes == [120_000, 120_000]


def test_held_rows_are_bounded_over_all_files(tmp_path: Path) -> None:
    """Where many files are open, row groups get smaller rather than memory larger."""
    held = HeldRows(limit=100)
    shared = FileContext(Store(str(tmp_path)), "run-1", {}, held)
    files = [SampleFiles(shared, f"shard-{n}", 0) for n in range(10)]
    for n, shard in enumerate(files):
        shard.write(numbered(range(60), cluster=f"shard-{n}"))
        assert held.add(0)
    for shard in files:
        shard.finish()
        shard.publish()
    assert len(numbers_in(tmp_path)) == 600
    assert held.add(100)
    assert not held.add(1)


def test_different_dictionaries_in_one_row_group_stay_encoded(tmp_path: Path) -> None:
    """Blocks whose strings differ do not make the writer fall back to plain strings."""
    written(tmp_path, *[numbered([n] * 500) for n in range(20)])
    metadata = pq.ParquetFile(published(tmp_path)[0]).metadata
    name = metadata.schema.names.index("entity_name")
    column = metadata.row_group(0).column(name)
    assert column.total_uncompressed_size < 2_000


def test_encodings_are_those_that_fit(tmp_path: Path) -> None:
    """Numbers split by byte, times as deltas, strings as dictionaries, all by zstd."""
    written(tmp_path, numbered(range(100)))
    metadata = pq.ParquetFile(published(tmp_path)[0]).metadata
    columns = {c.path_in_schema: c for c in _columns(metadata)}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert "BYTE_STREAM_SPLIT" in columns["broker.messagesInPerSecond"].encodings
    assert "DELTA_BINARY_PACKED" in columns["timestamp"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["broker.partitionCount"].encodings
    assert "RLE_DICTIONARY" in columns["entity_name"].encodings
    assert columns["timestamp"].is_stats_set
    assert not columns["broker.messagesInPerSecond"].is_stats_set


def _columns(metadata: pq.FileMetaData) -> list[pq.ColumnChunkMetaData]:
    group = metadata.row_group(0)
    return [group.column(n) for n in range(group.num_columns)]


def test_the_writers_options_cover_every_entity_type() -> None:
    """No column is in two of the lists."""
    for entity_type in ENTITY_TYPES:
        options = writer_options(schema_of(entity_type))
        assert not set(options["use_dictionary"]) & set(options["column_encoding"])


def test_duckdb_polars_and_pyarrow_read_a_types_folder(tmp_path: Path) -> None:
    """By their default calls, with type and date as columns, while a file is being written."""
    written(
        tmp_path, numbered(range(DAY_TICKS - 5, DAY_TICKS + 5)), numbered([1], entity_type=TOPIC)
    )
    SampleFiles(context(tmp_path), "sim-eu", 4).write(numbered([99]))
    folder = tmp_path / "type=broker"
    by_duckdb = duckdb.execute(
        f"SELECT CAST(date AS VARCHAR), count(*), count(DISTINCT entity_guid), max(timestamp) "
        f"FROM '{folder}/**/*.parquet' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert [row[:3] for row in by_duckdb] == [("2026-01-01", 5, 5), ("2026-01-02", 5, 5)]
    by_polars = pl.read_parquet(folder)
    assert by_polars.height == 10
    assert by_polars["timestamp"].dt.epoch("ms").min() == NEW_YEAR + (DAY_TICKS - 5) * INTERVAL
    by_pyarrow = ds.dataset(folder, partitioning="hive").to_table()
    assert by_pyarrow.num_rows == 10
    assert set(by_pyarrow["date"].to_pylist()) == {"2026-01-01", "2026-01-02"}


def test_all_types_are_read_at_once(tmp_path: Path) -> None:
    """DuckDB by name over all folders, pyarrow by the common columns."""
    written(tmp_path, numbered(range(5)), numbered(range(3), entity_type=TOPIC))
    counts = duckdb.execute(
        f"SELECT type, count(*) FROM read_parquet('{tmp_path}/type=*/*/*.parquet', "
        "union_by_name = true, hive_partitioning = true) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert counts == [("broker", 5), ("topic", 3)]
    dataset = ds.dataset(tmp_path, partitioning="hive")
    assert dataset.to_table(columns=["entity_type", "timestamp"]).num_rows == 8


def test_rows_are_split_by_date_in_order() -> None:
    """Entity-major blocks that cross midnight are taken apart; others are passed on as they are."""
    one_day = numbered(range(10))
    assert [(date, rows is one_day) for date, rows in by_date(one_day)] == [("2026-01-01", True)]
    block = numbered([DAY_TICKS, 0, DAY_TICKS + 1, 1])
    dates = {date: rows["entity_name"].to_pylist() for date, rows in by_date(block)}
    assert dates == {
        "2026-01-01": ["sim-eu/0", "sim-eu/1"],
        "2026-01-02": [f"sim-eu/{DAY_TICKS}", f"sim-eu/{DAY_TICKS + 1}"],
    }
    assert list(by_date(one_day.slice(0, 0))) == []


def test_names_with_odd_characters_are_kept_apart(tmp_path: Path) -> None:
    """Whatever a cluster is called, its files lie in the folder and are found as its own."""
    parts = ["a", "a-b", "a b", "../up", "ü"]
    for part in parts:
        files = SampleFiles(context(tmp_path), part, 0)
        files.write(numbered([1], cluster=part))
        files.finish()
        files.publish()
    assert len(published(tmp_path)) == len(parts)
    sink = DirectParquet(ParquetSettings(path=str(tmp_path)), parts, "run-1")
    for part in parts:
        (left,) = sink.left_behind(part, 0)
        assert Store(str(tmp_path)).metadata(left.file.path)["mqpipe.partition"] == part


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder and says what to do, and nothing of the files ever appears."""
    files = SampleFiles(context(tmp_path), "sim-eu", 0)
    files.write(numbered([1]))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(DiskFullError, match=f"no room on disk for samples in {tmp_path}"):
        files.finish()
    with pytest.raises(RuntimeError, match="only whole files are published"):
        files.publish()
    assert published(tmp_path) == []


def test_fsync_reaches_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `fsync`, the file's content is forced out before the rename, its name after."""
    synced: list[Path] = []
    monkeypatch.setattr("sinks.parquet.store.sync_to_disk", synced.append)
    for fsync in (False, True):
        store = Store(str(tmp_path), fsync)
        with store.create("_open/x.tmp") as stream:
            stream.write(b"x")
        store.move("_open/x.tmp", "type=broker/x.parquet")
    assert synced == [tmp_path / "_open/x.tmp", tmp_path / "type=broker"]


def test_an_unknown_kind_of_storage_is_refused_with_the_known_ones() -> None:
    """A typing error in the scheme is found when the config is read."""
    with pytest.raises(ValidationError, match=r"no storage `s4://`; write a directory, or .*s3://"):
        ParquetSettings(path="s4://bucket")


def test_a_folder_that_is_gone_is_said_with_what_to_do(tmp_path: Path) -> None:
    """What was a folder when the job began may be something else by now."""
    store = Store(str(tmp_path / "samples"))
    store.require_folder()
    (tmp_path / "samples").rmdir()
    (tmp_path / "samples").write_text("")
    with pytest.raises(UnwritableError, match="cannot be written there: Not a directory; name"):
        store.probe()
    with pytest.raises(UnwritableError, match="cannot be written there: File exists; name"):
        store.require_folder()
