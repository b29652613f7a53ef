"""A cluster at work: topics, groups with live members, and what happens between two ticks."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka.protocol.admin.topics import (
    AlterPartitionReassignmentsRequest,
    ListPartitionReassignmentsRequest,
)
from kafka.protocol.consumer.group import (
    JoinGroupRequest,
    LeaveGroupRequest,
    OffsetCommitRequest,
    SyncGroupRequest,
)
from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)
from kafka.protocol.metadata.find_coordinator import FindCoordinatorRequest

from tests.kafka.cluster import KafkaCluster
from tests.kafka.wire import Wire

A_TOPIC = 10
"""Partitions of a topic, and messages in each partition at first."""
AT_ONCE = 25
SESSION = 1_800_000
"""Milliseconds that a member may be silent, the most that a broker allows: it costs nothing."""
PARTITIONS = tuple(range(A_TOPIC))


@dataclass(frozen=True, slots=True)
class Member:
    """A group's one member, and the topic all of whose partitions it has."""

    group: str
    topic: str
    id: str
    generation: int
    coordinator: int


class WorkingCluster:
    """Topics of ten partitions on all brokers, one replica each, and groups of one live member.

    Each group reads all of a topic and has committed half of what was in it at first. A context
    manager.
    """

    def __init__(self, kafka: KafkaCluster, partitions: int, groups: int) -> None:
        self._resources = ExitStack()
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 50, "log_level": 0}
        )
        self._brokers = {
            broker: self._resources.enter_context(Wire(address))
            for broker, address in zip(
                kafka.broker_ids, kafka.bootstrap_servers.split(","), strict=True
            )
        }
        self._topics = [f"topic-{n:05}" for n in range(partitions // A_TOPIC)]
        self._create(self._topics)
        for _ in PARTITIONS:
            self._produce()
        names = [f"group-{n:05}" for n in range(groups)]
        self._members = self._join(names, self._topics)
        self._commit(self._members, "")
        self._random = random.Random(1)
        self._changes = 0
        self._passing: Member | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def change(self) -> None:
        """What happens between two ticks.

        A message a partition; a tenth of the groups commits with other metadata; a group and a
        topic come, and those of the change before go; 1 % of the leaders move to another broker,
        where there is one. Returns when all of it is done.
        """
        self._changes += 1
        number = self._changes
        self._produce()
        tenth = self._members[number % 10 :: 10]
        self._commit(tenth, f"commit {number}")
        self._create([f"passing-{number:05}"])
        (new,) = self._join([f"passing-{number:05}"], [f"passing-{number:05}"])
        self._commit([new], "")
        if (gone := self._passing) is not None:
            self._leave(gone)
            self._admin.delete_topics([gone.topic])[gone.topic].result(60)
        self._passing = new
        if len(self._brokers) > 1:
            self._move(max(1, len(self._topics) * A_TOPIC // 100))
        time.sleep(1)  # What the brokers do afterwards is not to be beside a tick.

    def _create(self, topics: Sequence[str]) -> None:
        for some in _batches(topics):
            new = [NewTopic(topic, A_TOPIC, 1) for topic in some]
            for future in self._admin.create_topics(new, request_timeout=120).values():
                future.result()
        # A broker takes its time: some hundred partitions a second.
        while not self._all_have_leaders(topics):
            time.sleep(0.2)

    def _all_have_leaders(self, topics: Sequence[str]) -> bool:
        found = self._admin.list_topics(timeout=60).topics
        return all(
            topic in found
            and len(found[topic].partitions) == A_TOPIC
            and all(p.leader >= 0 for p in found[topic].partitions.values())
            for topic in topics
        )

    def _produce(self) -> None:
        failed: list[str] = []
        for topic in self._topics:
            for partition in PARTITIONS:
                self._producer.produce(
                    topic,
                    b"a message",
                    partition=partition,
                    on_delivery=lambda error, _: failed.append(error.str()) if error else None,
                )
            self._producer.poll(0)
        if self._producer.flush(300) or failed:
            raise RuntimeError(f"not all messages were delivered: {failed[:1]}")

    def _coordinators(self, groups: Sequence[str]) -> Mapping[str, int]:
        wire = next(iter(self._brokers.values()))
        while True:
            asked = FindCoordinatorRequest(version=4, key_type=0, coordinator_keys=list(groups))
            found = wire.ask(asked).coordinators
            if not any(c.error_code for c in found):
                return {c.key: c.node_id for c in found}
            time.sleep(0.2)

    def _join(self, groups: Sequence[str], topics: Sequence[str]) -> list[Member]:
        coordinators = self._coordinators(groups)
        joined = []
        for number, group in enumerate(groups):
            topic, coordinator = topics[number % len(topics)], coordinators[group]
            wire = self._brokers[coordinator]
            wanted = ConsumerProtocolSubscription(version=0, topics=[topic], user_data=None)
            got = _until_loaded(
                wire,
                JoinGroupRequest(
                    version=3,
                    group_id=group,
                    session_timeout_ms=SESSION,
                    rebalance_timeout_ms=60_000,
                    member_id="",
                    protocol_type="consumer",
                    protocols=[("range", wanted.encode(version=0))],
                ),
            )
            assigned = ConsumerProtocolAssignment(
                version=0, assigned_partitions=[(topic, list(PARTITIONS))], user_data=None
            )
            _until_loaded(
                wire,
                SyncGroupRequest(
                    version=2,
                    group_id=group,
                    generation_id=got.generation_id,
                    member_id=got.member_id,
                    assignments=[(got.member_id, assigned.encode(version=0))],
                ),
            )
            joined.append(Member(group, topic, got.member_id, got.generation_id, coordinator))
        return joined

    def _leave(self, member: Member) -> None:
        wire = self._brokers[member.coordinator]
        left = LeaveGroupRequest(version=2, group_id=member.group, member_id=member.id)
        if error := wire.ask(left).error_code:
            raise RuntimeError(f"{member.group} could not be left: error {error}")
        self._admin.delete_consumer_groups([member.group])[member.group].result(60)

    def _commit(self, members: Sequence[Member], metadata: str) -> None:
        by_coordinator: defaultdict[int, list[OffsetCommitRequest]] = defaultdict(list)
        half = A_TOPIC // 2
        for member in members:
            partitions = [(partition, half, -1, metadata) for partition in PARTITIONS]
            by_coordinator[member.coordinator].append(
                OffsetCommitRequest(
                    version=6,
                    group_id=member.group,
                    generation_id_or_member_epoch=member.generation,
                    member_id=member.id,
                    topics=[(member.topic, partitions)],
                )
            )
        for coordinator, requests in by_coordinator.items():
            for some in _batches(requests):
                for answer in self._brokers[coordinator].ask_all(some):
                    errors = {p.error_code for topic in answer.topics for p in topic.partitions}
                    if errors != {0}:
                        raise RuntimeError(f"a commit failed: errors {errors}")

    def _move(self, count: int) -> None:
        """Have other brokers lead so many partitions; each of them has one replica."""
        leaders = {
            (topic, partition): found.leader
            for topic, of_topic in self._admin.list_topics(timeout=60).topics.items()
            if topic.startswith("topic-")
            for partition, found in of_topic.partitions.items()
        }
        brokers = list(self._brokers)
        moved: defaultdict[str, list[tuple[int, list[int]]]] = defaultdict(list)
        for topic, partition in self._random.sample(sorted(leaders), count):
            now = brokers.index(leaders[topic, partition])
            moved[topic].append((partition, [brokers[(now + 1) % len(brokers)]]))
        wire = self._brokers[brokers[0]]
        asked = AlterPartitionReassignmentsRequest(
            version=0, timeout_ms=60_000, topics=list(moved.items())
        )
        answer = wire.ask(asked)
        errors = {p.error_code for topic in answer.responses for p in topic.partitions}
        if answer.error_code or errors != {0}:
            raise RuntimeError(f"leaders were not moved: {answer.error_code}, {errors}")
        asked = ListPartitionReassignmentsRequest(version=0, timeout_ms=60_000, topics=None)
        while wire.ask(asked).topics:
            time.sleep(0.1)


def _until_loaded(wire: Wire, request: Any) -> Any:
    loading = {14, 15, 16}
    while (answer := wire.ask(request)).error_code in loading:
        time.sleep(0.1)
    if answer.error_code:
        raise RuntimeError(f"{request} was answered by error {answer.error_code}")
    return answer


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), AT_ONCE):
        yield items[begin : begin + AT_ONCE]
