"""What of a segment log is not delivered yet, kept in a small file beside the log.

After an outage the oldest samples shall go first, and new ones shall not wait for them. So what
is undelivered is kept as lanes, each a stretch of the log that is delivered from its start: the
last lane is open at its end and takes what is written now; when it falls behind, it is closed
where the log ends, becomes the newest of the old lanes, and a new one is opened behind it.
"""

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sinks.disk import replace_private
from sinks.segments import BEGINNING, Position

_VERSION = 1
_MOST_LANES = 16


@dataclass(frozen=True, slots=True)
class Lane:
    """A stretch of the log; `end` is None where it goes on with the log."""

    start: Position
    end: Position | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """The lanes that are not delivered, oldest first; the last is the open one.

    `log` is the identity of the log that the positions are of.
    """

    log: str
    lanes: tuple[Lane, ...] = (Lane(BEGINNING),)

    @property
    def start(self) -> Position:
        """Everything before is delivered."""
        return self.lanes[0].start

    @property
    def old(self) -> Lane | None:
        """The oldest lane that is closed, where there is one."""
        return self.lanes[0] if len(self.lanes) > 1 else None

    @property
    def live(self) -> Lane:
        """The open lane."""
        return self.lanes[-1]

    def delivered(self, end: Position) -> "Backlog":
        """The lane that `end` lies in is delivered up to there."""
        return self._with(
            [
                replace(lane, start=end)
                if lane.start < end and (lane.end is None or end <= lane.end)
                else lane
                for lane in self.lanes
            ]
        )

    def split(self, end: Position) -> "Backlog":
        """Close the open lane at `end` and open the next behind it."""
        if len(self.lanes) >= _MOST_LANES or end <= self.live.start:
            return self
        closed = Lane(self.live.start, end)
        return self._with([*self.lanes[:-1], closed, Lane(end)])

    def resumed(self, end: Position) -> "Backlog":
        """The log ends at `end` now: nothing beyond is to be delivered."""
        lanes = [
            Lane(lane.start, None if lane.end is None else min(lane.end, end))
            for lane in self.lanes[:-1]
            if lane.start < end
        ]
        return self._with([*lanes, Lane(min(self.live.start, end))])

    def _with(self, lanes: list[Lane]) -> "Backlog":
        left = [lane for lane in lanes[:-1] if lane.end is not None and lane.start < lane.end]
        return replace(self, lanes=(*left, lanes[-1]))


def load(file: Path) -> Backlog:
    """The backlog that was saved, or that of a log that is new.

    Raises:
        ValueError: the file is damaged, or written by a later version.
    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return Backlog(secrets.token_hex(8))
    try:
        return _backlog_of(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{file}: cannot be read ({error}); remove the file to send all that waits in the "
            "spool once more"
        ) from None


def save(file: Path, backlog: Backlog) -> None:
    """Keep the backlog; the file is replaced as a whole."""
    document = {
        "version": _VERSION,
        "log": backlog.log,
        "lanes": [(lane.start, lane.end) for lane in backlog.lanes],
    }
    replace_private(file, json.dumps(document))


def _backlog_of(document: Any) -> Backlog:
    if document["version"] != _VERSION:
        raise ValueError(f"of version {document['version']}, this mqpipe reads {_VERSION}")
    lanes = tuple(Lane(_position(start), _end(end)) for start, end in document["lanes"])
    if not isinstance(document["log"], str) or not lanes or lanes[-1].end is not None:
        raise ValueError("it names no log, or no open lane")
    if any(lane.end is None or lane.end < lane.start for lane in lanes[:-1]):
        raise ValueError("its lanes are none")
    return Backlog(document["log"], lanes)


def _end(value: Any) -> Position | None:
    return None if value is None else _position(value)


def _position(value: Any) -> Position:
    segment, offset = value
    if not all(type(number) is int and number >= 0 for number in (segment, offset)):
        raise ValueError(f"{value} is no place in a log")
    return Position(segment, offset)
