"""Delta tables: rows wait in a log until they are committed, and each is committed once."""

import errno
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import structlog
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import sinks.deltalake.tables
from operators.schema.arrow import schema_of
from operators.schema.metrics import ENTITY_TYPES, TOPIC
from sinks.deltalake.settings import DeltaLakeSettings
from sinks.deltalake.sink import RolledDelta
from sinks.deltalake.tables import DeltaTableError, DeltaTables, rows_of
from sinks.disk import DiskFullError, UnwritableError
from sinks.rolled import RollSettings
from tests.samples import NEW_YEAR, numbered, numbers_in_delta, tick

PARTS = ["sim-eu", "sim-us"]
DAY = 86_400_000


class Job:
    """One life of a job with a sink of Delta tables, under the test's clock."""

    def __init__(self, path: Path, states: dict[str, Any] | None = None, rows: int = 10) -> None:
        self.now = NEW_YEAR
        self.tables = path / "delta"
        self.sink = RolledDelta(
            DeltaLakeSettings(path=str(self.tables), roll=RollSettings(rows=rows)),
            PARTS,
            "r",
            path / "state",
            clock=lambda: self.now,
        )
        states = states or {}
        self.parts: dict[str, Any] = {
            part: self.sink.build_part("step", part, states.get(part)) for part in PARTS
        }

    def write(self, number: int, part: str = "sim-eu") -> None:
        self.parts[part].write_batch([numbered([number], part)])

    def snapshot(self) -> dict[str, Any]:
        """A snapshot of all partitions, with what it started in the background done."""
        states = {name: part.snapshot() for name, part in self.parts.items()}
        self.settle()
        return states

    def settle(self) -> None:
        for part in self.parts.values():
            if part._publishing is not None:
                futures.wait([part._publishing[1]])

    def close(self) -> None:
        """The engine closes the partitions and ends."""
        for part in self.parts.values():
            part.close()

    def drain(self) -> None:
        self.close()
        self.sink.finish()

    @property
    def rows(self) -> list[int]:
        return numbers_in_delta(self.tables)


def table(path: Path, label: str = "broker") -> DeltaTable:
    return DeltaTable(str(path / "delta" / label))


def test_rows_are_committed_once_the_seal_is_stored(tmp_path: Path) -> None:
    """The snapshot that finds enough seals, the next one commits, a drain commits the rest."""
    job = Job(tmp_path, rows=2)
    job.write(0)
    job.write(1)
    job.snapshot()
    assert job.rows == []
    job.snapshot()
    assert job.rows == [0, 1]
    job.write(2)
    job.snapshot()
    job.close()
    assert job.rows == [0, 1]
    job.sink.finish()
    assert job.rows == [0, 1, 2]


def test_a_table_holds_the_columns_of_its_entity_type(tmp_path: Path) -> None:
    """Strings without dictionaries, nulls as nulls, and the date by which it is partitioned."""
    job = Job(tmp_path)
    batch = tick(NEW_YEAR + DAY - 1, 3, TOPIC, anomaly=[None, "spike", None])
    job.parts["sim-eu"].write_batch([batch, tick(NEW_YEAR + DAY, 1, TOPIC)])
    job.snapshot()
    job.drain()
    read = pl.read_delta(str(tmp_path / "delta" / "topic")).sort("timestamp", "entity_name")
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
        job.write(1, part)
        job.parts[part].write_batch([numbered([2], part, TOPIC)])
    job.snapshot()
    job.drain()
    assert job.rows == [1, 1, 2, 2]
    assert sorted(path.name for path in job.tables.iterdir()) == ["broker", "topic"]
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
    topics = tmp_path / "delta" / "topic"
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


def test_rows_that_a_drain_did_not_store_are_not_there(tmp_path: Path) -> None:
    """They come again, so nothing of them is committed before the engine has ended."""
    job = Job(tmp_path)
    job.write(1)
    stored = job.snapshot()
    job.write(2)
    job.snapshot()
    job.close()
    resumed = Job(tmp_path, stored)
    resumed.write(2)
    resumed.snapshot()
    resumed.drain()
    assert resumed.rows == [1, 2]


def test_without_state_numbers_go_on_after_what_is_committed(tmp_path: Path) -> None:
    """Otherwise the rows of a job that begins anew would pass for committed ones."""
    for number in range(3):
        job = Job(tmp_path)
        job.write(number)
        job.snapshot()
        job.drain()
        assert job.rows == list(range(number + 1))


