"""Durations and sizes as people write them."""

import math
import re
from typing import Any

from operators.schema.secrets import shown

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

LONGEST = 100 * 365 * 86_400
"""The longest duration in seconds: a hundred years, which clocks and timers can count."""

LARGEST = 2**60
"""The largest size in bytes: 1 EiB, more than a file system holds."""


def parse_duration(value: Any) -> float:
    """Seconds from `250ms`, `30s`, `10m`, `24h`, `30d`, `1h30m`, or a number of seconds.

    Raises:
        ValueError: anything else, a negative duration, or one of more than a hundred years.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < math.inf:
            raise ValueError("a duration is finite and not negative")
        seconds: float = value
    else:
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value) if isinstance(value, str) else []
        if not parts or "".join(n + u for n, u in parts) != value.strip():
            raise ValueError(
                f"not a duration: {shown(value)}; write it like 250ms, 30s, 10m, 24h or 30d"
            )
        seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ValueError("a duration is at most 100 years (36500d), as far as timers count")
    return float(seconds)


def mebibytes(size: int) -> float:
    """A size in MiB."""
    return size / _SIZE_UNITS["MiB"]


def parse_size(value: Any) -> int:
    """Bytes from `512MiB`, `2GiB`, `1GB`, or a whole number of bytes.

    Raises:
        ValueError: anything else, a negative size, or one of more than 1 EiB.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size: float = value
    else:
        text = value if isinstance(value, str) else ""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)\s*", text)
        if not match or match[2] not in _SIZE_UNITS:
            raise ValueError(f"not a size: {shown(value)}; write it like 512MiB, 2GiB or 1GB")
        size = float(match[1]) * _SIZE_UNITS[match[2]]
    if size > LARGEST:
        raise ValueError("a size is at most 1 EiB (1048576TiB), more than any disk holds")
    return int(size)
