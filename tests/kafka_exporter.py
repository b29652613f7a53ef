"""Facts of danielqsj's kafka_exporter 1.9, of which there is a page by its names.

What its page has was read of its source, and of a page of it; the board is the one that its
repository ships, which is 7589 at grafana.com.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PARTITION = frozenset({"topic", "partition"})
GROUP = frozenset({"consumergroup", "topic"})
FAMILIES: Mapping[str, frozenset[str]] = {
    "kafka_brokers": frozenset(),
    "kafka_broker_info": frozenset({"id", "address"}),
    "kafka_topic_partitions": frozenset({"topic"}),
    "kafka_topic_partition_current_offset": PARTITION,
    "kafka_topic_partition_oldest_offset": PARTITION,
    "kafka_topic_partition_leader": PARTITION,
    "kafka_topic_partition_replicas": PARTITION,
    "kafka_topic_partition_in_sync_replica": PARTITION,
    "kafka_topic_partition_leader_is_preferred": PARTITION,
    "kafka_topic_partition_under_replicated_partition": PARTITION,
    "kafka_consumergroup_current_offset": GROUP | {"partition"},
    "kafka_consumergroup_current_offset_sum": GROUP,
    "kafka_consumergroup_lag": GROUP | {"partition"},
    "kafka_consumergroup_lag_sum": GROUP,
    "kafka_consumergroup_members": frozenset({"consumergroup"}),
}
"""By each family that a cluster of its own makes, all of them gauges: its labels."""

OWN = ("kafka_exporter_", "go_", "process_", "promhttp_")
"""What names of the exporter's own begin with."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel asks for, with the board's variables put in."""

    title: str
    query: str


def board(job: str, instance: str, topic: str = ".*") -> tuple[Panel, ...]:
    """The board's panels, and its variables as panels of their own."""
    at = f'instance="{instance}",topic=~"{topic}"'
    produced, read = "kafka_topic_partition_current_offset", "kafka_consumergroup_current_offset"
    each = "sum by (consumergroup, topic)"
    return (
        Panel("variable job", f"group by (job) ({read})"),
        Panel("variable instance", f'group by (instance) ({read}{{job=~"{job}"}})'),
        Panel(
            "variable topic",
            f'group by (topic) ({produced}{{instance="{instance}",topic!="__consumer_offsets",'
            'topic!="--kafka"})',
        ),
        Panel("Message in per second", f"sum by (topic) (rate({produced}{{{at}}}[1m]))"),
        Panel("Lag by Consumer Group", f"{each} (kafka_consumergroup_lag{{{at}}})"),
        Panel("Message in per minute", f"sum by (topic) (delta({produced}{{{at}}}[5m]) / 5)"),
        Panel("Message consume per minute", f"{each} (delta({read}{{{at}}}[5m]) / 5)"),
        Panel("Partitions per Topic", f"sum by (topic) (kafka_topic_partitions{{{at}}})"),
    )
