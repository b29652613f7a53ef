"""When messages were written: found by asking a partition for the first offset at a time.

Kafka answers which offset is the first at or after a time, not when an offset was written. So
the time of an offset is narrowed down: each answer is a point (offset, time) and a bound for
what lies before it, and between the nearest ones it is interpolated. They are kept from tick to
tick; where traffic is steady two questions a tick suffice.
"""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from operators.collect.client import MAX_TIMESTAMP, KafkaClient, Offset
from operators.collect.commits import Commits
from operators.collect.errors import CollectionError
from operators.collect.offsets import UNKNOWN, Offsets
from operators.collect.topology import Ints, Topology

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

Partition = tuple[str, int]


class Rising:
    """Points (offset, time in ms) that rise in both; what contradicts a newer one goes."""

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


@dataclass(frozen=True, slots=True)
class Between:
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

    def __init__(self) -> None:
        self._written = Rising()
        self._latest = Rising()
        """At the latest: of messages that were found to be older than a time."""
        self._end = 0
        self._topic_id: str | None = None

    def seen(self, end: int, topic_id: str | None) -> None:
        """Take in the end offset; a partition that was made anew or truncated begins anew."""
        if end < self._end or topic_id != self._topic_id:
            self._written, self._latest = Rising(), Rising()
        self._end, self._topic_id = end, topic_id

    def learn(self, asked: int, found: Offset) -> None:
        """The first message at the time `asked` or later is `found`; offset -1 is none at all.

        For MAX_TIMESTAMP it is the one with the greatest time: all others are as old or older.
        """
        known = found.offset >= 0 and found.timestamp > 0
        if known:
            self._written.add(found.offset, found.timestamp)
        if asked == MAX_TIMESTAMP:
            last, latest = self._end - 1, found.timestamp if known else 0
        else:
            last, latest = (found.offset if found.offset >= 0 else self._end) - 1, asked - 1
        if last >= 0 and latest > 0:
            self._latest.add(last, latest)

    def when(self, offset: int, now: int) -> Between | None:
        """When the message at `offset` was written; None where nothing before it is known.

        What comes next, at the end offset, is written at `now` or later.
        """
        before = self._written.before(offset)
        if before is None:
            return None
        since = before[1]
        if before[0] == offset:
            return Between(since, since, since)
        known = (self._written.after(offset), self._latest.after(offset), (self._end, now))
        after, until = min((p for p in known if p is not None), key=lambda p: (p[1], p[0]))
        until = max(since, until)
        share = (offset - before[0]) / max(1, after - before[0])
        return Between(since, until, since + round((until - since) * min(1.0, share)))

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
class Waiting:
    """Commits after which messages wait."""

    rows: Ints
    """Rows of the commits."""
    keys: list[Partition]
    """The partition of each of these rows."""
    committed: list[int]
    """The offset of each of these rows."""
    targets: Mapping[Partition, set[int]]
    """By partition: the offsets whose times are wanted."""
    leaders: Mapping[Partition, int]
    now: int
    """In ms since the epoch."""


