"""What the dashboard shows: a page for each kind of entity, of the simulation, of mqpipe itself.

A page begins with its entity's golden metrics, as numbers and over time; all other metrics of
the table follow, so a new metric is on the dashboard without a change here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from flows.dashboard.nrql import Query, Total, now, over_time
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    ENTITY_TYPES,
    GROUP_TOPIC,
    NODE,
    PARTITION_OFFSET,
    PROBE,
    QUEUE,
    STRING,
    TOPIC,
    EntityType,
    Metric,
)

ENTITIES = tuple(t for t in ENTITY_TYPES if t not in (COLLECTION, PROBE))
"""The types whose samples are about a fleet."""


class Chart(StrEnum):
    """New Relic's names of its visualizations."""

    NUMBERS = "viz.billboard"
    LINES = "viz.line"
    AREAS = "viz.area"
    BARS = "viz.bar"
    TABLE = "viz.table"
    TEXT = "viz.markdown"


@dataclass(frozen=True, slots=True)
class Widget:
    """One chart, or a text. Width in columns of twelve, height in rows."""

    title: str
    chart: Chart
    content: Query | Total | str
    width: int = 4
    height: int = 3


@dataclass(frozen=True, slots=True)
class DashboardPage:
    """Widgets in the order in which they fill the page's rows."""

    name: str
    meaning: str
    widgets: tuple[Widget, ...]


def pages() -> list[DashboardPage]:
    """All pages of the dashboard."""
    return [
        _entities("Clusters", CLUSTER, (_partitions_in_trouble(), *_probes())),
        _entities("Brokers", BROKER, (_hosts(),)),
        _entities("Topics", TOPIC, (_configured(),)),
        _entities("Consumer groups", CONSUMER_GROUP, tuple(_groups())),
        _entities("Queues", QUEUE, (_of_queues(),)),
        _entities("Nodes", NODE),
        DashboardPage(
            "Simulation",
            "simulated and filled samples, and the anomalies that shaped them",
            tuple(_simulation()),
        ),
        DashboardPage("mqpipe", "how collection and delivery go", tuple(_mqpipe())),
    ]


# New Relic's golden metrics of its own Kafka entities come first in each list.
# Source: newrelic/entity-definitions, entity-types/infra-kafka*/golden_metrics.yml.
_CLUSTER_GOLD = (
    "cluster.activeBrokerCount",
    "cluster.globalTopicCount",
    "cluster.globalPartitionCount",
    "cluster.offlinePartitionsCount",
    "cluster.totalLag",
    "cluster.healthScore",
)
_BROKER_GOLD = (
    "broker.messagesInPerSecond",
    "broker.IOInPerSecond",
    "broker.IOOutPerSecond",
    "replication.unreplicatedPartitions",
    "request.produceTime99Percentile",
    "request.produceRequestsFailedPerSecond",
)
_TOPIC_GOLD = (
    "topic.bytesInPerSecond",
    "topic.bytesOutPerSecond",
    "topic.messagesInPerSecond",
    "topic.consumerLag",
    "topic.underReplicatedPartitions",
    "topic.partitionsWithNonPreferredLeader",
)
_GROUP_GOLD = (
    "consumerGroup.totalLag",
    "consumerGroup.lagSeconds",
    "consumerGroup.lagTrend",
    "consumerGroup.messagesConsumedPerSecond",
    "consumerGroup.activeConsumers",
    "consumerGroup.membershipChanges",
)
_QUEUE_GOLD = (
    "queue.depth",
    "queue.oldestMessageAge",
    "queue.messagesInPerSecond",
    "queue.messagesOutPerSecond",
    "queue.processingTime",
    "queue.errorRate",
)

_NODE_GOLD = (
    "node.running",
    "node.totalMemoryUsedInBytes",
    "node.diskSpaceFreeInBytes",
    "node.fileDescriptorsTotalUsed",
    "node.hostMemoryAlarm",
    "node.diskAlarm",
)

GOLD = {
    CLUSTER.name: _CLUSTER_GOLD,
    BROKER.name: _BROKER_GOLD,
    TOPIC.name: _TOPIC_GOLD,
    CONSUMER_GROUP.name: _GROUP_GOLD,
    QUEUE.name: _QUEUE_GOLD,
    NODE.name: _NODE_GOLD,
}
"""By entity type: what is shown of it first."""

WORST = {"0-100": "min", "%": "max", "ms": "max", "s": "max"}
"""How metrics of these units become one number of many entities; all others are added up."""

_LINES = 20
"""Entities that a chart of lines shows."""


def _entities(name: str, entity_type: EntityType, more: tuple[Widget, ...] = ()) -> DashboardPage:
    by_name = {metric.name: metric for metric in entity_type.metrics}
    golden = [by_name[metric] for metric in GOLD[entity_type.name]]
    others = [m for m in entity_type.numeric if m not in golden]
    return DashboardPage(
        name,
        f"samples of {entity_type.event_type}",
        (
            *(_number(entity_type, metric) for metric in golden),
            *(_lines(entity_type, metric) for metric in golden),
            *more,
            *(_lines(entity_type, metric) for metric in others),
        ),
    )


