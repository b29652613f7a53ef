"""Which messages of a topic a replay reads: decided once, when it begins."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from operators.schema.kafka import MESSAGE_SPAN, DebugLog, KafkaConnection
from operators.schema.msk_iam import NoCredentialsError

CONSUMER_DEFAULTS: Mapping[str, str | int | bool] = {
    "client.id": "mqpipe-replay",
    "group.id": "mqpipe-replay",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    # An offset that is gone is reported, not skipped in silence.
    "auto.offset.reset": "error",
    "check.crcs": True,
    "fetch.message.max.bytes": 4_194_304,
    # A queue that was full is filled again at once, not after librdkafka's second: a replay
    # empties one in a quarter of that, and then waited for the rest.
    "fetch.queue.backoff.ms": 5,
    "reconnect.backoff.max.ms": 2_000,
    "log.connection.close": False,
    "enable.metrics.push": False,
}
"""librdkafka properties that differ from its own defaults; `client` in the config has the last word."""

AHEAD, AHEAD_OF_ALL = 16_384, 262_144
"""What is fetched ahead: kB of one partition at most, and of all of them."""

_TIMEOUT = 15.0
_PAUSE = 0.2
_LEADER_MOVES = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


class ReplayError(Exception):
    """A topic cannot be read; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class OffsetStretch:
    """Offsets of one partition, from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay reads: these offsets, and of their samples those in [start, end) (ms)."""

    topic: str
    start: int
    end: int
    stretches: tuple[OffsetStretch, ...]

    @property
    def partitions(self) -> int:
        """How many partitions have something to read."""
        return sum(stretch.start < stretch.end for stretch in self.stretches)

    @property
    def messages(self) -> int:
        """How many offsets there are to read."""
        return sum(stretch.end - stretch.start for stretch in self.stretches)

    def document(self) -> dict[str, Any]:
        """The plan as JSON may hold it."""
        return {
            "topic": self.topic,
            "start": self.start,
            "end": self.end,
            "stretches": [[s.partition, s.start, s.end] for s in self.stretches],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ReplayPlan":
        """The plan of which `document` was made."""
        stretches = tuple(OffsetStretch(*numbers) for numbers in document["stretches"])
        return cls(document["topic"], document["start"], document["end"], stretches)


def consumer(connection: KafkaConnection, partitions: int = 1, **more: Any) -> Consumer:
    """A consumer of this cluster, quiet but for its errors; see `consumer_config`."""
    return Consumer({**consumer_config(connection, partitions), **more}, logger=DebugLog())


def checked_consumer(connection: KafkaConnection, topic: str, **more: Any) -> Consumer:
    """A consumer, once it is known that its cluster can be logged in to.

    Raises:
        ReplayError: it lacks credentials, or a file that its properties name.
    """
    try:
        connection.check_credentials()
        return consumer(connection, **more)
    except NoCredentialsError as error:
        raise ReplayError(f"topic `{topic}` cannot be read: {error}") from error
    except KafkaException as error:
        raise ReplayError(f"topic `{topic}` cannot be read: {error.args[0].str()}") from error


def consumer_config(connection: KafkaConnection, partitions: int = 1) -> dict[str, Any]:
    """Properties of one of so many consumers of a process: together they fetch so much ahead."""
    ahead = {"queued.max.messages.kbytes": max(1, min(AHEAD, AHEAD_OF_ALL // partitions))}
    return {**CONSUMER_DEFAULTS, **ahead, **connection.client_config()}


def replay_plan(connection: KafkaConnection, topic: str, start: int, end: int) -> ReplayPlan:
    """The offsets of all messages that may hold samples in [start, end) (ms), as of now.

    A message's timestamp is its first sample's and it spans `MESSAGE_SPAN` at most, so reading
    begins that much before `start`. It goes to the end of the topic, since samples that had to
    wait for an outage to pass lie behind later ones.

    Raises:
        ReplayError: the cluster cannot be reached, or there is no such topic.
    """
    reader = checked_consumer(connection, topic)
    try:
        stretches = _stretches(reader, topic, max(0, start - MESSAGE_SPAN))
    except KafkaException as error:
        raise ReplayError(f"topic `{topic}` cannot be read: {error.args[0].str()}") from error
    finally:
        reader.close()
    return ReplayPlan(topic, start, end, stretches)


def _stretches(reader: Consumer, topic: str, since: int) -> tuple[OffsetStretch, ...]:
    """From the first message at or after `since` (ms) to the end, of each partition."""
    wanted = [TopicPartition(topic, number, since) for number in _partitions(reader, topic)]
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            found = reader.offsets_for_times(wanted, _TIMEOUT)
            return tuple(_stretch(reader, first) for first in found)
        except KafkaException as error:
            passes = error.args[0].code() in _LEADER_MOVES
            if not passes or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def _partitions(reader: Consumer, topic: str) -> list[int]:
    found = reader.list_topics(topic, _TIMEOUT).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def _stretch(reader: Consumer, first: TopicPartition) -> OffsetStretch:
    if first.error is not None:
        raise KafkaException(first.error)
    _, end = reader.get_watermark_offsets(first, _TIMEOUT)
    # Where nothing is as late as that, the offset is negative: there is nothing to read.
    start = first.offset if 0 <= first.offset < end else end
    return OffsetStretch(first.partition, start, end)
