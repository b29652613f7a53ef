"""What settings are made of: a strict base class, durations and sizes.

Each room declares its own settings beside what uses them; `flows.config` puts them together.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict

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


KeyPath: TypeAlias = tuple[str | int, ...]
"""Where something stands in a configuration: names of keys, and places in lists."""

Misfit: TypeAlias = tuple[KeyPath, str]
"""Where something does not fit the rest, and why."""


class Settings(BaseModel):
    """A part of the configuration: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class MisfitError(ValueError):
    """Settings that are right by themselves do not fit together: a name leads nowhere, and so on.

    The places of `misfits` are below the settings that raise this.
    """

    def __init__(self, misfits: Sequence[Misfit]) -> None:
        super().__init__(misfits)
        self.misfits = tuple(misfits)

    def __str__(self) -> str:
        return "; ".join(message for _, message in self.misfits)


def require_distinct(names: Iterable[object]) -> None:
    """Nothing, where each name is there once.

    Raises:
        ValueError: some are not.
    """
    twice = sorted(str(name) for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")


def nearest(name: str, known: Collection[str]) -> str:
    """A hint for a name that leads nowhere: the nearest right one, or all that there are."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean `{near[0]}`?"
    more = ", …" if len(known) > _SHOWN else ""
    return f"there are {', '.join(islice(known, _SHOWN)) or 'none'}{more}"


_SHOWN = 10
"""Names that a hint lists."""


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


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str | float)]
"""A duration in seconds, written `30s`, `10m`, `24h`."""

ByteSize = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
"""A size in bytes, written `512MiB`, `2GiB`."""
