"""A Kafka topic as a destination: an idempotent producer, and what each error means."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from operators.schema.kafka import DebugLog
from operators.schema.logs import Log
from operators.schema.msk_iam import NoCredentialsError
from sinks.delivery import Parcel, Rejected, RetryLater, SampleBatches, TooLarge
from sinks.kafka.messages import Message, messages
from sinks.kafka.settings import NAME, KafkaSettings

PRODUCER_DEFAULTS = {
    "client.id": "mqpipe",
    "enable.idempotence": "true",
    # Batches are compressed already, and brokers hold what is sent together against the limit
    # of a message.
    "compression.type": "none",
    "batch.num.messages": "1",
    # The same partition for a cluster as Java's clients choose.
    "partitioner": "murmur2_random",
    # An outage is waited for by the spool, which says so; librdkafka need not.
    "message.timeout.ms": "30000",
    "reconnect.backoff.max.ms": "2000",
    "log.connection.close": "false",
    "enable.metrics.push": "false",
}
"""librdkafka properties that differ from its own defaults; `client` in the config has the last word."""

_LEAST_BYTES = 16_384
"""Messages are not made smaller than this: one of a single sample takes about 8 kB."""

_REQUEST_TIMEOUT = 10.0
_POLL = 0.1


class Kafka:
    """Delivers samples as messages of one batch each, by an idempotent producer.

    A message counts as delivered when all in-sync replicas have it.
    """

    name = NAME

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._config = {**PRODUCER_DEFAULTS, **settings.client_config()}
        self._most_bytes = settings.message_bytes
        self._connection: _KafkaProducer | None = None
        self._connecting = asyncio.Lock()
        """One for each loop: see `start`."""
        self._topic_is_there = False
        self._log = Log("mqpipe.kafka").bind(topic=settings.topic)

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        """A parcel a message; a single sample that is too large for one is refused."""
        for message in messages(samples, self._most_bytes):
            refused = None
            if len(message.value) > self._most_bytes:
                refused = f"one sample takes more than the {self._most_bytes} bytes of a message"
            yield Parcel((message.samples,), self._settings.topic, message, refused)

    async def start(self) -> None:
        """The connection is made by the first message."""
        self._connecting = asyncio.Lock()

    async def stop(self) -> None:
        """Close the connection; what is not acknowledged is sent again at the next start."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)

    async def send(self, parcel: Parcel) -> None:
        """Produce one message and wait for its acknowledgement.

        Raises:
            RetryLater, TooLarge, Rejected: by librdkafka's or the broker's error.
        """
        message: Message = parcel.body
        connection = await self._connected()
        error = await connection.produce(self._settings.topic, message)
        if error is None:
            return
        if error.fatal() and connection is self._connection:
            await self.stop()
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._topic_is_there = False
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._make_smaller(len(message.value))
        raise failure_of(error, connection.last_error)

    def _make_smaller(self, too_large: int) -> None:
        smaller = max(_LEAST_BYTES, too_large // 2)
        if smaller < self._most_bytes:
            self._most_bytes = smaller
            self._log.info("messages are made smaller for this topic", bytes=smaller)

    async def _connected(self) -> "_KafkaProducer":
        async with self._connecting:
            if self._topic_is_there and self._connection is not None:
                return self._connection
            try:
                if "oauth_cb" in self._config:
                    await asyncio.to_thread(self._settings.check_credentials)
                if not self._topic_is_there:
                    await self._make_topic()
                    self._topic_is_there = True
                if self._connection is None:
                    self._connection = _KafkaProducer(self._config, asyncio.get_running_loop())
            except NoCredentialsError as error:
                raise RetryLater(str(error)) from error
            except KafkaException as error:  # A file that is not there; it may be put there.
                raise RetryLater(f"no client can be made: {error.args[0].str()}") from error
            return self._connection

    async def _make_topic(self) -> None:
        # No thread waits for the answer: a drain would have to wait for that thread.
        admin = AdminClient({**self._settings.client_config()}, logger=DebugLog())
        topic = self._settings.topic
        what = f"topic `{topic}`"
        try:
            described = admin.describe_topics(
                TopicCollection([topic]), request_timeout=_REQUEST_TIMEOUT
            )
            await asyncio.wrap_future(described[topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise RetryLater(f"{what} cannot be described: {error.args[0].str()}") from error
        else:
            return
        try:
            new = NewTopic(
                topic,
                num_partitions=self._settings.partitions,
                replication_factor=-1,
                config={"compression.type": "producer", "message.timestamp.type": "CreateTime"},
            )
            created = admin.create_topics([new], request_timeout=_REQUEST_TIMEOUT)
            await asyncio.wrap_future(created[topic])
            self._log.info("topic created", partitions=self._settings.partitions)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise RetryLater(
                    f"{what} is absent and cannot be created: {error.args[0].str()}"
                ) from error


class _KafkaProducer:
    """A producer, and the thread that reports to the loop what became of its messages."""

    def __init__(self, config: dict[str, str], loop: asyncio.AbstractEventLoop) -> None:
        self.last_error = ""
        self._loop = loop
        self._producer = Producer({**config, "error_cb": self._on_error}, logger=DebugLog())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._thread.start()

    async def produce(self, topic: str, message: Message) -> KafkaError | None:
        """Send a message; gives the error where it was not delivered."""
        future: asyncio.Future[KafkaError | None] = self._loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if not future.done():
                future.set_result(error)

        def on_delivery(error: KafkaError | None, _: Any) -> None:
            self._loop.call_soon_threadsafe(settle, error)

        try:
            self._producer.produce(
                topic,
                message.value,
                message.cluster.encode(),
                timestamp=message.timestamp,
                headers=message.headers,
                on_delivery=on_delivery,
            )
        except BufferError as error:
            raise RetryLater("the producer's queue is full") from error
        except KafkaException as error:
            failed: KafkaError = error.args[0]
            return failed
        return await future

    def close(self) -> None:
        """End the thread; messages under way are given a moment, then they fail."""
        self._producer.flush(1.0)
        self._producer.purge()
        self._producer.flush(1.0)
        self._closing.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL)

    def _on_error(self, error: KafkaError) -> None:
        self.last_error = error.str()


def failure_of(error: KafkaError, cause: str = "") -> RetryLater | Rejected:
    """What follows from an error: all but the message's own faults may pass."""
    reason = f"{error.name()}: {error.str()}"
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return TooLarge(reason, error.code())
    if error.code() in _REJECTED:
        return Rejected(reason, error.code())
    return RetryLater(f"{reason} ({cause})" if cause else reason)


_REJECTED = (
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.POLICY_VIOLATION,
)
