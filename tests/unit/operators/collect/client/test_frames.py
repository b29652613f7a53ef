"""Kafka's big answers as arrays: equal to what kafka-python's classes read in the same bytes."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.admin import (
    DescribeClusterRequest,
    DescribeClusterResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
)
from kafka.protocol.consumer import (
    ListOffsetsRequest,
    ListOffsetsResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
)
from kafka.protocol.metadata import MetadataRequest, MetadataResponse

from operators.collect.client import frames
from operators.collect.client.frames import GarbledError

# Around 127 bytes a length takes a byte more.
names = st.text(min_size=1, max_size=6) | st.integers(126, 130).map("a".__mul__)
int16 = st.integers(-(2**15), 2**15 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
nodes = st.lists(int32, max_size=3)
# Alike, as most are, or each in its own way.
metadata = (
    st.sampled_from(["", "x"])
    | st.none()
    | st.text(max_size=6)
    | st.builds(str.__mul__, st.text(min_size=1, max_size=3), st.integers(1, 70))
)


def struct(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


def distinct(things: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(things, max_size=most)


# Offsets

_OffsetTopic = ListOffsetsResponse.ListOffsetsTopicResponse
offsets = struct(
    ListOffsetsResponse,
    throttle_time_ms=int32,
    topics=distinct(
        struct(
            _OffsetTopic,
            name=names,
            partitions=distinct(
                struct(
                    _OffsetTopic.ListOffsetsPartitionResponse,
                    partition_index=int32,
                    error_code=int16,
                    timestamp=int64,
                    offset=int64,
                    leader_epoch=int32,
                )
            ),
        )
    ),
)


@given(offsets, st.integers(6, 9))
def test_offsets_are_those_of_the_answer(answer: Any, version: int) -> None:
    """Every topic and partition, in the answer's order."""
    found = frames.found_offsets(bytes(answer.encode(version=version)))
    columns = (found.partition, found.error, found.timestamp, found.offset, found.epoch)
    rows = zip(
        [found.topics[i] for i in found.topic.tolist()],
        *(column.tolist() for column in columns),
        strict=True,
    )
    assert list(rows) == [
        (t.name, p.partition_index, p.error_code, p.timestamp, p.offset, p.leader_epoch)
        for t in answer.topics
        for p in t.partitions
    ]


@given(st.lists(st.tuples(st.integers(0, 3), int32, int64), max_size=20))
def test_offsets_are_asked_for_topic_by_topic(rows: list[tuple[int, int, int]]) -> None:
    """A request is what kafka-python reads as the same topics, partitions and times."""
    rows.sort(key=lambda row: row[0])
    topics = ["a", "b" * 200, "ü", "d"]
    topic, partition, asked = np.array(rows, np.int64).reshape(-1, 3).T
    request = ListOffsetsRequest.decode(
        frames.offsets_request(topics, topic, partition, asked), version=7
    )
    assert (request.replica_id, request.isolation_level) == (-1, 0)
    assert [
        (topics.index(t.name), p.partition_index, p.timestamp)
        for t in request.topics
        for p in t.partitions
    ] == rows


# Commits

_Group = OffsetFetchResponse.OffsetFetchResponseGroup


def committed(kind: Any, partition: str) -> st.SearchStrategy[list[Any]]:
    return distinct(
        struct(
            kind,
            name=names,
            partitions=distinct(
                struct(
                    getattr(kind, partition),
                    partition_index=int32,
                    committed_offset=int64,
                    committed_leader_epoch=int32,
                    metadata=metadata,
                    error_code=int16,
                )
            ),
        )
    )


groups = struct(
    OffsetFetchResponse,
    throttle_time_ms=int32,
    groups=distinct(
        struct(
            _Group,
            group_id=names,
            topics=committed(_Group.OffsetFetchResponseTopics, "OffsetFetchResponsePartitions"),
            error_code=int16,
        )
    ),
)
one_group = struct(
    OffsetFetchResponse,
    throttle_time_ms=int32,
    topics=committed(OffsetFetchResponse.OffsetFetchResponseTopic, "OffsetFetchResponsePartition"),
    error_code=int16,
)


