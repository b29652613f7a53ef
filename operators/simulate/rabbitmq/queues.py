"""What simulated queues of RabbitMQ do with messages: prefetch, acknowledgement, redelivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.age import Ages
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.block import Block
from operators.simulate.consumption import Consumption, Held, backlog_of
from operators.simulate.noise import Lanes
from operators.simulate.processing import processing_time
from operators.simulate.rabbitmq.layout import QUORUM, STREAM, QueueLayout, QueueStanding
from operators.simulate.spec import ShardSpec, pattern_factor
from operators.simulate.traffic import error_rate, failures

PREFETCH = 20
"""Messages that a consumer may hold without having acknowledged them."""

IN_MEMORY = 16 << 20
"""Bytes of a queue's messages that its process holds at most; the others are on disk."""

PROCESS, INDEX = 35_000, 100
"""Bytes of an empty queue's process, and of the index of a message that it holds."""

SEGMENT = 500_000_000
"""Bytes of a stream's segment: RabbitMQ's default."""

STREAM_PROCESS = 9_000
"""Bytes of a stream's process: its messages are read from files."""

_ENDLESS = np.iinfo(np.int64).max // 2
"""Messages that a queue may hold."""

RabbitQueuesState = tuple[bytes, ...]
"""Backlog, messages in work, unacknowledged ones, those that will be delivered once more, and what was
ever published to streams."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a block moved; arrays of whole numbers, shape (queues, ticks)."""

    published: Ints
    acknowledged: Ints
    delivered: Ints
    redelivered: Ints
    dead_lettered: Ints
    """Given to the queue that its dead letters go to."""
    depth: Ints
    unacknowledged: Ints
    failed: Ints
    consumers: Ints
    age: Floats
    capacity: Floats
    """See `queue.consumerCapacity`."""
    processing: Floats
    """ms a message."""
    size: Ints
    """Bytes of a message, shape (queues, ticks or 1)."""
    memory: Ints
    """Bytes of its process."""
    ever: Ints
    """Messages ever published to streams; of other queues it means nothing."""


