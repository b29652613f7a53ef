"""The recorded stream as a Bytewax source: one input partition a partition of the topic."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition

from operators.drain import Drain
from operators.recorded.message import read_message, within
from operators.recorded.plan import OffsetStretch, ReplayError, ReplayPlan, consumer
from operators.schedule import Alarm
from operators.schema.clock import utc_now, wall_clock
from operators.schema.kafka import KafkaConnection
from operators.schema.logs import Log
from operators.schema.unreadable import UnreadableMessage

log = Log("mqpipe.replay")

RecordedState = tuple[int, int]
"""Version (1), next offset."""

Items = list[tuple[str, pa.RecordBatch | UnreadableMessage]]

_AT_ONCE = 8
"""Messages taken from librdkafka at a time."""
_TURN = 0.01
"""Seconds after which other partitions have their turn."""
_REASONS = 5
"""How many faults of one message are named."""
_POLL = timedelta(milliseconds=5)
_COMPLAIN_EVERY = 30.0

# librdkafka's own errors, whose names begin with an underscore.
_PARTITION_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001
_OFFSET_IS_GONE = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
_DAMAGED = KafkaError._BAD_MSG  # noqa: SLF001
_FATAL = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
)


class RecordedSource(
    FixedPartitionedSource[tuple[str, pa.RecordBatch | UnreadableMessage], RecordedState]
):
    """The samples of a replay's plan, and the messages that are none.

    Items are keyed by the input partition, `<topic>-<partition>`, for which clusters come is not
    known before they do. A value is a batch of one entity type, or an UnreadableMessage.

    Unit of parallelism: the topic's partition. Each message is read once, also over a restart:
    a partition's state is its next offset. Nothing is committed to Kafka.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        plan: ReplayPlan,
        drain: Drain,
        account_id: int | None = None,
        *,
        events_alone: bool = False,
    ) -> None:
        """`events_alone` says whether what is an event alone has a taker; see `read_message`."""
        self._connection = connection
        self._plan = plan
        self._drain = drain
        self._read = partial(read_message, account_id=account_id, events_alone=events_alone)
        self._stretches = {f"{plan.topic}-{s.partition}": s for s in plan.stretches}
        self._partitions: dict[str, _RecordedPartition] = {}

    def list_parts(self) -> list[str]:
        """The topic's partitions as the plan has them."""
        return list(self._stretches)

    def build_part(
        self, step_id: str, for_part: str, resume_state: RecordedState | None
    ) -> "_RecordedPartition":
        """Begin at the plan's offset, or go on at the stored one."""
        stretch = self._stretches[for_part]
        offset = stretch.start if resume_state is None else resume_state[1]
        partition = _RecordedPartition(
            for_part, self._connection, self._plan, stretch, offset, self._drain, self._read
        )
        self._partitions[for_part] = partition
        return partition

    @property
    def messages(self) -> int:
        """How many messages the partitions of this process have read since it began."""
        return sum(p.messages for p in self._partitions.values())

    @property
    def read(self) -> int:
        """How many of the plan's messages the partitions of this process have read."""
        return sum(p.next - p.stretch.start for p in self._partitions.values())

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last timestamp (ms) of the samples it has read since it began."""
        spans = [p.span for p in self._partitions.values() if p.span is not None]
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


def _together(reasons: Sequence[str]) -> str:
    """The reasons why not all of a message was read, bounded."""
    more = len(reasons) - _REASONS
    return "; ".join(reasons[:_REASONS]) + (f"; and {more:,} more" if more > 0 else "")


class _RecordedPartition(
    StatefulSourcePartition[tuple[str, pa.RecordBatch | UnreadableMessage], RecordedState]
):
    def __init__(
        self,
        name: str,
        connection: KafkaConnection,
        plan: ReplayPlan,
        stretch: OffsetStretch,
        offset: int,
        drain: Drain,
        read: Callable[[bytes | None, int], tuple[list[pa.RecordBatch], list[str]]],
    ) -> None:
        self._name = name
        self._plan = plan
        self.stretch = stretch
        self.next = offset
        self.messages = 0
        self.span: tuple[int, int] | None = None
        self._drain = drain
        self._read = read
        self._idle = False
        self._alarm = Alarm()
        self._complained_at = -_COMPLAIN_EVERY
        self._consumer = consumer(
            connection, max(1, plan.partitions), error_cb=lambda error: self._complain(error.str())
        )
        if self.next < stretch.end:
            self._consumer.assign([TopicPartition(self._plan.topic, stretch.partition, offset)])

    def next_batch(self) -> Items:
        if self.next >= self.stretch.end or self._drain.requested:
            if self.next >= self.stretch.end or self._drain.may_end:
                raise StopIteration
            return []
        items: Items = []
        until = time.monotonic() + _TURN
        self._idle = True
        while self.next < self.stretch.end and time.monotonic() < until:
            messages = self._consumer.consume(_AT_ONCE, timeout=0)
            if not messages:
                break
            self._idle = False
            for message in messages:
                items += self._take(message)
        return items

    def next_awake(self) -> datetime | None:
        now = utc_now()
        return self._alarm.at(now + _POLL if self._idle else now)

    def snapshot(self) -> RecordedState:
        return 1, self.next

    def close(self) -> None:
        self._consumer.close()

    def _take(self, message: Message) -> Items:
        error = message.error()
        if error is not None:
            return self._take_error(error, message)
        offset = message.offset() or 0
        if offset >= self.stretch.end:
            self.next = self.stretch.end
            return []
        if offset < self.next:
            raise ReplayError(
                f"{self._name}: offset {self.next} is gone, and offset {offset} comes again: the "
                "topic was recreated, or lost messages; remove the state of this replay to start "
                "again"
            )
        self.next = offset + 1
        self.messages += 1
        _, timestamp = message.timestamp()
        value = message.value()
        batches, reasons = self._read(value, timestamp)
        items: Items = []
        if reasons:
            items.append(self._unreadable(message, _together(reasons)))
        for batch in batches:
            rows = within(batch, self._plan.start, self._plan.end)
            if rows.num_rows:
                self._saw(rows.column("timestamp"))
                items.append((self._name, rows))
        return items

    def _saw(self, timestamps: pa.Array) -> None:
        ends = pc.min_max(timestamps.cast(pa.int64()))
        first, last = ends["min"].as_py(), ends["max"].as_py()
        if self.span is not None:
            first, last = min(first, self.span[0]), max(last, self.span[1])
        self.span = first, last

    def _take_error(self, error: KafkaError, message: Message) -> Items:
        code = error.code()
        if code == _PARTITION_EOF:
            # Offsets at the end may belong to no message, such as a transaction's end.
            if (message.offset() or 0) >= self.stretch.end:
                self.next = self.stretch.end
            else:
                self._complain(f"it ends before offset {self.stretch.end}, where it had ended")
        elif code == _OFFSET_IS_GONE:
            log.warning(
                "messages are gone from the topic, going on with the first that is there",
                partition=self._name,
                offset=self.next,
            )
            self._consumer.assign(
                [TopicPartition(self._plan.topic, self.stretch.partition, OFFSET_BEGINNING)]
            )
        elif code == _DAMAGED:
            self.messages += 1
            return [self._unreadable(message, f"damaged in the topic: {error.str()}")]
        elif code in _FATAL or error.fatal():
            raise ReplayError(f"{self._name}: {error.name()}: {error.str()}")
        else:
            self._complain(error.str())
        return []

    def _unreadable(self, message: Message, reason: str) -> tuple[str, UnreadableMessage]:
        value = message.value()
        return self._name, UnreadableMessage(
            self._plan.topic,
            self.stretch.partition,
            message.offset() or 0,
            value if isinstance(value, bytes) and message.error() is None else b"",
            reason,
            wall_clock(),
        )

    def _complain(self, error: str) -> None:
        """Librdkafka goes on trying by itself; say why nothing comes, but not all the time."""
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY:
            self._complained_at = now
            log.warning("waiting for the topic", partition=self._name, error=error)
