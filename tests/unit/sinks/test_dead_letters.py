"""Dead letters in Parquet."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sinks.dead_letters
from operators.schema.arrow import Only, as_only, only
from operators.schema.metrics import BROKER, CLUSTER, PARTITION_OFFSET
from operators.schema.unreadable import UnreadableMessage
from sinks.dead_letters import DeadLetters, dead_letter_files, read_letters
from sinks.delivery import DeadLetter
from sinks.events import DeadLettersDropped
from sinks.settings import DeadLetterSettings
from tests.samples import NEW_YEAR, numbered


def letter(*numbers: int, reason: str = "no") -> DeadLetter:
    batches = (numbered(numbers), numbered(numbers, entity_type=CLUSTER))
    return DeadLetter(batches, "newrelic", "events", reason, 400, '{"error": "x"}', 3, NEW_YEAR)


def kept(path: Path) -> list[DeadLetter]:
    return [letter for file in dead_letter_files(path) for letter in read_letters(file)]


def test_letters_come_back_as_they_were(tmp_path: Path) -> None:
    """Samples with all their columns, reason, status, answer, attempts and time."""
    DeadLetters(DeadLetterSettings(path=tmp_path)).put([letter(1, 2), letter(3, reason="other")])

    found = kept(tmp_path)

    assert {entry.reason for entry in found} == {"no", "other"}
    first = next(x for x in found if x.samples[0].num_rows == 2 and BROKER.name in str(x.samples))
    assert first.samples[0].equals(numbered([1, 2]), check_metadata=True)
    assert (first.sink, first.route, first.status, first.answer, first.attempts, first.at) == (
        "newrelic",
        "events",
        400,
        '{"error": "x"}',
        3,
        NEW_YEAR,
    )


def test_what_is_data_points_alone_comes_back_as_such(tmp_path: Path) -> None:
    """Beside rows of the same type: redelivered, the one is no event, the others are."""
    rows = numbered([1, 2], entity_type=PARTITION_OFFSET)
    points = as_only(numbered([3], entity_type=PARTITION_OFFSET), Only.POINTS)
    letters = DeadLetters(DeadLetterSettings(path=tmp_path))
    for _ in range(2):
        letters.put(
            [replace(letter(), samples=(rows, points)), replace(letter(), samples=(points,))]
        )
    found = [batch for entry in kept(tmp_path) for batch in entry.samples]
    assert {(batch.num_rows, only(batch)) for batch in found} == {(4, None), (4, Only.POINTS)}


def test_a_draft_whose_writer_died_goes_with_the_next_file(tmp_path: Path) -> None:
    """One that another process may still be writing stays."""
    folder = tmp_path / "type=broker"
    folder.mkdir()
    (old := folder / ".old.parquet.1").touch()
    (fresh := folder / ".fresh.parquet.2").touch()
    os.utime(old, (NEW_YEAR / 1000, NEW_YEAR / 1000))
    DeadLetters(DeadLetterSettings(path=tmp_path)).put([letter(1)])
    assert list(folder.glob(".*")) == [fresh]


def test_small_additions_share_a_file(tmp_path: Path) -> None:
    """Not one file a letter: the youngest file grows, and is whole at any moment."""
    letters = DeadLetters(DeadLetterSettings(path=tmp_path))
    for number in range(20):
        letters.put([letter(number)])
        assert sum(entry.samples[0].num_rows for entry in kept(tmp_path)) == 2 * (number + 1)
    assert len(dead_letter_files(tmp_path)) == 2
    assert not list(tmp_path.rglob(".*"))


def test_at_the_size_limit_the_oldest_go_and_it_is_reported(tmp_path: Path) -> None:
    """The newest file always stays; what was dropped is an event with its number of samples."""
    heard: list[object] = []
    for number in range(12):
        settings = DeadLetterSettings(path=tmp_path, size=40_000)
        DeadLetters(settings, heard.append).put([letter(*range(number * 10, number * 10 + 10))])

    size = sum(file.stat().st_size for file in dead_letter_files(tmp_path))
    dropped = sum(event.samples for event in heard if isinstance(event, DeadLettersDropped))
    left = sum(batch.num_rows for entry in kept(tmp_path) for batch in entry.samples)
    assert 0 < size <= 40_000
    assert dropped + left == 12 * 20
    assert dropped > 0
    last = kept(tmp_path)[-1].samples[0]
    assert last.equals(numbered(range(110, 120), entity_type=CLUSTER), check_metadata=True)


def test_files_that_another_process_drops_meanwhile_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before they were looked at, or after: the letters are kept, and the size is bounded."""
    for number in range(4):
        DeadLetters(DeadLetterSettings(path=tmp_path)).put([letter(number)])
    gone, dropped, *_ = dead_letter_files(tmp_path)
    found, read = sinks.dead_letters._all_files, pq.read_metadata

    def drop_then_read(file: Path) -> pq.FileMetaData:
        dropped.unlink(missing_ok=True)
        return read(file)

    def find_then_drop(path: Path) -> list[Path]:
        files = found(path)
        gone.unlink(missing_ok=True)
        return files

    monkeypatch.setattr(sinks.dead_letters, "_all_files", find_then_drop)
    monkeypatch.setattr(pq, "read_metadata", drop_then_read)
    DeadLetters(DeadLetterSettings(path=tmp_path, size=1)).put([letter(9)])
    [last] = kept(tmp_path)
    assert last.samples[0].equals(numbered([9], entity_type=CLUSTER), check_metadata=True)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9] + b"x" * 9])
def test_a_damaged_file_goes_like_any_other(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """At the size limit it stops nothing; who reads it is told which it is."""
    DeadLetters(DeadLetterSettings(path=tmp_path)).put([letter(1)])
    for file in dead_letter_files(tmp_path):
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(OSError, match=file.name):
            list(read_letters(file))
    DeadLetters(DeadLetterSettings(path=tmp_path, size=1)).put([letter(9)])
    [last] = kept(tmp_path)
    assert last.samples[0].equals(numbered([9], entity_type=CLUSTER), check_metadata=True)


def test_unreadable_messages_are_kept_apart(tmp_path: Path) -> None:
    """A message that is no sample is kept with its place and bytes."""
    message = UnreadableMessage("mqpipe.samples", 3, 17, b"\x00garbage", "not Arrow", NEW_YEAR)
    letters = DeadLetters(DeadLetterSettings(path=tmp_path))
    letters.put_unreadable([message])
    letters.put_unreadable([])

    [file] = tmp_path.glob("type=unreadable/*.parquet")
    [row] = pq.ParquetFile(file).read().to_pylist()
    assert (row["source"], row["partition"], row["offset"]) == ("mqpipe.samples", 3, 17)
    assert (row["data"], row["dead_reason"]) == (b"\x00garbage", "not Arrow")
    assert dead_letter_files(tmp_path) == []


def test_a_file_that_was_sent_again_does_not_come_back(tmp_path: Path) -> None:
    """Where the growing file was removed meanwhile, a new one is begun."""
    letters = DeadLetters(DeadLetterSettings(path=tmp_path))
    letters.put([letter(1)])
    for file in dead_letter_files(tmp_path):
        file.unlink()
    letters.put([letter(2)])
    assert {entry.samples[0].column("entity_name")[0].as_py() for entry in kept(tmp_path)} == {
        "sim-eu/2"
    }


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Letters are never thought to be kept when they are not."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        DeadLetters(DeadLetterSettings(path=tmp_path / "file" / "dead")).put([letter(1)])
