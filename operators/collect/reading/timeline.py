"""When messages were written: found by asking a partition for the first offset at a time.

Kafka answers which offset is the first at or after a time, not when an offset was written. So
the time of an offset is narrowed down: each answer is a point (offset, time) and a bound for
what lies before it, and between the nearest ones it is interpolated. They are kept from tick to
tick; where traffic is steady two questions a tick suffice.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from operators.collect.client.frames import FoundOffsets
from operators.collect.client.kafka_client import MAX_TIMESTAMP, KafkaClient
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.errors import CollectionError
from operators.collect.reading.commits import Commits
from operators.collect.reading.offsets import BEHIND, Offsets, ask_leader, by_leader
from operators.schema.arrays import Ints
from operators.schema.clock import wall_clock

ROUNDS = 5
"""Questions a partition and tick, at most, besides the first ones."""

TOLERANCE_MS = 1_000
TOLERANCE_SHARE = 0.05
"""A time is near enough when it is known to a second, or to a twentieth of its age."""

QUESTIONS = 5_000
"""Partitions asked a round, at most: those whose times are known worst."""

POINTS_KEPT = 16

FUTURE_MS = 60_000
"""A message from further in the future than that has a producer's wrong clock."""


class Rising:
    """Points (offset, time in ms) that rise in both; what contradicts a newer one goes."""

    __slots__ = ("_offsets", "_times")

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._times: list[int] = []

    def add(self, offset: int, at: int) -> None:
        """Add a point."""
        low = high = bisect_left(self._offsets, offset)
        while low and self._times[low - 1] > at:
            low -= 1
        while high < len(self._offsets) and (
            self._offsets[high] == offset or self._times[high] < at
        ):
            high += 1
        self._offsets[low:high] = [offset]
        self._times[low:high] = [at]

    def before(self, offset: int) -> tuple[int, int] | None:
        """The last point at `offset` or before it."""
        i = bisect_right(self._offsets, offset)
        return (self._offsets[i - 1], self._times[i - 1]) if i else None

    def after(self, offset: int) -> tuple[int, int] | None:
        """The first point at `offset` or after it."""
        i = bisect_left(self._offsets, offset)
        return (self._offsets[i], self._times[i]) if i < len(self._offsets) else None

    def forget_before(self, offset: int, keep: int) -> None:
        """Drop the points before the last one at or before `offset`, and more than `keep`."""
        gone = max(0, bisect_right(self._offsets, offset) - 1, len(self._offsets) - keep)
        del self._offsets[:gone], self._times[:gone]


class Between(NamedTuple):
    """Between which times (ms) a message was written, and when most likely."""

    since: int
    until: int
    likely: int

    @property
    def gap(self) -> int:
        """How wrong the likely time may be, in ms."""
        return self.until - self.since


