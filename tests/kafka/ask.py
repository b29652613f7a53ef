"""What Kafka's own tools say of a cluster, as plain values."""

from tests.kafka.cluster import Kafka

TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"


def described_topic(kafka: Kafka, topic: str) -> list[dict[str, str]]:
    """`kafka-topics --describe`: a row a partition, with Leader, Replicas, Isr and so on."""
    lines = kafka.tool(TOPICS, "--describe", "--topic", topic).splitlines()
    fields = [line.strip().split("\t") for line in lines if "Partition: " in line]
    return [dict(f.split(": ", 1) for f in line if ": " in f) for line in fields]


def end_offsets(kafka: Kafka, topic: str) -> dict[int, int]:
    """`kafka-get-offsets`: each partition's end offset."""
    lines = kafka.tool(OFFSETS, "--topic", topic).split()
    return {int(p): int(offset) for _, p, offset in (line.split(":") for line in lines)}


def described_group(kafka: Kafka, group: str) -> list[dict[str, str]]:
    """`kafka-consumer-groups --describe --offsets`: a row a partition, `-` where unknown."""
    return _table(kafka.tool(GROUPS, "--describe", "--group", group, "--offsets"))


def group_state(kafka: Kafka, group: str) -> dict[str, str]:
    """`kafka-consumer-groups --describe --state`: STATE, #MEMBERS and so on."""
    (row,) = _table(kafka.tool(GROUPS, "--describe", "--group", group, "--state"))
    return row


def group_members(kafka: Kafka, group: str) -> list[dict[str, str]]:
    """`kafka-consumer-groups --describe --members`: a row a member."""
    return _table(kafka.tool(GROUPS, "--describe", "--group", group, "--members"))


def listed_groups(kafka: Kafka) -> dict[str, str]:
    """`kafka-consumer-groups --list --type`: each group's type."""
    rows = _table(kafka.tool(GROUPS, "--list", "--type"))
    return {row["GROUP"]: row["TYPE"].lower() for row in rows}


def total_lag(described: list[dict[str, str]]) -> int:
    """The lag of a described group, summed over its partitions."""
    return sum(int(row["LAG"]) for row in described if row["LAG"] != "-")


def _table(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("GROUP")), None)
    if start is None:
        return []
    head = lines[start].split()
    return [dict(zip(head, line.split(), strict=False)) for line in lines[start + 1 :]]
