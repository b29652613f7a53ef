"""Samples of any number brought down to what a page can hold.

Every query is a streaming aggregation over buckets of time, clusters and entities: its memory
grows with these, never with the number of samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl
import polars.selectors as cs

from flows.report.buckets import MOST_CELLS, Buckets, buckets
from flows.samples import Samples
from flows.visible import visible
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    NODE,
    QUEUE,
    TOPIC,
    EntityType,
    Origin,
)
from operators.schema.rabbitmq import UNUSABLE

_READ = (CLUSTER, BROKER, CONSUMER_GROUP, GROUP_TOPIC, QUEUE, NODE, TOPIC, COLLECTION)
"""Entity types of which more is read than that they are there."""

TOP = 8
"""Entities of a ranking that a cluster's plot draws."""
RANKED = 20
"""Entities of a ranking that are listed for a cluster."""


class How(StrEnum):
    """How a bucket's or an entity's values become one."""

    MEAN = "mean"
    LOWEST = "min"
    HIGHEST = "max"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric, and what of it is kept. `column` names it in a summary."""

    column: str
    metric: str
    how: How

    @property
    def expr(self) -> pl.Expr:
        """The aggregation, named `column`."""
        value = pl.col(self.metric)
        aggregated = {
            How.MEAN: value.mean(),
            How.LOWEST: value.min(),
            How.HIGHEST: value.max(),
            # What is not known at all is not 0.
            How.SUM: pl.when(value.count() > 0).then(value.sum()),
        }
        return aggregated[self.how].alias(self.column)


OF_CLUSTERS = (
    Measure("messages", "cluster.messagesInPerSecond", How.MEAN),
    Measure("peak", "cluster.messagesInPerSecond", How.HIGHEST),
    Measure("bytes", "cluster.bytesInPerSecond", How.MEAN),
    Measure("lag", "cluster.totalLag", How.HIGHEST),
    Measure("health", "cluster.healthScore", How.LOWEST),
    Measure("availability", "cluster.availability", How.LOWEST),
    Measure("errors", "cluster.errorRate", How.HIGHEST),
    Measure("under_replicated", "cluster.underReplicatedPartitions", How.HIGHEST),
    Measure("offline", "cluster.offlinePartitionsCount", How.HIGHEST),
    Measure("brokers_up", "cluster.activeBrokerCount", How.LOWEST),
    Measure("brokers_known", "cluster.knownBrokerCount", How.HIGHEST),
    Measure("nodes_up", "cluster.runningNodeCount", How.LOWEST),
    Measure("nodes_known", "cluster.nodeCount", How.HIGHEST),
    Measure("alarms", "cluster.alarmCount", How.HIGHEST),
)
OF_BROKERS = (
    Measure("cpu", "broker.cpuUsage", How.MEAN),
    Measure("messages", "broker.messagesInPerSecond", How.MEAN),
    Measure("produce_time", "request.produceTime99Percentile", How.HIGHEST),
    Measure("under_replicated", "replication.unreplicatedPartitions", How.HIGHEST),
)
OF_GROUPS = (
    Measure("lag", "consumerGroup.totalLag", How.HIGHEST),
    Measure("mean", "consumerGroup.totalLag", How.MEAN),
    Measure("seconds", "consumerGroup.lagSeconds", How.HIGHEST),
    Measure("changes", "consumerGroup.membershipChanges", How.HIGHEST),
    Measure("margin", "consumerGroup.marginSeconds", How.LOWEST),
    Measure("catch_up", "consumerGroup.catchUpSeconds", How.HIGHEST),
    Measure("lost", "consumerGroup.lostMessages", How.SUM),
)
_OVER_TIME = ("lag", "seconds", "lost")
"""What of a group or queue is kept over time too."""
OF_QUEUES = (
    Measure("lag", "queue.depth", How.HIGHEST),
    Measure("mean", "queue.depth", How.MEAN),
    Measure("seconds", "queue.oldestMessageAge", How.HIGHEST),
)
OF_NODES = (
    Measure("up", "node.running", How.LOWEST),
    Measure("memory", "node.totalMemoryUsedInBytes", How.HIGHEST),
    Measure("memory_limit", "node.memoryLimitInBytes", How.HIGHEST),
    Measure("disk", "node.diskSpaceFreeInBytes", How.LOWEST),
    Measure("memory_alarm", "node.hostMemoryAlarm", How.HIGHEST),
    Measure("disk_alarm", "node.diskAlarm", How.HIGHEST),
    Measure("files", "node.fileDescriptorsTotalUsed", How.HIGHEST),
    Measure("files_limit", "node.fileDescriptorsLimit", How.HIGHEST),
)
OF_TOPICS = (
    Measure("messages", "topic.messagesInPerSecond", How.MEAN),
    Measure("peak", "topic.messagesInPerSecond", How.HIGHEST),
    Measure("bytes", "topic.bytesInPerSecond", How.MEAN),
    Measure("lag", "topic.consumerLag", How.HIGHEST),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report is drawn from. Times are ms since 1970 and starts of buckets.

    Frames: `tick_rows` has `type` (label), `cluster`, `origin`, `provider`, `environment`, `time`,
    `rows`, `late`, `first`, `last`; `clusters` has `cluster`, `time` and OF_CLUSTERS; `cells`
    has `cluster`, `entity`, `time` (of the wider `cell_buckets`), `filled` (share of samples) and
    OF_BROKERS; `groups`, `queues`, `nodes` and `topics` have `cluster`, `entity` and their measures
    over the whole span, `queues` and `nodes` also when they were down (`down_first`, `down_last`), and
    nodes when they had an alarm; `lags` has `cluster`, `entity`, `type`, `time` and what is kept over time
    (of a group on a topic the lag alone) of each cluster's TOP by any of it;
    `shaped` has `type`, `cluster`, `anomaly`, `rows`, `first`, `last`; `targets` has `cluster`, `kind`,
    `error_class`, `ticks`, `missed`, `error`.
    """

    samples: Samples
    interval: int | None
    buckets: Buckets
    cell_buckets: Buckets
    tick_rows: pl.DataFrame
    clusters: pl.DataFrame
    cells: pl.DataFrame
    groups: pl.DataFrame
    queues: pl.DataFrame
    nodes: pl.DataFrame
    topics: pl.DataFrame
    lags: pl.DataFrame
    shaped: pl.DataFrame
    targets: pl.DataFrame

    @property
    def rows(self) -> int:
        """Number of samples."""
        return int(self.tick_rows["rows"].sum())


