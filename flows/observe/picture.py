"""A job at one moment, as plain data: what the live table, the metrics and the health show.

The parts that grow are counted in by `Tally`, which hands out copies.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flows.observe.latest_figures import Figures, FigureTable
from operators.pool.stats import BreakerState, PoolStats, SlotState
from operators.ticks import Outcome

ORIGINS = ("collected", "simulated", "filled")
"""In the order in which they are shown."""

DELAY_BUCKETS = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0
)  # fmt: skip
"""Upper bounds, in seconds, of the histogram of end-to-end delays; one more is above all."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a job before it starts."""

    name: str
    """The command: run, replay or export."""
    interval: float
    """Seconds between two ticks; the longest one where there are several."""
    mode: str = ""
    targets: Sequence[str] = ()
    """Input partitions that are collected, `<cluster>/<kind>`."""
    fleets: Sequence[str] = ()
    """Simulated clusters."""
    sinks: Sequence[str] = ()
    spools: Mapping[str, int] = field(default_factory=dict)
    """By sink, the bytes that its spool may take on disk."""
    files: Mapping[str, str] = field(default_factory=dict)
    """By sink that writes files or tables, where and when they appear, in words."""


class TargetPicture(NamedTuple):
    """What is known of a target: how its last tick ended, and when one last went well."""

    key: str
    """`<cluster>/<kind>`."""
    pool: str = ""
    """Empty until its first tick ended."""
    outcome: Outcome | None = None
    """How the last tick ended."""
    attempts: int = 0
    """Attempts that the last tick which ran took."""
    duration: float | None = None
    """Seconds that the last tick which ran took."""
    last_success: float | None = None
    """When a tick last completed, in seconds since the epoch."""
    completed: int = 0
    failed: int = 0
    """Ticks that failed, were refused, or found the one before still running."""
    failures: int = 0
    """Those of them since the last success."""
    error_class: str = ""
    error: str = ""
    """Why the last tick which ran failed; empty once one completed."""


@dataclass(frozen=True, slots=True)
class PoolPicture:
    """A pool: its counters, and what its slots and breakers do at this moment."""

    name: str
    stats: PoolStats
    queue: int
    """Tasks that may wait."""
    slots: Sequence[SlotState]
    breakers: Sequence[BreakerState]

    @property
    def used(self) -> bool:
        """Whether it was ever given a task."""
        stats = self.stats
        return bool(stats.running or stats.queued or any(stats.outcomes.values()))

    @property
    def busy(self) -> list[SlotState]:
        """The slots that work, the longest first."""
        return sorted((s for s in self.slots if s.key is not None), key=lambda s: -s.busy)


