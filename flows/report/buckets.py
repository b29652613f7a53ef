"""Time in equal buckets: however long the samples' span is, a plot has a bounded number."""

from dataclasses import dataclass
from math import ceil

import polars as pl

MOST = 500
"""Buckets of a line; about one for two pixels of a wide screen."""
MOST_CELLS = 120
"""Buckets of a heat map's row."""

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_WIDTHS = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28)),
)


@dataclass(frozen=True, slots=True)
class Buckets:
    """`count` buckets of `width` ms from `start` on, ms since 1970."""

    start: int
    width: int
    count: int

    @property
    def end(self) -> int:
        """End of the last bucket, ms since 1970."""
        return self.start + self.width * self.count

    def time(self, column: str = "timestamp") -> pl.Expr:
        """Start of the bucket that a timestamp is in, ms since 1970; Int64, named `time`."""
        past = pl.col(column).cast(pl.Int64) - self.start
        return (past - past % self.width + self.start).alias("time")


def buckets(first: int, last: int, interval: int | None, most: int = MOST) -> Buckets:
    """Buckets for timestamps in [first, last], at most `most` of them.

    A bucket is a round time and a multiple of the interval, so that each has as many ticks as
    the next.
    """
    interval = interval or 1
    need = max(interval, ceil((last - first + 1) / (most - 1)))
    width = next(
        (w for w in _WIDTHS if w >= need and w % interval == 0),
        ceil(need / interval) * interval,
    )
    start = first // width * width
    return Buckets(start, width, (last - start) // width + 1)
