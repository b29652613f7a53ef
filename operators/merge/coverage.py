"""How much of what was due arrived: counts of samples, for logs and metrics."""

from dataclasses import dataclass

from operators.schema.events import Listener


@dataclass(frozen=True, slots=True)
class Coverage:
    """Samples of one cluster that were due, and what came of them.

    Counts are increments: each sample is in one event only. `timestamp` (ms) is the last tick
    that the event covers. `collected + filled` is never above `expected`. A late sample is of
    an earlier tick, whose `filled` it was; it changes nothing there.
    """

    cluster: str
    timestamp: int
    expected: int = 0
    collected: int = 0
    filled: int = 0
    late: int = 0


class CoverageReport:
    """Reports one cluster's coverage to a listener, each late sample with the next report."""

    def __init__(self, cluster: str, listener: Listener) -> None:
        self._cluster = cluster
        self._listener = listener
        self._late = 0

    def late(self, count: int) -> None:
        """So many samples came of ticks that were settled."""
        self._late += count

    def report(self, tick: int, expected: int, collected: int, filled: int) -> None:
        """What came of what was expected up to `tick` (ms), since the last report."""
        late, self._late = self._late, 0
        self._listener(Coverage(self._cluster, tick, expected, collected, filled, late))
