"""Kafka metadata for tests, written down in a few words and encoded by kafka-python."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from kafka.protocol.metadata import MetadataResponse

from operators.collect.client.frames import VERSIONS, found_metadata
from operators.collect.client.topology import ClusterMetadata

Partition = tuple[int, Sequence[int], Sequence[int]]
"""Leader, replicas, in-sync replicas."""

CLUSTER_ID = "cluster-id"
_NOT_AUTHORIZED = 29
_Topic = MetadataResponse.MetadataResponseTopic


def topology(
    brokers: Sequence[int],
    topics: Mapping[str, Sequence[Partition]],
    refused: Sequence[str] = (),
    ids: Mapping[str, str] | None = None,
) -> ClusterMetadata:
    """The topology of these brokers and topics; `refused` topics answer with an error.

    A topic's id is made of what `ids` has for it, and not given where that has nothing. Without
    `ids` it is made of `id of ` and its name.
    """
    return found_metadata(metadata(brokers, topics, refused, ids))


def metadata(
    brokers: Sequence[int],
    topics: Mapping[str, Sequence[Partition]],
    refused: Sequence[str] = (),
    ids: Mapping[str, str] | None = None,
) -> bytes:
    """What a broker answers of these brokers and topics."""
    texts = {name: f"id of {name}" for name in topics} if ids is None else ids
    reported = [_topic(name, partitions, texts.get(name)) for name, partitions in topics.items()]
    reported += [_topic(name, [], name, _NOT_AUTHORIZED) for name in refused]
    answer = MetadataResponse(
        throttle_time_ms=0,
        brokers=[
            MetadataResponse.MetadataResponseBroker(
                node_id=broker, host=f"host-{broker}", port=9092, rack=None
            )
            for broker in brokers
        ],
        cluster_id=CLUSTER_ID,
        controller_id=brokers[0] if brokers else -1,
        topics=reported,
    )
    return bytes(answer.encode(version=VERSIONS["Metadata"]))


def _topic(name: str, partitions: Sequence[Partition], of: str | None, error: int = 0) -> Any:
    return _Topic(
        error_code=error,
        name=name,
        topic_id=uuid.uuid5(uuid.NAMESPACE_OID, of) if of else uuid.UUID(int=0),
        is_internal=False,
        partitions=[
            _Topic.MetadataResponsePartition(
                error_code=0,
                partition_index=number,
                leader_id=leader,
                leader_epoch=0,
                replica_nodes=list(replicas),
                isr_nodes=list(in_sync),
                offline_replicas=[],
            )
            for number, (leader, replicas, in_sync) in enumerate(partitions)
        ],
        authorized_operations=[],
    )
