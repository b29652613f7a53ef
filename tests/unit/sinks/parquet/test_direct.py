"""Parquet files written directly: an epoch's rows are published by its snapshot, each row once."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.metrics import TOPIC
from sinks.parquet.direct import DirectParquet
from sinks.parquet.settings import ParquetSettings
from tests.samples import INTERVAL, numbered, numbers_in, published

DAY_TICKS = 86_400_000 // INTERVAL


def part(path: Path, state: Any = None, name: str = "sim-eu", run: str = "r") -> Any:
    sink = DirectParquet(ParquetSettings(path=str(path)), ["sim-eu", "sim-us"], run)
    return sink.build_part("step", name, state)


def test_a_snapshot_publishes_the_epochs_rows(tmp_path: Path) -> None:
    """Before it nothing is visible, after it everything is."""
    partition = part(tmp_path)
    partition.write_batch([numbered([1, 2]), numbered([3])])
    assert numbers_in(tmp_path) == []
    assert partition.snapshot() == (1, 1)
    assert numbers_in(tmp_path) == [1, 2, 3]
    partition.write_batch([numbered([4])])
    assert partition.snapshot() == (1, 2)
    assert [f.stem for f in published(tmp_path)] == ["r-sim-eu-000000", "r-sim-eu-000001"]


def test_a_snapshot_without_rows_makes_no_file(tmp_path: Path) -> None:
    """Nor does it use up a number."""
    partition = part(tmp_path)
    partition.write_batch([numbered([])])
    assert partition.snapshot() == (1, 0)
    partition.close()
    assert published(tmp_path) == []


def test_a_killed_epoch_leaves_nothing_twice(tmp_path: Path) -> None:
    """What was published after the stored state is deleted, as are unfinished files."""
    partition = part(tmp_path)
    partition.write_batch([numbered([1])])
    state = partition.snapshot()
    partition.write_batch([numbered([2]), numbered([2], entity_type=TOPIC)])
    partition.snapshot()
    partition.write_batch([numbered([3])])
    resumed = part(tmp_path, state)
    assert numbers_in(tmp_path) == [1]
    assert list((tmp_path / "_open").iterdir()) == []
    resumed.write_batch([numbered([2, 3])])
    resumed.snapshot()
    assert numbers_in(tmp_path) == [1, 2, 3]


def test_without_state_a_run_starts_over(tmp_path: Path) -> None:
    """All that the same run published goes; other runs and partitions stay."""
    for name, run in (("sim-eu", "r"), ("sim-us", "r"), ("sim-eu", "r-sim"), ("sim-eu", "other")):
        partition = part(tmp_path, None, name, run)
        partition.write_batch([numbered([1], cluster=name)])
        partition.snapshot()
    assert len(published(tmp_path)) == 4
    part(tmp_path)
    assert [f.stem for f in published(tmp_path)] == [
        "other-sim-eu-000000",
        "r-sim-sim-eu-000000",
        "r-sim-us-000000",
    ]


def test_a_run_whose_name_begins_like_anothers_is_left_alone(tmp_path: Path) -> None:
    """Run `r`, partition `sim-eu` and run `r-sim`, partition `eu` give the same file names."""
    sink = DirectParquet(ParquetSettings(path=str(tmp_path)), ["eu"], "r-sim")
    other: Any = sink.build_part("step", "eu", None)
    other.write_batch([numbered([1], cluster="eu")])
    other.snapshot()
    part(tmp_path)
    assert numbers_in(tmp_path, "eu") == [1]


def test_many_dates_in_one_epoch_stay_within_the_limit_of_open_files(tmp_path: Path) -> None:
    """Files are finished early, and rows that come for their date later go into a further one."""
    sink = DirectParquet(ParquetSettings(path=str(tmp_path)), [f"s-{n}" for n in range(100)], "r")
    partition: Any = sink.build_part("step", "s-1", None)
    days = range(0, 30 * DAY_TICKS, DAY_TICKS)
    partition.write_batch([numbered([day, day + 1]) for day in days])
    partition.write_batch([numbered([0 + 2])])
    assert published(tmp_path) == []
    version, sequence = partition.snapshot()
    assert (version, sequence) == (1, 4)
    assert numbers_in(tmp_path) == sorted([2, *days, *(day + 1 for day in days)])


def test_keys_are_routed_to_the_partition_that_they_name(tmp_path: Path) -> None:
    """By the sorted list of all partitions, retired ones among them."""
    names = ["b", "a", "retired", "c", "a"]
    sink = DirectParquet(ParquetSettings(path=str(tmp_path)), names, "r")
    assert sink.list_parts() == ["a", "b", "c", "retired"]
    assert [sink.list_parts()[sink.part_fn(n)] for n in names] == names
    with pytest.raises(ValueError, match="no partition `d`; there are a, b, c, retired"):
        sink.part_fn("d")


def test_a_retired_partition_ends_cleanly(tmp_path: Path) -> None:
    """Its state is loaded, nothing is written, and it closes."""
    partition = part(tmp_path, (1, 7))
    partition.close()
    assert published(tmp_path) == []


@given(st.lists(st.sampled_from(["write", "snapshot", "store", "kill"]), max_size=25))
@settings(max_examples=60)
def test_every_row_is_there_once_whenever_the_process_is_killed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    """Any order of writes, snapshots (stored by the engine or not yet) and kills."""
    path = tmp_path_factory.mktemp("straight")
    written = 0
    taken: tuple[Any, int] = (None, 0)
    stored = taken
    partition = part(path)
    for action in [*actions, "snapshot"]:
        if action == "write":
            partition.write_batch([numbered([written])])
            written += 1
        elif action == "snapshot":
            # The engine has stored a snapshot by the time it takes the next one.
            stored, taken = taken, (partition.snapshot(), written)
            assert numbers_in(path) == list(range(written))
        elif action == "store":
            stored = taken
        else:
            taken = stored
            state, written = stored
            partition = part(path, state)
            assert numbers_in(path) == list(range(written))
    assert numbers_in(path) == list(range(written))


def test_metadata_of_the_flow_is_in_every_file(tmp_path: Path) -> None:
    """Seed and config hash, as the flow gives them."""
    sink = DirectParquet(
        ParquetSettings(path=str(tmp_path)), ["a"], "r", {"seed": "42", "config_hash": "abc"}
    )
    partition: Any = sink.build_part("step", "a", None)
    partition.write_batch([numbered([1])])
    partition.snapshot()
    metadata = pq.read_metadata(published(tmp_path)[0]).metadata
    assert metadata[b"mqpipe.seed"] == b"42"
    assert metadata[b"mqpipe.config_hash"] == b"abc"
    assert b"mqpipe.position" not in metadata


def test_after_an_error_nothing_of_the_epoch_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine closes its partitions even then."""
    partition = part(tmp_path)
    partition.write_batch([numbered([1]), numbered([2], entity_type=TOPIC)])

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk is gone")

    monkeypatch.setattr(pq.ParquetWriter, "add_key_value_metadata", fail)
    with pytest.raises(OSError, match="disk is gone"):
        partition.snapshot()
    partition.close()
    assert published(tmp_path) == []
