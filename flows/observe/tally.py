"""The one picture of a running job, kept in memory from what its parts report."""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.observe.picture import (
    DELAY_BUCKETS,
    ClusterPicture,
    Delays,
    Job,
    Picture,
    PoolPicture,
    SinkPicture,
    TargetPicture,
)
from flows.observe.recent import Recent
from flows.observe.standing import FigureTable, LatestFigures
from operators.events import Observer, TaskCompleted, TaskFailed, TicksSimulated
from operators.merge.coverage import Coverage
from operators.pool.pool import Pool
from operators.schema.arrow import entity_type_of
from operators.ticks import Outcome
from sinks.events import (
    DeadLettersDropped,
    DeliveryRetried,
    MessagesUnreadable,
    PointsRejected,
    PublishFailed,
    SamplesDead,
    SamplesDelivered,
    SamplesPublished,
    SamplesWritten,
    SpoolDepth,
)


@dataclass(slots=True)
class _Delays:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BUCKETS) + 1))
    sum: float = 0.0
    last: float = 0.0

    def add(self, seconds: float, samples: int) -> None:
        self.buckets[bisect_left(DELAY_BUCKETS, seconds)] += samples
        self.sum += seconds * samples
        self.last = seconds


@dataclass(slots=True)
class _Sink:
    written: Counter[str] = field(default_factory=Counter)
    recent: dict[str, Recent] = field(default_factory=dict)
    published: Counter[str] = field(default_factory=Counter)
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: int = 0
    error: str = ""
    points_rejected: int = 0
    spool: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By partition: unsent and disk bytes."""
    watermarks: dict[str, int] = field(default_factory=dict)
    delays: dict[str, _Delays] = field(default_factory=dict)


@dataclass(slots=True)
class _Cluster:
    recent: tuple[Recent, Recent, Recent]
    last_tick: int | None = None
    samples: int = 0
    expected: int = 0
    collected: int = 0
    filled: int = 0
    late: int = 0
    anomalies: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    """By entity type: the last tick, and the labels of its samples."""


class Tally:
    """Counts what pools, sinks and merge report; `picture` answers how things stand.

    Its methods are listeners: any thread may call them, and they return at once. Rates are
    those of the last minute, or of two intervals where that is longer.
    """

    def __init__(
        self,
        job: Job,
        draining: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._job = job
        self._ended = ""
        self._standing: LatestFigures | None = None
        self._is_draining = draining
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._window = max(60.0, 2 * job.interval)
        self._last_activity: float | None = None
        self._there_until = 0.0
        self._targets = {key: TargetPicture(key) for key in job.targets}
        self._pools: list[Pool] = []
        self._sinks = {name: _Sink() for name in job.sinks}
        self._clusters: dict[str, _Cluster] = {}
        self._dead_letters_dropped = 0
        self._messages_unreadable = 0
        self._simulated_ticks = 0
        self._by_event: Mapping[type, Callable[[Any, float], None]] = {
            TaskCompleted: self._completed,
            TaskFailed: self._failed,
            TicksSimulated: self._simulated,
            SamplesWritten: self._written,
            SamplesPublished: self._published,
            PublishFailed: self._publish_failed,
            SamplesDelivered: self._delivered,
            SamplesDead: self._dead,
            DeliveryRetried: self._retried,
            PointsRejected: self._points_rejected,
            SpoolDepth: self._spool_depth,
            DeadLettersDropped: self._dropped,
            MessagesUnreadable: self._unreadable,
            Coverage: self._covered,
        }

    # What it is told

    def hear(self, event: object) -> None:
        """Count an event of a pool, a sink or merge; others are ignored."""
        if count := self._by_event.get(type(event)):
            with self._lock:
                count(event, self._clock())

    @property
    def observer(self) -> Observer:
        """Has of pools' events only those made that are counted here."""
        return Observer(self.hear, frozenset({TaskCompleted, TaskFailed}))

    def watch(self, pool: Pool) -> None:
        """Show a pool's counters, slots and breakers from now on."""
        with self._lock:
            self._pools.append(pool)

    def saw(self, cluster: str, batch: pa.RecordBatch) -> None:
        """Note the samples of a cluster on their way to the sinks, and what shaped them."""
        if not batch.num_rows:
            return
        if self._standing is not None:
            self._standing.saw(cluster, batch)
        tick, labels = _last_tick(batch)
        with self._lock:
            seen = self._cluster(cluster)
            seen.samples += batch.num_rows
            seen.last_tick = max(tick, seen.last_tick or tick)
            seen.anomalies[entity_type_of(batch).name] = tick, labels

    def clock_set(self, seconds: float) -> None:
        """The wall clock was set: what was so long ago is still as long ago."""
        with self._lock:
            self._started += seconds
            if self._last_activity is not None:
                self._last_activity += seconds
            for key, target in self._targets.items():
                if target.last_success is not None:
                    last = target.last_success + seconds
                    self._targets[key] = target._replace(last_success=last)
            for recent in self._windows():
                recent.clock_set(seconds)

    def there_until(self, moment: int) -> None:
        """A partition has nothing to do until then (ms): the samples are there."""
        with self._lock:
            until, now = moment / 1000, self._clock()
            self._there_until = until if self._there_until < now else min(until, self._there_until)

    def show_figures(self) -> None:
        """Have pictures hold the last figures of clusters and groups too."""
        self._standing = LatestFigures()

    def end(self, *, failed: bool) -> None:
        """The job has ended."""
        self._ended = "failed" if failed else "ended"

    # How things stand

    def picture(self) -> Picture:
        """How things stand at this moment."""
        now = self._clock()
        figures, groups, queues = (
            self._standing.figures() if self._standing else ({}, FigureTable(), FigureTable())
        )
        with self._lock:
            return Picture(
                job=self._job,
                now=now,
                started=self._started,
                draining=self._is_draining(),
                last_activity=self._last_activity,
                there_until=self._there_until,
                targets=tuple(self._targets.values()),
                pools=tuple(_pool_picture(pool) for pool in self._pools),
                sinks=tuple(self._sink_picture(name, now) for name in self._sinks),
                clusters=tuple(
                    _cluster_picture(name, cluster, now)
                    for name, cluster in sorted(self._clusters.items())
                ),
                anomalies=tuple(sorted(self._anomalies())),
                dead_letters_dropped=self._dead_letters_dropped,
                unreadable=self._messages_unreadable,
                simulated_ticks=self._simulated_ticks,
                figures=figures,
                queues=queues,
                groups=groups,
                ended=self._ended,
            )

    # Events, one method each, under the lock

    def _completed(self, event: TaskCompleted, now: float) -> None:
        self._last_activity = now
        if event.key is None:
            return
        before = self._targets.get(event.key) or TargetPicture(event.key)
        self._targets[event.key] = TargetPicture(
            event.key,
            event.pool,
            Outcome.COMPLETED,
            event.attempts,
            event.duration,
            last_success=now,
            completed=before.completed + 1,
            failed=before.failed,
        )

    def _failed(self, event: TaskFailed, now: float) -> None:
        self._last_activity = now
        if event.key is None:
            return
        before = self._targets.get(event.key) or TargetPicture(event.key)
        now_failed = before._replace(
            pool=event.pool,
            outcome=event.outcome,
            failed=before.failed + 1,
            failures=before.failures + 1,
        )
        # One that never ran (refused, overrun) does not hide why the last that ran failed.
        if event.attempts or not before.error_class:
            now_failed = now_failed._replace(
                attempts=event.attempts,
                duration=event.duration if event.attempts else before.duration,
                error_class=event.error_class,
                error=event.error,
            )
        self._targets[event.key] = now_failed

    def _simulated(self, event: TicksSimulated, now: float) -> None:
        self._simulated_ticks += event.ticks

    def _written(self, event: SamplesWritten, now: float) -> None:
        self._last_activity = now
        sink = self._sink(event.sink)
        for origin, samples in event.by_origin.items():
            sink.written[origin] += samples
            if origin not in sink.recent:
                sink.recent[origin] = Recent(self._window)
            sink.recent[origin].add(now, samples)
        if event.sink not in self._job.spools:
            self._arrived(sink, event, now)

    def _published(self, event: SamplesPublished, now: float) -> None:
        sink = self._sink(event.sink)
        sink.published.update(event.by_origin)
        sink.error = ""

    def _publish_failed(self, event: PublishFailed, now: float) -> None:
        self._sink(event.sink).error = event.reason

    def _delivered(self, event: SamplesDelivered, now: float) -> None:
        sink = self._sink(event.sink)
        for origin, samples in event.by_origin.items():
            sink.delivered[event.route, origin] += samples
        sink.error = ""
        self._arrived(sink, event, now)

    def _arrived(self, sink: _Sink, event: SamplesWritten | SamplesDelivered, now: float) -> None:
        for origin, (oldest, newest) in event.ticks.items():
            sink.watermarks[origin] = max(newest, sink.watermarks.get(origin, newest))
            delays = sink.delays.setdefault(origin, _Delays())
            delays.add(max(0.0, now - oldest / 1000), event.by_origin[origin])

    def _dead(self, event: SamplesDead, now: float) -> None:
        for origin, samples in event.by_origin.items():
            self._sink(event.sink).dead[event.route, origin] += samples
        self._sink(event.sink).error = event.reason

    def _retried(self, event: DeliveryRetried, now: float) -> None:
        sink = self._sink(event.sink)
        sink.retries += 1
        sink.error = event.reason

    def _points_rejected(self, event: PointsRejected, now: float) -> None:
        self._sink(event.sink).points_rejected += event.points

    def _spool_depth(self, event: SpoolDepth, now: float) -> None:
        self._sink(event.sink).spool[event.partition] = event.unsent_bytes, event.disk_bytes

    def _dropped(self, event: DeadLettersDropped, now: float) -> None:
        self._dead_letters_dropped += event.samples

    def _unreadable(self, event: MessagesUnreadable, now: float) -> None:
        self._messages_unreadable += event.messages

    def _covered(self, event: Coverage, now: float) -> None:
        cluster = self._cluster(event.cluster)
        cluster.expected += event.expected
        cluster.collected += event.collected
        cluster.filled += event.filled
        cluster.late += event.late
        for recent, amount in zip(
            cluster.recent, (event.expected, event.collected, event.filled), strict=True
        ):
            recent.add(now, amount)

    # Helpers

    def _windows(self) -> Iterator[Recent]:
        for sink in self._sinks.values():
            yield from sink.recent.values()
        for cluster in self._clusters.values():
            yield from cluster.recent

    def _sink(self, name: str) -> _Sink:
        return self._sinks.setdefault(name, _Sink())

    def _cluster(self, name: str) -> _Cluster:
        if name not in self._clusters:
            window = self._window
            self._clusters[name] = _Cluster((Recent(window), Recent(window), Recent(window)))
        return self._clusters[name]

    def _anomalies(self) -> set[str]:
        labels: set[str] = set()
        for cluster in self._clusters.values():
            for tick, found in cluster.anomalies.values():
                # The entity types of a tick come one after another.
                if tick > (cluster.last_tick or 0) - 2000 * self._job.interval:
                    labels |= found
        return labels

    def _sink_picture(self, name: str, now: float) -> SinkPicture:
        sink = self._sinks[name]
        # A young job has not filled the window; its first tick stands for an interval.
        seconds = min(self._window, max(now - self._started, self._job.interval, 1.0))
        return SinkPicture(
            name=name,
            written=dict(sink.written),
            rates={origin: recent.sum(now) / seconds for origin, recent in sink.recent.items()},
            published=dict(sink.published) if name in self._job.files else None,
            delivered=dict(sink.delivered),
            dead=dict(sink.dead),
            retries=sink.retries,
            points_rejected=sink.points_rejected,
            error=sink.error,
            unsent_bytes=sum(unsent for unsent, _ in sink.spool.values()),
            spool_bytes=sum(disk for _, disk in sink.spool.values()),
            spool_limit=self._job.spools.get(name),
            watermarks=dict(sink.watermarks),
            delays={
                origin: Delays(tuple(delays.buckets), delays.sum, delays.last)
                for origin, delays in sink.delays.items()
            },
        )


def _pool_picture(pool: Pool) -> PoolPicture:
    return PoolPicture(
        pool.name, pool.stats, pool.settings.queue, tuple(pool.slots()), tuple(pool.breakers())
    )


def _cluster_picture(name: str, cluster: _Cluster, now: float) -> ClusterPicture:
    expected, collected, filled = (recent.sum(now) for recent in cluster.recent)
    return ClusterPicture(
        name,
        cluster.last_tick,
        cluster.samples,
        cluster.expected,
        cluster.collected,
        cluster.filled,
        cluster.late,
        (expected, collected, filled),
    )


def _last_tick(batch: pa.RecordBatch) -> tuple[int, frozenset[str]]:
    """A batch's latest tick (ms), and the labels of the anomalies that shaped its samples."""
    times = batch.column("timestamp")
    last = pc.max(times)
    anomaly = batch.column("anomaly")
    labels: frozenset[str] = frozenset()
    if anomaly.null_count < batch.num_rows:
        at_last = anomaly.filter(pc.equal(times, last))
        labels = frozenset(pc.unique(at_last.drop_null()).to_pylist())
    return last.value, labels
