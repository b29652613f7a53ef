"""What of Kafka's ticks is compared: rates, lag in seconds, trends."""

from operators.collect.raw.schemas import (
    COMMITS,
    CONSUMPTION,
    COUNTERS,
    EPOCHS,
    MEMBERS,
    OFFSETS,
    PAGES,
)
from operators.derive.brokers import derive_brokers, kept_brokers
from operators.derive.groups import derived_groups
from operators.derive.history import HISTORY
from operators.derive.rules import Rule, Rules, each
from operators.derive.topics import derive_topics, kept_topics
from operators.ticks import TargetKind

KAFKA_RULES: Rules = {
    TargetKind.BROKERS: Rule(
        each(derive_brokers, lambda now, before, partial, most: kept_brokers(now, before)),  # noqa: ARG005
        {"pages": PAGES, "counters": COUNTERS, "epochs": EPOCHS},
    ),
    TargetKind.TOPICS: Rule(
        each(derive_topics, kept_topics),
        {"pages": PAGES, "counters": COUNTERS, "offsets": OFFSETS, "consumption": CONSUMPTION},
    ),
    TargetKind.GROUPS: Rule(
        derived_groups,
        {"members": MEMBERS, "commits": COMMITS, "history": HISTORY},
    ),
}