def summarize(
    samples: Samples, report_stage: Callable[[str], None] = lambda _stage: None
) -> Summary:
    """Read all samples, twice where they are of groups and queues, in memory that stays flat.

    `report_stage` hears what is read now.
    """
    first, last = samples.span()
    interval = samples.interval()
    narrow = buckets(first, last, interval)
    wide = buckets(first, last, interval, MOST_CELLS)
    tick_rows, shaped = [], []
    found: dict[EntityType, list[pl.DataFrame]] = {}
    for entity_type, files in samples.files.items():
        report_stage(f"reading {entity_type.label} samples, {len(files):,} files")
        scan = samples.scan(entity_type)
        queries = [
            _present_rows(scan, narrow),
            _shaped(scan),
            *_own(entity_type, scan, narrow, wide),
        ]
        here, labels, *found[entity_type] = pl.collect_all(queries, engine="streaming")
        tick_rows.append(here.with_columns(type=pl.lit(entity_type.label)))
        shaped.append(labels.with_columns(type=pl.lit(entity_type.label)))
    for entity_type in _READ:
        if entity_type not in found:
            nothing = _own(entity_type, samples.scan(entity_type), narrow, wide)
            found[entity_type] = pl.collect_all(nothing)
    report_stage("reading the lag of the top groups and queues")
    groups, queues = found[CONSUMER_GROUP][0], found[QUEUE][0]
    lags = [
        _lags(samples, CONSUMER_GROUP, OF_GROUPS, groups, narrow),
        _lags(samples, GROUP_TOPIC, OF_GROUPS[:1], found[GROUP_TOPIC][0], narrow),
        _lags(samples, QUEUE, OF_QUEUES, queues, narrow),
    ]
    return Summary(
        samples=samples,
        interval=interval,
        buckets=narrow,
        cell_buckets=wide,
        tick_rows=with_visible_names(pl.concat(tick_rows)).sort(
            "type", "cluster", "time", "origin"
        ),
        clusters=with_visible_names(found[CLUSTER][0]).sort("cluster", "time"),
        cells=with_visible_names(found[BROKER][0]).sort("cluster", "entity", "time"),
        groups=_ranked(groups, "lag"),
        queues=_ranked(queues, "lag"),
        nodes=with_visible_names(found[NODE][0]).sort("cluster", "entity"),
        topics=_ranked(found[TOPIC][0], "messages"),
        lags=with_visible_names(pl.concat(lags, how="diagonal")).sort("cluster", "entity", "time"),
        shaped=with_visible_names(pl.concat(shaped)).sort("first", "anomaly", "type"),
        targets=with_visible_names(found[COLLECTION][0]).sort("cluster", "kind", "error_class"),
    )


def with_visible_names(frame: pl.DataFrame) -> pl.DataFrame:
    """All texts of a frame as a reader sees them; what draws plots takes no control characters."""
    odd = [c for c in frame.select(cs.string()) if c.str.contains(r"[\p{C}\u2028\u2029]").any()]
    shown = [pl.col(c.name).map_elements(visible, return_dtype=pl.String) for c in odd]
    return frame.with_columns(shown)


