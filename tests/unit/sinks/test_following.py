"""What a running job writes to its logs, read beside it."""

from contextlib import closing
from pathlib import Path

import pyarrow as pa

from operators.schema.ipc import encode
from sinks.following import Following
from sinks.segments import SegmentLog
from sinks.sink import SampleLog
from tests.samples import numbered


def names(batches: list[pa.RecordBatch]) -> list[str]:
    """The entities of some batches."""
    return [name for batch in batches for name in batch.column("entity_name").to_pylist()]


def log_of(folder: Path) -> SegmentLog:
    """A log in which each record has eight bytes before its batch."""
    return SegmentLog(folder / "part", segment_bytes=10_000, on_damage=print)


def append(log: SegmentLog, *numbers: int) -> None:
    """A record with these samples."""
    log.append(bytes(8) + encode(numbered(numbers)))


def test_what_is_appended_comes_once(tmp_path: Path) -> None:
    """The first look gives all that is there."""
    following = Following(SampleLog(tmp_path, before=8))
    assert list(following.read()) == []
    with closing(log_of(tmp_path)) as log:
        append(log, 1, 2)
        append(log, 3)
        assert names(list(following.read())) == ["sim-eu/1", "sim-eu/2", "sim-eu/3"]
        assert list(following.read()) == []
        append(log, 4)
        assert names(list(following.read())) == ["sim-eu/4"]


def test_what_is_just_written_is_left_for_later(tmp_path: Path) -> None:
    """Of half a record nothing is read; the whole one comes then."""
    following = Following(SampleLog(tmp_path, before=8))
    with closing(log_of(tmp_path)) as log:
        append(log, 1)
        [file] = tmp_path.glob("part/*.log")
        whole = file.read_bytes()
        append(log, 2)
        more = file.read_bytes()
    file.write_bytes(more[: len(whole) + 20])
    assert names(list(following.read())) == ["sim-eu/1"]
    file.write_bytes(more)
    assert names(list(following.read())) == ["sim-eu/2"]


def test_what_a_start_cuts_off_comes_again(tmp_path: Path) -> None:
    """Rows that no snapshot covers are made and appended once more."""
    following = Following(SampleLog(tmp_path, before=8))
    with closing(log_of(tmp_path)) as log:
        append(log, 1)
        [file] = tmp_path.glob("part/*.log")
        whole = file.read_bytes()
        append(log, 2)
    assert names(list(following.read())) == ["sim-eu/1", "sim-eu/2"]
    file.write_bytes(whole)
    assert list(following.read()) == []
    with closing(log_of(tmp_path)) as log:
        append(log, 2)
    assert names(list(following.read())) == ["sim-eu/2"]


def test_a_log_that_is_gone_and_a_record_that_is_no_batch_are_passed_over(tmp_path: Path) -> None:
    """Its rows were published; a message of another version is not for this reader."""
    following = Following(SampleLog(tmp_path, before=8))
    with closing(log_of(tmp_path)) as log:
        append(log, 1)
        log.append(bytes(8) + b"no batch")
        append(log, 2)
    assert names(list(following.read())) == ["sim-eu/1", "sim-eu/2"]
    [file] = tmp_path.glob("part/*.log")
    file.unlink()
    assert list(following.read()) == []