def test_an_older_state_costs_no_rows(tmp_path: Path) -> None:
    """Those that come again are there twice, which is said; none is taken for committed."""
    job = Job(tmp_path, rows=1)
    old: dict[str, Any] = {}
    for number in range(5):
        job.write(number)
        states = job.snapshot()
        old = old or states
    job.drain()
    with structlog.testing.capture_logs() as logs:
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
    read = pl.read_delta(str(tmp_path / "delta" / "broker")).sort("timestamp")
    assert read["broker.shinyNew"].to_list() == [None, 1.5, None]


@pytest.mark.parametrize("entity_type", ENTITY_TYPES, ids=lambda t: t.label)
def test_every_entity_type_has_a_table(tmp_path: Path, entity_type: Any) -> None:
    """No column of any is one that Delta does not know."""
    job = Job(tmp_path)
    job.parts["sim-eu"].write_batch([tick(NEW_YEAR, 2, entity_type)])
    job.snapshot()
    job.drain()
    assert pl.read_delta(str(tmp_path / "delta" / entity_type.label)).height == 2
    tables = DeltaTables(str(tmp_path / "delta"), "r")
    assert tables.there() == [entity_type.label]
    assert tables.probe() == f"there are {entity_type.label}"


def test_large_backlogs_are_committed_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a commit holds in memory is bounded, however much waits."""
    monkeypatch.setattr(sinks.deltalake.tables, "COMMIT_BYTES", 1)
    job = Job(tmp_path)
    for part in PARTS:
        job.write(1, part)
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
    job.write(2, "sim-us")
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


def test_a_store_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows wait on disk meanwhile, and the log says why."""
    job = Job(tmp_path, rows=1)
    with (
        failing(monkeypatch, DeltaError("bucket is gone")),
        structlog.testing.capture_logs() as logs,
    ):
        for number in range(3):
            job.write(number)
            job.snapshot()
    where = tmp_path / "delta" / "broker"
    assert [(line["event"], line["error"]) for line in logs] == [
        ("rows not published, they wait on disk", f"Delta table in {where}: bucket is gone")
    ]
    job.now += 30_000
    job.snapshot()
    job.snapshot()
    assert job.rows == [0, 1, 2]


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, DiskFullError, "no room on disk for samples"),
        (errno.EDQUOT, DiskFullError, "no room on disk for samples"),
        (errno.EACCES, UnwritableError, "samples cannot be written there: Permission denied"),
        (errno.EIO, OSError, "Input/output error"),
    ],
)
def test_a_drain_that_cannot_commit_says_why_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OSError], text: str
) -> None:
    """In the words of the system, that the library hands on without its number."""
    job = Job(tmp_path)
    job.write(1)
    states = job.snapshot()
    told = f"Generic LocalFileSystem error: {os.strerror(number)} (os error {number})"
    with failing(monkeypatch, DeltaError(told)), pytest.raises(kind, match=text):
        job.drain()
    job = Job(tmp_path, states)
    job.drain()
    assert job.rows == [1]


def test_a_directory_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is collected."""
    (tmp_path / "delta").write_text("a file")
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
    with pytest.raises(ValidationError, match=r"pip install 'mqpipe\[deltalake\]'"):
        DeltaLakeSettings()


ACTIONS = st.sampled_from(
    ["write", "write", "snapshot", "store", "kill", "drain", "kill in drain", "kill after"]
)


@given(st.lists(ACTIONS, max_size=20), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_every_row_is_there_once_whenever_the_process_is_killed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str], roll: int
) -> None:
    """Any order of writes, snapshots (stored by the engine or not yet), kills and drains."""
    path = tmp_path_factory.mktemp("delta")
    written = 0
    taken: tuple[dict[str, Any], int] = ({}, 0)
    stored = taken
    job = Job(path, rows=roll)
    for action in [*actions, "snapshot", "drain"]:
        if action == "write":
            job.write(written, PARTS[written % 2])
            written += 1
        elif action == "snapshot":
            # The engine has stored a snapshot by the time it takes the next one.
            stored, taken = taken, (job.snapshot(), written)
        elif action == "store":
            stored = taken
        else:
            if action != "kill":
                # A drain ends with a snapshot, and closes before that is stored.
                stored, taken = taken, (job.snapshot(), written)
                job.close()
            if action in ("drain", "kill after"):
                stored = taken
            if action == "drain":
                job.sink.finish()
                assert job.rows == list(range(written))
            job.settle()
            states, written = taken = stored
            job = Job(path, states, rows=roll)
        job.settle()
        seen = job.rows
        assert seen == sorted(set(seen))
    assert job.rows == list(range(written))
