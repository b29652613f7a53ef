"""What is wrong with a disk is said with what, where and what to do."""

import errno
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from flows.runtime import root_cause
from flows.state_disk import store_failure
from sinks.dead_letters import DeadLetters
from sinks.delivery import DeadLetter
from sinks.disk import DiskFullError, UnwritableError, clear_errors
from sinks.settings import DeadLetterSettings
from sinks.spool.store import Spool
from tests.samples import numbered


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no room on disk for samples in /data; .*free some space"),
        (errno.EDQUOT, "no room on disk for samples in /data; .*free some space"),
        (errno.EROFS, "/data: samples cannot be written there: Read-only file system; name"),
        (errno.EACCES, "/data: samples cannot be written there: Permission denied; name"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_a_user_reads_of_a_disk(number: int, message: str) -> None:
    """The error that ends a job is the clear one, not the system's that caused it."""
    with pytest.raises(OSError, match=message) as raised, clear_errors("/data", "samples"):
        raise OSError(number, os.strerror(number))
    outer = RuntimeError("an operator failed")
    outer.__cause__ = raised.value
    assert root_cause(outer) == str(raised.value)


def test_a_recovery_store_that_cannot_be_written_is_named() -> None:
    """As with a quota that is used up; the engine reports it in a panic, seen once and kept here."""
    panic = (
        "(src/run.rs:292:17) panicked at src/recovery.rs:626:22:\ncalled `Result::unwrap()` on an "
        "`Err` value: SqliteFailure(Error { code: SystemIoFailure, extended_code: 778 }, "
        'Some("disk I/O error"))'
    )
    reported = store_failure("state/run/recovery", panic)
    assert reported is not None
    assert reported.startswith(
        "the recovery store in state/run/recovery cannot be read or written: dis"
    )
    assert "quota has no room, free some" in reported
    assert store_failure("state/run/recovery", "an operator failed") is None


def test_a_clear_error_stays_as_it_is() -> None:
    """The innermost knows best what and where."""
    full = DiskFullError(Path("/spool"), "a record")
    with pytest.raises(DiskFullError) as raised, clear_errors("/data", "samples"):
        raise full
    assert raised.value is full


@pytest.mark.parametrize(
    "error",
    [DiskFullError(Path("/data"), "samples"), UnwritableError("/data", "samples", errno.EROFS)],
)
def test_errors_of_disks_pickle(error: OSError) -> None:
    """They may cross from another process."""
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_directories_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """A file lies where the spool and the dead letters belong."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UnwritableError, match=r"file/spool-0: samples that wait .* Not a directory"
    ):
        Spool(tmp_path / "file" / "spool-0")
    letters = DeadLetters(DeadLetterSettings(path=tmp_path / "file"))
    samples: tuple[pa.RecordBatch, ...] = (numbered([1]),)
    with pytest.raises(UnwritableError, match="file: dead letters cannot be written there: Not a"):
        letters.put([DeadLetter(samples, "newrelic", "events", "refused")])
