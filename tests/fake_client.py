"""A cluster's client for tests, without a cluster: answers what it was told, and keeps count."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from operators.collect.client.kafka_client import EARLIEST
from operators.protocol.errors import RequestError
from operators.protocol.messages import MESSAGES
from tests.kafka_metadata import Partition, metadata

DESCRIBE = 8
"""Kafka's number of the operation."""


class FakeClient:
    """Stands in for `protocol.Client`; its answers are encoded by kafka-python.

    What is in `failing` fails, what is in `hanging` never answers: a request's name, or that and
    the broker that is asked. Every group is Empty and coordinated by the broker that
    `coordinators` names, by default the first one.
    """

    def __init__(
        self,
        brokers: Sequence[int],
        topics: Mapping[str, Sequence[Partition]],
        commits: Mapping[str, Sequence[tuple[str, int, int]]] | None = None,
        ends: Mapping[str, int] | None = None,
    ) -> None:
        self.topics = dict(topics)
        self.of_groups = dict(commits or {})
        self.ends = dict(ends or {})
        self.coordinators: dict[str, int] = {}
        self.failing: dict[Any, RequestError] = {}
        self.hanging: set[Any] = set()
        self.group_errors: dict[str, int] = {}
        self.listing_error: dict[int, int] = {}
        self.operations = {DESCRIBE}
        self.versions_of: dict[str, int] = {}
        self.calls: list[str] = []
        self.asked: list[tuple[str, int | None, Any]] = []
        self.brokers: Mapping[int, tuple[str, int]] = {}
        self._ids = list(brokers)

    def learn(self, brokers: Mapping[int, tuple[str, int]]) -> None:
        self.brokers = brokers

    async def close(self) -> None:
        pass

    async def version(self, name: str, timeout: float, broker: int | None = None) -> int | None:
        return self.versions_of.get(name, MESSAGES[name].highest)

    async def send(
        self,
        name: str,
        version: int,
        body: bytes,
        timeout: float,
        broker: int | None = None,
        lane: int = 0,
    ) -> memoryview:
        request, response = MESSAGES[name].classes()
        asked = request.decode(body, version=version)
        await self._answering(name, broker, timeout, asked)
        if name == "Metadata":
            return memoryview(metadata(self._ids, self.topics))
        answer: Callable[[Any, int, Any], dict[str, Any]] = getattr(self, f"_{name}")
        return memoryview(
            bytes(response(**answer(asked, broker or 0, response)).encode(version=version))
        )

    async def ask(self, name: str, timeout: float, broker: int | None = None, **fields: Any) -> Any:
        await self._answering(name, broker, timeout, fields)
        if name == "DescribeCluster":
            return SimpleNamespace(error_code=0, authorized_operations=set(self.operations))
        raise AssertionError(name)

    async def _answering(self, name: str, broker: int | None, timeout: float, asked: Any) -> None:
        self.calls.append(name)
        self.asked.append((name, broker, asked))
        await asyncio.sleep(0)
        if {name, (name, broker)} & self.hanging:
            await asyncio.sleep(timeout)
            raise RequestError("timeout", f"broker {broker}: no answer")
        for what in (name, (name, broker)):
            if what in self.failing:
                raise self.failing[what]

    # What brokers answer, as fields of kafka-python's classes

    def _ListOffsets(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
        Topic = answer.ListOffsetsTopicResponse
        return {
            "topics": [
                Topic(
                    name=topic.name,
                    partitions=[
                        Topic.ListOffsetsPartitionResponse(
                            partition_index=of.partition_index,
                            error_code=0,
                            timestamp=-1,
                            offset=0
                            if of.timestamp in (EARLIEST, 0)
                            else self.ends.get(topic.name, 0),
                            leader_epoch=0,
                        )
                        for of in topic.partitions
                    ],
                )
                for topic in asked.topics
            ]
        }

    def _ListGroups(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
        return {
            "error_code": self.listing_error.get(broker, 0),
            "groups": [
                answer.ListedGroup(
                    group_id=group,
                    protocol_type="",
                    group_state="Empty",
                    group_type="Classic",
                )
                for group in self.of_groups
                if self.coordinators.get(group, self._ids[0]) == broker
            ],
        }

    def _OffsetFetch(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
        if asked.version < 8:
            topics = self._commits(asked.group_id, answer.OffsetFetchResponseTopic)
            return {"topics": topics, "error_code": self.group_errors.get(asked.group_id, 0)}
        Group = answer.OffsetFetchResponseGroup
        return {
            "groups": [
                Group(
                    group_id=of.group_id,
                    topics=self._commits(of.group_id, Group.OffsetFetchResponseTopics),
                    error_code=self.group_errors.get(of.group_id, 0),
                )
                for of in asked.groups
            ]
        }

    def _commits(self, group: str, topic_class: Any) -> list[Any]:
        if self.group_errors.get(group):
            return []
        partition_class = next(
            getattr(topic_class, name)
            for name in dir(topic_class)
            if name.startswith("OffsetFetchResponsePartition")
        )
        by_topic: dict[str, list[Any]] = {}
        for topic, partition, offset in self.of_groups[group]:
            by_topic.setdefault(topic, []).append(
                partition_class(
                    partition_index=partition,
                    committed_offset=offset,
                    committed_leader_epoch=-1,
                    metadata="",
                    error_code=0,
                )
            )
        return [topic_class(name=name, partitions=of) for name, of in by_topic.items()]