def rows_of(found: frames.FoundCommits) -> list[tuple[Any, ...]]:
    columns = (found.partition, found.committed, found.error)
    return list(
        zip(
            [found.groups[i] for i in found.group.tolist()],
            [found.topics[i] for i in found.topic.tolist()],
            *(column.tolist() for column in columns),
            strict=True,
        )
    )


@given(groups)
def test_commits_are_those_of_the_answer(answer: Any) -> None:
    """Whatever metadata they carry, alike or not."""
    found = frames.found_commits(bytes(answer.encode(version=8)), 8)
    assert found.groups == [group.group_id for group in answer.groups]
    assert found.errors == [group.error_code for group in answer.groups]
    assert rows_of(found) == [
        (g.group_id, t.name, p.partition_index, p.committed_offset, p.error_code)
        for g in answer.groups
        for t in g.topics
        for p in t.partitions
    ]


@given(one_group)
def test_an_older_brokers_commits_are_of_one_group(answer: Any) -> None:
    """Version 7 does not name it."""
    found = frames.found_commits(bytes(answer.encode(version=7)), 7, "g")
    assert (found.groups, found.errors) == (["g"], [answer.error_code])
    assert rows_of(found) == [
        ("g", t.name, p.partition_index, p.committed_offset, p.error_code)
        for t in answer.topics
        for p in t.partitions
    ]


def test_groups_are_asked_for_with_all_their_topics() -> None:
    """Together from version 8 on."""
    request = OffsetFetchRequest.decode(frames.commits_request(["a", "ü" * 100], 8), version=8)
    assert [(group.group_id, group.topics) for group in request.groups] == [
        ("a", None),
        ("ü" * 100, None),
    ]
    request = OffsetFetchRequest.decode(frames.commits_request(["a"], 7), version=7)
    assert (request.group_id, request.topics, request.require_stable) == ("a", None, False)


# Metadata

_Topic = MetadataResponse.MetadataResponseTopic
topics = st.lists(
    struct(
        _Topic,
        error_code=st.sampled_from([0, 0, 0, 29]),
        name=names,
        topic_id=st.uuids() | st.just(uuid.UUID(int=0)),
        is_internal=st.booleans(),
        partitions=distinct(
            struct(
                _Topic.MetadataResponsePartition,
                error_code=int16,
                partition_index=int32,
                leader_id=int32,
                leader_epoch=int32,
                replica_nodes=st.just([1, 2, 3]) | nodes,
                isr_nodes=st.just([1, 2]) | nodes,
                offline_replicas=st.just([]) | nodes,
            )
        ),
        authorized_operations=st.just([]),
    ),
    max_size=4,
    unique_by=lambda topic: topic.name,
)
clusters = struct(
    MetadataResponse,
    throttle_time_ms=int32,
    brokers=distinct(
        struct(
            MetadataResponse.MetadataResponseBroker,
            node_id=int32,
            host=names,
            port=int32,
            rack=st.none() | names,
        )
    ),
    cluster_id=st.none() | names,
    controller_id=int32,
    topics=topics,
)


@given(clusters, st.sampled_from([11, 12]))
def test_metadata_is_that_of_the_answer(answer: Any, version: int) -> None:
    """Brokers, the cluster's id, and the partitions of topics that answered, sorted."""
    found = frames.found_metadata(bytes(answer.encode(version=version)))
    assert found.brokers == {b.node_id: (b.host, b.port) for b in answer.brokers}
    assert found.cluster_id == answer.cluster_id
    assert found.errors == {t.name: t.error_code for t in answer.topics if t.error_code}
    answered = sorted((t for t in answer.topics if not t.error_code), key=lambda t: t.name)
    assert found.topics == tuple(t.name for t in answered)
    assert [of is None for of in found.ids] == [t.topic_id.int == 0 for t in answered]
    partitions = [
        (t.name, p) for t in answered for p in sorted(t.partitions, key=lambda p: p.partition_index)
    ]
    columns = (
        found.partition,
        found.leader,
        found.leader_epoch,
        found.preferred,
        found.replicas,
        found.in_sync,
    )
    rows = zip(
        [found.topics[i] for i in found.topic.tolist()],
        *(column.tolist() for column in columns),
        strict=True,
    )
    # Of two of one number it is open which comes first.
    assert sorted(rows) == sorted(
        (
            name,
            p.partition_index,
            p.leader_id,
            p.leader_epoch,
            (p.replica_nodes or [-1])[0],
            len(p.replica_nodes),
            len(p.isr_nodes),
        )
        for name, p in partitions
    )
    assert sorted(found.holders.tolist()) == sorted(
        n for _, p in partitions for n in p.replica_nodes
    )


