"""Sinks whose rows wait in a log until they are published together: each row once."""

import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.disk import DiskFullError
from sinks.events import SamplesPublished
from sinks.rolled.owner import ForeignRowsError
from sinks.rolled.publisher import Publisher
from sinks.rolled.waiting import HELD_ROWS, Sealed
from sinks.segments import SegmentLog, records_of
from tests.captured_logs import captured_logs
from tests.rolled_sink_lives import DELTA, PARQUET, PARTS, Job, Kind

pytestmark = pytest.mark.parametrize("kind", [PARQUET, DELTA], ids=["parquet", "delta"])


def test_rows_wait_until_there_are_enough(kind: Kind, tmp_path: Path) -> None:
    """The snapshot that finds enough seals, the next one publishes, a drain publishes the rest."""
    job = Job(kind, tmp_path, rows=10)
    job.write(*range(9))
    job.snapshot()
    job.write(9)
    job.snapshot()
    assert job.rows == []
    job.write(10)
    job.snapshot()
    assert job.rows == list(range(10))
    job.close()
    assert job.rows == list(range(10))
    job.sink.finish()
    assert job.rows == list(range(11))


def test_a_snapshot_writes_rows_of_one_type_together(kind: Kind, tmp_path: Path) -> None:
    """One record of what came since the last one, and before it none."""
    job = Job(kind, tmp_path)
    for n in range(5):
        job.write(n)
    (log,) = (tmp_path / "state").glob("*/sim-eu/*.log")
    assert log.stat().st_size == 0
    job.snapshot()
    assert len(list(records_of(log))) == 1
    job.drain()
    assert job.rows == list(range(5))


def test_more_rows_than_are_held_are_written_at_once(kind: Kind, tmp_path: Path) -> None:
    """So a large gap that is filled takes no memory until the snapshot."""
    job = Job(kind, tmp_path)
    job.write(*range(HELD_ROWS))
    (log,) = (tmp_path / "state").glob("*/sim-eu/*.log")
    assert len(list(records_of(log))) == 1


