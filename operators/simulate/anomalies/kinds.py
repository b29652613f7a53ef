"""Anomalies: what goes wrong, and what of the physics it takes hold of.

A kind says which levers it pulls on which entities, how far and when; everything else follows
from the physics: a stalled group's lag grows because messages still come, a dead broker's
leaders are taken over and load the others.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from operators import plugins
from operators.schema.arrays import Floats, Ints
from operators.schema.metrics import BROKER, CONSUMER_GROUP, NODE, QUEUE, TOPIC, EntityType
from operators.simulate.anomalies.relations import Relations


class Lever(StrEnum):
    """What an anomaly may take hold of. Topics stand for queues too, and so do groups; brokers for nodes."""

    MESSAGES = "messages"
    """× messages that come into topics."""
    SIZE = "size"
    """× bytes of their messages."""
    ERRORS = "errors"
    """+ share of their produce requests that fail."""
    HOT = "hot"
    """Share of a topic's traffic that moves to its first partition."""
    CAPACITY = "capacity"
    """× what groups can consume."""
    READING = "reading"
    """× what groups can consume of topics."""
    CONSUMERS = "consumers"
    """× members of groups."""
    MEMBERSHIP = "membership"
    """+ members a minute that join or leave groups, which then rebalance."""
    PROCESSING = "processing"
    """× time that queues' consumers need for a message."""
    CPU = "cpu"
    """+ points of brokers' processors."""
    MEMORY = "memory"
    """+ points of brokers' memory, of RabbitMQ's nodes in percent of its limit."""
    DISK = "disk"
    """+ share of nodes' free disk that is taken."""
    LATENCY = "latency"
    """+ ms of brokers' request times."""
    REFUSED = "refused"
    """Share of what they lead that brokers refuse to take."""
    BEHIND = "behind"
    """Share of brokers' replicas that fall behind."""
    DOWN = "down"
    """Brokers are dead, and catch up during the recovery."""
    CUT = "cut"
    """Nodes that are down for the others run on by themselves."""
    RETENTION = "retention"
    """Seconds that topics keep messages, at most."""
    UNCLEAN = "unclean"
    """Share of leader elections that are unclean while brokers are down."""