def _ranked(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    shown = with_visible_names(frame)
    return shown.sort([by, "entity"], descending=[True, False], nulls_last=True)


_CLUSTER = pl.col("cluster_name").alias("cluster")
_ENTITY = pl.col("entity_name").alias("entity")
_TIME = pl.col("timestamp").cast(pl.Int64)
_FIRST, _LAST = _TIME.min().alias("first"), _TIME.max().alias("last")
_ROWS = pl.len().cast(pl.Int64).alias("rows")


def _present_rows(scan: pl.LazyFrame, over: Buckets) -> pl.LazyFrame:
    late = pl.col("late").fill_null(value=False).sum().cast(pl.Int64).alias("late")
    keys = (_CLUSTER, "origin", "provider", "environment", over.time())
    return scan.group_by(*keys).agg(_ROWS, late, _FIRST, _LAST).with_columns(*_strings(keys[:4]))


def _shaped(scan: pl.LazyFrame) -> pl.LazyFrame:
    keys = (_CLUSTER, "anomaly")
    marked = scan.filter(pl.col("anomaly").is_not_null())
    return marked.group_by(*keys).agg(_ROWS, _FIRST, _LAST).with_columns(*_strings(keys))


def _own(
    entity_type: EntityType, scan: pl.LazyFrame, narrow: Buckets, wide: Buckets
) -> list[pl.LazyFrame]:
    """The queries that an entity type has beside those that all have."""
    if entity_type is CLUSTER:
        return [_grouped(scan, (_CLUSTER, narrow.time()), OF_CLUSTERS)]
    if entity_type is BROKER:
        filled = (pl.col("origin") == Origin.FILLED.value).mean().alias("filled")
        return [_grouped(scan, (_CLUSTER, _ENTITY, wide.time()), OF_BROKERS, filled)]
    if entity_type is CONSUMER_GROUP:
        return [_grouped(scan, (_CLUSTER, _ENTITY), OF_GROUPS)]
    if entity_type is GROUP_TOPIC:
        return [_grouped(scan, (_CLUSTER, _ENTITY), OF_GROUPS[:1])]
    if entity_type is QUEUE:
        unusable = pl.col("queue.state").cast(pl.String).is_in(UNUSABLE)
        return [_grouped(scan, (_CLUSTER, _ENTITY), OF_QUEUES, *_while("down", unusable))]
    if entity_type is NODE:
        down = pl.col("node.running") == 0
        alarm = (pl.col("node.hostMemoryAlarm") == 1) | (pl.col("node.diskAlarm") == 1)
        spans = (*_while("down", down), *_while("alarm", alarm))
        return [_grouped(scan, (_CLUSTER, _ENTITY), OF_NODES, *spans)]
    if entity_type is TOPIC:
        return [_grouped(scan, (_CLUSTER, _ENTITY), OF_TOPICS)]
    if entity_type is COLLECTION:
        return [_targets(scan)]
    return []


def _while(name: str, holds: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The first and the last tick (ms) at which something holds, as `<name>_first`, `<name>_last`."""
    times = _TIME.filter(holds)
    return times.min().alias(f"{name}_first"), times.max().alias(f"{name}_last")


def _grouped(
    scan: pl.LazyFrame, keys: Sequence[pl.Expr], measures: Sequence[Measure], *more: pl.Expr
) -> pl.LazyFrame:
    exprs = [*(m.expr for m in measures), *more]
    return scan.group_by(*keys).agg(exprs).with_columns(*_strings(keys))


def _lags(
    samples: Samples,
    entity_type: EntityType,
    measures: Sequence[Measure],
    ranked: pl.DataFrame,
    over: Buckets,
) -> pl.DataFrame:
    """What is kept over time of each cluster's TOP by any of it."""
    kept = [m for m in measures if m.column in _OVER_TIME]

    def leads(column: str) -> pl.Expr:
        place = pl.col(column).rank("ordinal", descending=True).over("cluster")
        return (pl.col(column) > 0) & (place <= TOP)

    chosen = ranked.filter(pl.any_horizontal(leads(m.column) for m in kept))["entity"]
    scan = samples.scan(entity_type).filter(pl.col("entity_name").is_in(chosen.implode()))
    return (
        _grouped(scan, (_CLUSTER, _ENTITY, over.time()), kept)
        .with_columns(type=pl.lit(entity_type.label))
        .collect(engine="streaming")
    )


def _targets(scan: pl.LazyFrame) -> pl.LazyFrame:
    keys = (
        _CLUSTER,
        pl.col("target_kind").alias("kind"),
        pl.col("collection.errorClass").alias("error_class"),
    )
    return (
        scan.group_by(*keys)
        .agg(
            pl.len().cast(pl.Int64).alias("ticks"),
            pl.col("collection.ok").cast(pl.Int64).sum().alias("ok"),
            pl.col("collection.missed").sum().alias("missed"),
            pl.col("collection.duration").max().alias("longest"),
            pl.col("collection.error").cast(pl.String).drop_nulls().last().alias("error"),
        )
        .with_columns(*_strings(keys))
    )


def _strings(keys: Sequence[pl.Expr | str]) -> list[pl.Expr]:
    """Dictionary codes mean nothing outside their file's dictionary; a summary has words."""
    names = [key if isinstance(key, str) else key.meta.output_name() for key in keys]
    return [pl.col(name).cast(pl.String) for name in names if name != "time"]
