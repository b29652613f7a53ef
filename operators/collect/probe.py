"""An end-to-end probe of a cluster: messages of its own, produced, committed and read back."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from secrets import token_bytes

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from operators.collect.errors import CollectionError, Problem, problem, problem_of, summary
from operators.collect.samples import ClusterIdentity, collected_batch
from operators.collect.settings import ClusterSettings, ProbeSettings
from operators.pool.thread import in_thread
from operators.protocol.errors import error_class
from operators.schema.kafka import DebugLog
from operators.schema.metrics import PROBE
from operators.schema.msk_iam import NoCredentialsError, check_credentials, for_librdkafka
from operators.ticks import PROBE_KIND, Collected, Ticks

DEFAULTS = {
    "client.id": "mqpipe",
    "socket.keepalive.enable": "true",
    # A broker that comes back is noticed within a tick.
    "reconnect.backoff.ms": "200",
    "reconnect.backoff.max.ms": "2000",
    "enable.metrics.push": "false",
}
"""librdkafka properties that differ from its own defaults; `client` in the config has the last word."""

MOST_REPLICAS = 3
TOPIC_CONFIG = {"retention.ms": "600000", "cleanup.policy": "delete"}
"""Of the probe's topic: it keeps messages for ten minutes."""

PRODUCE_SHARE = 0.5
READ_SHARE = 0.8
COMMIT_SHARE = 0.95
"""Shares of a round's time by which it has produced, read back and committed."""

_POLL = 0.1

_CLOSING = 5.0


@dataclass
class _Round:
    """One message to each partition, on its way; moments are of the monotonic clock."""

    mark: bytes
    partitions: int
    sent: float
    delivered: dict[int, tuple[int, float]] = field(default_factory=dict)
    """By partition: the offset, and when the acknowledgement came."""
    read: dict[int, float] = field(default_factory=dict)
    """By partition: when the message was read back."""
    refused: KafkaError | None = None

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """A message was acknowledged, or given up."""
        if error is not None:
            self.refused = error
        else:
            offset, partition = message.offset(), message.partition()
            assert offset is not None and partition is not None  # noqa: S101, PT018
            self.delivered[partition] = offset, time.monotonic()

    @property
    def lost(self) -> list[int]:
        """The partitions whose message was not read back."""
        return sorted(set(range(self.partitions)) - self.read.keys())


@dataclass(frozen=True)
class _Clients:
    producer: Producer
    consumer: Consumer
    partitions: int
    """Of the topic."""
    committed: list[KafkaError | None]
    """What became of the last commit; empty while that is not known."""


class Probe:
    """Probes one cluster, by a topic and a consumer group of its own.

    The topic has a partition for each broker, keeps messages for minutes, and is made where it is
    missing. `close` removes topic and group. All calls block, so they run in a thread.
    """

    def __init__(
        self, cluster: ClusterSettings, settings: ProbeSettings, account_id: int | None = None
    ) -> None:
        self._identity = ClusterIdentity(cluster.name, cluster.environment, account_id)
        self._topic = settings.topic
        self._properties = cluster.properties
        self._config = {**DEFAULTS, **for_librdkafka(self._properties)}
        self._clients: _Clients | None = None
        self._came_by = False
        """Whether there may be something to remove."""

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """One PROBE row; an error says which partitions' messages were lost.

        Raises:
            CollectionError: nothing could be produced, and why.
        """
        return await in_thread(partial(self._probe, tick.start, time_left))

    async def close(self) -> None:
        """Remove the topic and the group, and end the connections."""
        if self._came_by:
            await in_thread(self._remove)

    def _probe(self, tick: int, time_left: float) -> Collected:
        begun = time.monotonic()
        what = f"{self._identity.cluster}: probe by the topic {self._topic}"
        try:
            produced_by = begun + PRODUCE_SHARE * time_left
            clients = self._connected(produced_by)
            sent = _produce(clients, self._topic, produced_by)
            if not sent.delivered:
                self._clients = None
                raise CollectionError(_problem(sent.refused, what, "Write on the topic"))
            _read_back(clients.consumer, self._topic, sent, begun + READ_SHARE * time_left)
            commit = _commit(clients, self._topic, sent, begun + COMMIT_SHARE * time_left)
        except NoCredentialsError as error:
            raise CollectionError(problem("auth", str(error), what)) from error
        except (KafkaException, TimeoutError) as error:
            self._clients = None
            refused = error.args[0] if isinstance(error, KafkaException) else None
            needs = "Create, Write and Read on the topic, Read on the group"
            raise CollectionError(_problem(refused, what, needs)) from error
        if sent.lost or commit is None:
            self._clients = None
        return self._collected(tick, sent, commit)

    def _connected(self, until: float) -> _Clients:
        """The clients, recreated after trouble."""
        if self._clients is None:
            check_credentials(self._properties)
            log = DebugLog()
            committed: list[KafkaError | None] = []
            partitions = self._prepared(AdminClient(self._config, logger=log), until)
            producer = Producer({**self._config, "linger.ms": 0, "acks": "all"}, logger=log)
            consumer = Consumer(
                {
                    **self._config,
                    "group.id": self._topic,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 10,
                    "on_commit": lambda error, _: committed.append(error),
                },
                logger=log,
            )
            self._clients = _Clients(producer, consumer, partitions, committed)
        return self._clients

    def _prepared(self, admin: AdminClient, until: float) -> int:
        """The partitions of the topic, which is made where it is missing."""
        metadata = admin.list_topics(timeout=_left(until))
        self._came_by = True
        found = metadata.topics.get(self._topic)
        if found is not None and found.partitions:
            return len(found.partitions)
        brokers = len(metadata.brokers)
        left = _left(until)
        topic = NewTopic(self._topic, brokers, replicas_of(brokers), config=TOPIC_CONFIG)
        admin.create_topics([topic], operation_timeout=left)[self._topic].result(left)
        return brokers

    def _collected(self, tick: int, sent: _Round, commit: float | None) -> Collected:
        acknowledged = [at - sent.sent for _, at in sent.delivered.values()]
        there_and_back = [at - sent.sent for at in sent.read.values()]
        row = collected_batch(
            self._identity,
            tick,
            PROBE,
            [(PROBE_KIND,)],
            [PROBE_KIND],
            {
                "probe.sent": [sent.partitions],
                "probe.lost": [len(sent.lost)],
                "probe.produceLatency": [max(acknowledged)],
                "probe.roundTripLatency": [max(there_and_back, default=None)],
                "probe.commitLatency": [commit],
            },
        )
        problems = list(self._problems(sent, commit))
        return Collected((row,), {}, *summary(problems))

    def _problems(self, sent: _Round, commit: float | None) -> Iterator[Problem]:
        cluster = self._identity.cluster
        if sent.lost:
            unacknowledged = sorted(set(sent.lost) - sent.delivered.keys()) or "none"
            yield Problem(
                "timeout",
                f"{cluster}: of {sent.partitions} messages to {self._topic} those to partitions "
                f"{sent.lost} were not read back in time ({unacknowledged} not even "
                "acknowledged): are their leaders well?",
            )
        if sent.read and commit is None:
            yield Problem(
                "timeout",
                f"{cluster}: the commit of the group {self._topic} was not acknowledged in time: "
                "is its coordinator well?",
            )

    def _remove(self) -> None:
        if self._clients is not None:
            self._clients.consumer.close()
            self._clients = None
        admin = AdminClient(self._config, logger=DebugLog())
        for futures in (
            admin.delete_consumer_groups([self._topic], request_timeout=_CLOSING),
            admin.delete_topics([self._topic], operation_timeout=_CLOSING),
        ):
            for future in futures.values():
                # What cannot be removed is little, and its messages go by themselves.
                future.exception(_CLOSING)


