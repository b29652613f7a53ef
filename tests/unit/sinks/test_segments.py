"""The segment log: what is appended is read again, and damage costs no more than its tail."""

import errno
import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.disk import DiskFullError
from sinks.segments import BEGINNING, Damage, Position, SegmentLog

PAYLOADS = st.lists(st.binary(max_size=64), min_size=1, max_size=12)


@contextmanager
def opened(directory: Path, damages: list[Damage] | None = None) -> Iterator[SegmentLog]:
    found: list[Damage] = [] if damages is None else damages
    with closing(SegmentLog(directory, on_damage=found.append)) as log:
        yield log
    if damages is None:
        assert found == []


def payloads(log: SegmentLog, start: Position = BEGINNING) -> list[bytes]:
    return [payload for _, payload in log.read(start)]


def test_records_are_read_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    """Also after the log was opened again, and with empty payloads."""
    with opened(tmp_path) as log:
        for payload in (b"one", b"", b"three"):
            log.append(payload)
        assert payloads(log) == [b"one", b"", b"three"]
    with opened(tmp_path) as log:
        log.append(memoryview(b"four"))
        assert payloads(log) == [b"one", b"", b"three", b"four"]


def test_reading_goes_on_from_the_position_that_came_with_a_record(tmp_path: Path) -> None:
    """Each record carries the position after it, across segments."""
    with closing(SegmentLog(tmp_path, segment_bytes=20)) as log:
        written = [bytes([n]) * 8 for n in range(10)]
        for payload in written:
            log.append(payload)
        assert len(log.segments) > 2
        for n, (position, _) in enumerate(log.read()):
            assert payloads(log, position) == written[n + 1 :]


def test_reading_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    """A reader sees nothing after its end position."""
    with opened(tmp_path) as log:
        log.append(b"one")
        end = log.flush()
        log.append(b"two")
        assert [payload for _, payload in log.read(end=end)] == [b"one"]


def test_truncate_drops_what_lies_after_the_position(tmp_path: Path) -> None:
    """The position's segment is the open one again, and later segments are gone."""
    with opened(tmp_path) as log:
        log.append(b"kept")
        position = log.flush()
        log.append(b"dropped")
        log.roll()
        log.append(b"dropped too")
        log.truncate(position)
        log.append(b"new")
        assert payloads(log) == [b"kept", b"new"]
        assert log.segments == (position.segment,)


def test_truncate_reports_records_that_are_missing(tmp_path: Path) -> None:
    """A position after the log's end is damage, and the log goes on from where it ends."""
    damages: list[Damage] = []
    with opened(tmp_path, damages) as log:
        log.append(b"there")
        end = log.end
        log.truncate(Position(0, end.offset + 100))
        assert log.end == end
    assert [(d.offset, d.lost) for d in damages] == [(end.offset, 100)]


def test_truncate_makes_a_segment_that_is_not_there(tmp_path: Path) -> None:
    """An empty log can go on with any segment number."""
    with opened(tmp_path) as log:
        log.truncate(Position(7, 0))
        assert log.end == Position(7, 0)
        assert log.roll() == 8


def test_dropped_segments_are_gone_and_the_open_one_stays(tmp_path: Path) -> None:
    """Numbers go on after a restart, even when all but the open segment were dropped."""
    with opened(tmp_path) as log:
        log.append(b"one")
        log.roll()
        log.append(b"two")
        before = log.size_bytes
        log.drop_before(99)
        assert payloads(log) == [b"two"]
        assert log.size_bytes < before
        log.roll()
        log.drop_before(99)
    with opened(tmp_path) as log:
        assert log.end == Position(2, 0)
        assert log.size_bytes == 0


def test_a_segment_dropped_while_it_is_waited_for_is_passed_over(tmp_path: Path) -> None:
    """A reader in the middle of the log goes on with what is left."""
    with opened(tmp_path) as log:
        for payload in (b"one", b"two", b"three"):
            log.append(payload)
            log.roll()
        records = log.read()
        assert next(records)[1] == b"one"
        log.drop_before(2)
        assert [payload for _, payload in records] == [b"three"]


