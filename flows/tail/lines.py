"""A sample as a line: of a table for people, or of JSON."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from flows.tail.places import SampleRow
from flows.times import show_moment
from flows.units import duration, rate, size, whole
from flows.visible import visible
from operators.schema.metrics import EntityType

HEAD = ("TIME (UTC)", "TYPE", "ENTITY", "ORIGIN", "METRICS")
_WIDTHS = (20, 15, 34, 9)
_START = 12
"""Characters of an error's start that are worth being shown."""
_WIDE, _DATED = 140, 70
"""Columns of a terminal from which there is room for all of the head; from which times have a date."""

Words = Callable[[Any], str]


def _bytes(value: float) -> str:
    return size(round(value))


_FIRST: dict[str, Sequence[tuple[str, str, Words]]] = {
    "cluster": (
        ("health", "healthScore", whole),
        ("lag", "totalLag", whole),
        ("offline", "offlinePartitionsCount", whole),
        ("under-repl", "underReplicatedPartitions", whole),
        ("msgs/s", "messagesInPerSecond", rate),
        ("up", "activeBrokerCount", whole),
        ("nodes up", "runningNodeCount", whole),
        ("alarms", "alarmCount", whole),
    ),
    "broker": (
        ("msgs/s", "messagesInPerSecond", rate),
        ("bytes/s", "IOInPerSecond", _bytes),
        ("under-repl", "unreplicatedPartitions", whole),
    ),
    "topic": (
        ("msgs/s", "messagesInPerSecond", rate),
        ("bytes/s", "bytesInPerSecond", _bytes),
        ("under-repl", "underReplicatedPartitions", whole),
    ),
    "consumer_group": (
        ("lag", "totalLag", whole),
        ("behind", "lagSeconds", duration),
        ("", "lagState", str),
    ),
    "group_topic": (
        ("lag", "totalLag", whole),
        ("behind", "lagSeconds", duration),
        ("", "lagState", str),
    ),
    "partition_offset": (("lag", "lag", whole), ("offset", "offset", whole)),
    "collection": (
        ("", "errorClass", str),
        ("", "error", str),
        ("entities", "entities", whole),
        ("took", "duration", duration),
    ),
    "probe": (("lost", "lost", whole), ("round trip", "roundTripLatency", "{:.3g} ms".format)),
    "queue": (
        ("depth", "depth", whole),
        ("in/s", "messagesInPerSecond", rate),
        ("out/s", "messagesOutPerSecond", rate),
        ("oldest", "oldestMessageAge", duration),
        ("", "state", str),
    ),
    "node": (("running", "running", whole), ("memory", "totalMemoryUsedInBytes", _bytes)),
}
"""What people look for of each type, in few characters: it comes first on a terminal."""


@dataclass(frozen=True, slots=True)
class LineLayout:
    """Where the parts of a line stand in `width` characters; None is as long as a line is."""

    width: int | None = None

    @property
    def heading(self) -> str:
        """The names of a table's columns."""
        return self._joined(HEAD[:-1] if self._whole_head else (HEAD[0], HEAD[2]), HEAD[-1])

    def line(self, entity_type: EntityType, row: SampleRow) -> str:
        """When, what, and its metrics: whole ones, as many as fit, the most looked for first."""
        origin, entity = row.get("origin") or "-", row.get("entity_name")
        first: Sequence[str] = (
            str(_plain(row["timestamp"]) or "-"),
            entity_type.label,
            visible(str(entity or row.get("cluster_name") or "-")),
            origin,
        )
        if self.width is None:
            return self._joined(first, "  ".join([*_anomaly(row), *_named(entity_type, row)]))
        if not self._whole_head:
            first = (self._short_time(row["timestamp"]), _middle(first[2], self._widths[1]))
        label = () if self._whole_head or origin != "filled" else ("filled",)
        words = chain(label, _anomaly(row), _looked_for(entity_type, row))
        error = visible(str(row.get("collection.error") or ""))
        line = self._joined(first, "")
        start = max(len(line), sum(width + 2 for width in self._widths))
        return f"{line:<{start}}{_fitting(words, self.width - start, error)}".rstrip()[: self.width]

    @property
    def _whole_head(self) -> bool:
        return self.width is None or self.width >= _WIDE

    @property
    def _widths(self) -> Sequence[int]:
        if self.width is None or self.width >= _WIDE:
            return _WIDTHS
        return (14 if self.width >= _DATED else 10, min(_WIDTHS[2], self.width // 3))

    def _short_time(self, moment: datetime | None) -> str:
        if moment is None:
            return "-"
        form = "%m-%d %H:%M:%S" if self._widths[0] > len(HEAD[0]) else "%H:%M:%S"
        return f"{moment.astimezone(UTC):{form}}"

    def _joined(self, first: Iterable[str], last: str) -> str:
        parts = [f"{part:<{width}}" for part, width in zip(first, self._widths, strict=True)]
        return "  ".join([*parts, last]).rstrip()


def json_line(row: SampleRow) -> str:
    """What was measured, as a JSON object; what is null is left out."""
    return json.dumps({name: _plain(value) for name, value in row.items() if value is not None})


def _fitting(words: Iterable[str], room: int, error: str = "") -> str:
    """As many as fit, in their order, and a sign where some do not; of an error its start."""
    line = ""
    for word in words:
        longer = f"{line}  {word}" if line else word
        if len(longer) > room - 2:
            if line and word == error and room - len(line) >= _START:
                return f"{longer[: room - 1]}…"
            return f"{line} …" if line else f"{word[: max(0, room - 1)]}…"
        line = longer
    return line


def _middle(name: str, width: int) -> str:
    """A name without its middle, where it is too long: its end says most."""
    if len(name) <= width:
        return name
    end = (width - 1) * 2 // 3
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def _anomaly(row: SampleRow) -> Iterator[str]:
    if row.get("anomaly"):
        yield visible(f"anomaly {str(row['anomaly']).partition(':')[0]}")


def _looked_for(entity_type: EntityType, row: SampleRow) -> Iterator[str]:
    """What people look for, and then the rest by its name."""
    prefix = entity_type.metrics[0].name.partition(".")[0]
    first = _FIRST.get(entity_type.label, ())
    for label, name, words in first:
        value = row.get(f"{prefix}.{name}")
        if value is not None:
            yield visible(f"{label} {words(value)}".strip())
    yield from _named(entity_type, row, {f"{prefix}.{name}" for _, name, _ in first})


def _named(entity_type: EntityType, row: SampleRow, without: Collection[str] = ()) -> Iterator[str]:
    """Each metric by its name."""
    for metric in entity_type.metrics:
        value = row.get(metric.name)
        if value is not None and metric.name not in without:
            shown = f"{value:.6g}" if isinstance(value, float) else f"{value}"
            yield f"{metric.name.partition('.')[2]} {visible(shown)}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return show_moment(value.astimezone(UTC))
    return value