FACTORS = frozenset(
    {
        Lever.MESSAGES,
        Lever.SIZE,
        Lever.CAPACITY,
        Lever.READING,
        Lever.CONSUMERS,
        Lever.PROCESSING,
    }
)
"""Levers that multiply; the others add."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One lever pulled on some entities (places in the topology).

    `amount` at the peak is one number or one an entity. `begin` and `end` are shares of the
    anomaly's duration between which the effect lasts; its onset and recovery are the anomaly's
    shares of that time, or its own.
    """

    lever: Lever
    entities: Ints
    amount: float | Floats
    begin: float = 0.0
    end: float = 1.0
    onset: float | None = None
    recovery: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One anomaly about to happen, as a kind sees it."""

    root: int
    """Place of the entity where it starts, among those of its type."""
    relations: Relations
    magnitude: float
    """Strength beside the ordinary."""
    chance: float
    """A random number in [0, 1): how bad it gets within the kind's range."""

    @property
    def itself(self) -> Ints:
        """The root as a set of one."""
        return np.array([self.root], np.int64)

    def between(self, low: float, high: float) -> float:
        """A number of the kind's range."""
        return low + (high - low) * self.chance

    def factor(self, ordinary: float) -> float:
        """A factor of this magnitude: its distance from 1 grows with it, down to 0."""
        return max(0.0, 1 + (ordinary - 1) * self.magnitude)

    def share(self, ordinary: float) -> float:
        """A share of this magnitude, at most 1."""
        return min(1.0, ordinary * self.magnitude)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of anomaly: where it may start and what it does.

    `effects` must depend on nothing but its argument. `onset` and `recovery` are the shares of
    the duration in which it sets in and abates, unless the settings say others.
    """

    roots: tuple[EntityType, ...]
    effects: Callable[[Case], Iterable[Effect]]
    onset: float = 0.2
    recovery: float = 0.3


def _spike(case: Case) -> Iterable[Effect]:
    """Messages × 3–10, bytes × 5–15; brokers, groups and lag follow."""
    yield Effect(Lever.MESSAGES, case.itself, case.factor(case.between(3, 10)))
    yield Effect(Lever.SIZE, case.itself, case.factor(1.5))


def _drop(case: Case) -> Iterable[Effect]:
    """Messages × 0.2, bytes × 0.1, 5–20 % of requests fail, queues work 5–15 times longer."""
    yield Effect(Lever.MESSAGES, case.itself, case.factor(0.2))
    yield Effect(Lever.SIZE, case.itself, case.factor(0.5))
    yield Effect(Lever.ERRORS, case.itself, case.share(case.between(0.05, 0.2)))
    yield Effect(Lever.PROCESSING, case.itself, case.factor(case.between(5, 15)))


def _lull(case: Case) -> Iterable[Effect]:
    """Messages × 0.3, as on a holiday that is none, and nothing else."""
    yield Effect(Lever.MESSAGES, case.itself, case.factor(0.3))


def _broker_down(case: Case) -> Iterable[Effect]:
    """The broker dies; others lead in its place; its clients stumble while they find them."""
    topics, _ = case.relations.led_by(case.root)
    readers = case.relations.readers_of(topics)
    yield Effect(Lever.DOWN, case.itself, 1.0)
    yield Effect(Lever.MEMBERSHIP, readers, 2 * case.magnitude, end=0.2, onset=0, recovery=0)
    yield Effect(Lever.CAPACITY, readers, case.factor(0.3), end=0.2, onset=0)


def _unclean_election(case: Case) -> Iterable[Effect]:
    """Replicas fall behind, then their leader dies: elections are unclean, messages get lost."""
    topics, shares = case.relations.led_by(case.root)
    yield Effect(Lever.BEHIND, case.itself, case.share(1.0), end=0.3, onset=0.3, recovery=0)
    yield Effect(Lever.DOWN, case.itself, 1.0, begin=0.3)
    yield Effect(Lever.UNCLEAN, case.itself, case.share(0.5), begin=0.3)
    yield Effect(Lever.ERRORS, topics, case.share(0.1) * shares, begin=0.3, onset=0)


def _cpu_spike(case: Case) -> Iterable[Effect]:
    """A process beside the broker takes its processor; requests wait."""
    yield Effect(Lever.CPU, case.itself, 30 * case.magnitude)
    yield Effect(Lever.MEMORY, case.itself, 5 * case.magnitude, begin=0.05)
    yield Effect(Lever.LATENCY, case.itself, 20 * case.magnitude, begin=0.05)


def _memory_leak(case: Case) -> Iterable[Effect]:
    """Memory fills slowly, collection of garbage takes time, a restart ends it."""
    yield Effect(Lever.MEMORY, case.itself, 25 * case.magnitude)
    yield Effect(Lever.CPU, case.itself, 5 * case.magnitude, begin=0.3)
    yield Effect(Lever.LATENCY, case.itself, 10 * case.magnitude, begin=0.4)


def _disk_full(case: Case) -> Iterable[Effect]:
    """The broker refuses what is produced to it."""
    yield Effect(Lever.REFUSED, case.itself, case.share(1.0))
    yield Effect(Lever.LATENCY, case.itself, 30 * case.magnitude)


def _network_congestion(case: Case) -> Iterable[Effect]:
    """Requests take longer, replicas fall behind, groups that read from the broker slow down."""
    topics, _ = case.relations.led_by(case.root)
    yield Effect(Lever.LATENCY, case.itself, 50 * case.magnitude)
    yield Effect(Lever.CPU, case.itself, 10 * case.magnitude)
    yield Effect(Lever.MEMORY, case.itself, 5 * case.magnitude, begin=0.05)
    yield Effect(Lever.BEHIND, case.itself, case.share(0.5), begin=0.1)
    readers = case.relations.readers_of(topics)
    yield Effect(Lever.CAPACITY, readers, case.factor(0.6), begin=0.1)


def _latency_spike(case: Case) -> Iterable[Effect]:
    """Requests take long."""
    yield Effect(Lever.LATENCY, case.itself, 100 * case.magnitude)
    yield Effect(Lever.CPU, case.itself, 15 * case.magnitude, begin=0.05)
    yield Effect(Lever.MEMORY, case.itself, 5 * case.magnitude, begin=0.05)


def _consumer_stall(case: Case) -> Iterable[Effect]:
    """Members stay and read nothing."""
    yield Effect(Lever.CAPACITY, case.itself, case.factor(0.0))


def _slow_drain(case: Case) -> Iterable[Effect]:
    """Consuming slows down to less than what comes."""
    yield Effect(Lever.CAPACITY, case.itself, case.factor(0.35))
    yield Effect(Lever.PROCESSING, case.itself, case.factor(3))


def _retention_loss(case: Case) -> Iterable[Effect]:
    """Retention is set to five minutes, and the group stands still: it loses what it has not read."""
    topics = case.relations.read_by(case.itself)
    yield Effect(Lever.RETENTION, topics, 300 / case.magnitude, onset=0, recovery=0)
    yield Effect(Lever.CAPACITY, case.itself, 0.0, begin=0.05, end=0.8, onset=0, recovery=0)


def _rebalance_storm(case: Case) -> Iterable[Effect]:
    """Members come and go, and while they do so they read little."""
    yield Effect(Lever.MEMBERSHIP, case.itself, 12 * case.magnitude)
    yield Effect(Lever.CONSUMERS, case.itself, case.factor(0.6))
    yield Effect(Lever.CAPACITY, case.itself, case.factor(0.15), begin=0.05)


def _partition_skew(case: Case) -> Iterable[Effect]:
    """One key takes over: a partition, its leader and its one consumer carry most of it."""
    yield Effect(Lever.HOT, case.itself, case.share(0.6))
    yield Effect(Lever.READING, case.itself, case.factor(0.4), begin=0.05)


def _poison_message(case: Case) -> Iterable[Effect]:
    """A message that no consumer can process: they fail, restart and hardly get on."""
    yield Effect(Lever.ERRORS, case.itself, case.share(case.between(0.1, 0.3)))
    readers = case.relations.readers_of(case.itself)
    yield Effect(Lever.MEMBERSHIP, readers, 4 * case.magnitude, begin=0.05)
    yield Effect(Lever.CAPACITY, readers, case.factor(0.1), begin=0.05)


def _redelivery_storm(case: Case) -> Iterable[Effect]:
    """Consumers fail on half of what they get and leave: it is requeued and delivered again."""
    yield Effect(Lever.ERRORS, case.itself, case.share(0.5))
    yield Effect(Lever.CONSUMERS, case.itself, case.factor(0.6))
    yield Effect(Lever.CAPACITY, case.itself, case.factor(0.3), begin=0.05)


def _node_down(case: Case) -> Iterable[Effect]:
    """The node dies: its classic queues with it, quorum queues and streams are led elsewhere."""
    queues, _ = case.relations.led_by(case.root)
    yield Effect(Lever.DOWN, case.itself, 1.0)
    yield Effect(Lever.CAPACITY, queues, case.factor(0.3), end=0.2, onset=0)


def _quorum_lost(case: Case) -> Iterable[Effect]:
    """Most nodes die: quorum queues and streams that had most of their members there stand still."""
    count = case.relations.brokers
    most = (case.root + np.arange(count // 2 + 1)) % max(count, 1)
    yield Effect(Lever.DOWN, most.astype(np.int64), 1.0)


def _network_partition(case: Case) -> Iterable[Effect]:
    """The network cuts the node off; once it is back both sides report it, until the node is restarted."""
    queues, _ = case.relations.led_by(case.root)
    yield Effect(Lever.DOWN, case.itself, 1.0)
    yield Effect(Lever.CUT, case.itself, 1.0, begin=0.3, onset=0, recovery=0)
    yield Effect(Lever.CAPACITY, queues, case.factor(0.3), end=0.2, onset=0)


def _memory_alarm(case: Case) -> Iterable[Effect]:
    """The node's memory fills up beyond its limit: all publishers are blocked until it abates."""
    yield Effect(Lever.MEMORY, case.itself, 80 * case.magnitude)


