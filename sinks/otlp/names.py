"""What samples are called in OpenTelemetry: resources, scopes, attributes and units.

New Relic makes entities of Kafka clusters, brokers and topics by the names that the Collector's
receivers use (newrelic/entity-definitions, `infra-kafka*`), so these are used here: the scope of
the kafkametrics receiver, `kafka.cluster.name` of the resource, `broker.id`, `topic`, `group` and
`partition` of points. Of RabbitMQ's nodes and queues (`infra-rabbitmq*`) they are the rabbitmq
receiver's: `rabbitmq.node.name`, `rabbitmq.queue.name`, `rabbitmq.vhost.name`. What semantic conventions
have a name for has that one.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version

from operators.schema.metrics import EntityType, Metric

CLUSTER_ATTRIBUTE = {"kafka": "kafka.cluster.name"}
"""By provider, the resource's attribute that names its cluster; elsewhere `messaging.cluster`."""

SYSTEMS = {"sqs": "aws_sqs", "azure_service_bus": "servicebus", "pubsub": "gcp_pubsub"}
"""Providers whose `messaging.system` in the semantic conventions is another word."""

SCOPES = {
    "kafka": (
        "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkametricsreceiver"
    ),
    "rabbitmq": (
        "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/rabbitmqreceiver"
    ),
}
"""By provider, the instrumentation scope that New Relic's rules ask for; elsewhere `mqpipe`."""

VERSION = version("mqpipe")

_ATTRIBUTES = {"broker_id": "broker.id", "consumer_group": "group"}
_OF_RABBITMQ = {
    "node": {"node": "rabbitmq.node.name"},
    "queue": {
        "queue.leader": "rabbitmq.node.name",
        "queue": "rabbitmq.queue.name",
        "vhost": "rabbitmq.vhost.name",
    },
}
"""By label of the entity type, what RabbitMQ's columns are called."""
_WORDS = {"broker_id"}
"""Numbers that are sent as text: parts of New Relic's entity identifiers are."""

_UNITS = {
    "%": "%",
    "ms": "ms",
    "s": "s",
    "bytes": "By",
    "0/1": "1",
    "0-100": "1",
    "0-1": "1",
    "word": "1",
}


def resource_attributes(row: Mapping[str, str | None]) -> dict[str, str]:
    """The attributes of the resource that a sample is of, by the columns that name it.

    A resource is a cluster; null columns are left out.
    """
    provider = row["provider"] or "kafka"
    named = {
        CLUSTER_ATTRIBUTE.get(provider, "messaging.cluster"): row["cluster_name"],
        "kafka.cluster.id": row.get("cluster_id"),
        "messaging.system": SYSTEMS.get(provider, provider),
        "deployment.environment.name": row["environment"],
    }
    return {name: value for name, value in named.items() if value is not None}


RESOURCE_COLUMNS = ("cluster_name", "cluster_id", "provider", "environment")
"""The columns that say which resource a sample is; not every schema has all of them."""


def point_columns(
    entity_type: EntityType, provider: str | None = None
) -> dict[str, tuple[str, bool]]:
    """The columns that are attributes of points: their names there, and whether they are text."""
    theirs = _OF_RABBITMQ.get(entity_type.label) if provider == "rabbitmq" else None
    if theirs is not None:
        identity = {column: (name, True) for column, name in theirs.items()}
    else:
        identity = {
            i.column: (_ATTRIBUTES.get(i.column, i.attribute), i.column in _WORDS)
            for i in entity_type.identity
        }
    return {**identity, "origin": ("origin", True), "anomaly": ("anomaly", True)}


def word_attribute(metric: Metric) -> str:
    """The attribute that bears a word; the point's value is 1."""
    return metric.name.rpartition(".")[2]


def unit(metric: Metric) -> str:
    """The unit in UCUM's notation, as OpenTelemetry asks: `By/s`, `{messages}`."""
    what, _, per = metric.unit.partition("/s")
    if metric.unit in _UNITS:
        return _UNITS[metric.unit]
    base = _UNITS.get(what) or "{" + re.sub(r"[^\w ]", "", what) + "}"
    rate = metric.unit.endswith("/s") and not per and not metric.counts
    return f"{base}/s" if rate else base