def test_metadata_is_asked_for_of_all_topics() -> None:
    """And none is to be made."""
    for version in (11, 12):
        request = MetadataRequest.decode(frames.METADATA_OF_ALL_TOPICS, version=version)
        assert (request.topics, request.allow_auto_topic_creation) == (None, False)


# Groups

listings = struct(
    ListGroupsResponse,
    throttle_time_ms=int32,
    error_code=int16,
    groups=distinct(
        struct(
            ListGroupsResponse.ListedGroup,
            group_id=st.just("") | names,
            protocol_type=st.just("") | names,
            group_state=names,
            group_type=st.sampled_from(["Classic", "consumer", ""]),
        )
    ),
)


@given(listings, st.sampled_from([4, 5]))
def test_listed_groups_are_those_of_the_answer(answer: Any, version: int) -> None:
    """Their type in lower case, from version 5 on."""
    error, found = frames.found_groups(bytes(answer.encode(version=version)), version)
    assert error == answer.error_code
    assert [(g.id, g.protocol, g.state, g.type) for g in found] == [
        (
            g.group_id,
            g.protocol_type,
            g.group_state,
            (g.group_type.lower() or None) if version == 5 else None,
        )
        for g in answer.groups
    ]


_Described = DescribeGroupsResponse.DescribedGroup
descriptions = struct(
    DescribeGroupsResponse,
    throttle_time_ms=int32,
    groups=distinct(
        struct(
            _Described,
            error_code=int16,
            group_id=names,
            group_state=names,
            protocol_type=names,
            protocol_data=st.just("") | names,
            members=distinct(
                struct(
                    _Described.DescribedGroupMember,
                    member_id=names,
                    group_instance_id=st.none() | names,
                    client_id=names,
                    client_host=names,
                    member_metadata=st.binary(max_size=200),
                    member_assignment=st.binary(max_size=200),
                )
            ),
            authorized_operations=st.sampled_from([[], [3, 8]]),
        )
    ),
)


@given(descriptions)
def test_described_groups_are_those_of_the_answer(answer: Any) -> None:
    """With their members."""
    found = frames.described_groups(bytes(answer.encode(version=5)), {})
    assert [(g.id, g.error, g.state, g.assignor) for g in found] == [
        (g.group_id, g.error_code, g.group_state, g.protocol_data) for g in answer.groups
    ]
    assert [
        (m.id, m.static_id, m.client_id, m.host, m.assignment) for g in found for m in g.members
    ] == [
        (m.member_id, m.group_instance_id, m.client_id, m.client_host, m.member_assignment)
        for g in answer.groups
        for m in g.members
    ]
    assert [g.operations >> 8 & 1 for g in found] == [
        8 in g.authorized_operations for g in answer.groups
    ]


@given(descriptions, descriptions)
def test_a_group_that_is_reported_in_the_same_bytes_is_the_same_object(
    first: Any, then: Any
) -> None:
    """And what is reported otherwise is read again, whatever came before."""
    known: dict[str, frames.Reported] = {}
    data, later = bytes(first.encode(version=5)), bytes(then.encode(version=5))
    again = frames.described_groups(data, known)
    if len({group.id for group in again}) == len(again):
        for one, other in zip(frames.described_groups(data, known), again, strict=True):
            assert one is other
    assert frames.described_groups(later, known) == frames.described_groups(later, {})


def test_groups_are_asked_for_by_name() -> None:
    """And for what is permitted on demand."""
    asked = DescribeGroupsRequest.decode(
        frames.description_request(["a", "b"], operations=True), version=5
    )
    assert (asked.groups, asked.include_authorized_operations) == (["a", "b"], True)
    for version in (4, 5):
        listing = ListGroupsRequest.decode(frames.groups_request(version), version=version)
        assert (listing.states_filter, listing.types_filter or []) == ([], [])


# Configurations, and who is fenced

