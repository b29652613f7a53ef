"""Delta tables: rows wait in a log until they are committed, and each is committed once."""

import errno
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from pydantic import ValidationError

import sinks.deltalake.tables
from operators.schema.arrow import schema_of
from operators.schema.metrics import ENTITY_TYPES, TOPIC
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.deltalake.tables import DeltaTableError, DeltaTables, rows_of
from sinks.disk import DiskFullError, UnwritableError
from tests import rolled_sink_lives as lives
from tests.captured_logs import captured_logs
from tests.rolled_sink_lives import PARTS
from tests.samples import NEW_YEAR, numbered, tick

DAY = 86_400_000

Job = partial(lives.Job, lives.DELTA)


def table(path: Path, label: str = "broker") -> DeltaTable:
    return DeltaTable(str(path / "samples" / label))


def test_a_table_holds_the_columns_of_its_entity_type(tmp_path: Path) -> None:
    """Strings without dictionaries, nulls as nulls, and the date by which it is partitioned."""
    job = Job(tmp_path)
    batch = tick(NEW_YEAR + DAY - 1, 3, TOPIC, anomaly=[None, "spike", None])
    job.parts["sim-eu"].write_batch([batch, tick(NEW_YEAR + DAY, 1, TOPIC)])
    job.snapshot()
    job.drain()
    read = pl.read_delta(str(tmp_path / "samples" / "topic")).sort("timestamp", "entity_name")
    assert read.columns == [*schema_of(TOPIC).names, "date"]
    assert read["date"].to_list() == [date(2026, 1, 1)] * 3 + [date(2026, 1, 2)]
    expected = pl.DataFrame(pa.Table.from_batches([batch]))
    same = read.head(3).drop("date").cast(expected.schema)
    assert same.equals(expected, null_equal=True)
    assert table(tmp_path, "topic").metadata().partition_columns == ["date"]


def test_partitions_share_a_commit(tmp_path: Path) -> None:
    """It carries the segment of each as a transaction; a table is made where there are rows."""
    job = Job(tmp_path)
    for part in PARTS:
        job.write(1, part=part)
        job.parts[part].write_batch([numbered([2], part, TOPIC)])
    job.snapshot()
    job.drain()
    assert job.rows == [1, 1, 2, 2]
    assert sorted(path.name for path in job.samples.iterdir()) == ["broker", "topic"]
    for label in ("broker", "topic"):
        there = table(tmp_path, label)
        assert there.version() == 0
        assert [there.transaction_version(f"r/{part}") for part in PARTS] == [0, 0]


def test_what_was_committed_is_not_committed_again(tmp_path: Path) -> None:
    """Also where only some of the tables have it, however often the job starts again."""
    job = Job(tmp_path)
    job.write(1)
    job.parts["sim-eu"].write_batch([numbered([2], "sim-eu", TOPIC)])
    states = job.snapshot()
    job.drain()
    versions = [table(tmp_path, label).version() for label in ("broker", "topic")]
    topics = tmp_path / "samples" / "topic"
    topics.rename(tmp_path / "gone")  # as if the commit to this one had not come about
    for _ in range(2):
        job = Job(tmp_path, states)
        job.settle()
        job.drain()
        assert job.rows == [1, 2]
    assert [table(tmp_path, label).version() for label in ("broker", "topic")] == versions
    job = Job(tmp_path, states)
    job.write(3)
    assert job.snapshot()["sim-eu"][1][0] == 1
    job.drain()
    assert job.rows == [1, 2, 3]


def test_without_state_numbers_go_on_after_what_is_committed(tmp_path: Path) -> None:
    """Otherwise the rows of a job that starts over would pass for committed ones."""
    for number in range(3):
        job = Job(tmp_path)
        job.write(number)
        job.snapshot()
        job.drain()
        assert job.rows == list(range(number + 1))


def test_rows_of_a_silent_partition_wait_until_their_snapshot_is_certainly_stored(
    tmp_path: Path,
) -> None:
    """That is when the worker has ended a later epoch, for a commit is never taken back."""
    job = Job(tmp_path)
    job.write(1)
    job.end_epoch()
    job.look()
    job.write(2, part="sim-us")
    job.look()
    assert job.rows == []
    job.end_epoch()
    job.look()
    assert job.rows == [1]


