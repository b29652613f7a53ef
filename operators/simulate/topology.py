"""What a simulated cluster is made of: brokers, topics, groups, queues and how they relate."""

from dataclasses import dataclass, field

from operators.schema.rabbitmq import DEFAULT_VHOST


@dataclass(frozen=True, slots=True)
class TopicShape:
    """A topic: its partitions and its level (messages/s at a pattern factor of 1)."""

    name: str
    partitions: int
    replication_factor: int
    messages: float
    message_size: int
    """Bytes of a message."""
    lasting: bool = True
    """Whether it is always there, or comes and goes."""


@dataclass(frozen=True, slots=True)
class GroupShape:
    """A consumer group, the topics that it reads (places in the topology), its members."""

    name: str
    topics: tuple[int, ...]
    consumers: int
    capacity: float
    """What it can consume, as a multiple of its topics' level."""
    lasting: bool = True
    """Whether it is always there, or comes and goes."""


@dataclass(frozen=True, slots=True)
class QueueShape:
    """A queue: level and capacity (messages/s), time to process a message (ms), bytes of one."""

    name: str
    messages: float
    capacity: float
    processing_time: float
    message_size: int
    vhost: str = field(default=DEFAULT_VHOST, repr=False)
    """RabbitMQ's virtual host. A fleet's queues are all in one: it is no part of its fingerprint."""
    type: str | None = field(default=None, repr=False)
    """RabbitMQ's type of it; None where that is left to chance."""
    dead_letters_to: int | None = field(default=None, repr=False)
    """Place of the queue of RabbitMQ that its dead letters go to."""
    max_length: int | None = field(default=None, repr=False)
    """Messages that may wait in it."""
    message_ttl: float | None = field(default=None, repr=False)
    """Seconds that a message waits in it until it expires."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that a cluster holds. Queue providers have queues, RabbitMQ nodes too, Kafka the rest."""

    brokers: tuple[int, ...] = ()
    topics: tuple[TopicShape, ...] = ()
    groups: tuple[GroupShape, ...] = ()
    queues: tuple[QueueShape, ...] = ()
    nodes: tuple[str, ...] = field(default=(), repr=False)
    """Names of RabbitMQ's nodes; only its fleets' fingerprints have them."""

    @property
    def pairs(self) -> int:
        """Pairs of a group and a topic that it reads."""
        return sum(len(group.topics) for group in self.groups)

    @property
    def entities(self) -> int:
        """Samples a tick, at most: the cluster's own and one of each entity."""
        held = (self.brokers, self.topics, self.groups, self.queues, self.nodes)
        return 1 + sum(map(len, held))
