"""Rolled Parquet files: rows wait in a log until a file is full, and each is published once."""

import shutil
import threading
from concurrent import futures
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.metrics import TOPIC
from sinks.parquet import ParquetSettings, RolledParquet
from sinks.parquet.store import Store
from sinks.rolled import Background, RollSettings, Sealed
from tests.samples import NEW_YEAR, numbered, numbers_in, published


class Job:
    """One life of a job with a Parquet sink of one partition, under the test's clock."""

    def __init__(
        self, path: Path, state: Any = None, rows: int = 10, part: str = "sim-eu", **more: Any
    ) -> None:
        self.now = NEW_YEAR
        self.samples = path / "samples"
        roll = RollSettings(rows=rows, every=more.pop("every", 600.0))
        self.sink = RolledParquet(
            ParquetSettings(path=str(self.samples), roll=roll, **more),
            ["sim-eu", "sim-us"],
            "r",
            path / "state",
            clock=lambda: self.now,
            look_every=None,
        )
        self.part: Any = self.sink.build_part("step", part, state)

    def write(self, *numbers: int) -> None:
        self.part.write_batch([numbered(numbers)])

    def snapshot(self) -> Any:
        """A snapshot, with what it started in the background done."""
        state = self.part.snapshot()
        self.settle()
        return state

    def look(self) -> None:
        """Nothing was written for the age at which files are rolled, and the sink looks."""
        self.now += 600_000
        self.part.look()

    def drain(self) -> None:
        """The engine closes the partition and ends; then what waits is published."""
        self.part.close()
        self.sink.finish()

    def settle(self) -> None:
        if self.part._publishing is not None:
            futures.wait([self.part._publishing[1]])

    @property
    def rows(self) -> list[int]:
        return numbers_in(self.samples)

    @property
    def logs(self) -> list[str]:
        return sorted(p.stem.lstrip("0") or "0" for p in self.samples.parent.rglob("*.log"))


def test_rows_wait_until_there_are_enough(tmp_path: Path) -> None:
    """The snapshot that finds enough seals, the next one publishes."""
    job = Job(tmp_path, rows=10)
    job.write(*range(9))
    job.snapshot()
    job.write(9)
    job.snapshot()
    assert job.rows == []
    job.write(10)
    job.snapshot()
    assert job.rows == list(range(10))


def test_rows_wait_no_longer_than_the_age(tmp_path: Path) -> None:
    """Counted from the first waiting row, also over a restart."""
    job = Job(tmp_path, every=60.0)
    job.write(1)
    state = job.snapshot()
    later = Job(tmp_path, state, every=60.0)
    later.now += 59_999
    later.snapshot()
    later.snapshot()
    assert later.rows == []
    later.now += 1
    later.snapshot()
    later.snapshot()
    assert later.rows == [1]


def test_rows_of_a_silent_partition_wait_no_longer_than_the_age(tmp_path: Path) -> None:
    """No snapshot comes where nothing is written; what the last one covers is published."""
    job = Job(tmp_path)
    job.write(1)
    job.part.look()
    state = job.snapshot()
    job.now += 599_999
    job.part.look()
    job.settle()
    assert job.rows == []
    job.now += 1
    job.part.look()
    job.settle()
    assert job.rows == [1]
    resumed = Job(tmp_path, state)
    assert resumed.rows == [1]
    for life in (job, resumed):
        life.write(2)
        assert life.snapshot()[1][0] == 1


def test_rows_of_a_silent_partition_are_published_once_it_is_back(tmp_path: Path) -> None:
    """Also those that the last snapshot sealed, and those that wait since an earlier life."""
    job = Job(tmp_path, rows=1)
    job.write(1)
    job.part.snapshot()
    job.look()
    job.settle()
    assert job.rows == [1]
    job.write(2)
    resumed = Job(tmp_path, Job(tmp_path, job.part.snapshot()).part.snapshot())
    resumed.look()
    resumed.settle()
    resumed.drain()
    assert resumed.rows == [1, 2]


