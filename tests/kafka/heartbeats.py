"""Heartbeats of the newer kinds of group, by hand: members that stand still where no client does.

kafka-python has no such messages, so they are made of Kafka's own schemas, which its client's jar has.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import OffsetCommitRequest

from tests.kafka.jars import VERSION, resolve_jars
from tests.kafka.wire import Wire

REBALANCE = 600_000
"""Milliseconds that a member has to give partitions back."""

_CONSUMER: Mapping[str, Any] = {
    "rebalance_timeout_ms": REBALANCE,
    "instance_id": None,
    "rack_id": None,
    "subscribed_topic_regex": None,
    "server_assignor": None,
    "topic_partitions": [],
}
_SHARE: Mapping[str, Any] = {"rack_id": None}
_STREAMS: Mapping[str, Any] = {
    "endpoint_information_epoch": 0,
    "instance_id": None,
    "rack_id": None,
    "rebalance_timeout_ms": REBALANCE,
    "active_tasks": [],
    "standby_tasks": [],
    "warmup_tasks": [],
    "process_id": "by-hand",
    "user_endpoint": None,
    "client_tags": [],
    "task_offsets": None,
    "task_end_offsets": None,
    "shutdown_application": False,
}


@cache
def _heartbeat(kind: str) -> tuple[Any, Any]:
    """The classes of the request and the answer: of `Consumer`, `Share` or `Streams` groups."""
    names = [f"{kind}GroupHeartbeat{what}" for what in ("Request", "Response")]
    jar = resolve_jars() / f"kafka-clients-{VERSION}.jar"
    with TemporaryDirectory() as folder, ZipFile(jar) as packed:
        schemas = Path(folder, f"kafka_schemas_{kind.lower()}")
        schemas.mkdir()
        for name in names:
            text = packed.read(f"common/message/{name}.json")
            (schemas / f"{name}.json").write_bytes(text)
        sys.path.insert(0, folder)
        invalidate_caches()
        try:
            request, answer = (
                type(ApiMessage)(name, (ApiMessage,), {}, load_json=schemas.name) for name in names
            )
        finally:
            sys.path.remove(folder)
    return request, answer


class HandMember:
    """A member that says what it is told to and no more; its broker keeps it for a session."""

    def __init__(self, wire: Wire, kind: str, group: str) -> None:
        self._wire, self._kind = wire, kind
        self._who = {"group_id": group, "member_id": str(uuid4())}
        self._epoch = 0
        self.partitions = 0
        self.assigned: list[Any] = []
        """What it was last given: partitions by topic, or tasks; a broker sends what changes."""

    def beat(self, **fields: Any) -> None:
        """Joins, or says that it is still there.

        Raises:
            RuntimeError: the broker refused it, and how.
        """
        request, answers = _heartbeat(self._kind)
        asked = request(
            version=0 if self._kind == "Streams" else 1,
            member_epoch=self._epoch,
            **self._who,
            **fields,
        )
        answer = self._wire.ask(asked, answers)
        if answer.error_code:
            raise RuntimeError(f"error {answer.error_code}: {answer.error_message}")
        self._epoch = answer.member_epoch
        if self._kind == "Streams":
            given = answer.active_tasks
        else:
            given = answer.assignment and answer.assignment.topic_partitions
        if given is not None:
            self.assigned = given
        self.partitions = sum(len(of.partitions) for of in self.assigned)

    def commit(self, topic: str, offsets: Sequence[int]) -> None:
        """Commits as a member, an offset a partition.

        Raises:
            RuntimeError: the broker refused one, and how.
        """
        of_topic = OffsetCommitRequest.OffsetCommitRequestTopic
        of_partition = of_topic.OffsetCommitRequestPartition
        partitions = [
            of_partition(
                partition_index=partition,
                committed_offset=offset,
                committed_leader_epoch=-1,
                committed_metadata="",
            )
            for partition, offset in enumerate(offsets)
        ]
        asked = OffsetCommitRequest(
            version=9,
            generation_id_or_member_epoch=self._epoch,
            group_instance_id=None,
            topics=[of_topic(name=topic, partitions=partitions)],
            **self._who,
        )
        for answer in self._wire.ask(asked).topics[0].partitions:
            if answer.error_code:
                raise RuntimeError(f"error {answer.error_code}")


def consumer(wire: Wire, group: str, topic: str) -> HandMember:
    """A member of a consumer group (KIP-848) that has joined, and gives no partition back."""
    member = HandMember(wire, "Consumer", group)
    member.beat(**_CONSUMER, subscribed_topic_names=[topic])
    return member


def share(wire: Wire, group: str, topic: str) -> HandMember:
    """A member of a share group that has joined and never fetches."""
    member = HandMember(wire, "Share", group)
    member.beat(**_SHARE, subscribed_topic_names=[topic])
    return member


def streams(wire: Wire, group: str, topic: str, **more: Any) -> HandMember:
    """A member of a streams group of one subtopology, which reads a topic."""
    request, _ = _heartbeat("Streams")
    member = HandMember(wire, "Streams", group)
    member.beat(**{**_STREAMS, **more}, topology=_reading(request, topic))
    return member


def _reading(request: Any, topic: str) -> Any:
    topology = request.fields["topology"].data_class
    subtopology = topology.fields["subtopologies"].data_class
    nothing: Mapping[str, Any] = {
        "source_topic_regex": [],
        "state_changelog_topics": [],
        "repartition_sink_topics": [],
        "repartition_source_topics": [],
        "copartition_groups": [],
    }
    return topology(
        epoch=0, subtopologies=[subtopology(subtopology_id="0", source_topics=[topic], **nothing)]
    )