def replicas_of(brokers: int) -> int:
    """The replicas of a probe's topic in a cluster of so many brokers."""
    return min(MOST_REPLICAS, brokers)


_LOCAL = {
    "_TRANSPORT": "refused",
    "_ALL_BROKERS_DOWN": "refused",
    "_RESOLVE": "resolve",
    "_SSL": "tls",
    "_AUTHENTICATION": "auth",
    "_INVALID_ARG": "config",
    "_UNSUPPORTED_FEATURE": "unsupported",
}
"""Classes of errors that librdkafka raises itself; others are time-outs."""


def _problem(error: KafkaError | None, what: str, needs: str) -> Problem:
    """What an error of librdkafka's means; None is that no answer came."""
    if error is None:
        return problem_of(TimeoutError(), what)
    local = _LOCAL.get(error.name(), "timeout")
    return problem(
        error_class(error.code()) if error.code() >= 0 else local, error.str(), what, needs
    )


def _left(until: float) -> float:
    """Seconds until then; librdkafka takes less than a moment for no limit."""
    return max(0.001, until - time.monotonic())


def _produce(clients: _Clients, topic: str, until: float) -> _Round:
    producer = clients.producer
    sent = _Round(token_bytes(16), clients.partitions, time.monotonic())
    for partition in range(clients.partitions):
        producer.produce(topic, sent.mark, partition=partition, on_delivery=sent.on_delivery)
    if producer.flush(_left(until)):
        producer.purge()
        producer.flush(0)
    return sent


def _read_back(consumer: Consumer, topic: str, sent: _Round, until: float) -> None:
    consumer.assign([TopicPartition(topic, p, offset) for p, (offset, _) in sent.delivered.items()])
    while len(sent.read) < len(sent.delivered) and time.monotonic() < until:
        message = consumer.poll(_left(until))
        if message is None or message.error() is not None:
            continue
        partition = message.partition()
        if message.value() == sent.mark and partition is not None:
            sent.read[partition] = time.monotonic()


def _commit(clients: _Clients, topic: str, sent: _Round, until: float) -> float | None:
    """Seconds that a commit of what was read takes; None where it was not acknowledged in time.

    Raises:
        KafkaException: it was refused.
    """
    offsets = [
        TopicPartition(topic, partition, sent.delivered[partition][0] + 1)
        for partition in sent.read
    ]
    if not offsets:
        return None
    begun = time.monotonic()
    clients.committed.clear()
    clients.consumer.commit(offsets=offsets, asynchronous=True)
    while not clients.committed and time.monotonic() < until:
        clients.consumer.poll(min(_left(until), _POLL))
    if not clients.committed:
        return None
    error = clients.committed[0]
    if error is not None:
        raise KafkaException(error)
    return time.monotonic() - begun
