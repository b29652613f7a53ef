"""The one table of entity types and metrics.

It is the source of the Arrow schemas, New Relic's payloads, the dashboards, the report and
docs/metrics.md. A metric is declared here and nowhere else.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import pyarrow as pa

STRING = pa.dictionary(pa.int32(), pa.string())
"""Arrow type of every repeating string."""


class MetricKind(StrEnum):
    """How a metric's value behaves between two ticks."""

    GAUGE = "gauge"
    """The value at the tick."""
    RATE = "rate"
    """A mean per second over the interval that ends at the tick."""
    COUNT = "count"
    """How many over the interval that ends at the tick."""
    STATE = "state"
    """A word, or a flag 0/1."""


class Origin(StrEnum):
    """Where a sample comes from."""

    COLLECTED = "collected"
    SIMULATED = "simulated"
    FILLED = "filled"


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of an entity type, and what it is called in each of the worlds it goes to.

    `otel` is the metric's OpenTelemetry name, as the Collector's receivers and New Relic's own
    dashboards have it; None where there is none. `otel_attributes` tell apart metrics that share
    such a name. What is a rate here is a counter there. `otel_factor` and `event_factor` make of a
    value here that of a point, and that of an event of New Relic's. `event_alias` is a second name
    in events.
    """

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    type: pa.DataType = pa.float64()
    otel: str | None = None
    otel_attributes: tuple[tuple[str, str], ...] = ()
    otel_factor: float = 1.0
    event_factor: float = 1.0
    event_alias: str | None = None

    @property
    def point(self) -> str:
        """The name of its data points: OpenTelemetry's where that has one."""
        return self.otel or self.name

    @property
    def counts(self) -> bool:
        """Whether its points are counters: a count, or a rate that is a counter in OpenTelemetry."""
        return self.kind is MetricKind.COUNT or (
            self.kind is MetricKind.RATE and self.otel is not None
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """A column that, with `cluster_name`, says which entity a row is of."""

    column: str
    attribute: str
    """Its name in New Relic's events."""
    type: pa.DataType
    meaning: str


@dataclass(frozen=True, slots=True)
class EntityType:
    """One kind of entity: what it is called where, and which metrics it has.

    `name` is the value of the column `entity_type`, `label` names it in Parquet paths
    (`type=<label>`), `event_type` is New Relic's.
    """

    name: str
    label: str
    event_type: str
    identity: tuple[Identity, ...]
    metrics: tuple[Metric, ...]
    provider_events: tuple[tuple[str, str], ...] = ()
    """Providers whose events have a type of their own, as New Relic's integration of them has."""
    names_of: str | None = None
    """The one provider whose metrics have second names in events, and OpenTelemetry's in points; None
    for each."""

    @property
    def event_types(self) -> tuple[str, ...]:
        """All types of its events."""
        return (self.event_type, *(event_type for _, event_type in self.provider_events))

    def __hash__(self) -> int:
        """By the name: a type is a dictionary's key in every batch's way."""
        return hash(self.name)

    @property
    def numeric(self) -> tuple[Metric, ...]:
        """The metrics that are numbers."""
        return tuple(m for m in self.metrics if m.type != STRING)

    def metrics_of(self, provider: str | None) -> tuple[Metric, ...]:
        """The metrics with the names that those of a provider have elsewhere."""
        return self.metrics if self.names_of in (None, provider) else _plain(self)


@cache
def _plain(entity_type: EntityType) -> tuple[Metric, ...]:
    """The metrics under their own names alone."""
    return tuple(
        replace(metric, otel=None, otel_attributes=(), otel_factor=1.0, event_alias=None)
        for metric in entity_type.metrics
    )


def _gauge(
    name: str, unit: str, meaning: str, otel: str | None = None, **attributes: str
) -> Metric:
    return Metric(
        name, MetricKind.GAUGE, unit, meaning, otel=otel, otel_attributes=tuple(attributes.items())
    )


def _rate(name: str, unit: str, meaning: str, otel: str | None = None, **attributes: str) -> Metric:
    return Metric(
        name, MetricKind.RATE, unit, meaning, otel=otel, otel_attributes=tuple(attributes.items())
    )


def _whole(
    name: str, unit: str, meaning: str, otel: str | None = None, **attributes: str
) -> Metric:
    return Metric(
        name, MetricKind.GAUGE, unit, meaning, pa.int64(), otel, tuple(attributes.items())
    )


def _count(name: str, unit: str, meaning: str, otel: str | None = None) -> Metric:
    return Metric(name, MetricKind.COUNT, unit, meaning, pa.int64(), otel)


def _flag(name: str, meaning: str, otel: str | None = None) -> Metric:
    return Metric(name, MetricKind.STATE, "0/1", meaning, pa.int8(), otel)


def _word(name: str, meaning: str) -> Metric:
    return Metric(name, MetricKind.STATE, "word", meaning, STRING)


def _also_called(names: dict[str, str], *metrics: Metric) -> tuple[Metric, ...]:
    """Metrics with second names in events, where `names` has such."""
    return tuple(replace(m, event_alias=names.get(m.name, m.event_alias)) for m in metrics)


BROKER_ID = Identity("broker_id", "brokerId", pa.int32(), "the broker's node id")
TOPIC_NAME = Identity("topic", "topic", STRING, "the topic's name")
CLIENT_ID = Identity("client_id", "clientID", STRING, "the client's id")
CONSUMER_GROUP_ID = Identity("consumer_group", "consumerGroup", STRING, "the group's id")
PARTITION_ID = Identity("partition", "partition", pa.int32(), "the partition's number")
QUEUE_NAME = Identity("queue", "queue", STRING, "the queue's name")
VHOST = Identity("vhost", "vhost", STRING, "RabbitMQ's virtual host; null elsewhere")
NODE_NAME = Identity("node", "node", STRING, "the node's name: `rabbit@host`, a NATS server's name")
TARGET_KIND = Identity(
    "target_kind",
    "targetKind",
    STRING,
    "brokers, topics, groups, nodes, queues, probe, simulation, or a collector's name",
)

CLUSTER = EntityType(
    "MESSAGE_QUEUE_CLUSTER",
    "cluster",
    "KafkaClusterSample",
    (),
    (
        _whole("cluster.activeBrokerCount", "brokers", "brokers that are up", "kafka.brokers"),
        _whole(
            "cluster.knownBrokerCount",
            "brokers",
            "brokers that are up, hold a replica, or are fenced",
        ),
        _whole(
            "cluster.fencedBrokerCount",
            "brokers",
            "brokers that the controller keeps from their work",
            "kafka.broker.fenced.count",
        ),
        _whole("cluster.globalTopicCount", "topics", "topics", "kafka.cluster.topic.count"),
        _whole(
            "cluster.globalPartitionCount",
            "partitions",
            "partitions of all topics",
            "kafka.cluster.partition.count",
        ),
        _whole(
            "cluster.offlinePartitionsCount",
            "partitions",
            "partitions without a leader",
            "kafka.partition.offline",
        ),
        _whole(
            "cluster.underReplicatedPartitions",
            "partitions",
            "partitions with fewer in-sync replicas than replicas",
            "kafka.partition.under_replicated",
        ),
        _whole(
            "cluster.underMinIsrPartitions",
            "partitions",
            "partitions with fewer in-sync replicas than `min.insync.replicas`",
        ),
        _rate(
            "cluster.leaderElectionsPerSecond",
            "elections/s",
            "leaders elected: growth of the partitions' leader epochs",
            "kafka.leader.election.rate",
        ),
        _rate(
            "cluster.uncleanLeaderElectionsPerSecond",
            "elections/s",
            "unclean elections, of all brokers",
            "kafka.unclean.election.rate",
        ),
        _whole(
            "cluster.preferredReplicaImbalanceCount",
            "partitions",
            "partitions whose leader is not their first replica",
            "kafka.partition.non_preferred_leader",
        ),
        _whole(
            "cluster.activeControllerCount",
            "brokers",
            "brokers that are the controller; of NATS its meta leader",
        ),
        replace(
            _whole("cluster.consumerGroupCount", "groups", "consumer groups"),
            event_alias="cluster.numGroups",
        ),
        _whole("cluster.numGroupsStable", "groups", "groups that are Stable"),
        _whole(
            "cluster.numGroupsPreparingRebalance", "groups", "groups that are PreparingRebalance"
        ),
        _whole("cluster.numGroupsDead", "groups", "groups that are Dead"),
        _whole(
            "cluster.stalledGroupCount",
            "groups",
            "groups that consumed nothing since the last tick, while a message waits for a minute or more",
        ),
        _whole("cluster.totalLag", "messages", "sum of its groups' lag"),
        _rate("cluster.messagesInPerSecond", "messages/s", "sum of its topics'"),
        _rate("cluster.bytesInPerSecond", "bytes/s", "sum of its topics'"),
        _gauge("cluster.healthScore", "0-100", "100 less what is wrong: docs/collection.md"),
        _gauge("cluster.availability", "%", "share of partitions that have a leader"),
        _gauge("cluster.errorRate", "%", "share of requests that failed"),
        _whole("cluster.nodeCount", "nodes", "nodes of a cluster of queues, up or not"),
        _whole("cluster.runningNodeCount", "nodes", "nodes that run"),
        _whole("cluster.alarmCount", "alarms", "memory and disk alarms of its nodes"),
        _whole("cluster.partitionedNodeCount", "nodes", "nodes that are cut off from others"),
        _whole("cluster.queueCount", "queues", "queues"),
        _whole("cluster.connectionCount", "connections", "clients' connections"),
        _whole("cluster.channelCount", "channels", "channels in them"),
        _whole("cluster.consumerCount", "consumers", "consumers of all queues"),
        _rate(
            "cluster.deadLetteredPerSecond",
            "messages/s",
            "messages that queues gave to their dead-letter exchanges",
        ),
    ),
    provider_events=(("rabbitmq", "RabbitmqClusterSample"),),
)

BROKER = EntityType(
    "MESSAGE_QUEUE_BROKER",
    "broker",
    "KafkaBrokerSample",
    (BROKER_ID,),
    (
        _rate(
            "broker.messagesInPerSecond", "messages/s", "messages produced", "kafka.message.count"
        ),
        _rate(
            "broker.IOInPerSecond", "bytes/s", "bytes produced", "kafka.network.io", direction="in"
        ),
        _rate(
            "broker.IOOutPerSecond", "bytes/s", "bytes fetched", "kafka.network.io", direction="out"
        ),
        _rate("broker.logFlushPerSecond", "flushes/s", "log flushes", "kafka.logs.flush.count"),
        _rate("net.bytesRejectedPerSecond", "bytes/s", "bytes of refused produce requests"),
        _rate(
            "request.produceRequestsFailedPerSecond",
            "requests/s",
            "produce requests that failed",
            "kafka.request.failed",
            type="produce",
        ),
        _rate(
            "request.clientFetchesFailedPerSecond",
            "requests/s",
            "fetch requests that failed",
            "kafka.request.failed",
            type="fetch",
        ),
        _gauge(
            "request.avgTimeFetch",
            "ms",
            "mean time of a fetch request",
            "kafka.request.time.avg",
            type="Fetch",
        ),
        _gauge(
            "request.fetchTime99Percentile",
            "ms",
            "99th percentile of a fetch request's time",
            "kafka.request.time.99p",
            type="Fetch",
        ),
        _gauge("request.avgTimeMetadata", "ms", "mean time of a metadata request"),
        _gauge(
            "request.avgTimeProduceRequest",
            "ms",
            "mean time of a produce request",
            "kafka.request.time.avg",
            type="Produce",
        ),
        _gauge(
            "request.produceTime99Percentile",
            "ms",
            "99th percentile of a produce request's time",
            "kafka.request.time.99p",
            type="Produce",
        ),
        replace(
            _gauge("request.handlerIdle", "%", "idle share of the request handlers"),
            event_factor=0.01,  # nri-kafka sends the fraction
        ),
        _whole(
            "replication.unreplicatedPartitions",
            "partitions",
            "under-replicated partitions that the broker leads",
            "kafka.partition.under_replicated",
        ),
        _rate(
            "replication.isrShrinksPerSecond",
            "events/s",
            "in-sync sets that shrank",
            "kafka.isr.operation.count",
            operation="shrink",
        ),
        _rate(
            "replication.isrExpandsPerSecond",
            "events/s",
            "in-sync sets that grew",
            "kafka.isr.operation.count",
            operation="expand",
        ),
        _rate("replication.leaderElectionPerSecond", "elections/s", "leader elections"),
        _rate("replication.uncleanLeaderElectionPerSecond", "elections/s", "unclean elections"),
        _whole(
            "broker.partitionCount",
            "partitions",
            "replicas that the broker holds",
            "kafka.partition.count",
        ),
        _whole(
            "broker.leaderCount",
            "partitions",
            "partitions that the broker leads",
            "kafka.broker.leader.count",
        ),
        _flag(
            "broker.isController",
            "1 where the broker is the active controller",
            "kafka.controller.active.count",
        ),
        _gauge(
            "broker.cpuUsage",
            "%",
            "processor time used: of all processors, or of one where nothing reports how many",
        ),
        _gauge("broker.memoryUsage", "%", "memory used"),
        *(
            _rate(
                f"request.{column}RequestsPerSecond",
                "requests/s",
                f"{requests} requests",
                otel,
                **attributes,
            )
            for column, requests, otel, attributes in (
                ("produce", "produce", "kafka.request.count", {"type": "produce"}),
                ("fetch", "fetch", "kafka.request.count", {"type": "fetch"}),
                ("fetchConsumer", "consumers' fetch", None, {}),
                ("fetchFollower", "followers' fetch", None, {}),
            )
        ),
        _gauge(
            "request.avgTimeFetchConsumer",
            "ms",
            "mean time of a consumer's fetch request",
            "kafka.request.time.avg",
            type="FetchConsumer",
        ),
        _gauge(
            "request.avgTimeFetchFollower",
            "ms",
            "mean time of a follower's fetch request",
            "kafka.request.time.avg",
            type="FetchFollower",
        ),
        _gauge(
            "request.fetchConsumerTime99Percentile",
            "ms",
            "99th percentile of a consumer's fetch request's time",
            "kafka.request.time.99p",
            type="FetchConsumer",
        ),
        _gauge(
            "request.fetchFollowerTime99Percentile",
            "ms",
            "99th percentile of a follower's fetch request's time",
            "kafka.request.time.99p",
            type="FetchFollower",
        ),
        _whole(
            "request.queueSize",
            "requests",
            "requests that wait for a handler",
            "kafka.request.queue",
        ),
        _whole(
            "request.producePurgatorySize",
            "requests",
            "produce requests that wait for replicas",
            "kafka.purgatory.size",
            type="produce",
        ),
        _whole(
            "request.fetchPurgatorySize",
            "requests",
            "fetch requests that wait for messages",
            "kafka.purgatory.size",
            type="fetch",
        ),
        _whole(
            "replication.underMinIsrPartitions",
            "partitions",
            "partitions that the broker leads with fewer in-sync replicas than `min.insync.replicas`",
            "kafka.partition.under_min_isr",
        ),
        _whole(
            "replication.maxLag",
            "messages",
            "how far its replicas are behind their leaders, the most",
            "kafka.max.lag",
        ),
        replace(
            _gauge("broker.uptime", "s", "time since it was started", "kafka.broker.uptime"),
            otel_factor=1000,  # its dashboards read ms
        ),
        _whole("broker.heapUsed", "bytes", "Java heap that is used", "jvm.memory.heap.used"),
        _whole("broker.heapMax", "bytes", "the most that the heap may be", "jvm.memory.heap.max"),
        _rate(
            "broker.gcCollectionsPerSecond",
            "collections/s",
            "garbage collections",
            "jvm.gc.collections.count",
        ),
        _whole("broker.threadCount", "threads", "threads of the process", "jvm.thread.count"),
        replace(
            _gauge(
                "broker.systemCpuUsage",
                "%",
                "processor time used on its machine, by whomever",
                "jvm.system.cpu.utilization",
            ),
            otel_factor=0.01,
        ),
        _word("broker.host", "host and port at which clients are to reach it"),
        _gauge("broker.systemLoad", "threads", "threads that run or wait to, mean of a minute"),
    ),
)

TOPIC = EntityType(
    "MESSAGE_QUEUE_TOPIC",
    "topic",
    "KafkaTopicSample",
    (TOPIC_NAME,),
    (
        _whole(
            "topic.partitionCount", "partitions", "the topic's partitions", "kafka.topic.partitions"
        ),
        _whole(
            "topic.replicationFactor",
            "replicas",
            "replicas of a partition (the most)",
            "kafka.topic.replication_factor",
        ),
        _whole(
            "topic.underReplicatedPartitions",
            "partitions",
            "partitions with fewer in-sync replicas than replicas",
        ),
        _whole("topic.offlinePartitions", "partitions", "partitions without a leader"),
        _whole(
            "topic.partitionsWithNonPreferredLeader",
            "partitions",
            "partitions whose leader is not their first replica",
        ),
        _flag("topic.respondsToMetadataRequests", "1 where metadata came without an error"),
        _rate(
            "topic.messagesInPerSecond",
            "messages/s",
            "growth of the end offsets",
            "kafka.prod.msg.count",
        ),
        _rate("topic.messagesOutPerSecond", "messages/s", "growth of its groups' commits"),
        _rate(
            "topic.bytesInPerSecond", "bytes/s", "bytes produced", "kafka.topic.io", direction="in"
        ),
        _rate(
            "topic.bytesOutPerSecond", "bytes/s", "bytes fetched", "kafka.topic.io", direction="out"
        ),
        _whole("topic.offset", "messages", "sum of its partitions' end offsets"),
        _whole("topic.retainedMessages", "messages", "sum of end minus start offsets"),
        _whole(
            "topic.localMessages",
            "messages",
            "those of them on the brokers' own disks, where older ones are in tiered storage",
        ),
        _whole("topic.diskSize", "bytes", "size of its logs on all brokers"),
        _whole(
            "topic.inSyncReplicas",
            "replicas",
            "sum of its partitions' in-sync replicas",
            "kafka.partition.replicas_in_sync.total",
        ),
        _whole(
            "topic.minInSyncReplicas",
            "replicas",
            "in-sync replicas that it needs to take messages: `min.insync.replicas`",
            "kafka.topic.min_insync_replicas",
        ),
        _whole("topic.retentionMs", "ms", "`retention.ms`: how long it keeps messages, or -1"),
        _whole(
            "topic.retentionBytes",
            "bytes",
            "`retention.bytes`: how much of a partition it keeps, or -1",
        ),
        _word("topic.cleanupPolicy", "`cleanup.policy`: delete, compact or both"),
        _whole("topic.consumerLag", "messages", "sum of its groups' lag on it"),
        _gauge("topic.errorRate", "%", "share of its requests that failed"),
    ),
)

OUTLOOK: tuple[Metric, ...] = (
    _whole("consumerGroup.unreadMessages", "messages", "the part of its lag that still exists"),
    _whole(
        "consumerGroup.remoteMessages",
        "messages",
        "unread messages that are in tiered storage alone; null where it reads no such topic",
    ),
    _count(
        "consumerGroup.lostMessages",
        "messages",
        "those that were removed before they were read, since the last tick",
    ),
    _gauge(
        "consumerGroup.lagOfRetainedMessages",
        "%",
        "lag as a share of the messages that the partition holds, the greatest",
    ),
    _gauge(
        "consumerGroup.lagOfRetentionTime",
        "%",
        "age of the oldest message not yet committed as a share of `retention.ms`, the greatest",
    ),
    _gauge(
        "consumerGroup.marginSeconds",
        "s",
        "until the first unread message may be removed; null where that is not in sight",
    ),
    _gauge("consumerGroup.catchUpSeconds", "s", "until nothing waits; null where that is never"),
    _word(
        "consumerGroup.lagState",
        "keeping up, catching up, behind, stalled, losing: docs/data-loss.md",
    ),
    _flag(
        "consumerGroup.readsCompacted",
        "1 where it reads a compacted topic, whose messages are fewer than its offsets",
    ),
    _flag(
        "consumerGroup.openTransaction",
        "1 where a transaction that is not ended holds it up: its lag cannot reach 0",
    ),
)
"""Of a group, and of a group on a topic: whether what is not yet read will be lost."""

CONSUMER_GROUP = EntityType(
    "MESSAGE_QUEUE_CONSUMER_GROUP",
    "consumer_group",
    "KafkaOffsetSample",
    (CONSUMER_GROUP_ID,),
    (
        _whole("consumerGroup.totalLag", "messages", "end minus committed offsets, summed"),
        _whole("consumerGroup.maxLag", "messages", "lag of the partition with the most"),
        _gauge("consumerGroup.lagSeconds", "s", "age of the oldest message not yet committed"),
        _gauge("consumerGroup.lagTrend", "messages/s", "growth of the total lag"),
        _whole(
            "consumerGroup.activeConsumers",
            "members",
            "members of the group",
            "kafka.consumer_group.members",
        ),
        _count("consumerGroup.membershipChanges", "members", "members that joined or left"),
        _rate("consumerGroup.messagesConsumedPerSecond", "messages/s", "growth of the commits"),
        _whole("consumerGroup.assignedPartitions", "partitions", "partitions with a member"),
        _whole("consumerGroup.committedOffset", "messages", "sum of the committed offsets"),
        _word("consumerGroup.state", "Stable, Empty, Dead, PreparingRebalance, …"),
        _word("consumerGroup.type", "classic, consumer, share or streams"),
        _word("consumerGroup.lagMethod", "how lagSeconds was found: timestamps or history"),
        _word("consumerGroup.assignor", "how partitions are assigned: range, uniform, …"),
        _flag("consumerGroup.rebalancing", "1 where partitions change hands"),
        *OUTLOOK,
    ),
)

GROUP_TOPIC = EntityType(
    "MESSAGE_QUEUE_GROUP_TOPIC",
    "group_topic",
    "KafkaOffsetSample",
    (CONSUMER_GROUP_ID, TOPIC_NAME),
    (
        _whole(
            "consumerGroup.totalLag",
            "messages",
            "end minus committed offsets on the topic, summed",
            "kafka.consumer_group.lag_sum",
        ),
        _whole("consumerGroup.maxLag", "messages", "lag of the topic's partition with the most"),
        _gauge(
            "consumerGroup.lagSeconds",
            "s",
            "age of the topic's oldest message not yet committed",
        ),
        _whole("consumerGroup.activeConsumers", "members", "members that read the topic"),
        _whole("consumerGroup.committedOffset", "messages", "sum of the offsets committed on it"),
        _whole("consumerGroup.endOffset", "messages", "sum of the end offsets of these partitions"),
        *OUTLOOK,
    ),
)

PARTITION_OFFSET = EntityType(
    "MESSAGE_QUEUE_PARTITION_OFFSET",
    "partition_offset",
    "KafkaOffsetSample",
    (CONSUMER_GROUP_ID, TOPIC_NAME, PARTITION_ID),
    (
        _whole("consumer.offset", "messages", "the committed offset"),
        _whole(
            "consumer.lag",
            "messages",
            "end minus committed offset, never negative",
            "kafka.consumer_group.lag",
        ),
        _whole("consumer.hwm", "messages", "the end offset (high-water mark)"),
        _gauge("consumer.lagSeconds", "s", "age of the oldest message not yet committed"),
        *_also_called(
            {"consumer.clientId": "clientID", "consumer.clientHost": "clientHost"},
            _word("consumer.clientId", "client id of the member that has the partition"),
            _word("consumer.clientHost", "host of that member"),
        ),
        _word("consumer.staticId", "its group.instance.id, where it has one"),
    ),
)

BROKER_TOPIC = EntityType(
    "MESSAGE_QUEUE_BROKER_TOPIC",
    "broker_topic",
    "KafkaBrokerSample",
    (BROKER_ID, TOPIC_NAME),
    (
        _rate(
            "broker.bytesWrittenToTopicPerSecond",
            "bytes/s",
            "bytes produced to the topic's partitions that the broker leads",
        ),
        _whole("topic.diskSize", "bytes", "size of the topic's logs on the broker"),
        _word("broker.host", "host and port at which clients are to reach the broker"),
    ),
)

GROUP_CLIENT = EntityType(
    "MESSAGE_QUEUE_GROUP_CLIENT",
    "group_client",
    "KafkaOffsetSample",
    (CONSUMER_GROUP_ID, CLIENT_ID),
    (
        _whole(
            "consumer.totalLag",
            "messages",
            "end minus committed offsets of the partitions that members with this client id have",
        ),
    ),
)

COLLECTION = EntityType(
    "MESSAGE_QUEUE_COLLECTION",
    "collection",
    "MqpipeCollectionSample",
    (TARGET_KIND,),
    (
        _flag("collection.ok", "1 where the tick gave all its samples"),
        _whole("collection.attempts", "attempts", "attempts made for the tick"),
        _gauge("collection.duration", "s", "from the tick's start to its end"),
        _whole("collection.entities", "entities", "entities that gave a sample"),
        _whole("collection.missed", "ticks", "ticks that were due and not collected"),
        _word("collection.errorClass", "timeout, refused, auth, overrun, missed, …"),
        _word("collection.error", "the cause in words"),
    ),
)

PROBE = EntityType(
    "MESSAGE_QUEUE_PROBE",
    "probe",
    "MqpipeProbeSample",
    (),
    (
        _count("probe.sent", "messages", "one to each partition of the probe's topic"),
        _count("probe.lost", "messages", "those that were not read back in time"),
        _gauge("probe.produceLatency", "s", "until the slowest partition acknowledged"),
        _gauge("probe.roundTripLatency", "s", "until the slowest message was read back"),
        _gauge("probe.commitLatency", "s", "of a commit of what was read back"),
    ),
)

_RABBITMQ = {
    "queue.depth": "queue.totalMessages",
    "queue.messagesInPerSecond": "queue.messagesPublishedPerSecond",
    "queue.messagesOutPerSecond": "queue.sumMessagesDeliveredPerSecond",
    "queue.messagesReady": "queue.messagesReadyDeliveryClients",
    "queue.messagesUnacknowledged": "queue.messagesReadyUnacknowledged",
    "queue.messagesDelivered": "queue.sumMessagesDelivered",
    "queue.acknowledgedPerSecond": "queue.messagesAcknowledgedPerSecond",
    "queue.redeliveredPerSecond": "queue.messagesRedeliverGetPerSecond",
    "queue.consumerCapacity": "queue.consumerMessageUtilizationPerSecond",
    "queue.memory": "queue.erlangBytesConsumedInBytes",
}
"""What New Relic's integration of RabbitMQ (nri-rabbitmq) calls metrics of queues."""

QUEUE = EntityType(
    "MESSAGE_QUEUE_QUEUE",
    "queue",
    "MessageQueueSample",
    (QUEUE_NAME, VHOST),
    _also_called(
        _RABBITMQ,
        _whole("queue.depth", "messages", "messages in it: ready and unacknowledged"),
        _rate("queue.messagesInPerSecond", "messages/s", "messages sent: published to it"),
        _rate("queue.messagesOutPerSecond", "messages/s", "messages received: delivered by it"),
        _gauge("queue.processingTime", "ms", "mean time to process a message"),
        _gauge("queue.oldestMessageAge", "s", "age of the oldest waiting message"),
        _gauge("queue.errorRate", "%", "share of messages that failed"),
        _whole(
            "queue.messagesReady",
            "messages",
            "messages that wait for a consumer",
            "rabbitmq.message.current",
            state="ready",
        ),
        _whole(
            "queue.messagesUnacknowledged",
            "messages",
            "delivered, and not yet acknowledged",
            "rabbitmq.message.current",
            state="unacknowledged",
        ),
        _count(
            "queue.messagesPublished",
            "messages",
            "messages published to it",
            "rabbitmq.message.published",
        ),
        _count(
            "queue.messagesDelivered",
            "messages",
            "messages delivered by it",
            "rabbitmq.message.delivered",
        ),
        _rate(
            "queue.acknowledgedPerSecond",
            "messages/s",
            "messages acknowledged",
            "rabbitmq.message.acknowledged",
        ),
        _rate("queue.redeliveredPerSecond", "messages/s", "messages delivered once more"),
        _whole(
            "queue.messagesRedelivered",
            "messages",
            "delivered more than once, and not yet acknowledged; NATS'",
        ),
        _rate("queue.deadLetteredPerSecond", "messages/s", "messages that were dead-lettered"),
        _whole("queue.consumers", "consumers", "consumers of it", "rabbitmq.consumer.count"),
        _gauge(
            "queue.consumerCapacity",
            "0-1",
            "share of the time in which consumers could take a message at once",
        ),
        _whole("queue.messageBytes", "bytes", "bodies of the messages in it"),
        _whole("queue.memory", "bytes", "memory of its process"),
        _whole("queue.members", "nodes", "nodes that hold a replica of a quorum queue or stream"),
        _whole("queue.membersOnline", "nodes", "those of them that are up"),
        _word("queue.type", "classic, quorum or stream; of NATS stream or consumer"),
        _word("queue.state", "running, idle, lagging, down, minority, …"),
        _word("queue.leader", "the node that leads it"),
    ),
    provider_events=(("rabbitmq", "RabbitmqQueueSample"),),
    names_of="rabbitmq",
)

NODE = EntityType(
    "MESSAGE_QUEUE_NODE",
    "node",
    "MessageQueueNodeSample",
    (NODE_NAME,),
    (
        _flag("node.running", "1 where the node runs"),
        _whole("node.totalMemoryUsedInBytes", "bytes", "memory used", "rabbitmq.node.mem_used"),
        _whole(
            "node.memoryLimitInBytes",
            "bytes",
            "memory above which publishers are blocked",
            "rabbitmq.node.mem_limit",
        ),
        _flag(
            "node.hostMemoryAlarm",
            "1 while it blocks publishers for want of memory",
            "rabbitmq.node.mem_alarm",
        ),
        _whole("node.diskSpaceFreeInBytes", "bytes", "disk free", "rabbitmq.node.disk_free"),
        _whole(
            "node.diskSpaceLimitInBytes",
            "bytes",
            "free disk below which publishers are blocked",
            "rabbitmq.node.disk_free_limit",
        ),
        _flag(
            "node.diskAlarm",
            "1 while it blocks publishers for want of disk",
            "rabbitmq.node.disk_free_alarm",
        ),
        _whole(
            "node.fileDescriptorsTotalUsed",
            "descriptors",
            "file descriptors used",
            "rabbitmq.node.fd_used",
        ),
        replace(
            _whole(
                "node.fileDescriptorsLimit",
                "descriptors",
                "file descriptors that there may be",
                "rabbitmq.node.fd_total",
            ),
            event_alias="node.fileDescriptorsTotal",
        ),
        _whole(
            "node.fileDescriptorsUsedSockets",
            "sockets",
            "sockets used",
            "rabbitmq.node.sockets_used",
        ),
        _whole(
            "node.fileDescriptorsTotalSockets",
            "sockets",
            "sockets that there are",
            "rabbitmq.node.sockets_total",
        ),
        _whole("node.processesUsed", "processes", "Erlang processes", "rabbitmq.node.proc_used"),
        replace(
            _whole(
                "node.processesLimit",
                "processes",
                "Erlang processes that there may be",
                "rabbitmq.node.proc_total",
            ),
            event_alias="node.processesTotal",
        ),
        _whole(
            "node.averageErlangProcessesWaiting",
            "processes",
            "Erlang processes that wait to run",
            "rabbitmq.node.run_queue",
        ),
        _whole("node.partitionsSeen", "nodes", "nodes that it is cut off from"),
        replace(
            _gauge("node.uptime", "s", "time since it was started", "rabbitmq.node.uptime"),
            otel_factor=1000,  # the receiver's are ms
        ),
        _flag("node.isHealthy", "1 where its own check of its health says so; NATS'"),
        _flag("node.isLeader", "1 where it leads the cluster; NATS' meta leader"),
        _gauge("node.cpuUsage", "%", "processor time used, of one processor; NATS'"),
        _whole("node.connections", "connections", "clients' connections; NATS'"),
        _whole("node.connectionsLimit", "connections", "connections that there may be; NATS'"),
        _whole("node.subscriptions", "subscriptions", "subscriptions; NATS'"),
        _count("node.slowConsumers", "clients", "clients cut off for being too slow; NATS'"),
        _rate("node.messagesInPerSecond", "messages/s", "messages that came in; NATS'"),
        _rate("node.messagesOutPerSecond", "messages/s", "messages that went out; NATS'"),
        _rate("node.bytesInPerSecond", "bytes/s", "bytes that came in; NATS'"),
        _rate("node.bytesOutPerSecond", "bytes/s", "bytes that went out; NATS'"),
        _whole("node.fileStoreUsedInBytes", "bytes", "JetStream's on disk"),
        _whole("node.fileStoreLimitInBytes", "bytes", "what JetStream may take on disk"),
        _whole("node.memoryStoreUsedInBytes", "bytes", "JetStream's in memory"),
        _whole("node.memoryStoreLimitInBytes", "bytes", "what JetStream may take in memory"),
        _count("node.apiErrors", "requests", "requests to JetStream's API that it refused"),
    ),
    provider_events=(("rabbitmq", "RabbitmqNodeSample"),),
    names_of="rabbitmq",
)

ENTITY_TYPES: tuple[EntityType, ...] = (
    CLUSTER,
    BROKER,
    TOPIC,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    PARTITION_OFFSET,
    COLLECTION,
    PROBE,
    QUEUE,
    NODE,
)
EVENTS_ALONE: tuple[EntityType, ...] = (BROKER_TOPIC, GROUP_CLIENT)
"""Types that New Relic's integration of Kafka has besides: sent as events, and rows nowhere."""

BY_NAME: dict[str, EntityType] = {t.name: t for t in (*ENTITY_TYPES, *EVENTS_ALONE)}