def test_an_older_state_costs_no_rows(tmp_path: Path) -> None:
    """Those that come again are there twice, which is said; none is taken for committed."""
    job = Job(tmp_path, rows=1)
    old: dict[str, Any] = {}
    for number in range(5):
        job.write(number)
        states = job.snapshot()
        old = old or states
    job.drain()
    with captured_logs() as logs:
        job = Job(tmp_path, old, rows=1)
    assert "recovery store is an older one: rows may repeat" in [line["event"] for line in logs]
    job.write(9)
    job.snapshot()
    job.drain()
    assert job.rows == [*range(5), 9]


def test_columns_that_were_added_are_merged_into_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Null in the rows before them; a version that does not know them writes on."""
    job = Job(tmp_path, rows=1)
    known = rows_of

    def newer(batches: list[pa.RecordBatch]) -> pa.Table:
        rows = known(batches)
        return rows.append_column("broker.shinyNew", pa.array([1.5] * rows.num_rows))

    for number, version in enumerate((known, newer, known)):
        monkeypatch.setattr(sinks.deltalake.tables, "rows_of", version)
        job.write(number)
        job.snapshot()
        job.snapshot()
    read = pl.read_delta(str(tmp_path / "samples" / "broker")).sort("timestamp")
    assert read["broker.shinyNew"].to_list() == [None, 1.5, None]


@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_every_entity_type_has_a_table(tmp_path: Path, entity_type: Any) -> None:
    """No column of any is one that Delta does not know."""
    job = Job(tmp_path)
    job.parts["sim-eu"].write_batch([tick(NEW_YEAR, 2, entity_type)])
    job.snapshot()
    job.drain()
    assert pl.read_delta(str(tmp_path / "samples" / entity_type.label)).height == 2
    tables = DeltaTables(str(tmp_path / "samples"), "r")
    assert tables.there() == [entity_type.label]
    assert tables.probe() == f"there are {entity_type.label}"


def test_large_backlogs_are_committed_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a commit holds in memory is bounded, however much waits."""
    monkeypatch.setattr(sinks.deltalake.tables, "COMMIT_BYTES", 1)
    job = Job(tmp_path)
    for part in PARTS:
        job.write(1, part=part)
    job.snapshot()
    job.drain()
    assert job.rows == [1, 1]
    assert table(tmp_path).version() == 1


def test_a_commit_that_met_another_one_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where two processes make a table at the same moment; the rows are there once."""
    calls: list[Any] = []

    def meets(*args: Any, **more: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            write_deltalake(*args, **more)
            raise CommitFailedError("the table is there already")
        write_deltalake(*args, **more)

    job = Job(tmp_path)
    job.write(1)
    job.write(2, part="sim-us")
    job.snapshot()
    monkeypatch.setattr(sinks.deltalake.tables, "write_deltalake", meets)
    job.drain()
    assert job.rows == [1, 2]
    assert len(calls) == 1


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sinks.deltalake.tables, "write_deltalake", refuse)
        yield


@pytest.mark.parametrize(
    ("reported", "kind", "text"),
    [
        (f"os error {errno.ENOSPC}", DiskFullError, "no room on disk for samples"),
        (f"os error {errno.EDQUOT}", DiskFullError, "no room on disk for samples"),
        (f"os error {errno.EACCES}", UnwritableError, "cannot be written there: Permission denied"),
        (f"os error {errno.EIO}", OSError, "Input/output error"),
        ("bucket is gone", DeltaTableError, "Delta table in .*/broker: .*bucket is gone"),
    ],
)
def test_a_drain_that_cannot_commit_says_why_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: str, kind: type[OSError], text: str
) -> None:
    """In the words of the system, that the library hands on without its number."""
    job = Job(tmp_path)
    job.write(1)
    states = job.snapshot()
    with (
        failing(monkeypatch, DeltaError(f"Generic error: ({reported})")),
        pytest.raises(kind, match=text),
    ):
        job.drain()
    job = Job(tmp_path, states)
    job.drain()
    assert job.rows == [1]


def test_a_directory_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is collected."""
    (tmp_path / "samples").write_text("a file")
    with pytest.raises(UnwritableError, match="samples cannot be written there"):
        Job(tmp_path)


def test_the_error_of_a_table_survives_pickling() -> None:
    """With its facts."""
    error = pickle.loads(pickle.dumps(DeltaTableError("/d/topic", "conflict")))
    assert (error.path, error.reason) == ("/d/topic", "conflict")
    assert str(error) == "Delta table in /d/topic: conflict"


def test_without_the_package_the_settings_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the configuration is read, not when the first rows are committed."""
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ValidationError, match=r"uv pip install --python .* 'deltalake>=1.6'"):
        DeltaLakeSettings()