@dataclass(slots=True)
class Delays:
    """End-to-end delays of samples, from the tick's due time to their delivery."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BUCKETS) + 1))
    """Samples by delay (`DELAY_BUCKETS`), not cumulated."""
    sum: float = 0.0
    """Seconds, of all samples together."""
    last: float = 0.0
    """Seconds, of the oldest sample in the last delivery."""

    def add(self, seconds: float, samples: int) -> None:
        """Count a delivery of so many samples, the oldest of which took `seconds`."""
        self.buckets[bisect_left(DELAY_BUCKETS, seconds)] += samples
        self.sum += seconds * samples
        self.last = seconds


@dataclass(slots=True)
class SinkPicture:
    """A sink: what it took over, what arrived, what waits and what is dead."""

    name: str
    spool_limit: int | None = None
    """Bytes that its spool may take on disk; None for a sink without a spool."""
    published: Counter[str] | None = None
    """Samples in files or tables, where readers find them, by origin; None where it writes none."""
    written: Counter[str] = field(default_factory=Counter)
    """Samples that it took over, by origin."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Samples a second that it took over of late, by origin."""
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Samples that the other side acknowledged, by route and origin; empty for a local sink."""
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Samples that went to dead letters, by route and origin."""
    retries: int = 0
    """Attempts at a delivery that failed and were made again."""
    points_rejected: int = 0
    """Points that the other side left out of deliveries that it took."""
    spools: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By partition: bytes that wait in its spool, and that it takes on disk."""
    watermarks: dict[str, int] = field(default_factory=dict)
    """The latest tick that arrived, by origin, in milliseconds since the epoch."""
    delays: dict[str, Delays] = field(default_factory=dict)
    """By origin."""
    error: str = ""
    """What went wrong last; empty once something arrived since."""

    @property
    def unsent_bytes(self) -> int:
        """What waits in its spools."""
        return sum(unsent for unsent, _ in self.spools.values())

    @property
    def spool_bytes(self) -> int:
        """What its spools take on disk."""
        return sum(disk for _, disk in self.spools.values())

    @property
    def by_route(self) -> Mapping[str, int]:
        """Samples that the other side acknowledged, by route: each sends those that it has a form for."""
        routes: Counter[str] = Counter()
        for (route, _), samples in self.delivered.items():
            routes[route] += samples
        return routes

    @property
    def earlier(self) -> int:
        """Of what is in files or tables, at least so many samples had an earlier run taken over."""
        return max(0, sum((self.published or {}).values()) - sum(self.written.values()))

    @property
    def arrived(self) -> int:
        """Samples that are where they belong: in files, delivered by every route, or written."""
        if self.published is not None:
            return sum(self.published.values())
        if self.spool_limit is None and not self.delivered:
            return sum(self.written.values())
        return min(self.by_route.values(), default=0)

    def delay(self, now: float, interval: float) -> float | None:
        """Seconds that samples take from their due tick until they arrive; None before the first.

        That of the last to arrive, real ones first, for filled ones wait on purpose. When none
        arrive any more, it is how far the sink is behind.
        """
        last = next((self.delays[o].last for o in ORIGINS if o in self.delays), None)
        if last is None:
            return None
        return max(last, now - max(self.watermarks.values()) / 1000 - interval)


@dataclass(slots=True)
class ClusterPicture:
    """A cluster, real or simulated: its last tick and how much of what was due came."""

    name: str
    last_tick: int | None = None
    """Milliseconds since the epoch; None before its first sample."""
    samples: int = 0
    expected: int = 0
    """Samples that were due since the job began (hybrid mode)."""
    collected: int = 0
    filled: int = 0
    late: int = 0
    recent: tuple[int, int, int] = (0, 0, 0)
    """Expected, collected and filled of late."""


@dataclass(slots=True)
class Picture:
    """A job at one moment. Times are seconds since the epoch where nothing else is said."""

    job: Job
    now: float
    started: float
    draining: bool = False
    last_activity: float | None = None
    """When a tick last ended or samples last came to a sink."""
    there_until: float = 0.0
    """Up to when the samples of some partition are there, so that it has nothing to do before."""
    targets: Sequence[TargetPicture] = ()
    pools: Sequence[PoolPicture] = ()
    sinks: Sequence[SinkPicture] = ()
    clusters: Sequence[ClusterPicture] = ()
    anomalies: Sequence[str] = ()
    """Labels of the anomalies that shaped the last ticks."""
    dead_letters_dropped: int = 0
    """Dead letters that were removed for want of room."""
    figures: Mapping[str, Figures] = field(default_factory=dict)
    """By cluster, its last figures, where they are shown."""
    groups: FigureTable = FigureTable()
    queues: FigureTable = FigureTable()
    """The consumer groups of all clusters, where they are shown."""
    ended: str = ""
    """`ended` or `failed` once the job did; empty while it runs."""
    unreadable: int = 0
    """Messages of a recorded stream that held what is no sample, and went to dead letters."""
    simulated_ticks: int = 0
    """Ticks of simulated clusters, each its own, whose samples were made."""

    @property
    def watermarks(self) -> Mapping[str, int]:
        """By origin, the latest tick that every sink which had samples of it delivered (ms)."""
        marks: dict[str, int] = {}
        for sink in self.sinks:
            for origin, tick in sink.watermarks.items():
                marks[origin] = min(tick, marks.get(origin, tick))
        return marks