def test_a_disk_that_is_full_fails_the_snapshot_and_no_end(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second failure while the engine closes what is left would abort the process."""
    job = Job(kind, tmp_path)
    job.write(1)
    job.write(2, part="sim-us")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(SegmentLog, "_write", full)
    with pytest.raises(DiskFullError):
        job.part.snapshot()
    job.close()


def test_rows_wait_no_longer_than_the_age(kind: Kind, tmp_path: Path) -> None:
    """Counted from the first waiting row, also over a restart."""
    job = Job(kind, tmp_path, every=60.0)
    job.write(1)
    later = Job(kind, tmp_path, job.snapshot(), every=60.0)
    later.now += 59_999
    later.snapshot()
    later.snapshot()
    assert later.rows == []
    later.now += 1
    later.snapshot()
    later.snapshot()
    assert later.rows == [1]


def test_rows_that_waited_when_the_clock_was_set_back_wait_no_longer(
    kind: Kind, tmp_path: Path
) -> None:
    """Not until the clock has come again to where it was."""
    job = Job(kind, tmp_path, every=60.0)
    job.write(1)
    later = Job(kind, tmp_path, job.snapshot(), every=60.0)
    later.now -= 3_600_000
    later.snapshot()
    later.snapshot()
    assert later.rows == [1]


def test_rows_that_no_snapshot_covers_are_not_published(kind: Kind, tmp_path: Path) -> None:
    """However old they are: they would come again after a kill."""
    job = Job(kind, tmp_path)
    job.write(1)
    job.snapshot()
    job.write(2)
    job.write(3, part="sim-us")
    job.end_epoch()
    job.write(4)
    job.look()
    assert 4 not in job.rows


def test_rows_of_a_silent_partition_wait_no_longer_than_the_age(kind: Kind, tmp_path: Path) -> None:
    """No snapshot comes where nothing is written; what the last one covers is published."""
    job = Job(kind, tmp_path)
    job.write(1)
    job.end_epoch()
    job.write(2, part="sim-us")
    states = job.end_epoch()
    job.write(3, part="sim-us")
    job.look(after=599_999)
    assert job.rows == []
    job.look(after=1)
    assert job.rows == [1]
    resumed = Job(kind, tmp_path, states)
    assert resumed.rows == [1]
    resumed.write(4)
    assert resumed.snapshot()["sim-eu"][1][0] == 1
    resumed.drain()
    assert resumed.rows == [1, 2, 4]


def test_rows_of_a_partition_that_is_silent_from_the_start_wait_no_longer(
    kind: Kind, tmp_path: Path
) -> None:
    """As those of a cluster that was given up: the state that was resumed is stored."""
    job = Job(kind, tmp_path)
    job.write(1)
    resumed = Job(kind, tmp_path, job.snapshot())
    resumed.look()
    assert resumed.rows == [1]
    resumed.drain()
    assert resumed.rows == [1]


def test_rows_of_a_silent_partition_are_published_once_it_is_back(
    kind: Kind, tmp_path: Path
) -> None:
    """Also those that the last snapshot sealed, and those that wait since an earlier life."""
    job = Job(kind, tmp_path, rows=1)
    job.write(1)
    job.end_epoch()
    job.write(2, part="sim-us")
    job.end_epoch()
    job.look()
    assert 1 in job.rows
    job.write(3)
    resumed = Job(kind, tmp_path, Job(kind, tmp_path, job.end_epoch()).snapshot())
    resumed.look()
    resumed.drain()
    assert resumed.rows == [1, 2, 3]


def test_rows_wait_on_where_their_log_cannot_be_closed(kind: Kind, tmp_path: Path) -> None:
    """There can be no new file; once there can be one, they are published once."""
    job = Job(kind, tmp_path)
    job.write(1)
    job.end_epoch()
    job.write(2, part="sim-us")
    job.end_epoch()
    (rows,) = (tmp_path / "state").glob("*/sim-eu")
    in_the_way = rows / "0000000001.log"
    in_the_way.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            job.look()
    in_the_way.rmdir()
    job.look()
    assert job.rows.count(1) == 1
    job.write(3)
    job.snapshot()
    job.drain()
    assert job.rows == [1, 2, 3]


def test_partitions_are_looked_at_until_they_close(kind: Kind) -> None:
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

    background = Publisher(lambda _: None, 0.001, together=kind is DELTA)
    background.opened(Silent())
    assert looked.wait(30)
    background.closed()
    looks[0].join(30)
    assert not looks[0].is_alive()
    assert looks[0] is not threading.current_thread()


def test_each_worker_counts_its_own_epochs(kind: Kind, tmp_path: Path) -> None:
    """One may have ended an epoch in which another still writes."""
    job = Job(kind, tmp_path)
    job.write(1)
    job.end_epoch()
    with ThreadPoolExecutor(1) as worker:
        theirs = worker.submit(job.sink._background.opened, job.parts["sim-us"]).result()
    assert job.sink._background.opened(job.part).ended == 1
    assert theirs.ended == 0


def test_a_log_stays_for_two_more_snapshots(kind: Kind, tmp_path: Path) -> None:
    """The engine may come back to an older state, which needs it."""
    job = Job(kind, tmp_path, rows=1)
    job.write(1)
    seen = []
    for n in range(6):
        job.snapshot()
        seen.append(0 in job.logs)
        job.write(n)
    assert seen == [True, True, True, True, True, False]


def test_after_a_drain_the_next_life_goes_on(kind: Kind, tmp_path: Path) -> None:
    """With the next number, and nothing is published twice, however often it is restarted."""
    job = Job(kind, tmp_path)
    job.write(1)
    states = job.snapshot()
    job.drain()
    for _ in range(2):
        job = Job(kind, tmp_path, states)
        job.drain()
        assert job.rows == [1]
    job = Job(kind, tmp_path, states)
    job.write(2)
    states = job.snapshot()
    assert states["sim-eu"][1][0] == 1
    job.drain()
    assert job.rows == [1, 2]


def test_a_drain_that_another_process_had_not_finished_is_seen(kind: Kind, tmp_path: Path) -> None:
    """Where its partitions move, to a process that was started before it had ended."""
    job = Job(kind, tmp_path)
    job.write(1)
    states = job.snapshot()
    job.close()
    started = Job(kind, tmp_path, states, before_build=job.sink.finish)
    started.write(2)
    started.snapshot()
    started.drain()
    assert started.rows == [1, 2]


def test_a_drain_whose_last_snapshot_was_not_stored_published_nothing(
    kind: Kind, tmp_path: Path
) -> None:
    """Its rows come again, so when a partition closes nothing is published yet."""
    job = Job(kind, tmp_path)
    job.write(1)
    stored = job.snapshot()
    job.write(2)
    job.snapshot()
    job.close()
    resumed = Job(kind, tmp_path, stored)
    assert resumed.rows == []
    resumed.write(2, 3)
    resumed.snapshot()
    resumed.drain()
    assert resumed.rows == [1, 2, 3]


def test_sealed_segments_are_published_after_a_kill(kind: Kind, tmp_path: Path) -> None:
    """Whether they were there already or not."""
    job = Job(kind, tmp_path, rows=1)
    job.write(1)
    stored = job.end_epoch()
    for published_before_the_kill in (False, True):
        if published_before_the_kill:
            assert job.rows == [1]
        resumed = Job(kind, tmp_path, stored, rows=1)
        resumed.settle()
        assert resumed.rows == [1]


def test_a_lost_log_is_reported_and_the_job_goes_on(kind: Kind, tmp_path: Path) -> None:
    """What waited in it is lost, and said to be."""
    job = Job(kind, tmp_path)
    job.write(1)
    states = job.snapshot()
    shutil.rmtree(tmp_path / "state")
    with captured_logs() as logs:
        job = Job(kind, tmp_path, states)
    assert [(line["event"], line["lost_bytes"]) for line in logs] == [
        ("segment damaged", states["sim-eu"][1][1])
    ]
    job.write(2)
    job.snapshot()
    job.drain()
    assert job.rows == [2]


def test_a_store_that_fails_is_tried_again(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows wait on disk meanwhile, and the log says why."""
    job = Job(kind, tmp_path, rows=1)
    with monkeypatch.context() as patched, captured_logs() as logs:
        patched.setattr(job.sink._background, "_publish", refuse)
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
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends with the error; the next life has the rows."""
    job = Job(kind, tmp_path)
    job.write(1)
    states = job.snapshot()
    monkeypatch.setattr(job.sink._background, "_publish", refuse)
    with pytest.raises(OSError, match="bucket is gone"):
        job.drain()
    job = Job(kind, tmp_path, states)
    job.drain()
    assert job.rows == [1]


def refuse(*_: object) -> None:
    raise OSError("bucket is gone")


ACTIONS = st.sampled_from(
    ["write", "snapshot", "store", "kill", "drain", "kill in drain", "kill after", "wait", "look"]
)


@given(st.lists(ACTIONS, max_size=30), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_every_row_is_there_once_whenever_the_process_is_killed(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory, actions: list[str], roll: int
) -> None:
    """Any order of writes, snapshots (stored by the engine or not yet), looks, kills and drains."""
    path = tmp_path_factory.mktemp("rolled")
    written = 0
    taken: tuple[dict[str, Any], int] = ({}, 0)
    stored = taken
    job = Job(kind, path, rows=roll)
    for action in [*actions, "snapshot", "drain"]:
        if action == "write":
            # Of two partitions one falls silent at times.
            job.write(written, part=PARTS[written // 3 % 2])
            written += 1
        elif action == "snapshot":
            # The engine has stored a snapshot by the time it takes the next one.
            stored, taken = taken, (job.end_epoch(), written)
        elif action == "store":
            stored = taken
        elif action == "wait":
            job.settle()
        elif action == "look":
            job.look()
        else:
            if action != "kill":
                # A drain ends with a snapshot, and closes before that is stored.
                stored, taken = taken, (job.end_epoch(), written)
                job.close()
            if action in ("drain", "kill after"):
                stored = taken
            if action == "drain":
                job.sink.finish()
                assert job.rows == list(range(written))
            job.settle()
            states, written = taken = stored
            job = Job(kind, path, states, rows=roll)
        # Read once: more may be published in the background at any moment.
        seen = job.rows
        assert seen == sorted(set(seen))
    job.settle()
    assert job.rows == list(range(written))


def test_rows_of_a_store_that_is_lost_are_published(kind: Kind, tmp_path: Path) -> None:
    """Nobody makes them again: those that waited come once, and what follows comes after them."""
    job = Job(kind, tmp_path, rows=2, recovery="first")
    job.write(0, 1, 2)
    job.snapshot()
    job.write(3)
    job.close()
    later = Job(kind, tmp_path, recovery="second")
    assert later.rows == [0, 1, 2, 3]
    later.write(4)
    later.snapshot()
    later.drain()
    assert later.rows == [0, 1, 2, 3, 4]


def test_a_kill_while_lost_rows_are_published_repeats_none(kind: Kind, tmp_path: Path) -> None:
    """Nor in the start after that one, before which nothing was stored."""
    job = Job(kind, tmp_path, recovery="first")
    job.write(0, 1)
    job.close()
    owners = {f: f.read_bytes() for f in (tmp_path / "state").glob("*/*/owner.json")}
    logs = {f: f.read_bytes() for f in (tmp_path / "state").glob("*/*/*.log")}
    Job(kind, tmp_path, recovery="second").close()
    for file, content in {**owners, **logs}.items():
        file.write_bytes(
            content
        )  # as if it had been killed before it noted that they are published
    again = Job(kind, tmp_path, recovery="third")
    again.write(2)
    again.close()
    last = Job(kind, tmp_path, recovery="third")
    assert last.rows == [0, 1]
    last.drain()
    assert last.rows == [0, 1]


def test_rows_that_were_never_stored_come_again(kind: Kind, tmp_path: Path) -> None:
    """The same store, and no position in it: a kill before the first snapshot."""
    job = Job(kind, tmp_path, recovery="first")
    job.write(0, 1)
    job.close()
    again = Job(kind, tmp_path, recovery="first")
    again.write(0, 1)
    again.drain()
    assert again.rows == [0, 1]


def test_rows_of_another_step_stay(kind: Kind, tmp_path: Path) -> None:
    """Their position is stored under its name, which this build does not ask for."""
    job = Job(kind, tmp_path, recovery="first")
    job.write(0, 1)
    job.snapshot()
    job.close()
    with pytest.raises(ForeignRowsError, match="of step step of mqpipe"):
        Job(kind, tmp_path, recovery="first", step="renamed")
    assert Job(kind, tmp_path, job.states, recovery="first", step="step").part.left()


def test_the_first_rows_of_a_life_appear_soon(kind: Kind, tmp_path: Path) -> None:
    """Once their snapshot is stored, whatever `roll` says; those that follow wait for it."""
    job = Job(kind, tmp_path, soon=True)
    job.write(1)
    job.snapshot()
    assert job.rows == []
    job.write(2)
    job.snapshot()
    assert job.rows == [1]
    job.write(3)
    job.snapshot()
    job.snapshot()
    assert job.rows == [1]
    assert [event.by_origin for event in job.events if isinstance(event, SamplesPublished)] == [
        {"simulated": 1}
    ]
    job.drain()
    assert job.rows == [1, 2, 3]


def test_the_first_rows_of_a_long_interval_appear_soon_too(kind: Kind, tmp_path: Path) -> None:
    """Nothing more is written for a while: the sink looks a second after the snapshot."""
    job = Job(kind, tmp_path, soon=True)
    job.write(1)
    job.end_epoch()
    job.write(2, part="sim-us")
    job.end_epoch()
    job.look(after=999)
    assert 1 not in job.rows
    job.look(after=1)
    assert 1 in job.rows
    job.drain()
    assert job.rows == [1, 2]
