"""The end of a recorded stream, and what is added to it."""

import time
from collections.abc import Iterator

import pyarrow as pa
from confluent_kafka import KafkaException, TopicPartition

from operators.recorded.message import read_message
from operators.recorded.plan import ReplayError, checked_consumer
from operators.schema.kafka import KafkaConnection

_TIMEOUT = 15.0
_LOOK = 0.2
"""Seconds that a look for messages waits for the first."""


class RecordedTail:
    """Reads a topic from some messages before its end on, of all its partitions.

    Raises:
        ReplayError: the cluster cannot be reached, or there is no such topic.
    """

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._topic = topic
        self._consumer = checked_consumer(connection, topic, **{"enable.partition.eof": False})
        self._ends: dict[int, int] | None = None

    def read(self, last: int) -> Iterator[pa.RecordBatch]:
        """What came since the last call; the first gives the `last` messages of each partition."""
        if self._ends is None:
            yield from self._first(last)
            return
        while messages := self._consumer.consume(1_000, timeout=_LOOK):
            for message in messages:
                if message.error() is None:
                    batches, _ = read_message(message.value(), message.timestamp()[1], None)
                    yield from batches

    def _first(self, last: int) -> Iterator[pa.RecordBatch]:
        try:
            ends = self._assigned(last)
        except KafkaException as error:
            raise ReplayError(
                f"topic `{self._topic}` cannot be read: {error.args[0].str()}"
            ) from error
        self._ends = ends
        until = time.monotonic() + _TIMEOUT
        while ends and time.monotonic() < until:
            for message in self._consumer.consume(1_000, timeout=_LOOK):
                if message.error() is not None:
                    continue
                partition, offset = message.partition() or 0, message.offset() or 0
                if offset + 1 >= ends.get(partition, 0):
                    ends.pop(partition, None)
                batches, _ = read_message(message.value(), message.timestamp()[1], None)
                yield from batches

    def _assigned(self, last: int) -> dict[int, int]:
        """Begin there; gives the ends of the partitions that have something to read."""
        found = self._consumer.list_topics(self._topic, _TIMEOUT).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        begin, ends = [], {}
        for partition in sorted(found.partitions):
            here = TopicPartition(self._topic, partition)
            low, high = self._consumer.get_watermark_offsets(here, _TIMEOUT)
            start = max(low, high - last)
            begin.append(TopicPartition(self._topic, partition, start))
            if start < high:
                ends[partition] = high
        self._consumer.assign(begin)
        return ends
