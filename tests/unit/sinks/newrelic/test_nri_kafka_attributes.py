"""Every attribute of nri-kafka: the same here, by another name, or not there; the docs' table of it.

`MQPIPE_WRITE_DOCS=1 pytest tests/unit/sinks/newrelic/test_nri_kafka_attributes.py` writes the table.
"""

import os
from collections.abc import Iterator, Mapping

from operators.schema.metrics import BY_NAME
from sinks.newrelic.encode import event_attributes
from tests.documents import ROOT
from tests.newrelic.nri_kafka import ATTRIBUTES, IDENTITY, NEXT

DOCS = ROOT / "docs" / "nri-kafka.md"
BEGIN = "<!-- attributes: tests/unit/sinks/newrelic/test_nri_kafka_attributes.py -->\n"
END = "<!-- end of attributes -->\n"

OTHER_NAMES: Mapping[str, str] = {
    "topic.retentionSizeOrTime": "`topic.retentionBytes` and `topic.retentionMs`",
    "jvm.heapMemoryUsedBytes": "`broker.heapUsed`",
    "jvm.heapMemoryMaxBytes": "`broker.heapMax`",
    "jvm.threadCount": "`broker.threadCount`",
    "jvm.gcCollectionsPerSecond": "`broker.gcCollectionsPerSecond`",
    "jvm.processCpuLoad": "`broker.cpuUsage`, in percent",
    "jvm.systemCpuLoad": "`broker.systemCpuUsage`, in percent",
    "jvm.systemLoadAverage": "`broker.systemLoad`",
    "jvm.uptimeMs": "`broker.uptime`, in seconds",
}
"""What mqpipe calls it."""

NOTES: Mapping[str, str] = {
    "consumer.offset": "in rows of partitions, with `partition_offsets: true`",
    "consumer.lag": "in rows of partitions, with `partition_offsets: true`; as points by default",
    "consumer.hwm": "in rows of partitions, with `partition_offsets: true`",
    "clientID": "in rows of clients, and of partitions with `partition_offsets: true`",
    "consumer.totalLag": "by group and client: rows of up to `group_clients` of them",
    "broker.bytesWrittenToTopicPerSecond": "by broker and topic: rows of up to `broker_topics` of "
    "them",
    "topic.diskSize": "by broker and topic, as the above",
    "clientHost": "in rows of partitions, with `partition_offsets: true`",
    "partition": "in rows of partitions, with `partition_offsets: true`",
    "topic": "in rows of a group on a topic, and of partitions; a group's own row has none",
    "consumerGroup.totalLag": "of a group, and of a group on a topic: filter `topic IS NULL` for sums",
    "consumerGroup.maxLag": "of a group, and of a group on a topic",
    "consumerGroup.activeConsumers": "of a group, and of a group on a topic",
    "request.handlerIdle": "a fraction, in events alone",
    "entityName": "of brokers and topics; of the others it is mqpipe's path",
}

_OF_CLIENTS = "of Java clients, by their own JMX"
_NOT_READ = "not read from brokers' pages"
_GONE = "brokers without ZooKeeper have no such requests"

NOT_THERE: Mapping[str, str] = {
    "consumer.requestsExpiredPerSecond": _NOT_READ,
    "follower.requestExpirationPerSecond": _NOT_READ,
    "request.avgTimeMetadata99Percentile": _NOT_READ,
    "request.avgTimeOffset": _NOT_READ,
    "request.avgTimeOffset99Percentile": _NOT_READ,
    "request.avgTimeUpdateMetadata": _GONE,
    "request.avgTimeUpdateMetadata99Percentile": _GONE,
    **dict.fromkeys(ATTRIBUTES["KafkaConsumerSample"], _OF_CLIENTS),
    **dict.fromkeys(ATTRIBUTES["KafkaProducerSample"], _OF_CLIENTS),
    **dict.fromkeys(
        (
            "jvm.availableProcessors",
            "jvm.classLoadedCount",
            "jvm.daemonThreadCount",
            "jvm.gcTimePerSecond",
            "jvm.heapMemoryCommittedBytes",
            "jvm.nonHeapMemoryCommittedBytes",
            "jvm.nonHeapMemoryMaxBytes",
            "jvm.nonHeapMemoryUsedBytes",
            "jvm.openFileDescriptorCount",
        ),
        _NOT_READ,
    ),
}
"""Why mqpipe has it not."""

OURS: Mapping[str, frozenset[str]] = {
    event_type: frozenset().union(
        *(event_attributes(t) for t in BY_NAME.values() if event_type in t.event_types)
    )
    for event_type in (*ATTRIBUTES, *NEXT)
}
"""What mqpipe's events of these types may have, by the metric table."""


def every() -> Iterator[tuple[str, str, bool]]:
    """Event type, attribute, and whether only the next version has it."""
    for versions, is_next in ((ATTRIBUTES, False), (NEXT, True)):
        for event_type, names in versions.items():
            yield from ((event_type, name, is_next) for name in names)
    yield from (("every", name, False) for name in IDENTITY)


def row(event_type: str, name: str, is_next: bool) -> str:
    """A row of the table; says the same wherever the metric table has the name."""
    theirs = f"`{name}`{' (next version)' if is_next else ''}"
    ours = OURS.get(event_type, OURS["KafkaTopicSample"])
    note = NOTES.get(name, "")
    if name in OTHER_NAMES:
        return f"| {event_type} | {theirs} | {OTHER_NAMES[name]} | {note} |"
    if name in ours:
        return f"| {event_type} | {theirs} | the same | {note} |"
    return f"| {event_type} | {theirs} | not there | {NOT_THERE[name]} |"


def test_every_attribute_is_reported_and_the_docs_say_so() -> None:
    """The metric table says which are the same; the others have a reason each, and no more."""
    rows = [row(*each) for each in every()]
    head = "| event | nri-kafka | mqpipe | |\n|---|---|---|---|\n"
    table = "\n" + head + "".join(f"{line}\n" for line in rows) + "\n"
    start, _, rest = DOCS.read_text().partition(BEGIN)
    whole = f"{start}{BEGIN}{table}{END}{rest.partition(END)[2]}"
    if os.environ.get("MQPIPE_WRITE_DOCS"):
        DOCS.write_text(whole)
    assert whole == DOCS.read_text()


def test_what_is_said_to_be_missing_or_other_is() -> None:
    """A name that the metric table gets later is the same; other names are there."""
    names = {(event_type, name) for event_type, name, _ in every()}
    of_all = {name for _, name in names}
    assert OTHER_NAMES.keys() | NOT_THERE.keys() | NOTES.keys() <= of_all
    there = {(event_type, name) for event_type, name in names if name in OURS.get(event_type, ())}
    assert not [name for _, name in there if name in NOT_THERE or name in OTHER_NAMES]
    ours = frozenset().union(*OURS.values())
    reported = [word for said in OTHER_NAMES.values() for word in said.split("`")[1::2]]
    assert {word for word in reported if not word.startswith("Kafka")} <= ours