class Timelines:
    """The timelines of a cluster's partitions that a group lags on."""

    def __init__(self) -> None:
        self._timelines: dict[Partition, Timeline] = {}

    async def first_uncommitted(
        self,
        client: KafkaClient,
        topology: Topology,
        commits: Commits,
        offsets: Offsets,
        ids: Mapping[str, str],
        timeout: float,
    ) -> Ints:
        """When the first message after each commit was written, in ms; shape: rows of `commits`.

        `ids` are the topics' ids. UNKNOWN where nothing waits, where the message was retained
        away, or where the brokers do not tell. Takes `timeout` seconds at most; what is not known
        by then is interpolated from what is.
        """
        # What computes over all partitions does so in a thread: the loop has other targets.
        waiting = await asyncio.to_thread(self._waiting, topology, commits, offsets, ids)
        with suppress(TimeoutError, CollectionError):
            # What is known by then has to do; a leader's errors are reported with its offsets.
            async with asyncio.timeout(timeout):
                await self._look(client, waiting, timeout)
        return await asyncio.to_thread(self._found, waiting, len(commits.row))

    def _waiting(
        self, topology: Topology, commits: Commits, offsets: Offsets, ids: Mapping[str, str]
    ) -> Waiting:
        lag, start = commits.lag(offsets), commits.start(offsets)
        rows = np.flatnonzero((lag > 0) & (start != UNKNOWN) & (commits.committed >= start))
        targets: dict[Partition, set[int]] = defaultdict(set)
        leaders: dict[Partition, int] = {}
        keys: list[Partition] = []
        committed = commits.committed[rows].tolist()
        for topic, partition, offset, row in zip(
            commits.topic[rows].tolist(),
            commits.partition[rows].tolist(),
            committed,
            commits.row[rows].tolist(),
            strict=True,
        ):
            key = (commits.topics[topic], partition)
            if key not in targets:
                leaders[key] = int(topology.leader[row])
                timeline = self._timelines.setdefault(key, Timeline())
                timeline.seen(int(offsets.end[row]), ids.get(key[0]))
            targets[key].add(offset)
            keys.append(key)
        self._timelines = {key: self._timelines[key] for key in targets}
        return Waiting(rows, keys, committed, targets, leaders, time.time_ns() // 1_000_000)

    def _found(self, waiting: Waiting, rows: int) -> Ints:
        found = np.full(rows, UNKNOWN, np.int64)
        of_rows = zip(waiting.rows.tolist(), waiting.keys, waiting.committed, strict=True)
        for row, key, offset in of_rows:
            between = self._timelines[key].when(offset, waiting.now)
            if between is not None and between.likely <= waiting.now + FUTURE_MS:
                found[row] = min(between.likely, waiting.now)
        for key, offsets in waiting.targets.items():
            self._timelines[key].forget_before(min(offsets))
        return found

    async def _look(self, client: KafkaClient, waiting: Waiting, timeout: float) -> None:
        cold = await asyncio.to_thread(self._cold, waiting)
        await asyncio.gather(
            self._ask(client, waiting.leaders, dict.fromkeys(cold, 0), timeout),
            self._ask(client, waiting.leaders, dict.fromkeys(cold, MAX_TIMESTAMP), timeout),
        )
        for round_ in range(ROUNDS):
            questions = await asyncio.to_thread(self._questions, waiting, round_)
            if not questions:
                return
            await self._ask(client, waiting.leaders, questions, timeout)

    def _cold(self, waiting: Waiting) -> list[Partition]:
        """Partitions of which nothing is known that helps."""
        return [
            key
            for key, offsets in waiting.targets.items()
            if self._timelines[key].when(min(offsets), waiting.now) is None
        ]

    def _questions(self, waiting: Waiting, round_: int) -> dict[Partition, int]:
        """What to ask next: for each partition the offset whose time is known worst."""
        asked: dict[Partition, tuple[int, int]] = {}
        for key, offsets in waiting.targets.items():
            timeline = self._timelines[key]
            doubts = [
                (between.gap, wanted)
                for offset in offsets
                if (between := timeline.when(offset, waiting.now)) is not None
                and (wanted := question(between, waiting.now, round_)) is not None
            ]
            if doubts:
                asked[key] = max(doubts)
        worst = sorted(asked, key=lambda key: -asked[key][0])[:QUESTIONS]
        return {key: asked[key][1] for key in worst}

    async def _ask(
        self,
        client: KafkaClient,
        leaders: Mapping[Partition, int],
        questions: Mapping[Partition, int],
        timeout: float,
    ) -> None:
        """Ask each partition for the first offset at a time (ms), and learn from the answers."""
        by_leader: dict[int, dict[Partition, int]] = defaultdict(dict)
        for key, question in questions.items():
            by_leader[leaders[key]][key] = question
        answers = await asyncio.gather(
            *(client.offsets(asked, timeout) for asked in by_leader.values())
        )
        for answer in answers:
            for key, found in answer.items():
                if isinstance(found, Offset):
                    self._timelines[key].learn(questions[key], found)