def _number(entity_type: EntityType, metric: Metric) -> Widget:
    """The total over all entities, or the worst where a total means nothing."""
    each = Query(
        f"{now(metric)} AS value",
        (entity_type,),
        (metric.name,),
        facet=("entityGuid",),
        limit="MAX",
    )
    function = WORST.get(metric.unit, "sum")
    total = Total(function, each, metric.unit)
    named = title(metric) if function == "sum" else f"{title(metric)}, the worst"
    return Widget(named, Chart.NUMBERS, total, width=2, height=2)


def _lines(entity_type: EntityType, metric: Metric) -> Widget:
    query = Query(
        f"{over_time(metric)} AS '{metric.unit}'",
        (entity_type,),
        (metric.name,),
        facet=_identity(entity_type),
        timeseries=True,
        limit=_LINES,
    )
    return Widget(title(metric), Chart.LINES, query)


def _identity(entity_type: EntityType) -> tuple[str, ...]:
    return ("clusterName", *(i.attribute for i in entity_type.identity))


def title(metric: Metric) -> str:
    """A metric's name in words: `broker.IOInPerSecond` is `IO in per second`."""
    name = metric.name.rpartition(".")[2]
    words = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", " ", name
    )
    lower = " ".join(word if word.isupper() else word.lower() for word in words.split())
    return lower[:1].upper() + lower[1:]


def _partitions_in_trouble() -> Widget:
    metrics = ("cluster.underReplicatedPartitions", "cluster.offlinePartitionsCount")
    select = ", ".join(f"max({name}) AS '{name}'" for name in metrics)
    query = Query(select, (CLUSTER,), metrics, facet=("clusterName",), limit=_LINES)
    return Widget("Partitions in trouble, the most", Chart.TABLE, query, width=12)


def _hosts() -> Widget:
    query = Query(
        "latest(broker.host)", (BROKER,), ("broker.host",), facet=_identity(BROKER), limit=100
    )
    return Widget("Brokers, where they are reached", Chart.TABLE, query, width=12, height=4)


def _configured() -> Widget:
    names = [
        f"topic.{name}"
        for name in ("cleanupPolicy", "retentionMs", "retentionBytes", "minInSyncReplicas")
    ]
    select = ", ".join(f"latest({name}) AS '{name.partition('.')[2]}'" for name in names)
    query = Query(select, (TOPIC,), tuple(names), facet=_identity(TOPIC), limit=100)
    return Widget("Topics, how they are configured", Chart.TABLE, query, width=12, height=4)


def _of_queues() -> Widget:
    names = [f"queue.{name}" for name in ("type", "state", "leader", "members", "membersOnline")]
    select = ", ".join(f"latest({name}) AS '{name.partition('.')[2]}'" for name in names)
    query = Query(select, (QUEUE,), tuple(names), facet=_identity(QUEUE), limit=100)
    return Widget("Queues, what they are", Chart.TABLE, query, width=12, height=4)


def _probes() -> Iterator[Widget]:
    for metric in PROBE.metrics:
        chart = _lines(PROBE, metric)
        yield replace(chart, title=f"Probe: {chart.title.lower()}")


def _groups() -> Iterator[Widget]:
    words = [m.name for m in CONSUMER_GROUP.metrics if m.type == STRING]
    lag = "consumerGroup.lagSeconds"
    select = ", ".join([f"max({lag}) AS '{lag}'", *(f"latest({w}) AS '{w}'" for w in words)])
    yield Widget(
        "Groups by lag, with their state",
        Chart.TABLE,
        Query(select, (CONSUMER_GROUP,), (lag, *words), facet=_identity(CONSUMER_GROUP), limit=100),
        width=12,
        height=4,
    )
    ahead = (
        "consumerGroup.marginSeconds",
        "consumerGroup.lostMessages",
        "consumerGroup.catchUpSeconds",
        "consumerGroup.lagState",
    )
    margin, lost, catch_up, state = ahead
    yield Widget(
        "Groups that may lose messages within a day, and when",
        Chart.TABLE,
        Query(
            f"min({margin}) AS 'margin s', sum({lost}) AS 'lost', "
            f"latest({catch_up}) AS 'catch up s', latest({state}) AS 'state'",
            (CONSUMER_GROUP,),
            ahead,
            # Of more than a table has, the largest margins come first: these are none of them.
            ((margin, "< 86400"),),
            _identity(CONSUMER_GROUP),
            limit=100,
        ),
        width=12,
        height=4,
    )
    of_topics = [metric.name for metric in GROUP_TOPIC.metrics]
    select = ", ".join(f"latest({name}) AS '{name.partition('.')[2]}'" for name in of_topics)
    yield Widget(
        "Groups on the topics that they lag on",
        Chart.TABLE,
        Query(select, (GROUP_TOPIC,), tuple(of_topics), facet=_identity(GROUP_TOPIC), limit=100),
        width=12,
        height=4,
    )
    yield Widget(
        "Partitions with the most lag (where `partition_offsets` is on)",
        Chart.LINES,
        Query(
            "max(consumer.lag) AS 'messages'",
            (PARTITION_OFFSET,),
            ("consumer.lag",),
            facet=_identity(PARTITION_OFFSET),
            timeseries=True,
            limit=_LINES,
        ),
        width=12,
    )