class Timeline:
    """What is known of the times at which one partition's messages were written."""

    __slots__ = ("_end", "_latest", "_topic_id", "_written")

    def __init__(self) -> None:
        self._written = Rising()
        self._latest = Rising()
        """At the latest: of messages that were found to be older than a time."""
        self._end = 0
        self._topic_id: str | None = None

    def seen(self, end: int, topic_id: str | None) -> None:
        """Take in the end offset; a partition that was recreated or truncated starts over."""
        if end < self._end or topic_id != self._topic_id:
            self._written, self._latest = Rising(), Rising()
        self._end, self._topic_id = end, topic_id

    def learn(self, asked: int, offset: int, timestamp: int) -> None:
        """The first message at the time `asked` or later: its offset and time; -1 for none at all.

        For MAX_TIMESTAMP it is the one with the greatest time: all others are as old or older.
        """
        known = offset >= 0 and timestamp > 0
        if known:
            self._written.add(offset, timestamp)
        if asked == MAX_TIMESTAMP:
            last, latest = self._end - 1, timestamp if known else 0
        else:
            last, latest = (offset if offset >= 0 else self._end) - 1, asked - 1
        if last >= 0 and latest > 0:
            self._latest.add(last, latest)

    def when(self, offset: int, now: int) -> Between | None:
        """When the message at `offset` was written; None where nothing before it is known.

        What comes next, at the end offset, is written at `now` or later.
        """
        before = self._written.before(offset)
        if before is None:
            return None
        first, since = before
        if first == offset:
            return Between(since, since, since)
        after, until = self._end, now
        for known in (self._written.after(offset), self._latest.after(offset)):
            # Of what is known the earliest, and of the same time the nearest.
            if known is not None and (known[1] < until or (known[1] == until and known[0] < after)):
                after, until = known
        if until <= since:
            return Between(since, since, since)
        share = (offset - first) / (after - first) if after > first else 1.0
        likely = since + round((until - since) * share) if share < 1 else until
        return Between(since, until, likely)

    def forget_before(self, offset: int) -> None:
        """Drop what is not needed for `offset` and later ones."""
        self._written.forget_before(offset, POINTS_KEPT)
        self._latest.forget_before(offset, POINTS_KEPT)


def near(at: int, now: int) -> int:
    """How wrong a time may be to be near enough, in ms."""
    return max(TOLERANCE_MS, round(TOLERANCE_SHARE * (now - at)))