def test_another_thread_reads_while_one_appends(tmp_path: Path) -> None:
    """The reader sees each record once, whole and in order."""
    count = 2000
    with closing(SegmentLog(tmp_path, segment_bytes=2000)) as log:

        def write() -> None:
            for n in range(count):
                log.append(str(n).encode())

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[int] = []
        position = BEGINNING
        while len(seen) < count:
            for after, payload in log.read(position):
                position = after
                seen.append(int(payload))
        writer.join()
    assert seen == list(range(count))


@given(payloads_=PAYLOADS, data=st.data())
@settings(max_examples=150)
def test_any_truncation_leaves_a_prefix(payloads_: list[bytes], data: st.DataObject) -> None:
    """A file cut anywhere gives the records before the cut, and takes new ones after them."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        ends = []
        with opened(directory) as log:
            for payload in payloads_:
                log.append(payload)
                ends.append(log.end.offset)
        cut = data.draw(st.integers(0, ends[-1]))
        os.truncate(directory / "0000000000.log", cut)
        whole = payloads_[: sum(end <= cut for end in ends)]
        damages: list[Damage] = []
        with opened(directory, damages) as log:
            assert bool(damages) == (cut not in (0, *ends))
            log.append(b"new")
            assert payloads(log) == [*whole, b"new"]


@given(payloads_=PAYLOADS, data=st.data())
@settings(max_examples=150)
def test_any_bit_flip_leaves_a_prefix(payloads_: list[bytes], data: st.DataObject) -> None:
    """One flipped bit costs its record and the rest of its segment, no other segment."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        ends = []
        with opened(directory) as log:
            for payload in payloads_:
                log.append(payload)
                ends.append(log.end.offset)
            log.roll()
            log.append(b"next segment")
        path = directory / "0000000000.log"
        content = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        whole = payloads_[: sum(end <= bit // 8 for end in ends)]
        damages: list[Damage] = []
        with opened(directory, damages) as log:
            assert payloads(log) == [*whole, b"next segment"]
            assert payloads(log) == [*whole, b"next segment"]
        assert len(damages) == 1


def test_a_tail_of_zeros_is_damage(tmp_path: Path) -> None:
    """A power loss may leave zeros where a record was; they are no empty records."""
    (tmp_path / "0000000000.log").write_bytes(bytes(64))
    damages: list[Damage] = []
    with opened(tmp_path, damages) as log:
        assert payloads(log) == []
        assert log.end == Position(0, 0)
    assert [d.lost for d in damages] == [64]


@pytest.mark.parametrize("room", [0, 3, 8, 11])
def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The error says what and where, the part that was written is cut off, and room mends it."""
    writev, write = os.writev, os.write

    def full_writev(file: int, buffers: list[bytes]) -> int:
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, b"".join(buffers)[:room])

    def full_write(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as log:
        log.append(b"before")
        end = log.end
        with monkeypatch.context() as patched:
            patched.setattr(os, "writev", full_writev)
            patched.setattr(os, "write", full_write)
            with pytest.raises(DiskFullError, match=r"0000000000\.log.*free some space"):
                log.append(b"too much")
        assert os.writev is writev
        assert log.end == end
        log.append(b"after")
        assert payloads(log) == [b"before", b"after"]


def test_a_segment_that_cannot_be_made_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    """Neither a roll nor an append harms anything, and once there can be a file they do it."""
    with closing(SegmentLog(tmp_path, segment_bytes=1)) as log:
        log.append(b"one")
        end, in_the_way = log.end, tmp_path / "0000000001.log"
        in_the_way.mkdir()
        for do in (log.roll, log.roll, lambda: log.append(b"two")):
            with pytest.raises(IsADirectoryError):
                do()
            assert log.end == end
        in_the_way.rmdir()
        log.append(b"two")
        assert payloads(log) == [b"one", b"two"]
        assert log.segments == (0, 1)


def test_the_disk_full_error_keeps_its_facts_when_pickled(tmp_path: Path) -> None:
    """Bytewax carries errors between processes."""
    error = pickle.loads(pickle.dumps(DiskFullError(tmp_path, "samples")))
    assert (error.path, error.what, error.errno) == (tmp_path, "samples", errno.ENOSPC)


def test_fsync_is_asked_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `fsync`, a flush and a roll force the data out; without, they do not."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    for fsync in (False, True):
        with closing(SegmentLog(tmp_path / str(fsync), fsync=fsync)) as log:
            synced.clear()
            log.append(b"one")
            log.flush()
            log.roll()
            assert len(synced) == (2 if fsync else 0)
