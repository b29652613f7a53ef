"""Rolled Parquet files: rows wait in a log until a file is full, and each is published once."""

from concurrent import futures
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from operators.schema.metrics import TOPIC
from sinks.events import SamplesPublished
from sinks.parquet.store import Store
from sinks.rolled.publisher import Publisher
from tests import rolled_sink_lives as lives
from tests.samples import NEW_YEAR, numbered, published

Job = partial(lives.Job, lives.PARQUET)


def test_a_snapshot_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files are being written in the background, snapshots and writes go on."""
    job = Job(tmp_path, rows=2)
    release = futures.Future[None]()
    move = Store.move
    monkeypatch.setattr(
        Store,
        "move",
        lambda *args: (release.result(timeout=60), move(*args)),  # hangs
    )
    for n in range(8):
        job.write(n)
        job.end_epoch()
    assert job.rows == []
    release.set_result(None)
    job.settle()
    job.snapshot()
    job.drain()
    assert job.rows == list(range(8))


def test_a_drain_that_was_killed_halfway_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are missing are written, those that are there stay."""
    job = Job(tmp_path)
    job.part.write_batch([numbered([1]), numbered([2], entity_type=TOPIC)])
    states = job.snapshot()
    move, moves = Store.move, []

    def move_once(store: Store, source: str, target: str) -> None:
        moves.append(target)
        if len(moves) == 2:
            raise KeyboardInterrupt
        move(store, source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "move", move_once)
        with pytest.raises(KeyboardInterrupt):
            job.drain()
    assert job.rows == [1]
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", lambda *_: Future())
        Job(tmp_path, states)  # killed before it published anything
    assert job.rows == [1]
    resumed = Job(tmp_path, states)
    resumed.settle()
    assert resumed.rows == [1, 2]
    resumed.write(3)
    assert resumed.snapshot()["sim-eu"][1][0] == 1
    resumed.drain()
    assert resumed.rows == [1, 2, 3]


def test_what_a_drain_published_is_not_published_again(tmp_path: Path) -> None:
    """Sealed segments of the last state, too, lie in files by then, and are not counted twice."""
    job = Job(tmp_path, rows=2)
    job.write(1, 2)
    job.snapshot()
    job.write(3)
    states = job.snapshot()
    assert states["sim-eu"][4], "one segment is sealed"
    job.drain()
    assert job.rows == [1, 2, 3]
    for _ in range(2):  # Killed before it stored another state, it finds all as it was.
        again = Job(tmp_path, states, rows=2)
        again.settle()
        assert (again.rows, [e for e in again.events if isinstance(e, SamplesPublished)]) == (
            [1, 2, 3],
            [],
        )
    again.write(4)
    for _ in range(4):
        again.snapshot()
        again.settle()
    again.drain()
    assert again.rows == [1, 2, 3, 4]


def test_without_state_what_was_never_stored_is_gone(tmp_path: Path) -> None:
    """A process that dies before its first state was stored leaves nothing that counts."""
    job = Job(tmp_path)
    job.write(1)
    job.snapshot()
    job.drain()
    again = Job(tmp_path)
    assert again.rows == []
    again.write(1)
    again.snapshot()
    again.drain()
    assert again.rows == [1]


def test_a_lost_recovery_store_costs_no_published_file(tmp_path: Path) -> None:
    """Files are kept, numbers go on after them."""
    job = Job(tmp_path, rows=1)
    for n in range(4):
        job.write(n)
        job.snapshot()
    before = job.rows
    assert before == [0, 1, 2]
    job = Job(tmp_path, rows=1)
    job.write(9)
    job.snapshot()
    job.drain()
    assert job.rows == [*before, 9]


def test_files_past_their_retention_are_deleted(tmp_path: Path) -> None:
    """Those whose date ended longer ago than `keep`; never today's, nothing that is no Parquet."""
    day = 86_400_000
    job = Job(tmp_path, rows=1, keep=86_400.0)
    for age in (3, 2, 1, 0):
        job.part.write_batch([numbered([age], start=NEW_YEAR - age * day - age * 30_000)])
    note = tmp_path / "samples" / "type=broker" / "date=2025-12-28" / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("mine")
    job.snapshot()
    job.now += 1
    job.snapshot()
    assert job.rows == [0, 1, 2, 3]
    job.now += 3_600_000
    job.part.snapshot()
    job.sink._background._executor.submit(lambda: None).result()
    dates = {f.parent.name for f in published(job.samples)}
    assert dates == {"date=2025-12-31", "date=2026-01-01"}
    assert note.exists()
    assert not (note.parent.parent / "date=2025-12-29").exists()


def test_nothing_is_deleted_for_its_age_by_default(tmp_path: Path) -> None:
    """`keep` is off."""
    job = Job(tmp_path, rows=1)
    job.part.write_batch([numbered([1], start=0)])
    job.snapshot()
    job.now = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)
    job.snapshot()
    job.drain()
    assert job.rows == [1]
