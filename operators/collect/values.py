"""Values of JSON that servers answer: what is not reported, or is no such value, is None."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def whole(value: Any) -> int | None:
    """A whole number that 64 bits hold, or a flag as one."""
    if isinstance(value, float) and not value.is_integer():
        return None
    known = isinstance(value, bool | int | float) and -(2**63) <= value < 2**63
    return int(value) if known else None


def number(value: Any) -> float | None:
    """A number."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else None


def word(value: Any) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def below(page: Any, *keys: str) -> Any:
    """What stands under keys, one in the other."""
    for key in keys:
        page = page.get(key) if isinstance(page, Mapping) else None
    return page


def listed(found: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def milliseconds(time: Any) -> float | None:
    """A time as Go writes it, in milliseconds since 1970; None of its zero time, too."""
    try:
        at = datetime.fromisoformat(time).timestamp() if isinstance(time, str) else None
    except ValueError:
        return None
    return at * 1000 if at is not None and at > 0 else None