class Queues:
    """The queues of a cluster: what is ordinary for them, and what is in them."""

    def __init__(self, spec: ShardSpec, layout: QueueLayout) -> None:
        queues = spec.topology.queues
        themselves = np.arange(len(queues))
        capacity = np.array([queue.capacity for queue in queues])
        self._quorum, self._stream = layout.which(QUORUM), layout.which(STREAM)
        self._size = np.array([queue.message_size for queue in queues], np.int64)[:, None]
        self._processing = np.array([queue.processing_time for queue in queues])[:, None]
        needed = capacity * self._processing[:, 0] / 1000 / PREFETCH
        self.consumers: Ints = np.maximum(1, np.ceil(needed)).astype(np.int64)[:, None]
        """So many that what they may hold is what they can process at once; shape (queues, 1)."""
        self._ages = Ages(partial(pattern_factor, spec))
        self._pairs = Consumption(
            group=themselves,
            topic=themselves,
            capacity=capacity,
            delay=self._processing[:, 0] / 1000,
            groups=len(queues),
            topics=len(queues),
        )
        self._unacknowledged: Ints = np.zeros(len(queues), np.int64)
        self._again: Ints = np.zeros(len(queues), np.int64)
        self._most = np.maximum(1, spec.settings.stream_max_bytes // self._size)
        self._segment = np.maximum(1, SEGMENT // self._size)
        self._to = layout.dead_letters_to
        self._max_length = _limits([queue.max_length for queue in queues])
        self._ttl = _limits([queue.message_ttl for queue in queues])
        self._end: Ints = np.where(self._stream, self._most, 0)[:, 0]
        """Messages ever published to streams: they have been there for long."""

    def state(self) -> RabbitQueuesState:
        """What the next block goes on from."""
        pairs = self._pairs
        kept = (pairs.backlog, pairs.uncommitted, self._unacknowledged, self._again, self._end)
        return tuple(array.tobytes() for array in kept)

    def restore(self, state: RabbitQueuesState) -> None:
        """Go on from a `state`."""
        kept = [np.frombuffer(array, np.int64).copy() for array in state]
        self._pairs.backlog, self._pairs.uncommitted = kept[:2]
        self._unacknowledged, self._again, self._end = kept[2:]

    def advance(
        self,
        block: Block,
        expected: Floats,
        messages: Ints,
        uniform: Lanes,
        levers: Levers,
        standing: QueueStanding,
        ever: Ints | None,
    ) -> Moved:
        """Move on by a block in which publishers send `messages`, shape (queues, ticks).

        depth' = depth + published + dead letters of others − acknowledged − dead-lettered − dropped, where
        what is acknowledged or rejected is what consumers can process;
        unacknowledged' = min(depth', consumers · prefetch), ready is the rest;
        unacknowledged' = unacknowledged + delivered − acknowledged − requeued, where messages are
        requeued that failed, and that consumers held which left;
        redelivered = what was requeued and not yet delivered again, as far as it is delivered.
        Of a queue that is down nothing is published, and nothing is delivered.

        Where there is a queue for its dead letters, a message that fails is delivered once more, and
        rejected if it fails again: ⌊failed² / published⌋. Those go there with what waits longer than
        `message_ttl` or is more than `max_length`; without one, what fails is delivered until it does
        not, and the rest is dropped.

        A stream's depth is what it retains, whatever was read: consumers go on by their offsets, and
        one that is so far behind that its next message is gone goes on with the first that there is.
        Where it is said what was `ever` published to streams, that counts in place of `messages`.
        """
        seconds, pairs = block.seconds, self._pairs
        failed = failures(messages, uniform)
        errors = levers.added(Lever.ERRORS, len(messages))
        if errors is not None:
            failed += (messages * np.minimum(errors, 1)).astype(np.int64)
        ordinary = pairs.capacities(seconds)
        capacity = np.where(standing.down, 0, levers.scaled(Lever.CAPACITY, ordinary))
        before, held = pairs.backlog[:, None], self._unacknowledged[:, None]
        if ever is None:
            ever = self._end[:, None] + np.cumsum(messages, axis=1)
        retained = self._retained(ever)
        held_by = None
        if self._stream.any():
            held_by = Held(
                np.where(self._stream, self._retained(self._end[:, None]), _ENDLESS)[:, 0],
                np.where(self._stream, retained, _ENDLESS),
            )
        limit = np.where(standing.down, np.inf, self._limit(expected, block))
        state = pairs.backlog, pairs.uncommitted
        over = self._over(pairs.backlog, messages, capacity, limit)
        done = pairs.advance(messages - over, capacity, uniform[:, :, 3], seconds, held_by)
        rejected = np.minimum(done.out, failed**2 // np.maximum(messages, 1))
        rejected[self._to < 0] = 0
        dead = np.where((self._to < 0)[:, None], 0, rejected + over)
        came = messages + self._sent_on(dead, standing)
        if dead.any():
            # They come to other queues, which send none on: these alone move otherwise.
            pairs.backlog, pairs.uncommitted = state
            over = self._over(pairs.backlog, came, capacity, limit)
            done = pairs.advance(came - over, capacity, uniform[:, :, 3], seconds, held_by)
        self._end = np.where(self._stream, ever, 0)[:, -1]

        consumers = levers.scaled(Lever.CONSUMERS, self.consumers)
        consumers = np.where(standing.down, 0, np.broadcast_to(consumers, messages.shape))
        unacknowledged: Ints = np.minimum(done.lag, consumers * PREFETCH)
        unacknowledged = np.where(self._stream, 0, unacknowledged)
        change = np.diff(unacknowledged, axis=1, prepend=held)
        requeued = np.maximum(0, -(done.out + change)) + np.where(
            self._stream, 0, np.minimum(failed, done.out)
        )
        delivered = done.out + change + requeued
        waiting = self._again[:, None]
        again = backlog_of(waiting, requeued - delivered)
        redelivered = requeued - np.diff(again, axis=1, prepend=waiting)
        self._unacknowledged, self._again = unacknowledged[:, -1].copy(), again[:, -1].copy()

        waits = np.concatenate([before, done.backlog[:, :-1]], axis=1) + came
        share = np.minimum(1.0, capacity / np.maximum(waits, 1))
        share = np.where(self._quorum | (done.backlog == 0), 1.0, share)
        depth = np.where(self._stream, retained, done.lag)
        size = levers.scaled(Lever.SIZE, self._size)
        return Moved(
            published=messages,
            acknowledged=done.out - rejected,
            delivered=delivered,
            redelivered=redelivered,
            dead_lettered=dead,
            depth=depth,
            unacknowledged=unacknowledged,
            failed=failed,
            consumers=consumers,
            age=self._ages.of(done.lag, expected, block),
            capacity=share,
            processing=processing_time(self._processing, messages, ordinary, uniform, levers),
            size=size,
            memory=np.where(self._stream, STREAM_PROCESS, _memory(depth, size)),
            ever=ever,
        )

    def _limit(self, expected: Floats, block: Block) -> Floats:
        """Messages that may wait in each queue, shape (queues, ticks); endless where nothing says."""
        limit = np.broadcast_to(self._max_length[:, None], expected.shape).copy()
        for queue in np.flatnonzero(np.isfinite(self._ttl)):
            young = self._ages.within(float(self._ttl[queue]), expected[queue], block)
            np.minimum(limit[queue], young, out=limit[queue])
        return limit

    def _over(self, backlog: Ints, came: Ints, capacity: Ints, limit: Floats) -> Ints:
        """Messages that leave because more wait than may, tick by tick, for what waits depends on it."""
        over = np.zeros_like(came)
        rows = np.flatnonzero(np.isfinite(limit).any(axis=1))
        if len(rows):
            waits = backlog[rows]
            flow = came[rows] - np.broadcast_to(capacity, came.shape)[rows]
            for tick in range(came.shape[1]):
                left = np.maximum(0, waits + flow[:, tick])
                waits = np.minimum(left, np.ceil(limit[rows, tick])).astype(np.int64)
                over[rows, tick] = left - waits
        return over

    def _sent_on(self, dead: Ints, standing: QueueStanding) -> Ints:
        """Dead letters as they come to queues; a queue that is down takes none."""
        came = np.zeros_like(dead)
        rows = np.flatnonzero(self._to >= 0)
        np.add.at(came, self._to[rows], dead[rows])
        return np.where(standing.down | self._stream, 0, came)

    def _retained(self, ever: Ints) -> Ints:
        """Messages that streams hold of those `ever` published, the last of which is their next offset.

        When a segment is full and the next begins, the oldest go until the full ones are no more than
        is kept: first offset = segment · ⌈(segment · ⌊ever / segment⌋ − most) / segment⌉.
        """
        over = np.maximum(0, ever // self._segment * self._segment - self._most)
        retained: Ints = ever + -over // self._segment * self._segment
        return retained


def _limits(values: Sequence[float | None]) -> Floats:
    """Numbers, endless where there is none."""
    return np.array([np.inf if value is None else value for value in values])


def _memory(depth: Ints, size: Ints) -> Ints:
    """Bytes of queues' processes: 35,000, 100 a message, and of its messages at most 16 MiB."""
    bodies = np.minimum(depth * size, IN_MEMORY)
    memory: Ints = PROCESS + INDEX * np.minimum(depth, 10**6) + bodies
    return memory


NOT_OF_STREAMS = ("queue.oldestMessageAge", "queue.consumerCapacity", "queue.messageBytes")
"""What RabbitMQ does not report of streams."""


def metrics_of(moved: Moved, seconds: float) -> dict[str, Floats | Ints]:
    """Columns of the queues, by the names of the table."""
    return {
        "queue.depth": moved.depth,
        "queue.messagesInPerSecond": moved.published / seconds,
        "queue.messagesOutPerSecond": moved.delivered / seconds,
        "queue.processingTime": moved.processing,
        "queue.oldestMessageAge": moved.age,
        "queue.errorRate": error_rate(moved.failed, moved.published),
        "queue.messagesReady": moved.depth - moved.unacknowledged,
        "queue.messagesUnacknowledged": moved.unacknowledged,
        "queue.messagesPublished": moved.published,
        "queue.messagesDelivered": moved.delivered,
        "queue.acknowledgedPerSecond": moved.acknowledged / seconds,
        "queue.redeliveredPerSecond": moved.redelivered / seconds,
        "queue.deadLetteredPerSecond": moved.dead_lettered / seconds,
        "queue.consumers": moved.consumers,
        "queue.consumerCapacity": moved.capacity,
        "queue.messageBytes": moved.depth * moved.size,
        "queue.memory": moved.memory,
    }