def test_rows_that_no_snapshot_covers_are_not_published(tmp_path: Path) -> None:
    """However old they are: they would come again after a kill."""
    job = Job(tmp_path)
    job.write(1)
    job.look()
    assert job.part._publishing is None


def test_partitions_are_looked_at_until_they_close() -> None:
    """From a thread beside the dataflow, which a store that fails does not end."""
    looked = threading.Event()
    looks = []

    class Silent:
        def look(self) -> None:
            looks.append(threading.current_thread())
            if len(looks) == 1:
                raise OSError("disk is gone")
            looked.set()

        def left(self) -> list[Sealed]:
            return []

    background = Background(lambda _: None, 0.001)
    background.opened(Silent())
    assert looked.wait(30)
    background.closed()
    looks[0].join(30)
    assert not looks[0].is_alive()
    assert looks[0] is not threading.current_thread()


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
        job.part.snapshot()
    assert job.rows == []
    release.set_result(None)
    job.settle()
    job.snapshot()
    job.drain()
    assert job.rows == list(range(8))


def test_a_log_stays_for_two_more_snapshots(tmp_path: Path) -> None:
    """The engine may come back to an older state, which needs it."""
    job = Job(tmp_path, rows=1)
    job.write(1)
    seen = []
    for n in range(6):
        job.snapshot()
        seen.append("0" in job.logs)
        job.write(n)
    assert seen == [True, True, True, True, True, False]


def test_a_drain_publishes_everything(tmp_path: Path) -> None:
    """Sealed or not, when `finish` returns it can be read."""
    job = Job(tmp_path, rows=2)
    job.write(1, 2)
    job.part.snapshot()
    job.write(3)
    job.part.snapshot()
    job.drain()
    assert job.rows == [1, 2, 3]


def test_after_a_drain_the_next_life_goes_on(tmp_path: Path) -> None:
    """With the next number, and nothing is published twice, however often it is restarted."""
    job = Job(tmp_path)
    job.write(1)
    state = job.snapshot()
    job.drain()
    for _ in range(2):
        job = Job(tmp_path, state)
        job.drain()
        assert job.rows == [1]
    job = Job(tmp_path, state)
    job.write(2)
    state = job.snapshot()
    assert state[1][0] == 1
    job.drain()
    assert job.rows == [1, 2]
    assert [f.stem for f in published(job.samples)] == ["r-sim-eu-000000", "r-sim-eu-000001"]


def test_a_drain_whose_last_snapshot_was_not_stored_published_nothing(tmp_path: Path) -> None:
    """Its rows come again, so when a partition closes nothing is published yet."""
    job = Job(tmp_path)
    job.write(1)
    stored = job.snapshot()
    job.write(2)
    job.snapshot()
    job.part.close()
    resumed = Job(tmp_path, stored)
    assert resumed.rows == []
    resumed.write(2, 3)
    resumed.snapshot()
    resumed.drain()
    assert resumed.rows == [1, 2, 3]


