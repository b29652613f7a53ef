"""Local clock of a time zone for arrays of UTC times, daylight saving included."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from operators.schema.arrays import Ints

HOUR = 3_600_000
DAY = 24 * HOUR
_QUARTER = 900_000
"""Every zone's offset changes at a multiple of a quarter of an hour."""


@lru_cache(maxsize=1 << 14)
def _offset(zone: str, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone))
    offset = moment.utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * 1000


def to_local(times: Ints, zone: str) -> Ints:
    """Local wall-clock times in ms (as if they were UTC) of UTC times in ms."""
    if zone == "UTC" or not len(times):
        return times
    quarters, place = np.unique(times // _QUARTER, return_inverse=True)
    offsets = np.array([_offset(zone, int(q)) for q in quarters], np.int64)
    return times + offsets[place]


def at_local(day: int, at: time, zone: str) -> int:
    """Milliseconds since 1970 at which clocks of a zone show a time on a day since 1970.

    Of a time that they show twice the first counts; one that they skip is as if they did not.
    """
    local = datetime.combine(date(1970, 1, 1) + timedelta(days=day), at, ZoneInfo(zone))
    return round(local.timestamp()) * 1000


def weekday(days: Ints) -> Ints:
    """Monday 0 … Sunday 6 of days since 1970-01-01, a Thursday."""
    return (days + 3) % 7


def month(times: Ints) -> Ints:
    """January 0 … December 11 of local times in ms."""
    return times.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % 12


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days
