"""What of a log is undelivered, in lanes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sinks.segments import Position
from sinks.spool.backlog import Backlog, Lane, load, save


def at(offset: int) -> Position:
    return Position(0, offset)


class Lanes(RuleBasedStateMachine):
    """Whatever happens, exactly what was not delivered is in the lanes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog("log")
        self.end = 0
        self.undelivered: set[int] = set()

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        self.undelivered |= set(range(self.end, self.end + count))
        self.end += count

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(self.backlog.lanes))
        end = self.end if lane.end is None else lane.end.offset
        if lane.start.offset < end:
            stop = data.draw(st.integers(lane.start.offset + 1, end))
            self.backlog = self.backlog.delivered(at(stop))
            self.undelivered -= set(range(lane.start.offset, stop))

    @rule()
    def split(self) -> None:
        self.backlog = self.backlog.split(at(self.end))

    @precondition(lambda self: self.end > 0)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self.end = data.draw(st.integers(self.backlog.start.offset, self.end))
        self.backlog = self.backlog.resumed(at(self.end))
        self.undelivered = {place for place in self.undelivered if place < self.end}

    @invariant()
    def lanes_hold_what_is_undelivered(self) -> None:
        held: list[int] = []
        for lane in self.backlog.lanes:
            held += range(lane.start.offset, self.end if lane.end is None else lane.end.offset)
        assert held == sorted(self.undelivered)
        assert [lane.end is None for lane in self.backlog.lanes][-1]


TestLanes: Any = Lanes.TestCase


def test_segments_that_are_gone_are_not_waited_for() -> None:
    """What lay before a segment leaves every lane."""
    backlog = Backlog("log", (Lane(at(3), Position(2, 0)), Lane(Position(2, 0))))
    assert backlog.delivered(Position(1, 0)).lanes == (
        Lane(Position(1, 0), Position(2, 0)),
        Lane(Position(2, 0)),
    )


def test_lanes_are_bounded() -> None:
    """A log that is for ever behind does not collect lanes without end."""
    backlog = Backlog("log")
    for end in range(1, 1_000):
        backlog = backlog.split(at(end))
    assert len(backlog.lanes) == 16
    assert backlog.start == at(0)


def test_a_backlog_survives_in_its_file(tmp_path: Path) -> None:
    """What was saved is loaded; a new log has an identity of its own."""
    backlog = Backlog("log", (Lane(at(3), Position(1, 7)), Lane(Position(2, 0))))
    save(tmp_path / "backlog.json", backlog)
    assert load(tmp_path / "backlog.json") == backlog
    assert load(tmp_path / "a").log != load(tmp_path / "b").log


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"version": 9, "log": "x", "lanes": []}',
        '{"version": 1, "log": "x", "lanes": []}',
        '{"version": 1, "log": 5, "lanes": [[[0, 0], null]]}',
        '{"version": 1, "log": "x", "lanes": [["a", "b"]]}',
        '{"version": 1, "log": "x", "lanes": [[["a", "b"], null]]}',
        '{"version": 1, "log": "x", "lanes": [[[0, -1], null]]}',
        '{"version": 1, "log": "x", "lanes": [[[0, 0], [5, 5]]]}',
        '{"version": 1, "log": "x", "lanes": [[[5, 5], [0, 0]], [[5, 5], null]]}',
    ],
)
def test_a_damaged_backlog_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing is guessed from a file that cannot be read; the message names it."""
    (tmp_path / "backlog.json").write_text(text)
    with pytest.raises(ValueError, match=r"backlog\.json"):
        load(tmp_path / "backlog.json")
