"""Durations and sizes as people write them."""

import math
import re
from typing import Any

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


def parse_duration(value: Any) -> float:
    """Seconds from `250ms`, `30s`, `10m`, `24h`, `30d`, `1h30m`, or a number of seconds.

    Raises:
        ValueError: anything else, or a negative duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < math.inf:
            raise ValueError("a duration is finite and not negative")
        return float(value)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value) if isinstance(value, str) else []
    if not parts or "".join(n + u for n, u in parts) != value.strip():
        raise ValueError(f"not a duration: {value!r}; write it like 250ms, 30s, 10m, 24h or 30d")
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def parse_size(value: Any) -> int:
    """Bytes from `512MiB`, `2GiB`, `1GB`, or a whole number of bytes.

    Raises:
        ValueError: anything else, or a negative size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)\s*", str(value))
    if not match or match[2] not in _SIZE_UNITS:
        raise ValueError(f"not a size: {value!r}; write it like 512MiB, 2GiB or 1GB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])
