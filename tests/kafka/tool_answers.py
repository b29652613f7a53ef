"""What Kafka's own tools say of a cluster, as plain values."""

from collections import defaultdict
from collections.abc import Mapping

from tests.kafka.cluster import Kafka

TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
SHARE_GROUPS = "org.apache.kafka.tools.consumer.group.ShareGroupCommand"
STREAMS_GROUPS = "org.apache.kafka.tools.streams.StreamsGroupCommand"
ALL_GROUPS = "org.apache.kafka.tools.GroupsCommand"
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


def groups_of_every_kind(kafka: Kafka) -> dict[str, str]:
    """`kafka-groups --list`: each group's type."""
    rows = _table(kafka.tool(ALL_GROUPS, "--list"))
    return {row["GROUP"]: row["TYPE"].lower() for row in rows}


def described_groups(kafka: Kafka, tool: str, *what: str) -> Mapping[str, list[dict[str, str]]]:
    """What `--describe` says of all groups of a tool's kind: rows by group.

    `tool` is `GROUPS`, `SHARE_GROUPS` or `STREAMS_GROUPS`; `what` is `--offsets`, `--members` or
    `--state`, and `--verbose` for more columns.
    """
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _table(kafka.tool(tool, "--describe", "--all-groups", *what)):
        found[row["GROUP"]].append(row)
    return found


def total_lag(described: list[dict[str, str]]) -> int:
    """The lag of a described group, summed over its partitions."""
    return sum(int(row["LAG"]) for row in described if row["LAG"] != "-")


def _table(text: str) -> list[dict[str, str]]:
    """The rows of all tables: each begins with a line of columns, the first of which is GROUP."""
    rows: list[dict[str, str]] = []
    head: list[str] = []
    for line in text.splitlines():
        cells = line.split()
        if cells[:1] == ["GROUP"]:
            head = cells
        elif head and cells:
            rows.append(dict(zip(head, cells, strict=False)))
    return rows
