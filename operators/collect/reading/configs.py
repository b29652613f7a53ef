"""How topics are configured: asked seldom, many at once."""

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem

EVERY = 600.0
"""Seconds after which a topic is asked again."""

AT_ONCE = 1_000
"""Topics in a request."""

A_TICK = 5_000
"""Topics asked at a tick, at most: a cluster of more is known after some ticks."""


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What a topic says of itself; None where it says nothing that can be read."""

    min_in_sync: int | None
    retention_ms: int | None
    """-1 where there is no limit; so is `retention_bytes`, of a partition."""
    retention_bytes: int | None
    cleanup_policy: str | None
    """`delete`, `compact`, or `compact,delete`."""
    tiered: bool = False
    """Whether its older messages lie in remote storage."""


KEYS = (
    "min.insync.replicas",
    "retention.ms",
    "retention.bytes",
    "cleanup.policy",
    "remote.storage.enable",
)


class TopicConfigs:
    """What topics' configurations said when they were asked last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, TopicConfig | None]] = {}
        self._asking = asyncio.Lock()
        self.problem: Problem | None = None
        """Why the last ones could not be had."""

    def asked(
        self,
        client: KafkaClient,
        topics: Iterable[str],
        timeout: float,
        there: Container[str] | None = None,
    ) -> asyncio.Future[Mapping[str, TopicConfig]]:
        """As `of`, asked now and awaited later; a task only where there is something to ask."""
        wanted = list(topics)
        if self._asking.locked() or self._due(wanted):
            return asyncio.create_task(self.of(client, wanted, timeout, there))
        known = asyncio.get_running_loop().create_future()
        known.set_result(self._kept(wanted, there))
        return known

    async def of(
        self,
        client: KafkaClient,
        topics: Iterable[str],
        timeout: float,
        there: Container[str] | None = None,
    ) -> Mapping[str, TopicConfig]:
        """The configurations of topics, as far as they are known; asked within `timeout` seconds.

        One that cannot be had is asked for again after `EVERY` seconds, and `problem` says why.
        Those that are not `there` are forgotten. Whoever comes while another asks waits for that.
        """
        async with self._asking:
            return await self._of(client, list(topics), timeout, there)

    async def _of(
        self,
        client: KafkaClient,
        wanted: list[str],
        timeout: float,
        there: Container[str] | None,
    ) -> Mapping[str, TopicConfig]:
        now, due = self._clock(), self._due(wanted)
        for place in range(0, min(len(due), A_TICK), AT_ONCE):
            some = due[place : min(place + AT_ONCE, A_TICK)]
            left = timeout - (self._clock() - now)
            if left <= 0:
                break
            await self._ask(client, some, left, now)
        return self._kept(wanted, there)

    def _due(self, wanted: Iterable[str]) -> list[str]:
        """Those of the topics that are to be asked."""
        since, known = self._clock() - EVERY, self._known
        return [topic for topic in wanted if topic not in known or known[topic][0] <= since]

    def _kept(
        self, wanted: Sequence[str], there: Container[str] | None
    ) -> Mapping[str, TopicConfig]:
        """What is known of topics; those that are not `there` are forgotten."""
        kept = wanted if there is None else there
        known = self._known = {t: found for t, found in self._known.items() if t in kept}
        found = ((topic, known[topic][1]) for topic in wanted if topic in known)
        return {topic: config for topic, config in found if config is not None}

    async def _ask(
        self, client: KafkaClient, topics: Sequence[str], timeout: float, now: float
    ) -> None:
        try:
            found = await client.topic_configs(topics, KEYS, timeout)
        except CollectionError as error:
            self.problem = error.problem
            found = dict.fromkeys(topics, error.problem)
        for topic in topics:
            reported = found.get(topic)
            if isinstance(reported, Problem):
                self.problem = reported
            known = self._known.get(topic, (now, None))[1]
            config = _config(reported) if isinstance(reported, Mapping) else known
            self._known[topic] = now, config


def _config(reported: Mapping[str, str]) -> TopicConfig:
    return TopicConfig(
        _number(reported.get("min.insync.replicas")),
        _number(reported.get("retention.ms")),
        _number(reported.get("retention.bytes")),
        _policy(reported.get("cleanup.policy")),
        reported.get("remote.storage.enable") == "true",
    )


def _policy(text: str | None) -> str | None:
    """Its words in one order: Kafka keeps them as they were given."""
    words = sorted({word.strip() for word in (text or "").split(",")} - {""})
    return ",".join(words) or None


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
