"""The one picture of a running job, kept in memory from what its parts report."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.observe.latest_figures import FigureTable, LatestFigures
from flows.observe.picture import (
    ClusterPicture,
    Delays,
    Job,
    Picture,
    PoolPicture,
    SinkPicture,
    TargetPicture,
)
from flows.observe.recent import Recent
from operators.events import EVENTS, Observer, TaskCompleted, TaskFailed, TicksSimulated
from operators.merge.coverage import Coverage
from operators.pool.pool import Pool
from operators.schema.arrow import entity_type_of
from operators.schema.clock import wall_seconds
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
class _SinkCounts:
    picture: SinkPicture
    recent: dict[str, Recent] = field(default_factory=dict)
    """By origin: samples that it took over."""


@dataclass(slots=True)
class _Cluster:
    picture: ClusterPicture
    recent: tuple[Recent, Recent, Recent]
    """Expected, collected and filled."""
    anomalies: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    """By entity type: the last tick, and the labels of its samples."""


class Tally:
    """Counts what pools, sinks and merge report; `picture` answers how things stand.

    It counts in a picture's own parts, and adds to a copy of them what only the moment knows.
    Its methods are listeners: any thread may call them, and they return at once. Rates are
    those of the last minute, or of two intervals where that is longer.
    """

    def __init__(
        self,
        job: Job,
        draining: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = wall_seconds,
    ) -> None:
        self._job = job
        self._latest: LatestFigures | None = None
        self._is_draining = draining
        self._clock = clock
        self._lock = threading.Lock()
        started = clock()
        self._picture = Picture(job, now=started, started=started)
        """The counts of the whole job; its parts are kept below."""
        self._window = max(60.0, 2 * job.interval)
        self._targets = {key: TargetPicture(key) for key in job.targets}
        self._pools: list[Pool] = []
        self._sinks: dict[str, _SinkCounts] = {}
        self._clusters: dict[str, _Cluster] = {}
        for name in job.sinks:
            self._sink(name)
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

    # What happens

    def hear(self, event: object) -> None:
        """Count an event of a pool, a sink or merge; others are ignored."""
        if count := self._by_event.get(type(event)):
            with self._lock:
                count(event, self._clock())

    @property
    def observer(self) -> Observer:
        """Has of pools' events only those made that are counted here."""
        return Observer(self.hear, frozenset(event for event in EVENTS if event in self._by_event))

    def watch(self, pool: Pool) -> None:
        """Show a pool's counters, slots and breakers from now on."""
        with self._lock:
            self._pools.append(pool)

    def saw(self, cluster: str, batch: pa.RecordBatch) -> None:
        """Note the samples of a cluster on their way to the sinks, and what shaped them."""
        if not batch.num_rows:
            return
        if self._latest is not None:
            self._latest.saw(cluster, batch)
        tick, labels = _last_tick(batch)
        with self._lock:
            seen = self._cluster(cluster)
            seen.picture.samples += batch.num_rows
            seen.picture.last_tick = max(tick, seen.picture.last_tick or tick)
            seen.anomalies[entity_type_of(batch).name] = tick, labels

    def clock_set(self, seconds: float) -> None:
        """The wall clock was set: what was so long ago is still as long ago."""
        with self._lock:
            self._picture.started += seconds
            if self._picture.last_activity is not None:
                self._picture.last_activity += seconds
            for key, target in self._targets.items():
                if target.last_success is not None:
                    last = target.last_success + seconds
                    self._targets[key] = target._replace(last_success=last)
            for recent in self._windows():
                recent.clock_set(seconds)

    def there_until(self, moment: int) -> None:
        """A partition has nothing to do until then (ms): the samples are there."""
        with self._lock:
            until, before = moment / 1000, self._picture.there_until
            self._picture.there_until = until if before < self._clock() else min(until, before)

    def show_figures(self) -> None:
        """Have pictures hold the last figures of clusters and groups too."""
        self._latest = LatestFigures()

    def end(self, *, failed: bool) -> None:
        """The job has ended."""
        self._picture.ended = "failed" if failed else "ended"

    # How things stand

    def picture(self) -> Picture:
        """How things stand at this moment."""
        now = self._clock()
        figures, groups, queues = (
            self._latest.figures() if self._latest else ({}, FigureTable(), FigureTable())
        )
        with self._lock:
            return replace(
                self._picture,
                now=now,
                draining=self._is_draining(),
                targets=tuple(self._targets.values()),
                pools=tuple(_pool_picture(pool) for pool in self._pools),
                sinks=tuple(self._sink_picture(sink, now) for sink in self._sinks.values()),
                clusters=tuple(
                    _cluster_picture(cluster, now) for _, cluster in sorted(self._clusters.items())
                ),
                anomalies=tuple(sorted(self._anomalies())),
                figures=figures,
                queues=queues,
                groups=groups,
            )

    # Events, one method each, under the lock

    def _completed(self, event: TaskCompleted, now: float) -> None:
        self._picture.last_activity = now
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
        self._picture.last_activity = now
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
        self._picture.simulated_ticks += event.ticks

    def _written(self, event: SamplesWritten, now: float) -> None:
        self._picture.last_activity = now
        sink = self._sink(event.sink)
        sink.picture.written.update(event.by_origin)
        for origin, samples in event.by_origin.items():
            if origin not in sink.recent:
                sink.recent[origin] = Recent(self._window)
            sink.recent[origin].add(now, samples)
        if event.sink not in self._job.spools:
            self._arrived(sink.picture, event, now)

    def _published(self, event: SamplesPublished, now: float) -> None:
        sink = self._sink(event.sink).picture
        if sink.published is not None:
            sink.published.update(event.by_origin)
        sink.error = ""

    def _publish_failed(self, event: PublishFailed, now: float) -> None:
        self._sink(event.sink).picture.error = event.reason

    def _delivered(self, event: SamplesDelivered, now: float) -> None:
        sink = self._sink(event.sink).picture
        for origin, samples in event.by_origin.items():
            sink.delivered[event.route, origin] += samples
        sink.error = ""
        self._arrived(sink, event, now)

    def _arrived(
        self, sink: SinkPicture, event: SamplesWritten | SamplesDelivered, now: float
    ) -> None:
        for origin, (oldest, newest) in event.ticks.items():
            sink.watermarks[origin] = max(newest, sink.watermarks.get(origin, newest))
            delays = sink.delays.setdefault(origin, Delays())
            delays.add(max(0.0, now - oldest / 1000), event.by_origin[origin])

    def _dead(self, event: SamplesDead, now: float) -> None:
        for origin, samples in event.by_origin.items():
            self._sink(event.sink).picture.dead[event.route, origin] += samples
        self._sink(event.sink).picture.error = event.reason

    def _retried(self, event: DeliveryRetried, now: float) -> None:
        sink = self._sink(event.sink).picture
        sink.retries += 1
        sink.error = event.reason

    def _points_rejected(self, event: PointsRejected, now: float) -> None:
        self._sink(event.sink).picture.points_rejected += event.points

    def _spool_depth(self, event: SpoolDepth, now: float) -> None:
        self._sink(event.sink).picture.spools[event.partition] = (
            event.unsent_bytes,
            event.disk_bytes,
        )

    def _dropped(self, event: DeadLettersDropped, now: float) -> None:
        self._picture.dead_letters_dropped += event.samples

    def _unreadable(self, event: MessagesUnreadable, now: float) -> None:
        self._picture.unreadable += event.messages

    def _covered(self, event: Coverage, now: float) -> None:
        seen = self._cluster(event.cluster)
        seen.picture.expected += event.expected
        seen.picture.collected += event.collected
        seen.picture.filled += event.filled
        seen.picture.late += event.late
        for recent, amount in zip(
            seen.recent, (event.expected, event.collected, event.filled), strict=True
        ):
            recent.add(now, amount)

    # Helpers

    def _windows(self) -> Iterator[Recent]:
        for sink in self._sinks.values():
            yield from sink.recent.values()
        for cluster in self._clusters.values():
            yield from cluster.recent

    def _sink(self, name: str) -> _SinkCounts:
        if name not in self._sinks:
            published: Counter[str] | None = Counter() if name in self._job.files else None
            self._sinks[name] = _SinkCounts(
                SinkPicture(name, self._job.spools.get(name), published)
            )
        return self._sinks[name]

    def _cluster(self, name: str) -> _Cluster:
        if name not in self._clusters:
            recent = Recent(self._window), Recent(self._window), Recent(self._window)
            self._clusters[name] = _Cluster(ClusterPicture(name), recent)
        return self._clusters[name]

    def _anomalies(self) -> set[str]:
        labels: set[str] = set()
        for cluster in self._clusters.values():
            for tick, found in cluster.anomalies.values():
                # The entity types of a tick come one after another.
                if tick > (cluster.picture.last_tick or 0) - 2000 * self._job.interval:
                    labels |= found
        return labels

    def _sink_picture(self, sink: _SinkCounts, now: float) -> SinkPicture:
        # A young job has not filled the window; its first tick stands for an interval.
        up = now - self._picture.started
        seconds = min(self._window, max(up, self._job.interval, 1.0))
        rates = {origin: recent.sum(now) / seconds for origin, recent in sink.recent.items()}
        return replace(deepcopy(sink.picture), rates=rates)


def _pool_picture(pool: Pool) -> PoolPicture:
    return PoolPicture(
        pool.name, pool.stats, pool.settings.queue, tuple(pool.slots()), tuple(pool.breakers())
    )


def _cluster_picture(cluster: _Cluster, now: float) -> ClusterPicture:
    expected, collected, filled = (recent.sum(now) for recent in cluster.recent)
    return replace(cluster.picture, recent=(expected, collected, filled))


def _last_tick(batch: pa.RecordBatch) -> tuple[int, frozenset[str]]:
    """A batch's latest tick (ms), and the labels of the anomalies that shaped its samples."""
    times = batch.column("timestamp")
    last = times[0] if batch.num_rows == 1 else pc.max(times)
    anomaly = batch.column("anomaly")
    labels: frozenset[str] = frozenset()
    if anomaly.null_count < batch.num_rows:
        at_last = anomaly.filter(pc.equal(times, last))
        labels = frozenset(pc.unique(at_last.drop_null()).to_pylist())
    return last.value, labels
