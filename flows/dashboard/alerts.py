"""Alert conditions: lag, partitions, brokers, nodes and queues in trouble, requests that fail, silence.

Filled samples never count: they are what should have been, not what is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from flows.dashboard.nrql import Query, quoted
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    COLLECTION,
    CONSUMER_GROUP,
    NODE,
    QUEUE,
    TOPIC,
    EntityType,
)

MEASURED = (("origin", "!= 'filled'"),)

_MINUTE = 60
_HELD = 300
"""Seconds that a threshold must be passed."""
_LONGEST = 3 * 86_400
"""Seconds after which New Relic closes an incident by itself."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: thresholds on a query's value, or (`silence`) its loss of signal.

    It opens above `critical` and `warning`, or below `least`; None opens nothing.
    """

    name: str
    meaning: str
    query: Query
    critical: float | None = None
    warning: float | None = None
    least: float | None = None
    silence: bool = False
    once: bool = False
    """Whether once within the time is enough; else the whole of it must be so."""


def _of(entity_type: EntityType, function: str, metric: str, *facet: str) -> Query:
    return Query(
        f"{function}({metric})", (entity_type,), (metric,), MEASURED, facet, filtered=False
    )


def _count(entity_type: EntityType, *facet: str) -> Query:
    return Query("count(*)", (entity_type,), (), MEASURED, facet, filtered=False)


_FIRST = (
    Condition(
        "Offline partitions",
        "Partitions without a leader can be neither written nor read.",
        _of(CLUSTER, "max", "cluster.offlinePartitionsCount", "clusterName"),
        critical=0,
    ),
    Condition(
        "Broker down",
        "A broker that had samples has none: it left the cluster, or does not answer.",
        _count(BROKER, "clusterName", "brokerId"),
        silence=True,
    ),
)
"""Partitions and brokers that are gone."""

_FURTHER = (
    Condition(
        "Under-replicated partitions",
        "Partitions have fewer in-sync replicas than replicas.",
        _of(CLUSTER, "max", "cluster.underReplicatedPartitions", "clusterName"),
        critical=0,
    ),
    Condition(
        "Consumer lag",
        "The oldest message that a group has not committed is old.",
        _of(CONSUMER_GROUP, "max", "consumerGroup.lagSeconds", "clusterName", "consumerGroup"),
        critical=600,
        warning=120,
    ),
    Condition(
        "May lose data within 1 h",
        "The first message that a group has not read will be removed within an hour, as it reads now.",
        _of(CONSUMER_GROUP, "min", "consumerGroup.marginSeconds", "clusterName", "consumerGroup"),
        least=3_600,
    ),
    Condition(
        "Messages lost unread",
        "Messages were removed before a group had read them.",
        _of(CONSUMER_GROUP, "sum", "consumerGroup.lostMessages", "clusterName", "consumerGroup"),
        critical=0,
        once=True,
    ),
    Condition(
        "Requests fail",
        "Brokers refuse what is produced to a topic: full disks, too few in-sync replicas, wrong messages.",
        _of(TOPIC, "max", "topic.errorRate", "clusterName", "topic"),
        critical=5,
        warning=1,
    ),
    Condition(
        "Slow requests",
        "Produce requests of a broker wait: its disk, its network or its processor is at its limit.",
        _of(BROKER, "max", "request.produceTime99Percentile", "clusterName", "brokerId"),
        critical=1_000,
        warning=250,
    ),
    Condition(
        "Broker memory",
        "A broker's memory fills up.",
        _of(BROKER, "max", "broker.memoryUsage", "clusterName", "brokerId"),
        critical=95,
        warning=80,
    ),
    Condition(
        "Broker processor",
        "A broker's processor has next to nothing left.",
        _of(BROKER, "max", "broker.cpuUsage", "clusterName", "brokerId"),
        critical=95,
        warning=85,
    ),
    Condition(
        "RabbitMQ node down",
        "A node that the cluster knows does not run.",
        _of(NODE, "min", "node.running", "clusterName", "node"),
        least=1,
    ),
    Condition(
        "RabbitMQ blocks publishers",
        "A node has an alarm, for want of memory or disk: nobody can publish to the cluster.",
        _of(CLUSTER, "max", "cluster.alarmCount", "clusterName"),
        critical=0,
    ),
    Condition(
        "RabbitMQ queues are down",
        "Queues are down with their node, or have lost most of their members.",
        Query(
            "min(cluster.availability)",
            (CLUSTER,),
            ("cluster.availability",),
            (("provider", "= 'rabbitmq'"), *MEASURED),
            ("clusterName",),
            filtered=False,
        ),
        least=100,
    ),
    Condition(
        "Messages become dead letters",
        "Messages are rejected, expire, do not fit, or are delivered too often, and end in a dead-letter queue.",
        _of(CLUSTER, "max", "cluster.deadLetteredPerSecond", "clusterName"),
        critical=1,
        warning=0,
    ),
    Condition(
        "Messages wait in a queue",
        "The oldest message in a queue is old.",
        _of(QUEUE, "max", "queue.oldestMessageAge", "entityPath"),
        critical=600,
        warning=120,
    ),
    Condition(
        "No data",
        "A cluster that had samples has none.",
        _count(CLUSTER, "clusterName"),
        silence=True,
    ),
    Condition(
        "Collection fails",
        "Most ticks of a target fail; `collection.error` has the cause.",
        Query(
            "percentage(count(*), WHERE collection.ok = 0)",
            (COLLECTION,),
            ("collection.ok",),
            facet=("clusterName", "targetKind"),
            filtered=False,
        ),
        critical=50,
    ),
)
"""What follows, the most important first."""


def conditions(brokers: Mapping[str, int] | None = None) -> Iterator[Condition]:
    """All conditions, the most important first.

    `brokers` is how many brokers a cluster has, of those of which it is known.
    """
    yield from _FIRST
    for cluster, number in (brokers or {}).items():
        yield Condition(
            f"Broker down: {cluster}",
            f"Fewer than the {number} brokers of {cluster} are up.",
            Query(
                "min(cluster.activeBrokerCount)",
                (CLUSTER,),
                ("cluster.activeBrokerCount",),
                (("clusterName", f"= {quoted(cluster)}"), *MEASURED),
                filtered=False,
            ),
            least=number,
        )
    yield from _FURTHER


def as_input(condition: Condition, interval: float) -> dict[str, Any]:
    """A condition as NerdGraph's `AlertsNrqlConditionStaticInput`.

    `interval` is the seconds between two samples: windows hold one at least, and silence is
    three that did not come.
    Source: docs.newrelic.com, NerdGraph tutorial: NRQL condition alerts.
    """
    window = _MINUTE * max(1, ceil(interval / _MINUTE))
    terms = [
        {
            "priority": priority,
            "operator": operator,
            "threshold": threshold,
            "thresholdDuration": window * max(1, ceil(_HELD / window)),
            "thresholdOccurrences": "AT_LEAST_ONCE" if condition.once else "ALL",
        }
        for priority, operator, threshold in (
            ("CRITICAL", "ABOVE", condition.critical),
            ("WARNING", "ABOVE", condition.warning),
            ("CRITICAL", "BELOW", condition.least),
        )
        if threshold is not None
    ]
    found: dict[str, Any] = {
        "name": condition.name,
        "description": condition.meaning,
        "enabled": True,
        "nrql": {"query": str(condition.query)},
        "signal": {
            "aggregationWindow": window,
            "aggregationMethod": "EVENT_FLOW",
            "aggregationDelay": 120,
            "fillOption": "NONE",
        },
        "terms": terms,
        "violationTimeLimitSeconds": _LONGEST,
    }
    if condition.silence:
        found["expiration"] = {
            "expirationDuration": 3 * window,
            "openViolationOnExpiration": True,
            "closeViolationsOnExpiration": False,
        }
    return found
