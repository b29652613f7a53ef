"""What nri-kafka (3.21, July 2026, and its main branch of November) sends, in words of our own.

By event type each attribute that is a metric or says what a row is of; what its entities are called
lies in `IDENTITY`. What is on the main branch alone is in `NEXT`.
"""

from collections.abc import Mapping

BROKER, TOPIC, OFFSET, CLUSTER = (
    "KafkaBrokerSample",
    "KafkaTopicSample",
    "KafkaOffsetSample",
    "KafkaClusterSample",
)

_OF_REQUESTS = (
    "avgTimeFetch avgTimeMetadata avgTimeMetadata99Percentile avgTimeOffset "
    "avgTimeOffset99Percentile avgTimeProduceRequest avgTimeUpdateMetadata "
    "avgTimeUpdateMetadata99Percentile clientFetchesFailedPerSecond fetchTime99Percentile "
    "handlerIdle produceRequestsFailedPerSecond produceTime99Percentile"
)
_OF_REPLICATION = (
    "isrExpandsPerSecond isrShrinksPerSecond leaderElectionPerSecond "
    "uncleanLeaderElectionPerSecond unreplicatedPartitions"
)
_OF_PRODUCERS = (
    "ageMetadataUsedInMilliseconds availableBufferInBytes avgBytesSentPerRequestInBytes "
    "avgCompressionRateRecordBatches avgRecordAccumulatorsInMilliseconds avgRecordSizeInBytes "
    "avgRecordsSentPerSecond avgRecordsSentPerTopicPerSecond avgRequestLatencyPerSecond "
    "avgThrottleTime bufferMemoryAvailableInBytes bufferpoolWaitTime bytesOutPerSecond "
    "compressionRateRecordBatches iOWaitTime maxBytesSentPerRequestInBytes "
    "maxRecordAccumulatorsInMilliseconds maxRecordSizeInBytes maxRequestLatencyInMilliseconds "
    "maxThrottleTime messageRatePerSecond requestPerSecond requestsWaitingResponse "
    "responsePerSecond threadsWaiting"
)
_OF_CONSUMERS = (
    "avgFetchSizeInBytes avgRecordConsumedPerTopic avgRecordConsumedPerTopicPerSecond "
    "bytesInPerSecond fetchPerSecond maxFetchSizeInBytes maxLag messageConsumptionPerSecond "
    "offsetKafkaCommitsPerSecond offsetZooKeeperCommitsPerSecond"
)
_OF_CLUSTERS = (
    "activeBrokerCount activeControllerCount fencedBrokerCount globalPartitionCount "
    "globalTopicCount numGroups numGroupsDead numGroupsPreparingRebalance numGroupsStable "
    "offlinePartitionsCount preferredReplicaImbalanceCount uncleanLeaderElectionsPerSecond"
)
_OF_JVMS = (
    "availableProcessors classLoadedCount daemonThreadCount gcCollectionsPerSecond "
    "gcTimePerSecond heapMemoryCommittedBytes heapMemoryMaxBytes heapMemoryUsedBytes "
    "nonHeapMemoryCommittedBytes nonHeapMemoryMaxBytes nonHeapMemoryUsedBytes "
    "openFileDescriptorCount processCpuLoad systemCpuLoad systemLoadAverage threadCount uptimeMs"
)


def _named(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names.split())


IDENTITY = ("entityName", "displayName", "clusterName")

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    BROKER: (
        "broker.IOInPerSecond",
        "broker.IOOutPerSecond",
        "broker.bytesWrittenToTopicPerSecond",
        "broker.logFlushPerSecond",
        "broker.messagesInPerSecond",
        "consumer.requestsExpiredPerSecond",
        "follower.requestExpirationPerSecond",
        "net.bytesRejectedPerSecond",
        *_named("replication", _OF_REPLICATION),
        *_named("request", _OF_REQUESTS),
        "topic.diskSize",
    ),
    TOPIC: _named(
        "topic",
        "partitionsWithNonPreferredLeader respondsToMetadataRequests retentionSizeOrTime "
        "underReplicatedPartitions",
    ),
    OFFSET: (
        "clientHost",
        "clientID",
        "consumer.hwm",
        "consumer.lag",
        "consumer.offset",
        "consumer.totalLag",
        "consumerGroup",
        "consumerGroup.activeConsumers",
        "consumerGroup.maxLag",
        "consumerGroup.totalLag",
        "partition",
        "topic",
    ),
    "KafkaConsumerSample": _named("consumer", _OF_CONSUMERS),
    "KafkaProducerSample": _named("producer", _OF_PRODUCERS),
}

NEXT: Mapping[str, tuple[str, ...]] = {
    BROKER: ("clusterId", *_named("jvm", _OF_JVMS)),
    CLUSTER: ("clusterId", *_named("cluster", _OF_CLUSTERS)),
}
"""What its next version adds."""
