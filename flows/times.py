"""Points in time on the command line, ISO 8601 or relative to now, and the time between ticks."""

from datetime import UTC, datetime

from operators.schema.secrets import shown
from operators.schema.units import parse_duration

LAST = 253_402_300_799_000
"""The last moment that has a date, in milliseconds since the epoch."""


def parse_time(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch from `2026-01-31T10:00:00Z`, `-6h`, `+30m` or `now`.

    ISO 8601 without an offset is UTC.

    Raises:
        ValueError: it is none of them, or not in the years 1970 to 9999.
    """
    moment = _moment(text.strip(), now_ms)
    if not 0 <= moment <= LAST:
        raise ValueError(f"not in the years 1970 to 9999: {shown(text)}")
    return moment


def _moment(text: str, now_ms: int) -> int:
    if text == "now":
        return now_ms
    if text.startswith(("+", "-")):
        sign = -1 if text[0] == "-" else 1
        return now_ms + sign * round(parse_duration(text[1:]) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"not a time: {shown(text)}; write ISO 8601 (2026-01-31T10:00:00Z), -6h or now"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def tick_interval(seconds: float) -> float:
    """The seconds, where ticks can be so far apart.

    Raises:
        ValueError: they cannot.
    """
    if seconds > 366 * 86_400:
        raise ValueError(
            "the interval is at most a year (366d): ticks are its multiples since 1970"
        )
    if seconds < 0.1:
        raise ValueError("the interval is at least 100ms")
    if abs(seconds * 1000 - round(seconds * 1000)) > 1e-6:
        raise ValueError("the interval is a whole number of milliseconds")
    return seconds


def iso(moment: datetime, timespec: str = "auto") -> str:
    """ISO 8601 of a moment in UTC, which ends with `Z`."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def show_moment(moment: datetime) -> str:
    """ISO 8601 of a moment in UTC, to the second or millisecond."""
    return iso(moment, "milliseconds" if moment.microsecond else "seconds")


def show_time(ms: int) -> str:
    """ISO 8601 in UTC, to the second or millisecond; as ms since 1970 where it is beyond the calendar."""
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError):
        return f"{ms} ms since 1970"
    return show_moment(moment)
