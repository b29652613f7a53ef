"""Default figures of simulated fleets: what a preset means in numbers.

Rates are messages per second at a pattern factor of 1, times in milliseconds, loads in percent.
"""

from dataclasses import dataclass
from typing import Literal

Provider = Literal["kafka", "rabbitmq", "nats", "sqs", "azure_service_bus", "pubsub"]

CLUSTER_MESSAGES: dict[Provider, float] = {
    "kafka": 10_000,
    "rabbitmq": 5_000,
    "nats": 5_000,
    "sqs": 3_000,
    "azure_service_bus": 4_000,
    "pubsub": 8_000,
}
"""Messages/s of a cluster of ten topics or queues in production."""

ENVIRONMENT_SCALE = {"production": 1.0, "staging": 0.3, "development": 0.1, "test": 0.05}
"""Traffic of an environment beside production's; any other name counts as production."""

REPLICATION_FACTOR = 3

CPU, MEMORY, LATENCY = 45.0, 60.0, 15.0
"""A broker's processor and memory in percent, its request time in ms, at a factor of 1."""

CONTROLLER_CPU, CONTROLLER_MEMORY, CONTROLLER_LATENCY = 10.0, 5.0, 5.0
"""What the active controller has on top."""

HEAP = 6 << 30
"""Bytes of a broker's Java heap."""

PROCESSORS = 8

THREADS = 96
"""Of a broker's process."""

RESTARTED = 30 * 86400.0
"""Seconds between two restarts of a broker, for updates."""


@dataclass(frozen=True, slots=True)
class TopicPreset:
    """Level and partitions of a topic, by what its name holds."""

    messages: float
    partitions: int


_TOPICS = (
    (("event", "log"), TopicPreset(5_000, 12)),
    (("analytic", "metric"), TopicPreset(2_000, 12)),
)
_OTHER_TOPIC = TopicPreset(500, 6)


def topic_preset(name: str) -> TopicPreset:
    """The preset of a topic: names with events or logs carry most, then analytics or metrics."""
    lowered = name.lower()
    for words, preset in _TOPICS:
        for word in words:
            if word in lowered:
                return preset
    return _OTHER_TOPIC


@dataclass(frozen=True, slots=True)
class QueuePreset:
    """Level, capacity (messages/s) and processing time (ms) of a queue."""

    messages: float
    capacity: float
    processing_time: float


_QUEUES = (
    (("dead-letter", "dlq"), QueuePreset(10, 5, 1_000)),
    (("fifo",), QueuePreset(300, 295, 400)),
    (("priority",), QueuePreset(800, 780, 150)),
)
_OTHER_QUEUE = QueuePreset(1_000, 950, 200)


def queue_preset(name: str) -> QueuePreset:
    """The preset of a queue, by what its name holds: dead-letter, fifo, priority, or neither."""
    lowered = name.lower()
    return next((p for words, p in _QUEUES if any(w in lowered for w in words)), _OTHER_QUEUE)


TOPIC_NAMES = (
    "orders",
    "user-events",
    "payments",
    "shipments",
    "app-metrics",
    "invoices",
    "inventory",
    "notifications",
    "accounts",
    "refunds",
)
GROUP_NAMES = ("billing", "warehouse", "search-indexer", "fraud-check", "notifier")
QUEUE_NAMES = (
    "orders",
    "payments-fifo",
    "emails",
    "alerts-priority",
    "orders-dead-letter",
    "images",
    "exports",
    "webhooks",
    "imports",
    "reports",
)


def dead_letter_name(queue: str) -> str:
    """What the queue is called that a queue's dead letters go to: of `orders-2` `orders-dead-letter-2`."""
    name, dash, number = queue.rpartition("-")
    if name and number.isdigit():
        return f"{name}-dead-letter{dash}{number}"
    return f"{queue}-dead-letter"


def names_of(base: tuple[str, ...], count: int) -> list[str]:
    """`count` distinct names: the base names, then the base names with -2, -3 and so on."""
    rounds = -(-count // len(base))
    names = [*base, *(f"{name}-{n}" for n in range(2, rounds + 1) for name in base)]
    return names[:count]
