"""Which events and metric points are kept, and why others are dropped.

New Relic checks them after it has answered 200 or 202, so a sender is not told. Limits are
those of New Relic's documentation; where that calls a thing undefined, it is dropped here, so
that tests notice.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.newrelic.payload import RefusedError

HOUR = 3_600_000
MAX_EVENT_ATTRIBUTES = 254
MAX_POINT_ATTRIBUTES = 100
MAX_NAME = 255
MAX_VALUE = 4096

_EVENT_TYPE = re.compile(r"[A-Za-z0-9_:]+")
_UNDEFINED = frozenset({"entity.guid", "entity.name", "entity.type"})
_FORBIDDEN = frozenset(
    {"interval.ms", "timestamp", "value", "common", "min", "max", "count", "sum", "metrics"}
)
_COMMON_FIELDS = frozenset({"timestamp", "interval.ms", "attributes"})
_POINT_FIELDS = _COMMON_FIELDS | {"name", "type", "value"}
# Seconds of the year 5138, milliseconds of 1973: below it a timestamp is in seconds.
_MILLISECONDS_FROM = 10**11


@dataclass(frozen=True, slots=True)
class Dropped:
    """An event or point that New Relic would lose without a word, and why."""

    sample: Mapping[str, Any]
    reason: str


class _DropError(Exception):
    """Why one sample is dropped."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """What became of the samples of one POST."""

    kept: list[dict[str, Any]]
    dropped: list[Dropped]


def sort_events(payload: list[dict[str, Any]], now: int, *, windows: bool = True) -> Sorted:
    """Events as the Event API keeps them: `timestamp` in whole milliseconds is always there.

    `now` is the time of arrival in milliseconds. Without `windows` an event may have any age.
    """
    return _sort(payload, lambda event: _event(event, now, windows=windows))


def sort_points(payload: list[dict[str, Any]], now: int, *, windows: bool = True) -> Sorted:
    """Points of the Metric API, each with what its `common` adds, `attributes` merged.

    Raises:
        RefusedError: 400 where the payload is not of the documented shape.
    """
    points = [point for block in payload for point in _points(block)]
    return _sort(points, lambda point: _point(point, now, windows=windows))


def _sort(
    samples: list[dict[str, Any]], check: Callable[[dict[str, Any]], dict[str, Any]]
) -> Sorted:
    sorted_ = Sorted([], [])
    for sample in samples:
        try:
            sorted_.kept.append(check(sample))
        except _DropError as error:
            sorted_.dropped.append(Dropped(sample, str(error)))
    return sorted_


def _event(event: dict[str, Any], now: int, *, windows: bool) -> dict[str, Any]:
    kept = {name: value for name, value in event.items() if name != "accountId"}
    event_type = event.get("eventType")
    if not isinstance(event_type, str) or not _EVENT_TYPE.fullmatch(event_type):
        raise _DropError(f"eventType {event_type!r} is not of letters, digits, _ and :")
    if len(event) > MAX_EVENT_ATTRIBUTES:
        raise _DropError(f"{len(event)} attributes are over {MAX_EVENT_ATTRIBUTES}")
    for name, value in event.items():
        _check_attribute(name, value, (str, int, float))
    if not isinstance(event.get("appId", 0), int):
        raise _DropError("appId is not an integer")
    if undefined := _UNDEFINED & event.keys():
        raise _DropError(f"the behaviour of {sorted(undefined)} is undefined")
    timestamp = event.get("timestamp", now)
    if isinstance(timestamp, float):
        timestamp = now  # New Relic replaces a decimal by the time of arrival.
    kept["timestamp"] = _milliseconds(timestamp)
    if windows and not now - 24 * HOUR <= kept["timestamp"] <= now:
        raise _DropError(f"timestamp {timestamp} is not within the 24 hours before {now}")
    return kept


def _points(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The points of one `{"common", "metrics"}`, each with common's fields where it has none."""
    common, metrics = block.get("common", {}), block.get("metrics")
    if block.keys() - {"common", "metrics"} or not isinstance(metrics, list):
        raise RefusedError(400, "not an array of objects of `metrics` and perhaps `common`")
    if not isinstance(common, dict) or common.keys() - _COMMON_FIELDS:
        raise RefusedError(400, f"`common` is not an object of {sorted(_COMMON_FIELDS)}")
    if not all(isinstance(point, dict) for point in metrics):
        raise RefusedError(400, "`metrics` is not an array of objects")
    for part in (common, *metrics):
        if not isinstance(part.get("attributes", {}), dict):
            raise RefusedError(400, "`attributes` is not an object")
    attributes = common.get("attributes", {})
    return [
        {**common, **point, "attributes": {**attributes, **point.get("attributes", {})}}
        for point in metrics
    ]


def _point(point: dict[str, Any], now: int, *, windows: bool) -> dict[str, Any]:
    if unknown := point.keys() - _POINT_FIELDS:
        raise _DropError(f"a point has no fields {sorted(unknown)}")
    name, attributes = point.get("name"), point["attributes"]
    if not isinstance(name, str) or not 0 < len(name) < MAX_NAME:
        raise _DropError(f"name {name!r} is not a string of 1 to {MAX_NAME - 1} characters")
    kind = point.get("type", "gauge")
    _check_value(kind, point.get("value"))
    if kind != "gauge" and not _is_number(point.get("interval.ms")):
        raise _DropError(f"a {kind} needs interval.ms")
    if len(attributes) > MAX_POINT_ATTRIBUTES:
        raise _DropError(f"{len(attributes)} attributes are over {MAX_POINT_ATTRIBUTES}")
    for key, value in attributes.items():
        _check_attribute(key, value, (str, int, float, bool))
    if forbidden := attributes.keys() & (_FORBIDDEN | {name}):
        raise _DropError(f"attributes may not be called {sorted(forbidden)}")
    timestamp = _milliseconds(point.get("timestamp", now))
    if windows and not now - 48 * HOUR <= timestamp <= now + 24 * HOUR:
        raise _DropError(f"timestamp {timestamp} is not within 48 hours before {now}, 24 after")
    return {**point, "type": kind, "timestamp": timestamp}


def _check_value(kind: Any, value: Any) -> None:
    if kind in ("gauge", "count"):
        if not _is_number(value):
            raise _DropError(f"the value of a {kind} is not a number: {value!r}")
    elif kind == "summary":
        fields = {"count", "sum", "min", "max"}
        if not isinstance(value, dict) or value.keys() != fields:
            raise _DropError(f"the value of a summary is not of {sorted(fields)}: {value!r}")
        if not all(_is_number(number) for number in value.values()):
            raise _DropError(f"a summary's fields are not all numbers: {value!r}")
    else:
        raise _DropError(f"type {kind!r} is not gauge, count or summary")


def _check_attribute(name: str, value: Any, types: tuple[type, ...]) -> None:
    if len(name) > MAX_NAME:
        raise _DropError(f"the name {name[:20]}… has {len(name)} characters, over {MAX_NAME}")
    if type(value) not in types:
        raise _DropError(f"`{name}` is of a type that is not allowed: {value!r}")
    if isinstance(value, str) and len(value) > MAX_VALUE:
        raise _DropError(f"the value of `{name}` has {len(value)} characters, over {MAX_VALUE}")


def _milliseconds(timestamp: Any) -> int:
    if type(timestamp) is not int:
        raise _DropError(f"timestamp {timestamp!r} is not a whole number")
    return timestamp if abs(timestamp) >= _MILLISECONDS_FROM else timestamp * 1000


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
