"""Names that become parts of paths."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from operators.collect.settings import ClusterSettings, CollectorSettings
from operators.schema.metrics import ENTITY_TYPES
from operators.schema.names import NAME_BYTES, FleetName, file_part, short_file_part
from operators.simulate.settings import FleetSettings
from sinks.parquet.store import FileName

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT)
@example("..")
@example(".")
@example("../../etc/passwd")
@example("/")
@example("\0")
def test_what_a_name_is_written_as_lies_below_its_folder(name: str) -> None:
    """Whatever it is called, and no two names lead to one place."""
    part = file_part(name)
    path = Path("/folder") / part
    assert path.resolve().parent == Path("/folder")
    assert "\0" not in part


@given(TEXT, TEXT)
@example(".", "%2E")
@example("..", "%2E%2E")
def test_two_names_are_written_as_two(one: str, other: str) -> None:
    """So that no cluster writes into another's log."""
    assert (file_part(one) == file_part(other)) == (one == other)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_way_to_a_folder_is_no_name(name: str) -> None:
    """The logs of two sinks were one file."""
    for settings in (
        {"name": name, "bootstrap_servers": "b:1"},
        {"name": name, "use": "json:loads"},
    ):
        model = ClusterSettings if "bootstrap_servers" in settings else CollectorSettings
        with pytest.raises(ValidationError, match="is a way to a folder, not a name"):
            model.model_validate(settings)
    with pytest.raises(ValidationError, match="is a way to a folder, not a name"):
        FleetSettings(name=name)


@pytest.mark.parametrize("name", ["x" * 191, "x" * 249, "集" * 22, "é" * 32])
def test_a_name_is_held_to_what_a_file_name_takes_of_it(name: str) -> None:
    """In bytes, as it is encoded, which is many more than its letters."""
    with pytest.raises(ValidationError, match=r"there is room for 190|at most 190 characters"):
        FleetSettings(name=name)
    with pytest.raises(ValidationError, match=r"there is room for 190|at most 190 characters"):
        ClusterSettings(name=name, bootstrap_servers="b:1")


def test_a_fleet_leaves_room_for_its_clusters_numbers() -> None:
    """`<name>-12` is what becomes a file's name."""
    assert FleetSettings(name="x" * 187, clusters=12)
    with pytest.raises(ValidationError, match="takes 191 bytes here"):
        FleetSettings(name="x" * 188, clusters=12)


@given(TEXT)
def test_a_name_that_is_taken_fits_every_file_that_bears_it(name: str) -> None:
    """The longest is a Parquet file's while it is written."""
    try:
        TypeAdapter(FleetName).validate_python(name)
    except ValidationError:
        return
    assert len(file_part(name)) <= NAME_BYTES
    longest = max((t.label for t in ENTITY_TYPES), key=len)
    written = FileName("20260131T101500-5f3a", name, 9_999_999).unpublished(longest, "2026-01-31")
    assert len(Path(written).name.encode()) <= 255


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\rb", "a\x7f"])
def test_a_name_has_no_control_characters(name: str) -> None:
    """They would reach terminals and logs."""
    with pytest.raises(ValidationError, match="no control characters"):
        FleetSettings(name=name)


@given(TEXT, TEXT)
@example("x" * 300, "x" * 301)
def test_a_name_that_is_cut_stays_its_own(one: str, other: str) -> None:
    """That of a plot's picture, whose cluster may be called anything."""
    assert len(short_file_part(one)) <= NAME_BYTES
    assert (short_file_part(one) == short_file_part(other)) == (one == other)
