"""Which due times a partition has had: of none are there samples twice, however the clock is set."""

from bisect import bisect_right
from collections.abc import Iterable

Stretch = tuple[int, int]
"""[from, until), milliseconds since the Unix epoch."""

MOST_STRETCHES = 16
"""How many are told apart: where there are more, those closest to each other count as one."""


class Served:
    """The stretches of time of which a partition has served the ticks."""

    def __init__(self, stretches: Iterable[Stretch] = ()) -> None:
        self._stretches: list[Stretch] = []
        for start, until in stretches:
            self.add(start, until)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """In the order of time; no two of them touch."""
        return tuple(self._stretches)

    def add(self, start: int, until: int) -> None:
        """The ticks in [start, until) were served."""
        if until <= start:
            return
        last = self._stretches[-1] if self._stretches else None
        if last is not None and last[0] <= start <= last[1] <= until:
            self._stretches[-1] = last[0], until
            return
        apart = [s for s in self._stretches if s[1] < start or s[0] > until]
        joined = [s for s in self._stretches if not (s[1] < start or s[0] > until)]
        first, end = min([start, *(s[0] for s in joined)]), max([until, *(s[1] for s in joined)])
        self._stretches = sorted([*apart, (first, end)])
        if len(self._stretches) > MOST_STRETCHES:
            self._join_closest()

    def next_after(self, tick: int, interval: int) -> int:
        """The first due time from `tick` on, itself a multiple of `interval`, that is not served."""
        index = bisect_right(self._stretches, (tick, tick)) - 1
        for start, until in self._stretches[max(0, index) :]:
            if start > tick:
                break
            if tick < until:
                tick = -(-until // interval) * interval
        return tick

    def free_until(self, tick: int) -> int | None:
        """Where the next stretch after `tick`, which is not served, begins; None without one."""
        return next((start for start, _ in self._stretches if start > tick), None)

    def _join_closest(self) -> None:
        gaps = [b[0] - a[1] for a, b in zip(self._stretches, self._stretches[1:], strict=False)]
        at = gaps.index(min(gaps))
        joined = self._stretches[at][0], self._stretches[at + 1][1]
        self._stretches[at : at + 2] = [joined]