def question(between: Between, now: int, round_: int) -> int | None:
    """The time (ms) to ask for next; None where it is near enough.

    First where the message is expected, then a little to the side that is known less, then in
    the middle: quick where traffic is steady, and sure where it is not.
    """
    enough = near(between.likely, now)
    if between.gap <= enough:
        return None
    if round_ == 0:
        asked = between.likely
    elif round_ == 1:
        closer_to_since = between.likely - between.since < between.until - between.likely
        asked = between.likely + (enough // 2 if closer_to_since else -(enough // 2))
    else:
        asked = (between.since + between.until) // 2
    return min(max(asked, between.since + 1), between.until)


@dataclass(frozen=True, slots=True)
class _WaitingMessages:
    """Partitions in which messages wait whose times are not settled; by their topology's row."""

    timelines: Mapping[int, Timeline]
    targets: Mapping[int, set[int]]
    """The offsets whose times are wanted."""
    now: int
    """In ms since the epoch."""


@dataclass(frozen=True, slots=True)
class _Settled:
    """Messages whose times are known near enough, and will be as near: they are not looked at again.

    Sorted by `message`, which stands for topic, id, partition and offset.
    """

    message: Ints
    at: Ints
    """When it was written, in ms since the epoch."""
    end: Ints
    """The partition's end offset, as it was last seen."""

    def find(self, messages: Ints) -> Ints:
        """Where messages are; UNKNOWN for those that are not settled."""
        if not len(self.message):
            return np.full(len(messages), UNKNOWN, np.int64)
        place = np.minimum(np.searchsorted(self.message, messages), len(self.message) - 1)
        return np.where(self.message[place] == messages, place, UNKNOWN)


def _settled(message: Ints, at: Ints, end: Ints) -> _Settled:
    order = np.argsort(message)
    return _Settled(message[order], at[order], end[order])


_NOTHING = np.zeros(0, np.int64)
_SPREAD, _MIX = (
    np.array(k, np.uint64).astype(np.int64) for k in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
)
"""Odd numbers that spread what is multiplied by them over all of 64 bits."""


class Timelines:
    """The timelines of a cluster's partitions that a group lags on."""

    def __init__(self) -> None:
        self._timelines: dict[int, Timeline] = {}
        """By partition, as `_partitions` numbers it."""
        self._settled = _Settled(_NOTHING, _NOTHING, _NOTHING)

    async def first_uncommitted(
        self,
        client: KafkaClient,
        topology: ClusterMetadata,
        commits: Commits,
        offsets: Offsets,
        timeout: float,
    ) -> Ints:
        """When the first message after each commit was written, in ms; shape: rows of `commits`.

        UNKNOWN where nothing waits, where the message was retained away, or where the brokers do
        not report. Takes `timeout` seconds at most; what is not known by then is interpolated from
        what is.
        """
        found = np.full(len(commits.row), UNKNOWN, np.int64)
        lag, start = commits.lag(offsets), commits.start(offsets)
        rows = np.flatnonzero((lag > 0) & (start != UNKNOWN) & (commits.committed >= start))
        row, committed = commits.row[rows], commits.committed[rows]
        partition, end = _partitions(topology)[row], offsets.end[row]
        message = partition ^ (committed * _MIX)
        place = self._settled.find(message)
        # A partition that was truncated starts over.
        truncated = (place != UNKNOWN) & (end < _at(self._settled.end, place))
        for number in np.unique(partition[truncated]).tolist():
            self._timelines.pop(number, None)
        known = (place != UNKNOWN) & ~truncated
        at = np.where(known, _at(self._settled.at, place), UNKNOWN)
        self._keep(partition)
        settled = known
        if not known.all():
            looked_at = np.flatnonzero(np.isin(partition, partition[~known]))
            waiting = self._waiting(topology, offsets, partition, row, committed, looked_at)
            with suppress(TimeoutError):
                # What is known by then has to do; a leader's errors are reported with its offsets.
                async with asyncio.timeout(timeout):
                    await self._look(client, topology, waiting, timeout)
            fresh = looked_at[~known[looked_at]]
            at[fresh], sure = _times(waiting, row[fresh], committed[fresh])
            settled = known.copy()
            settled[fresh] = sure
        self._settled = _settled(message[settled], at[settled], end[settled])
        found[rows] = at
        return found

    def _keep(self, partitions: Ints) -> None:
        """Forget all partitions but these."""
        if len(self._timelines) > len(np.unique(partitions)):
            kept = set(partitions.tolist())
            self._timelines = {p: known for p, known in self._timelines.items() if p in kept}

    def _waiting(
        self,
        topology: ClusterMetadata,
        offsets: Offsets,
        partition: Ints,
        row: Ints,
        committed: Ints,
        looked_at: Ints,
    ) -> _WaitingMessages:
        timelines: dict[int, Timeline] = {}
        targets: dict[int, set[int]] = defaultdict(set)
        for number, of, offset in zip(
            partition[looked_at].tolist(),
            row[looked_at].tolist(),
            committed[looked_at].tolist(),
            strict=True,
        ):
            if of not in timelines:
                timeline = timelines[of] = self._timelines.setdefault(number, Timeline())
                timeline.seen(int(offsets.end[of]), topology.ids[topology.topic[of]])
            targets[of].add(offset)
        return _WaitingMessages(timelines, targets, wall_clock())

    async def _look(
        self,
        client: KafkaClient,
        topology: ClusterMetadata,
        waiting: _WaitingMessages,
        timeout: float,
    ) -> None:
        cold = _cold(waiting)
        await asyncio.gather(
            _ask(client, topology, waiting, dict.fromkeys(cold, 0), timeout),
            _ask(client, topology, waiting, dict.fromkeys(cold, MAX_TIMESTAMP), timeout, BEHIND),
        )
        doubtful = list(waiting.targets)
        for round_ in range(ROUNDS):
            questions = _questions(waiting, doubtful, round_)
            doubtful = list(questions)
            if not questions:
                return
            await _ask(client, topology, waiting, _worst(questions), timeout)


def _partitions(topology: ClusterMetadata) -> Ints:
    """By row: a number that stands for the partition, its topic and the topic's id."""
    topics = np.array(
        [hash(key) for key in zip(topology.topics, topology.ids, strict=True)], np.int64
    )
    if not len(topics):
        return topics
    return topics[topology.topic] ^ ((topology.partition + 1) * _SPREAD)


def _at(values: Ints, place: Ints) -> Ints:
    return values[np.maximum(place, 0)] if len(values) else np.full(len(place), UNKNOWN, np.int64)


def _cold(waiting: _WaitingMessages) -> list[int]:
    """Partitions of which nothing is known that helps."""
    return [
        row
        for row, offsets in waiting.targets.items()
        if waiting.timelines[row].when(min(offsets), waiting.now) is None
    ]


def _questions(
    waiting: _WaitingMessages, rows: Sequence[int], round_: int
) -> dict[int, tuple[int, int]]:
    """By row whose times are in doubt: how much at most (ms), and the time to ask for next (ms).

    Of a partition's offsets it is the one whose time is known worst. What is out of doubt stays so.
    """
    asked: dict[int, tuple[int, int]] = {}
    now = waiting.now
    for row in rows:
        when, worst = waiting.timelines[row].when, (0, 0)
        for offset in waiting.targets[row]:
            between = when(offset, now)
            if between is None:
                continue
            wanted = question(between, now, round_)
            if wanted is not None:
                worst = max(worst, (between.until - between.since, wanted))
        if worst[0]:
            asked[row] = worst
    return asked


def _worst(questions: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """What to ask, of as many partitions as are asked at a time."""
    if len(questions) <= QUESTIONS:
        return {row: wanted for row, (_, wanted) in questions.items()}
    worst = sorted(questions, key=lambda row: -questions[row][0])[:QUESTIONS]
    return {row: questions[row][1] for row in worst}


async def _ask(
    client: KafkaClient,
    topology: ClusterMetadata,
    waiting: _WaitingMessages,
    questions: Mapping[int, int],
    timeout: float,
    lane: int = 0,
) -> None:
    """Ask each partition for the first offset at a time (ms), and learn from the answers."""
    if not questions:
        return
    rows = np.array(sorted(questions), np.int64)
    asked = np.array([questions[row] for row in rows.tolist()], np.int64)
    answers = await asyncio.gather(
        *(
            ask_leader(
                client,
                topology,
                leader,
                of_leader,
                asked[np.searchsorted(rows, of_leader)],
                timeout,
                lane=lane,
            )
            for leader, parts in by_leader(topology, rows).items()
            for of_leader in parts
        ),
        return_exceptions=True,
    )
    for answer in answers:
        if isinstance(answer, FoundOffsets):
            _learn(topology, waiting, questions, answer)
        elif not isinstance(answer, CollectionError):
            raise answer


def _learn(
    topology: ClusterMetadata,
    waiting: _WaitingMessages,
    questions: Mapping[int, int],
    answer: FoundOffsets,
) -> None:
    rows = topology.rows(answer.topics, answer.topic, answer.partition)
    reported = np.flatnonzero((rows != UNKNOWN) & (answer.error == 0))
    for row, offset, timestamp in zip(
        rows[reported].tolist(),
        answer.offset[reported].tolist(),
        answer.timestamp[reported].tolist(),
        strict=True,
    ):
        if row in questions:
            waiting.timelines[row].learn(questions[row], offset, timestamp)


def _times(waiting: _WaitingMessages, row: Ints, committed: Ints) -> tuple[Ints, np.ndarray]:
    """When messages were written, and whether that is settled."""
    at = np.full(len(row), UNKNOWN, np.int64)
    sure = np.zeros(len(row), np.bool_)
    now = waiting.now
    for index, (of, offset) in enumerate(zip(row.tolist(), committed.tolist(), strict=True)):
        between = waiting.timelines[of].when(offset, now)
        if between is not None and between.likely <= now + FUTURE_MS:
            at[index] = min(between.likely, now)
            # What only the clock bounds goes on with it.
            sure[index] = between.until < now and between.gap <= near(between.likely, now)
    for of, offsets in waiting.targets.items():
        waiting.timelines[of].forget_before(min(offsets))
    return at, sure