def _disk_alarm(case: Case) -> Iterable[Effect]:
    """Something fills the node's disk: all publishers are blocked until it abates."""
    yield Effect(Lever.DISK, case.itself, case.share(1.0))


KINDS: dict[str, Kind] = {
    "spike": Kind((TOPIC, QUEUE), _spike),
    "drop": Kind((TOPIC, QUEUE), _drop),
    "lull": Kind((TOPIC, QUEUE), _lull, onset=0.02, recovery=0.02),
    "partition_skew": Kind((TOPIC,), _partition_skew),
    "poison_message": Kind((TOPIC, QUEUE), _poison_message),
    "consumer_stall": Kind((CONSUMER_GROUP, QUEUE), _consumer_stall, onset=0.05, recovery=0.05),
    "slow_drain": Kind((CONSUMER_GROUP, QUEUE), _slow_drain),
    "retention_loss": Kind((CONSUMER_GROUP,), _retention_loss, onset=0.0, recovery=0.2),
    "rebalance_storm": Kind((CONSUMER_GROUP,), _rebalance_storm),
    "broker_down": Kind((BROKER,), _broker_down, onset=0.0),
    "unclean_election": Kind((BROKER,), _unclean_election, onset=0.0),
    "cpu_spike": Kind((BROKER,), _cpu_spike),
    "memory_leak": Kind((BROKER,), _memory_leak, onset=0.9, recovery=0.05),
    "disk_full": Kind((BROKER,), _disk_full),
    "network_congestion": Kind((BROKER,), _network_congestion),
    "latency_spike": Kind((BROKER,), _latency_spike),
    "redelivery_storm": Kind((QUEUE,), _redelivery_storm),
    "node_down": Kind((NODE,), _node_down, onset=0.0),
    "quorum_lost": Kind((NODE,), _quorum_lost, onset=0.0),
    "network_partition": Kind((NODE,), _network_partition, onset=0.0, recovery=0.1),
    "memory_alarm": Kind((NODE,), _memory_alarm),
    "disk_alarm": Kind((NODE,), _disk_alarm),
}
"""The built-in kinds by name."""

_LONG_NAMES = {"traffic_spike": "spike", "traffic_drop": "drop"}


def kind_of(name: str) -> Kind:
    """A kind by its name: built in, an entry point of `mqpipe.anomalies`, or `module:name`.

    Raises:
        PluginError: there is none of this name, or what is there is no `Kind`.
    """
    found = KINDS.get(_LONG_NAMES.get(name, name)) or plugins.load("anomaly", name, KINDS)
    if not isinstance(found, Kind):
        raise plugins.PluginError("anomaly", name, f"it is no Kind but {type(found).__name__}")
    return found