_Config = DescribeConfigsResponse.DescribeConfigsResult
_Entry = _Config.DescribeConfigsResourceResult
configurations = struct(
    DescribeConfigsResponse,
    throttle_time_ms=int32,
    results=distinct(
        struct(
            _Config,
            error_code=int16,
            error_message=metadata,
            resource_type=st.just(2),
            resource_name=names,
            configs=distinct(
                struct(
                    _Entry,
                    name=names,
                    value=metadata,
                    read_only=st.booleans(),
                    config_source=st.integers(-1, 6),
                    is_sensitive=st.booleans(),
                    synonyms=distinct(
                        struct(
                            _Entry.DescribeConfigsSynonym,
                            name=names,
                            value=metadata,
                            source=st.integers(-1, 6),
                        ),
                        2,
                    ),
                    config_type=st.integers(0, 9),
                    documentation=metadata,
                )
            ),
        )
    ),
)
described_clusters = struct(
    DescribeClusterResponse,
    throttle_time_ms=int32,
    error_code=int16,
    error_message=metadata,
    endpoint_type=st.just(1),
    cluster_id=names,
    controller_id=int32,
    brokers=distinct(
        struct(
            DescribeClusterResponse.DescribeClusterBroker,
            broker_id=int32,
            host=names,
            port=int32,
            rack=metadata,
            is_fenced=st.booleans(),
        )
    ),
    authorized_operations=st.just(set()),
)


@given(configurations)
def test_configurations_are_those_of_the_answer(answer: Any) -> None:
    """The values of every topic, its error; what has no value is left out."""
    found = frames.described_configs(bytes(answer.encode(version=4)))
    assert [(of.topic, of.error, of.values) for of in found] == [
        (of.resource_name, of.error_code, {c.name: c.value for c in of.configs if c.value})
        for of in answer.results
    ]


@given(st.lists(names, max_size=4), st.lists(names, max_size=3))
def test_configurations_are_asked_for_by_topic_and_key(topics: list[str], keys: list[str]) -> None:
    """Of topics alone, without synonyms and documentation."""
    asked = DescribeConfigsRequest.decode(frames.configs_request(topics, keys), version=4)
    assert [
        (of.resource_type, of.resource_name, of.configuration_keys) for of in asked.resources
    ] == [(2, topic, keys) for topic in topics]
    assert (asked.include_synonyms, asked.include_documentation) == (False, False)


@given(described_clusters)
def test_fenced_brokers_are_those_of_the_answer(answer: Any) -> None:
    """Known from the others by their flag."""
    found = frames.fenced_brokers(bytes(answer.encode(version=2)))
    assert found == (
        answer.error_code,
        frozenset(of.broker_id for of in answer.brokers if of.is_fenced),
    )


def test_all_brokers_are_asked_for() -> None:
    """The fenced ones too, and no permitted operations."""
    asked = DescribeClusterRequest.decode(frames.CLUSTER_REQUEST, version=2)
    assert asked.include_fenced_brokers is True
    assert asked.include_cluster_authorized_operations is False
    assert asked.endpoint_type == 1


# What is no answer

DECODERS: dict[str, tuple[Callable[[bytes], Any], st.SearchStrategy[Any], int]] = {
    "offsets": (frames.found_offsets, offsets, 7),
    "commits": (lambda data: frames.found_commits(data, 8), groups, 8),
    "metadata": (frames.found_metadata, clusters, 12),
    "listing": (lambda data: frames.found_groups(data, 5), listings, 5),
    "descriptions": (lambda data: frames.described_groups(data, {}), descriptions, 5),
    "configurations": (frames.described_configs, configurations, 4),
    "cluster": (frames.fenced_brokers, described_clusters, 2),
}


@pytest.mark.parametrize("kind", DECODERS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_is_no_answer_is_a_clear_error(kind: str, data: st.DataObject) -> None:
    """Cut anywhere, with bytes changed, or made up: garbled, or read, and nothing else."""
    decode, answers, version = DECODERS[kind]
    whole = bytearray(data.draw(answers).encode(version=version))
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    for _ in range(data.draw(st.integers(0, 3)) if whole else 0):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole))
    except GarbledError:
        return


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_garbled(kind: str, data: bytes) -> None:
    """An array that claims to be longer than its answer takes no memory."""
    try:
        DECODERS[kind][0](data)
    except GarbledError:
        return
