"""A cluster's client for tests, without a cluster: answers what it was told, and keeps count."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import ConsumerGroupListing

from operators.collect.client import EARLIEST, Offset
from operators.collect.errors import CollectionError, Problem
from operators.collect.topology import Topology

EMPTY = 5
STABLE = 3
CLASSIC = 2
"""Numbers of librdkafka's for states and types of groups."""


def timed_out() -> KafkaError:
    return KafkaError(KafkaError._TIMED_OUT, "Local: Timed out")


class FakeClient:
    """Stands in for KafkaClient. What is in `failing` fails; what is in `hanging` never answers."""

    cluster = "fake"

    def __init__(
        self,
        topology: Topology,
        commits: Mapping[str, Sequence[tuple[str, int, int]]] | None = None,
        ends: Mapping[str, int] | None = None,
    ) -> None:
        self.of_topology = topology
        self.of_groups = dict(commits or {})
        self.ends = dict(ends or {})
        self.failing: dict[str, CollectionError] = {}
        self.hanging: set[str] = set()
        self.silent_leaders: set[int] = set()
        self.listing_errors: list[KafkaError] = []
        self.silent: dict[int, str] = {}
        self.knows_brokers = True
        self.operations = frozenset({"DESCRIBE"})
        self.calls: list[str] = []
        self.retired = 0
        self.under_way = 0
        self.most_under_way = 0

    def retire(self) -> None:
        self.retired += 1

    async def topology(self, timeout: float) -> Topology:
        await self._answer("topology", timeout)
        self.knows_brokers = True
        return self.of_topology

    async def topic_ids(self, topics: Sequence[str], timeout: float) -> dict[str, str]:
        await self._answer("topic_ids", timeout)
        return {topic: f"id of {topic}" for topic in topics}

    async def offsets(
        self, wanted: Mapping[tuple[str, int], int], timeout: float, what: str = ""
    ) -> dict[tuple[str, int], Any]:
        await self._answer("offsets", timeout, what)
        found: dict[tuple[str, int], Any] = {}
        for (topic, partition), asked in wanted.items():
            row = self.of_topology.row(topic, partition)
            if int(self.of_topology.leader[row]) in self.silent_leaders:
                found[topic, partition] = timed_out()
            else:
                offset = 0 if asked in (EARLIEST, 0) else self.ends.get(topic, 0)
                found[topic, partition] = Offset(offset, -1, 0)
        return found

    async def group_listing(
        self, timeout: float
    ) -> tuple[list[ConsumerGroupListing], list[KafkaError]]:
        await self._answer("listing", timeout)
        groups = [
            ConsumerGroupListing(group, True, state=EMPTY, type=CLASSIC) for group in self.of_groups
        ]
        return groups, self.listing_errors

    async def silent_brokers(self, timeout: float) -> dict[int, str]:
        await self._answer("silent_brokers", timeout)
        return self.silent

    async def commits(self, group: str) -> list[TopicPartition]:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._answer(group, None)
        finally:
            self.under_way -= 1
        return [TopicPartition(t, p, offset) for t, p, offset in self.of_groups[group]]

    async def permitted(self, timeout: float) -> tuple[str | None, frozenset[str]]:
        await self._answer("permitted", timeout)
        return "cluster-id", self.operations

    async def _answer(self, what: str, timeout: float | None, said: str = "") -> None:
        self.calls.append(what)
        await asyncio.sleep(0)
        if what in self.hanging:
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.Event().wait()
            except TimeoutError:
                raise CollectionError(Problem("timeout", f"{said or what}: no answer")) from None
        if what in self.failing:
            raise self.failing[what]
