"""The metrics of a job for Prometheus, made from a picture at each scrape."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from flows.observe.health import not_ready
from flows.observe.picture import DELAY_BUCKETS, Picture, PoolPicture, SinkPicture
from operators.pool.stats import DURATION_BUCKETS
from operators.ticks import Outcome

Sample = tuple[Sequence[str], float]
"""Values of the labels, and the metric's value."""

Durations = tuple[Sequence[str], Sequence[int], float]
"""Values of the labels, counts by bucket (not cumulated), and the sum in seconds."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric by name, and where its samples are in a picture."""

    name: str
    help: str
    labels: Sequence[str]
    samples: Callable[[Picture], Iterable[Sample]]
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily] = GaugeMetricFamily

    def of(self, picture: Picture) -> Metric:
        """The family as it stands."""
        family = self.kind(self.name, self.help, labels=self.labels)
        for values, value in self.samples(picture):
            family.add_metric(values, float(value))
        return family


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram of seconds by name, and where its counts are in a picture."""

    name: str
    help: str
    labels: Sequence[str]
    bounds: Sequence[float]
    samples: Callable[[Picture], Iterable[Durations]]

    def of(self, picture: Picture) -> Metric:
        """The family as it stands, cumulated as Prometheus has it."""
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        for values, counts, total in self.samples(picture):
            buckets = zip(names, map(float, accumulate(counts)), strict=True)
            family.add_metric(values, list(buckets), total)
        return family


def _one(value: Callable[[Picture], float]) -> Callable[[Picture], Iterable[Sample]]:
    return lambda picture: [((), value(picture))]


def _pool(value: Callable[[PoolPicture], float]) -> Callable[[Picture], Iterable[Sample]]:
    return lambda picture: [([pool.name], value(pool)) for pool in picture.pools]


def _sink(value: Callable[[SinkPicture], float]) -> Callable[[Picture], Iterable[Sample]]:
    return lambda picture: [([sink.name], value(sink)) for sink in picture.sinks]


def _spool(value: Callable[[SinkPicture], float]) -> Callable[[Picture], Iterable[Sample]]:
    return lambda picture: [
        ([sink.name], value(sink)) for sink in picture.sinks if sink.spool_limit is not None
    ]


JOB = (
    Family("mqpipe_start_timestamp_seconds", "When it started.", (), _one(lambda p: p.started)),
    Family(
        "mqpipe_interval_seconds", "Time between two ticks.", (), _one(lambda p: p.job.interval)
    ),
    Family(
        "mqpipe_ready",
        "Whether samples flow as they should: 1 or 0.",
        (),
        _one(lambda p: not not_ready(p)),
    ),
    Family(
        "mqpipe_not_ready_cause",
        "Why samples do not flow as they should; 1 for each cause there is.",
        ["cause"],
        lambda picture: [([cause.code], 1) for cause in not_ready(picture)],
    ),
    Family(
        "mqpipe_anomalies_active",
        "Anomalies that shaped the last ticks of simulated clusters.",
        (),
        _one(lambda p: len(p.anomalies)),
    ),
)

POOLS = (
    Family(
        "mqpipe_pool_tasks",
        "Tasks by how they ended; overrun and refused ones never ran.",
        ["pool", "outcome"],
        lambda picture: [
            ([p.name, o.value], n) for p in picture.pools for o, n in list(p.stats.outcomes.items())
        ],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_pool_task_errors",
        "Tasks that did not complete, by class of error.",
        ["pool", "error_class"],
        lambda picture: [
            ([p.name, e], n) for p in picture.pools for e, n in list(p.stats.error_classes.items())
        ],
        CounterMetricFamily,
    ),
    Histogram(
        "mqpipe_pool_task_duration_seconds",
        "Time from a task's submission to its end, its retries and waits included.",
        ["pool"],
        DURATION_BUCKETS,
        lambda picture: [
            ([p.name], list(p.stats.durations), p.stats.duration_sum) for p in picture.pools
        ],
    ),
    Family(
        "mqpipe_pool_success_ratio",
        "Share of all tasks so far that completed; absent before the first.",
        ["pool"],
        lambda picture: [
            ([p.name], p.stats.outcomes[Outcome.COMPLETED] / total)
            for p in picture.pools
            if (total := sum(p.stats.outcomes.values()))
        ],
    ),
    Family(
        "mqpipe_pool_attempts",
        "Attempts at tasks.",
        ["pool"],
        _pool(lambda p: p.stats.attempts),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_pool_retries",
        "Attempts after a task's first.",
        ["pool"],
        _pool(lambda p: p.stats.retries),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_pool_abandoned",
        "Attempts that went on after their time-out and were left to themselves.",
        ["pool"],
        _pool(lambda p: p.stats.abandoned),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_pool_abandoned_running",
        "Abandoned attempts that still run.",
        ["pool"],
        _pool(lambda p: p.stats.abandoned_now),
    ),
    Family(
        "mqpipe_pool_slots",
        "Tasks that may run at a time.",
        ["pool"],
        _pool(lambda p: p.stats.limit),
    ),
    Family("mqpipe_pool_slots_busy", "Tasks that run.", ["pool"], _pool(lambda p: p.stats.running)),
    Family(
        "mqpipe_pool_queue_depth",
        "Tasks that wait for a slot.",
        ["pool"],
        _pool(lambda p: p.stats.queued),
    ),
    Family(
        "mqpipe_pool_queue_depth_high",
        "The most tasks that ever waited for a slot.",
        ["pool"],
        _pool(lambda p: p.stats.queued_high),
    ),
    Family("mqpipe_pool_queue_limit", "Tasks that may wait.", ["pool"], _pool(lambda p: p.queue)),
    Family(
        "mqpipe_pool_backing_off",
        "Tasks that wait for another attempt.",
        ["pool"],
        _pool(lambda p: p.stats.backing_off),
    ),
    Family(
        "mqpipe_pool_slot_busy_seconds",
        "How long each slot has been at its attempt; 0 where it is free.",
        ["pool", "slot"],
        lambda picture: [
            ([p.name, str(s.slot)], s.busy if s.key else 0.0)
            for p in picture.pools
            for s in p.slots
        ],
    ),
    Family(
        "mqpipe_breaker_open",
        "Targets that failed lately: 1 where the breaker is open, else 0.",
        ["pool", "target"],
        lambda picture: [([p.name, b.key], b.open) for p in picture.pools for b in p.breakers],
    ),
    Family(
        "mqpipe_breaker_failures",
        "Failed tasks in a row of targets that failed lately.",
        ["pool", "target"],
        lambda picture: [([p.name, b.key], b.failures) for p in picture.pools for b in p.breakers],
    ),
)

TARGETS = (
    Family(
        "mqpipe_target_ticks",
        "Ticks of a target; failed are those that failed, were refused or skipped.",
        ["target", "outcome"],
        lambda picture: [
            ([target.key, outcome], number)
            for target in picture.targets
            for outcome, number in (("completed", target.completed), ("failed", target.failed))
        ],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_target_up",
        "Whether the target's last tick completed: 1 or 0.",
        ["target"],
        lambda picture: [
            ([t.key], t.outcome is Outcome.COMPLETED) for t in picture.targets if t.outcome
        ],
    ),
    Family(
        "mqpipe_target_last_success_timestamp_seconds",
        "When a tick of the target last completed.",
        ["target"],
        lambda picture: [
            ([t.key], t.last_success) for t in picture.targets if t.last_success is not None
        ],
    ),
    Family(
        "mqpipe_target_last_duration_seconds",
        "How long the target's last tick took.",
        ["target"],
        lambda picture: [([t.key], t.duration) for t in picture.targets if t.duration is not None],
    ),
)

SINKS = (
    Family(
        "mqpipe_samples_written",
        "Samples that a sink took over.",
        ["sink", "origin"],
        lambda picture: [([s.name, o], n) for s in picture.sinks for o, n in s.written.items()],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_samples_delivered",
        "Samples that the other side of a network sink acknowledged.",
        ["sink", "route", "origin"],
        lambda picture: [
            ([s.name, r, o], n) for s in picture.sinks for (r, o), n in s.delivered.items()
        ],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_samples_dead",
        "Samples that went to dead letters.",
        ["sink", "route", "origin"],
        lambda picture: [
            ([s.name, r, o], n) for s in picture.sinks for (r, o), n in s.dead.items()
        ],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_dead_letters_dropped",
        "Dead letters that were removed for want of room.",
        (),
        _one(lambda p: p.dead_letters_dropped),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_delivery_retries",
        "Attempts at a delivery that failed and were made again.",
        ["sink"],
        _sink(lambda s: s.retries),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_points_rejected",
        "Points that a receiver left out of deliveries that it took, and did not say which.",
        ["sink"],
        _sink(lambda s: s.points_rejected),
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_spool_unsent_bytes",
        "What waits in the spool.",
        ["sink"],
        _spool(lambda s: s.unsent_bytes),
    ),
    Family(
        "mqpipe_spool_disk_bytes",
        "What the spool takes on disk.",
        ["sink"],
        _spool(lambda s: s.spool_bytes),
    ),
    Family(
        "mqpipe_spool_limit_bytes",
        "What the spool may take on disk.",
        ["sink"],
        _spool(lambda s: s.spool_limit or 0),
    ),
    Family(
        "mqpipe_watermark_timestamp_seconds",
        "The latest tick whose samples arrived.",
        ["sink", "origin"],
        lambda picture: [
            ([s.name, o], tick / 1000) for s in picture.sinks for o, tick in s.watermarks.items()
        ],
    ),
    Histogram(
        "mqpipe_sample_delay_seconds",
        "Time from a sample's due tick to its delivery; that of a delivery's oldest counts for all.",
        ["sink", "origin"],
        DELAY_BUCKETS,
        lambda picture: [
            ([s.name, o], delay.buckets, delay.sum)
            for s in picture.sinks
            for o, delay in s.delays.items()
        ],
    ),
)

CLUSTERS = (
    Family(
        "mqpipe_cluster_samples",
        "Samples of a cluster on their way to the sinks.",
        ["cluster"],
        lambda picture: [([c.name], c.samples) for c in picture.clusters],
        CounterMetricFamily,
    ),
    Family(
        "mqpipe_cluster_last_tick_timestamp_seconds",
        "The latest tick of a cluster that has samples.",
        ["cluster"],
        lambda picture: [
            ([c.name], c.last_tick / 1000) for c in picture.clusters if c.last_tick is not None
        ],
    ),
    Family(
        "mqpipe_coverage_samples",
        "Samples that were due in hybrid mode, and how many of them were collected, filled or late.",
        ["cluster", "state"],
        lambda picture: [
            ([c.name, state], getattr(c, state))
            for c in picture.clusters
            if c.expected
            for state in ("expected", "collected", "filled", "late")
        ],
        CounterMetricFamily,
    ),
)

FAMILIES: tuple[Family | Histogram, ...] = (*JOB, *POOLS, *TARGETS, *SINKS, *CLUSTERS)
"""Every metric of a job but `mqpipe_job_info`."""


def metrics_registry(picture: Callable[[], Picture]) -> CollectorRegistry:
    """A registry of a job's metrics, and of what lies in the process's default registry."""
    registry = CollectorRegistry()
    registry.register(JobCollector(picture))
    registry.register(_DefaultRegistry())
    return registry


class JobCollector(Collector):
    """Makes the metrics of a job from a picture of it."""

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """Every family, with one picture behind them all."""
        picture = self._picture()
        job = picture.job
        yield InfoMetricFamily(
            "mqpipe_job", "What runs.", value={"job": job.name, "mode": job.mode}
        )
        for family in FAMILIES:
            yield family.of(picture)


class _DefaultRegistry(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
