"""How much of what was due arrived: counts of samples, for logs and metrics."""

from dataclasses import dataclass


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

    @property
    def percent(self) -> float:
        """Share of the expected samples that were collected or filled, 0 to 100."""
        return 100.0 * (self.collected + self.filled) / self.expected if self.expected else 100.0
