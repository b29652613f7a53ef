"""The wall clock, as all times of samples and ticks have it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

Clock = Callable[[], int]
"""Gives milliseconds since the Unix epoch."""


def wall_clock() -> int:
    """Now, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


wall_seconds: Callable[[], float] = time.time
"""Now, in seconds since the Unix epoch, as files and protocols have it."""

utc_now: Callable[[], datetime] = partial(datetime.now, UTC)
"""Now, as a moment in UTC, as the engine wants it."""
