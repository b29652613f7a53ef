"""What lies behind a plot's lines: filled spans, gaps, and anomalies with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER = 1 / 100
"""Share of a plot's width that a label's character takes, where labels are shown."""


@dataclass(frozen=True, slots=True)
class ReportedAnomaly:
    """One anomaly. Times are ms since 1970; `peak` is None where only its samples report it."""

    label: str
    kind: str
    cluster: str
    entity: str
    """Path of the entity where it started; empty where its label does not say."""
    start: int
    peak: int | None
    end: int
    types: frozenset[str]
    """Entity types (labels) of the samples that it shaped."""
    rows: int
    """Samples that carry its label."""
    number: int = 0
    """Counts from 1, by start."""

    @property
    def name(self) -> str:
        """What a plot says: its kind, and the entity without the cluster."""
        return f"{self.kind} {self.entity.partition('/')[2]}".strip()


@dataclass(frozen=True, slots=True)
class Placed:
    """An anomaly in a lane of a plot, so that no two in a lane meet."""

    anomaly: ReportedAnomaly
    lane: int
    left: bool
    """Whether its label is to the left of it, for want of room to the right."""
    named: bool
    """Whether there is room for its name, or only for its number."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing ticks. Samples are there at `start` and, unless it is `open`, at `end` (ms)."""

    cluster: str
    type: str
    """Label of the entity type."""
    start: int
    end: int
    ticks: int
    open: bool = False
    """Whether nothing came after it."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A span in which samples were filled, and their share of all. Times are ms."""

    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked on one plot; `left_out` anomalies found no room."""

    filled: Sequence[Filled]
    gaps: Sequence[Gap]
    anomalies: Sequence[Placed]
    left_out: int

    @property
    def lanes(self) -> int:
        """Lanes that the anomalies need."""
        return max((placed.lane + 1 for placed in self.anomalies), default=0)


def place(found: Sequence[ReportedAnomaly], start: int, end: int, lanes: int) -> list[Placed]:
    """Put anomalies into lanes, each with room for its name, or else for its number.

    The plot is of [start, end), ms. Those that shaped most are placed first; what finds no room
    at all is left out.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in range(lanes)]
    placed: list[Placed] = []
    waiting = sorted(found, key=lambda a: (-a.rows, a.start, a.label))
    for named in (True, False):
        left_over = []
        for anomaly in waiting:
            text = anomaly.name if named else str(anomaly.number)
            room = (end - start) * CHARACTER * (len(text) + 2)
            left = anomaly.start + room > end
            first = anomaly.start - room if left else anomaly.start
            last = max(anomaly.end, first + room)
            lane = next((n for n, others in enumerate(taken) if _free(others, first, last)), None)
            if lane is None:
                left_over.append(anomaly)
            else:
                taken[lane].append((first, last))
                placed.append(Placed(anomaly, lane, left, named))
        waiting = left_over
    return sorted(placed, key=lambda p: p.anomaly.number)


def _free(others: Sequence[tuple[float, float]], first: float, last: float) -> bool:
    return all(last <= start or first >= end for start, end in others)