def _simulation() -> Iterator[Widget]:
    def count(title: str, chart: Chart, width: int = 6, **how: object) -> Widget:
        return Widget(title, chart, Query("count(*)", ENTITIES, **how), width)  # type: ignore[arg-type]

    filled = "percentage(count(*), WHERE origin = 'filled') AS '% filled'"
    yield Widget(
        "Filled share of samples", Chart.NUMBERS, Query(filled, ENTITIES, ("origin",)), width=3
    )
    yield Widget(
        "Entities by provider",
        Chart.BARS,
        Query("uniqueCount(entityGuid)", ENTITIES, ("entityGuid",), facet=("provider",)),
        width=3,
    )
    yield count("Samples by origin", Chart.AREAS, facet=("origin",), timeseries=True)
    yield Widget(
        "Filled share by cluster",
        Chart.LINES,
        Query(filled, ENTITIES, ("origin",), facet=("clusterName",), timeseries=True),
        width=6,
    )
    shaped = (("anomaly", "IS NOT NULL"),)
    yield count(
        "Samples shaped by anomalies",
        Chart.LINES,
        where=shaped,
        facet=("anomaly",),
        timeseries=True,
    )
    yield Widget(
        "Anomalies",
        Chart.TABLE,
        Query(
            "count(*) AS 'samples', uniqueCount(entityGuid) AS 'entities', "
            "earliest(timestamp) AS 'from', latest(timestamp) AS 'to'",
            ENTITIES,
            ("entityGuid", "timestamp"),
            where=shaped,
            facet=("clusterName", "anomaly"),
            limit=100,
        ),
        width=12,
        height=4,
    )


_TARGET = _identity(COLLECTION)


def _mqpipe() -> Iterator[Widget]:
    def of(
        title: str,
        select: str,
        *attributes: str,
        chart: Chart = Chart.LINES,
        where: tuple[tuple[str, str], ...] = (),
        facet: tuple[str, ...] = _TARGET,
    ) -> Widget:
        query = Query(
            select, (COLLECTION,), attributes, where, facet, timeseries=chart is Chart.LINES
        )
        return Widget(title, chart, query)

    ok = "percentage(count(*), WHERE collection.ok = 1) AS '% collected'"
    yield of("Ticks collected", ok, "collection.ok", chart=Chart.NUMBERS, facet=("clusterName",))
    yield of("Ticks collected by target", ok, "collection.ok")
    yield of("Ticks missed", "sum(collection.missed) AS 'missed ticks'", "collection.missed")
    yield of(
        "Duration of a tick",
        "percentile(collection.duration, 50, 99) AS 's'",
        "collection.duration",
    )
    yield of("Attempts a tick", "average(collection.attempts) AS 'attempts'", "collection.attempts")
    yield of("Entities", "latest(collection.entities) AS 'entities'", "collection.entities")
    failed = (("collection.ok", "= 0"),)
    yield of(
        "Failures by class",
        "count(*) AS 'ticks'",
        chart=Chart.BARS,
        where=failed,
        facet=("collection.errorClass",),
    )
    yield of(
        "Last cause by target",
        "latest(collection.errorClass) AS 'class', latest(collection.error) AS 'cause', "
        "latest(timestamp) AS 'at'",
        "collection.errorClass",
        "collection.error",
        "timestamp",
        chart=Chart.TABLE,
        where=failed,
    )
    every = Query(
        "rate(count(*), 1 minute) AS 'samples a minute'",
        ENTITIES,
        facet=("clusterName",),
        timeseries=True,
    )
    yield Widget("Samples that arrived", Chart.LINES, every)
    yield Widget(
        "Latest sample by cluster",
        Chart.TABLE,
        Query(
            "latest(timestamp) AS 'latest sample'",
            ENTITIES,
            ("timestamp",),
            facet=("clusterName", "origin"),
            limit=100,
        ),
        width=6,
    )
    yield Widget("", Chart.TEXT, _REFUSED, width=6)


_REFUSED = """New Relic checks events after it has answered for them. What it dropped then:

```
SELECT count(*), latest(message) FROM NrIntegrationError FACET category TIMESERIES
```

mqpipe's own metrics (pools, spools, delays) are on its `/metrics` page, for Prometheus; the
Grafana dashboard in `docker/grafana` shows them."""
