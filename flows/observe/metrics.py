"""The metrics of a job for Prometheus, made from a picture at each scrape."""

from collections.abc import Callable, Iterator, Sequence
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
from flows.observe.picture import DELAY_BUCKETS, Picture, PoolPicture
from operators.pool.stats import DURATION_BUCKETS
from operators.ticks import Outcome

Sample = tuple[Sequence[str], float]
"""Values of the labels, and the metric's value."""


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
        yield from _job(picture)
        yield from _pools(picture.pools)
        yield from _targets(picture)
        yield from _sinks(picture)
        yield from _clusters(picture)


class _DefaultRegistry(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()


def _job(picture: Picture) -> Iterator[Metric]:
    job = picture.job
    yield InfoMetricFamily("mqpipe_job", "What runs.", value={"job": job.name, "mode": job.mode})
    yield _gauge("mqpipe_start_timestamp_seconds", "When it started.", picture.started)
    yield _gauge("mqpipe_interval_seconds", "Time between two ticks.", job.interval)
    causes = not_ready(picture)
    yield _gauge("mqpipe_ready", "Whether samples flow as they should: 1 or 0.", not causes)
    yield _gauges(
        "mqpipe_not_ready_cause",
        "Why samples do not flow as they should; 1 for each cause there is.",
        ["cause"],
        [([cause.code], 1) for cause in causes],
    )
    yield _gauge(
        "mqpipe_anomalies_active",
        "Anomalies that shaped the last ticks of simulated clusters.",
        len(picture.anomalies),
    )


def _pools(pools: Sequence[PoolPicture]) -> Iterator[Metric]:
    yield _counters(
        "mqpipe_pool_tasks",
        "Tasks by how they ended; overrun and refused ones never ran.",
        ["pool", "outcome"],
        [([p.name, o.value], n) for p in pools for o, n in list(p.stats.outcomes.items())],
    )
    yield _counters(
        "mqpipe_pool_task_errors",
        "Tasks that did not complete, by class of error.",
        ["pool", "error_class"],
        [([p.name, e], n) for p in pools for e, n in list(p.stats.error_classes.items())],
    )
    durations = HistogramMetricFamily(
        "mqpipe_pool_task_duration_seconds",
        "Time from a task's submission to its end, its retries and waits included.",
        labels=["pool"],
    )
    for pool in pools:
        stats = pool.stats
        buckets = _buckets(DURATION_BUCKETS, list(stats.durations))
        durations.add_metric([pool.name], buckets, stats.duration_sum)
    yield durations
    yield _gauges(
        "mqpipe_pool_success_ratio",
        "Share of all tasks so far that completed; absent before the first.",
        ["pool"],
        [
            ([p.name], p.stats.outcomes[Outcome.COMPLETED] / total)
            for p in pools
            if (total := sum(p.stats.outcomes.values()))
        ],
    )

    def each(value: Callable[[PoolPicture], float]) -> list[Sample]:
        return [([pool.name], value(pool)) for pool in pools]

    one = ["pool"]
    yield _counters(
        "mqpipe_pool_attempts", "Attempts at tasks.", one, each(lambda p: p.stats.attempts)
    )
    yield _counters(
        "mqpipe_pool_retries",
        "Attempts after a task's first.",
        one,
        each(lambda p: p.stats.retries),
    )
    yield _counters(
        "mqpipe_pool_abandoned",
        "Attempts that went on after their time-out and were left to themselves.",
        one,
        each(lambda p: p.stats.abandoned),
    )
    yield _gauges(
        "mqpipe_pool_abandoned_running",
        "Abandoned attempts that still run.",
        one,
        each(lambda p: p.stats.abandoned_now),
    )
    yield _gauges(
        "mqpipe_pool_slots", "Tasks that may run at a time.", one, each(lambda p: p.stats.limit)
    )
    yield _gauges("mqpipe_pool_slots_busy", "Tasks that run.", one, each(lambda p: p.stats.running))
    yield _gauges(
        "mqpipe_pool_queue_depth",
        "Tasks that wait for a slot.",
        one,
        each(lambda p: p.stats.queued),
    )
    yield _gauges(
        "mqpipe_pool_queue_depth_high",
        "The most tasks that ever waited for a slot.",
        one,
        each(lambda p: p.stats.queued_high),
    )
    yield _gauges("mqpipe_pool_queue_limit", "Tasks that may wait.", one, each(lambda p: p.queue))
    yield _gauges(
        "mqpipe_pool_backing_off",
        "Tasks that wait for another attempt.",
        one,
        each(lambda p: p.stats.backing_off),
    )
    yield _gauges(
        "mqpipe_pool_slot_busy_seconds",
        "How long each slot has been at its attempt; 0 where it is free.",
        ["pool", "slot"],
        [([p.name, str(s.slot)], s.busy if s.key else 0.0) for p in pools for s in p.slots],
    )
    yield _gauges(
        "mqpipe_breaker_open",
        "Targets that failed lately: 1 where the breaker is open, else 0.",
        ["pool", "target"],
        [([p.name, b.key], b.open) for p in pools for b in p.breakers],
    )
    yield _gauges(
        "mqpipe_breaker_failures",
        "Failed tasks in a row of targets that failed lately.",
        ["pool", "target"],
        [([p.name, b.key], b.failures) for p in pools for b in p.breakers],
    )


def _targets(picture: Picture) -> Iterator[Metric]:
    targets = picture.targets
    ticks = [
        ([target.key, outcome], number)
        for target in targets
        for outcome, number in (("completed", target.completed), ("failed", target.failed))
    ]
    yield _counters(
        "mqpipe_target_ticks",
        "Ticks of a target; failed are those that failed, were refused or skipped.",
        ["target", "outcome"],
        ticks,
    )
    yield _gauges(
        "mqpipe_target_up",
        "Whether the target's last tick completed: 1 or 0.",
        ["target"],
        [([t.key], t.outcome is Outcome.COMPLETED) for t in targets if t.outcome],
    )
    yield _gauges(
        "mqpipe_target_last_success_timestamp_seconds",
        "When a tick of the target last completed.",
        ["target"],
        [([t.key], t.last_success) for t in targets if t.last_success is not None],
    )
    yield _gauges(
        "mqpipe_target_last_duration_seconds",
        "How long the target's last tick took.",
        ["target"],
        [([t.key], t.duration) for t in targets if t.duration is not None],
    )


def _sinks(picture: Picture) -> Iterator[Metric]:
    sinks = picture.sinks
    yield _counters(
        "mqpipe_samples_written",
        "Samples that a sink took over.",
        ["sink", "origin"],
        [([s.name, o], n) for s in sinks for o, n in s.written.items()],
    )
    yield _counters(
        "mqpipe_samples_delivered",
        "Samples that the other side of a network sink acknowledged.",
        ["sink", "route", "origin"],
        [([s.name, r, o], n) for s in sinks for (r, o), n in s.delivered.items()],
    )
    yield _counters(
        "mqpipe_samples_dead",
        "Samples that went to dead letters.",
        ["sink", "route", "origin"],
        [([s.name, r, o], n) for s in sinks for (r, o), n in s.dead.items()],
    )
    yield CounterMetricFamily(
        "mqpipe_dead_letters_dropped",
        "Dead letters that were removed for want of room.",
        value=picture.dead_letters_dropped,
    )
    yield _counters(
        "mqpipe_delivery_retries",
        "Attempts at a delivery that failed and were made again.",
        ["sink"],
        [([s.name], s.retries) for s in sinks],
    )
    yield _counters(
        "mqpipe_points_rejected",
        "Points that a receiver left out of deliveries that it took, and did not say which.",
        ["sink"],
        [([s.name], s.points_rejected) for s in sinks],
    )
    spools = [sink for sink in sinks if sink.spool_limit is not None]
    yield _gauges(
        "mqpipe_spool_unsent_bytes",
        "What waits in the spool.",
        ["sink"],
        [([s.name], s.unsent_bytes) for s in spools],
    )
    yield _gauges(
        "mqpipe_spool_disk_bytes",
        "What the spool takes on disk.",
        ["sink"],
        [([s.name], s.spool_bytes) for s in spools],
    )
    yield _gauges(
        "mqpipe_spool_limit_bytes",
        "What the spool may take on disk.",
        ["sink"],
        [([s.name], s.spool_limit or 0) for s in spools],
    )
    yield _gauges(
        "mqpipe_watermark_timestamp_seconds",
        "The latest tick whose samples arrived.",
        ["sink", "origin"],
        [([s.name, o], tick / 1000) for s in sinks for o, tick in s.watermarks.items()],
    )
    delays = HistogramMetricFamily(
        "mqpipe_sample_delay_seconds",
        "Time from a sample's due tick to its delivery; that of a delivery's oldest counts for all.",
        labels=["sink", "origin"],
    )
    for sink in sinks:
        for origin, delay in sink.delays.items():
            delays.add_metric(
                [sink.name, origin], _buckets(DELAY_BUCKETS, delay.buckets), delay.sum
            )
    yield delays


def _clusters(picture: Picture) -> Iterator[Metric]:
    clusters = picture.clusters
    yield _counters(
        "mqpipe_cluster_samples",
        "Samples of a cluster on their way to the sinks.",
        ["cluster"],
        [([c.name], c.samples) for c in clusters],
    )
    yield _gauges(
        "mqpipe_cluster_last_tick_timestamp_seconds",
        "The latest tick of a cluster that has samples.",
        ["cluster"],
        [([c.name], c.last_tick / 1000) for c in clusters if c.last_tick is not None],
    )
    yield _counters(
        "mqpipe_coverage_samples",
        "Samples that were due in hybrid mode, and how many of them were collected, filled or late.",
        ["cluster", "state"],
        [
            ([c.name, state], number)
            for c in clusters
            if c.expected
            for state, number in (
                ("expected", c.expected),
                ("collected", c.collected),
                ("filled", c.filled),
                ("late", c.late),
            )
        ],
    )


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=float(value))


def _gauges(name: str, help_: str, labels: Sequence[str], samples: Sequence[Sample]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _counters(name: str, help_: str, labels: Sequence[str], samples: Sequence[Sample]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus's buckets: cumulated, the last one without a bound."""
    names = [*(str(bound) for bound in bounds), "+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))