def test_a_drain_that_was_killed_halfway_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are missing are written, those that are there stay."""
    job = Job(tmp_path)
    job.part.write_batch([numbered([1]), numbered([2], entity_type=TOPIC)])
    state = job.snapshot()
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
        patched.setattr(Background, "publish", lambda *_: Future())
        Job(tmp_path, state)  # killed before it published anything
    assert job.rows == [1]
    resumed = Job(tmp_path, state)
    resumed.settle()
    assert resumed.rows == [1, 2]
    resumed.write(3)
    assert resumed.snapshot()[1][0] == 1
    resumed.drain()
    assert resumed.rows == [1, 2, 3]


def test_sealed_segments_are_published_after_a_kill(tmp_path: Path) -> None:
    """Whether their files were there already or not."""
    job = Job(tmp_path, rows=1)
    job.write(1)
    stored = job.part.snapshot()
    for published_before_the_kill in (False, True):
        if published_before_the_kill:
            assert numbers_in(tmp_path / "samples") == [1]
        resumed = Job(tmp_path, stored, rows=1)
        resumed.settle()
        assert resumed.rows == [1]


def test_rows_after_the_stored_position_are_dropped(tmp_path: Path) -> None:
    """They come again from the source."""
    job = Job(tmp_path)
    job.write(1)
    stored = job.snapshot()
    job.write(2)
    job.snapshot()
    resumed = Job(tmp_path, stored)
    resumed.write(2)
    resumed.snapshot()
    resumed.drain()
    assert resumed.rows == [1, 2]


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


def test_a_lost_log_is_reported_and_the_job_goes_on(tmp_path: Path) -> None:
    """What waited in it is lost, and said to be."""
    job = Job(tmp_path)
    job.write(1)
    state = job.snapshot()
    shutil.rmtree(tmp_path / "state")
    with structlog.testing.capture_logs() as logs:
        job = Job(tmp_path, state)
    assert [(line["event"], line["lost_bytes"]) for line in logs] == [
        ("segment damaged", state[1][1])
    ]
    job.write(2)
    job.snapshot()
    job.drain()
    assert job.rows == [2]


def test_a_store_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows wait on disk meanwhile, and the log says why."""
    job = Job(tmp_path, rows=1)

    def refuse(*_: object) -> None:
        raise OSError("bucket is gone")

    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(Store, "create", refuse)
        for n in range(4):
            job.write(n)
            job.snapshot()
    assert job.rows == []
    assert [(line["event"], line["error"]) for line in logs] == [
        ("rows not published, they wait on disk", "bucket is gone")
    ]
    job.now += 30_000
    job.snapshot()
    job.snapshot()
    assert job.rows == [0, 1, 2, 3]


def test_a_drain_that_cannot_publish_says_so_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends with the error; the next life has the rows."""
    job = Job(tmp_path)
    job.write(1)
    state = job.snapshot()

    def refuse(*_: object) -> None:
        raise OSError("bucket is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "create", refuse)
        with pytest.raises(OSError, match="bucket is gone"):
            job.drain()
    job = Job(tmp_path, state)
    job.drain()
    assert job.rows == [1]


def test_a_retired_partition_publishes_what_it_had(tmp_path: Path) -> None:
    """Its state is loaded, nothing more is written, and it closes with the run."""
    job = Job(tmp_path, part="sim-us")
    job.write(1)
    state = job.snapshot()
    for _ in range(2):
        job = Job(tmp_path, state, part="sim-us")
        job.drain()
        assert job.rows == [1]


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


ACTIONS = st.sampled_from(
    ["write", "snapshot", "store", "kill", "drain", "kill in drain", "kill after", "wait", "look"]
)


@given(st.lists(ACTIONS, max_size=40), st.integers(1, 5))
@settings(max_examples=120)
def test_every_row_is_there_once_whenever_the_process_is_killed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str], roll: int
) -> None:
    """Any order of writes, snapshots (stored by the engine or not yet), kills and drains."""
    path = tmp_path_factory.mktemp("rolled")
    written = 0
    taken: tuple[Any, int] = (None, 0)
    stored = taken
    job = Job(path, rows=roll)
    for action in [*actions, "snapshot", "drain"]:
        if action == "write":
            job.write(written)
            written += 1
        elif action == "snapshot":
            # The engine has stored a snapshot by the time it takes the next one.
            stored, taken = taken, (job.part.snapshot(), written)
        elif action == "store":
            stored = taken
        elif action == "wait":
            job.settle()
        elif action == "look":
            job.look()
        else:
            if action != "kill":
                # A drain ends with a snapshot, and closes before that is stored.
                stored, taken = taken, (job.part.snapshot(), written)
                job.part.close()
            if action in ("drain", "kill after"):
                stored = taken
            if action == "drain":
                job.sink.finish()
                assert job.rows == list(range(written))
            job.settle()
            taken = stored
            state, written = stored
            job = Job(path, state, rows=roll)
        # Read once: more may be published in the background at any moment.
        seen = job.rows
        assert seen == sorted(set(seen))
    job.settle()
    assert job.rows == list(range(written))
