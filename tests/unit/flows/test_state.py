"""A job's state on disk: what is damaged is named with what to do, what is strange is left alone."""

import json
import sqlite3
from pathlib import Path

import pytest

from flows.errors import StateError
from flows.state import hold
from flows.state_disk import broken_parts, store_failure

DAMAGED = ["[]", "5", "null", "", "{", "\xff", "[" * 100_000]


@pytest.mark.parametrize("text", [*DAMAGED, '{"run": 5}', '{"run": "../x"}', '{"run": ""}', "{}"])
def test_a_runs_name_that_is_none_is_not_replaced(tmp_path: Path, text: str) -> None:
    """By it the files of earlier runs are known: the error says how to find it again."""
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with (
        pytest.raises(StateError, match=r"run.json: damaged: .* restore it .* write .*run"),
        hold(tmp_path),
    ):
        pass
    assert (tmp_path / "run.json").read_text(encoding="latin-1") == text


def test_a_runs_name_is_noted_twice(tmp_path: Path) -> None:
    """One that is gone is known all the same; one that was changed is not believed."""
    with hold(tmp_path) as state:
        state.written_by("1", ["a.b"])
    (tmp_path / "run.json").unlink()
    with hold(tmp_path) as again:
        assert again.run == state.run
    (tmp_path / "run.json").write_text('{"run": "20260131T101500-5f3a"}')
    with (
        pytest.raises(StateError, match=rf"run.json: damaged: it names .*{state.run}"),
        hold(tmp_path),
    ):
        pass


@pytest.mark.parametrize("text", [*DAMAGED, '{"fleets": 5}', '{"fleets": [1]}'])
def test_names_that_are_none_are_not_forgotten(tmp_path: Path, text: str) -> None:
    """Nor replaced by today's."""
    with hold(tmp_path) as state:
        (tmp_path / "partitions.json").write_text(text, encoding="latin-1")
        with pytest.raises(StateError, match=r"partitions.json: damaged: .* remove it"):
            state.retired("fleets", frozenset("a"))


def test_names_come_from_the_store_where_they_are_not_noted(tmp_path: Path) -> None:
    """Those of which it has state, of each step its own."""
    with hold(tmp_path) as state:
        state.recovery()
        with sqlite3.connect(tmp_path / "recovery/part-1.sqlite3") as store:
            for step, key in (("mqpipe.fleets", "old"), ("mqpipe.targets", "prod/topics")):
                store.execute("INSERT INTO snaps VALUES ('', ?, ?, 1, NULL)", (step, key))
        assert state.retired("targets", frozenset({"b/topics"})) == {"prod/topics"}
        assert state.retired("fleets", frozenset({"a"})) == {"old"}


@pytest.mark.parametrize("name", ["lock-abc", "lock-", "lock-1.bak", "lock-\u0663"])
def test_a_stray_lock_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is nobody's."""
    (tmp_path / name).write_text("mine")
    with hold(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_a_new_store_is_another_one(tmp_path: Path) -> None:
    """Sinks know by it that positions are lost, and not merely not stored yet."""
    with hold(tmp_path) as state:
        state.recovery()
        first = state.store
        state.recovery()
        assert state.store == first
        (tmp_path / "recovery").rename(tmp_path / "moved")
        state.recovery()
        assert state.store not in ("", first)


def test_a_state_with_steps_that_this_build_does_not_have_is_refused(tmp_path: Path) -> None:
    """More steps are no loss."""
    with hold(tmp_path) as state:
        state.written_by("1", ["mqpipe.a", "mqpipe.b"])
        state.written_by("2", ["mqpipe.a", "mqpipe.b", "mqpipe.c"])
        with pytest.raises(
            StateError, match=r"written by mqpipe 2, whose steps mqpipe.c this one, 3"
        ):
            state.written_by("3", ["mqpipe.a", "mqpipe.b"])
    assert json.loads((tmp_path / "writer.json").read_text())["build"] == "2"


@pytest.mark.parametrize("value", [5, [1], [[]], "text", {"a": "b"}, True])
def test_a_document_whose_values_are_others_is_named(tmp_path: Path, value: object) -> None:
    """As is one that is no JSON."""
    with hold(tmp_path) as state:
        state.recovery()
        state.remember("began", {"store": state.store, "ticks": value})
        with pytest.raises(StateError, match=r"began\.json: damaged: it has no ticks"):
            state.began(["a"], 1_000)
        state.remember("writer", {**state.recall("writer"), "steps": value})
        with pytest.raises(StateError, match=r"writer\.json: damaged: it has no list of steps"):
            state.written_by("1", ["mqpipe.a"])


def test_a_damaged_part_of_the_store_is_named(tmp_path: Path) -> None:
    """A file that is no database, or a damaged one; a panic of another cause blames none."""
    with hold(tmp_path) as state:
        state.recovery()
    store = tmp_path / "recovery"
    panic = 'SqliteFailure(Error { code: NotADatabase }, Some("file is not a database"))'
    assert broken_parts(store) == []
    assert "quota has no room" in (store_failure(store, panic) or "")
    part = store / "part-5.sqlite3"
    part.write_bytes(b"garbage" * 1000)
    assert broken_parts(store) == [part]
    assert f"{part}: damaged: file is not a database; restore" in (
        store_failure(store, panic) or ""
    )
    assert store_failure(store, "another cause") is None


def test_a_partition_begins_where_it_began_before(tmp_path: Path) -> None:
    """On the same store; one that left in between, or on another store, starts over."""
    with hold(tmp_path) as state:
        state.recovery()
        assert state.began(["a", "b"], 1_000) == {"a": 1_000, "b": 1_000}
        assert state.began(["b", "c"], 5_000) == {"b": 1_000, "c": 5_000}
        assert state.began(["a", "b"], 9_000) == {"a": 9_000, "b": 1_000}
        assert state.began(["a"], 500) == {"a": 500}, "the clock was set back"
        (tmp_path / "recovery").rename(tmp_path / "moved")
        state.recovery()
        assert state.began(["a"], 20_000) == {"a": 20_000}
