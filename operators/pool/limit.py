"""`size: auto`: a limit that grows by one and shrinks by a share, by latency and errors."""

from statistics import median

WINDOW = 20
"""Attempts, at least, that one decision looks at."""

TOLERANCE = 2.0
"""A window is slow when its median latency is above this multiple of the baseline."""

ERRORS = 0.1
"""A window is bad when more than this share of its attempts failed."""

DECREASE = 0.75
"""What is left of the limit after a slow or bad window."""

DRIFT = 1.02
"""How much the baseline may rise a window, so that a service that became slower is accepted."""


class AdaptiveLimit:
    """Additive increase, multiplicative decrease of the number of slots, within bounds.

    A decision falls after each window of attempts (`WINDOW`, or as many as there are slots).
    The median of the window's latencies is held against the least median seen so far, which
    drifts upwards slowly; the median, since one hung target must not shrink the pool for others.
    The limit grows only while it is what holds tasks back.
    """

    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest = smallest
        self._largest = largest
        self.limit = smallest
        self._latencies: list[float] = []
        self._errors = 0
        self._saturated = False
        self._baseline: float | None = None

    def observe(self, latency: float, *, failed: bool, saturated: bool) -> int:
        """Take in one attempt (seconds it took; whether tasks waited for a slot); the limit."""
        self._latencies.append(latency)
        self._errors += failed
        self._saturated |= saturated
        if len(self._latencies) >= max(WINDOW, self.limit):
            self._decide()
        return self.limit

    def _decide(self) -> None:
        middle = median(self._latencies)
        baseline = middle if self._baseline is None else min(middle, self._baseline * DRIFT)
        self._baseline = baseline
        bad = self._errors > ERRORS * len(self._latencies)
        if bad or middle > TOLERANCE * baseline:
            self.limit = max(self._smallest, int(self.limit * DECREASE))
        elif self._saturated:
            self.limit = min(self._largest, self.limit + 1)
        self._latencies, self._errors, self._saturated = [], 0, False
