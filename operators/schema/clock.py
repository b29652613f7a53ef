"""The wall clock, as all times of samples and ticks have it."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives milliseconds since the Unix epoch."""


def wall_clock() -> int:
    """Now, in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
