"""Kafka's big answers as arrays, and its big requests as bytes, without an object a partition.

An answer names groups or topics, and below each of them its partitions. The names are walked in
Python; partitions are records of one width, which numpy reads all at once. Where a topic's
partitions differ in width (by their commits' metadata, or their replicas), it is walked too.

Formats are those of Kafka's message schemas from the first flexible version on: Metadata 11 and
12, ListOffsets 6 to 9, OffsetFetch 7 and 8, ListGroups 4 and 5, DescribeGroups 5, DescribeConfigs 4,
DescribeCluster 2. `VERSIONS` has the newest of each. What is no such answer raises GarbledError.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.collect.client.topology import ClusterMetadata
from operators.schema.arrays import Ints

P = ParamSpec("P")
T = TypeVar("T")

VERSIONS: Mapping[str, int] = {
    "Metadata": 11,
    "ListOffsets": 8,
    "OffsetFetch": 8,
    "ListGroups": 5,
    "DescribeGroups": 5,
    "DescribeConfigs": 4,
    "DescribeCluster": 2,
}
"""The newest version of each request that is spoken here."""

SEVERAL_GROUPS = 8
"""The version of OffsetFetch from which on a request is of several groups (Kafka 3.0)."""

METADATA_OF_ALL_TOPICS = bytes(4)
"""The request: no list of topics, none to be made, no permitted operations, no tags."""

_LONGER = 0x80
"""A number's byte from which on there is another one."""

_ANY_EPOCH = -1
_NO_ID = bytes(16)
_MOST_REPLICAS = 126
_LONG = struct.Struct(">i")
_SHORT = struct.Struct(">h")
_INT = struct.Struct(">i")


class GarbledError(ValueError):
    """Bytes that are not the answer that was asked for."""


def _clear(decode: Callable[P, T]) -> Callable[P, T]:
    """Whatever a decoder stumbles over is a GarbledError."""

    @wraps(decode)
    def clear(*args: P.args, **more: P.kwargs) -> T:
        try:
            return decode(*args, **more)
        except (IndexError, ValueError, struct.error, OverflowError, MemoryError) as error:
            raise GarbledError(f"an answer that cannot be read ({error})") from error

    return clear


# Values of a width of their own


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number at a place, and the place after it."""
    value = data[at]
    at += 1
    if value < _LONGER:
        return value, at
    value &= 0x7F
    for shift in (7, 14, 21, 28):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _LONGER:
            return value, at
    raise GarbledError("a number of more than five bytes")


def _length(data: bytes, at: int, width: int) -> tuple[int, int]:
    """The length of an array of things of `width` bytes or more; 0 where it is null."""
    length, at = _varint(data, at)
    if length <= 1:
        return 0, at
    if (length - 1) * width > len(data) - at:
        raise GarbledError("an array that is longer than its answer")
    return length - 1, at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length before them; none where they are null."""
    length, at = _varint(data, at)
    if length <= 1:
        return b"", at
    end = at + length - 1
    if end > len(data):
        raise GarbledError("an answer that ends within a value")
    return data[at:end], end


def _text(data: bytes, at: int) -> tuple[str, int]:
    length = data[at]
    if length < _LONGER:
        # Nearly all names: this is where most of the time goes.
        begin = at + 1
        at += length or 1
        if at > len(data):
            raise GarbledError("an answer that ends within a name")
        return data[begin:at].decode(), at
    found, at = _bytes(data, at)
    return found.decode(), at


def _untagged(data: bytes, at: int) -> int:
    """The place after tagged fields."""
    count = data[at]
    if not count:
        return at + 1
    count, at = _varint(data, at)
    for _ in range(count):
        _, at = _varint(data, at)
        size, at = _varint(data, at)
        at += size
    return at


def varint(value: int) -> bytes:
    """An unsigned number as Kafka writes it."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


@lru_cache(maxsize=1 << 17)
def text(value: str) -> bytes:
    """A string as Kafka writes it."""
    encoded = value.encode()
    return varint(len(encoded) + 1) + encoded


# Records


@dataclass(slots=True)
class _Runs:
    """Where the records are: runs of `count` ones from `start` on, each `stride` bytes long."""

    owner: list[int] = field(default_factory=list)
    """Whose they are: an index into the names."""
    start: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    stride: list[int] = field(default_factory=list)

    def add(self, owner: int, start: int, count: int, stride: int) -> None:
        self.owner.append(owner)
        self.start.append(start)
        self.count.append(count)
        self.stride.append(stride)

    def places(self) -> Ints:
        """Where each record begins."""
        counts, starts, strides = np.array((self.count, self.start, self.stride), np.int64)
        # As if all records before a run were of its width, and lay just before it.
        begins = starts - (counts.cumsum() - counts) * strides
        places: Ints = np.arange(counts.sum()) * strides.repeat(counts)
        places += begins.repeat(counts)
        return places

    def of(self, values: Sequence[int]) -> Ints:
        """A value a run, for each of its records."""
        return np.array(values, np.int64).repeat(self.count)


def _records(data: bytes, places: Ints, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The records of one shape that begin at these places."""
    if not len(places):
        return np.zeros(0, dtype)
    # Windows of a record's width, one byte apart: those at the places are copied.
    width, last = dtype.itemsize, len(data) - dtype.itemsize
    if last < 0:
        raise GarbledError("an answer that ends within a record")
    windows: NDArray[Any] = np.ndarray((last + 1,), f"V{width}", data, 0, (1,))
    return windows[places].view(dtype)


def _ints(values: NDArray[Any]) -> Ints:
    return values.astype(np.int64)


def _alike(data: bytes, at: int, count: int, stride: int) -> bool:
    """Whether a byte is the same in all records of a run."""
    first = data[at : at + 1]
    return data[at : at + (count - 1) * stride + 1 : stride] == first * count


# Offsets


@dataclass(frozen=True, slots=True)
class FoundOffsets:
    """A ListOffsets answer; one row a partition, and the topic's name by its index."""

    topics: list[str]
    topic: Ints
    partition: Ints
    error: Ints
    timestamp: Ints
    """In ms; -1 where there is none."""
    offset: Ints
    epoch: Ints


_OFFSET = np.dtype(
    [
        ("partition", ">i4"),
        ("error", ">i2"),
        ("timestamp", ">i8"),
        ("offset", ">i8"),
        ("epoch", ">i4"),
        ("tags", "u1"),
    ]
)
_ASKED = np.dtype([("partition", ">i4"), ("epoch", ">i4"), ("timestamp", ">i8"), ("tags", "u1")])


def offsets_request(
    names: Sequence[str],
    topic: Ints,
    partition: Ints,
    asked: Ints | int,
    committed: bool = False,
) -> bytes:
    """Ask ListOffsets for what is `asked` (a time in ms, or one of -1 to -4) of each partition.

    `topic` is an index into `names`; the rows of a topic lie together. Where only what is `committed`
    counts, the latest offset is the last stable one.
    """
    rows = np.zeros(len(topic), _ASKED)
    rows["partition"], rows["epoch"], rows["timestamp"] = partition, _ANY_EPOCH, asked
    written = rows.tobytes()
    changes = (topic[1:] != topic[:-1]).nonzero()[0] + 1
    edges = [0, *changes.tolist(), len(topic)] if len(topic) else [0]
    parts = [_LONG.pack(-1), b"\1" if committed else b"\0", varint(len(edges))]
    for begin, end in pairwise(edges):
        parts += (
            text(names[topic[begin]]),
            varint(end - begin + 1),
            written[begin * _ASKED.itemsize : end * _ASKED.itemsize],
            b"\0",
        )
    return b"".join((*parts, b"\0"))


@_clear
def found_offsets(data: bytes) -> FoundOffsets:
    """What a ListOffsets answer holds."""
    width = _OFFSET.itemsize
    topics, starts, counts = [], [], []
    count, at = _length(data, 4, 3)
    for _ in range(count):
        name, at = _text(data, at)
        topics.append(name)
        partitions, at = _length(data, at, width)
        starts.append(at)
        counts.append(partitions)
        at += partitions * width
        at = at + 1 if data[at] == 0 else _untagged(data, at)
    runs = _Runs(list(range(count)), starts, counts, [width] * count)
    rows = _records(data, runs.places(), _OFFSET)
    if rows["tags"].any():
        raise GarbledError("an offset with fields that are not known here")
    return FoundOffsets(
        topics,
        runs.of(runs.owner),
        *(_ints(rows[name]) for name in ("partition", "error", "timestamp", "offset", "epoch")),
    )


# Commits


@dataclass(frozen=True, slots=True)
class FoundCommits:
    """An OffsetFetch answer; one row a group, topic and partition."""

    groups: list[str]
    errors: list[int]
    """By group: Kafka's error code, 0 where it answered."""
    topics: list[str]
    group: Ints
    """Index into `groups`."""
    topic: Ints
    """Index into `topics`."""
    partition: Ints
    committed: Ints
    """-1 where there is no commit."""
    error: Ints


_COMMIT = np.dtype(
    [("partition", ">i4"), ("committed", ">i8"), ("epoch", ">i4"), ("metadata", "u1")]
)
_LEAST_COMMIT = _COMMIT.itemsize + 3
"""With an error code and no tags behind metadata of no length."""


def commits_request(groups: Sequence[str], version: int) -> bytes:
    """Ask OffsetFetch for all commits of these groups; up to version 7 of one group."""
    if version < SEVERAL_GROUPS:
        (group,) = groups
        return text(group) + bytes(3)
    return b"".join((varint(len(groups) + 1), *(text(g) + b"\0\0" for g in groups), b"\0\0"))


@_clear
def found_commits(data: bytes, version: int, group: str = "") -> FoundCommits:
    """What an OffsetFetch answer holds; up to version 7 it is of one `group` and does not say so."""
    groups: list[str] = []
    errors: list[int] = []
    codes: dict[str, int] = {}
    runs, of_topic = _Runs(), []
    several = version >= SEVERAL_GROUPS
    count, at = _length(data, 4, 5) if several else (1, 4)
    for index in range(count):
        name, at = _text(data, at) if several else (group, at)
        groups.append(name)
        topics, at = _length(data, at, 3)
        for _ in range(topics):
            topic, at = _text(data, at)
            before = len(runs.owner)
            at = _commits(data, at, index, runs)
            of_topic += [codes.setdefault(topic, len(codes))] * (len(runs.owner) - before)
        errors.append(_SHORT.unpack_from(data, at)[0])
        at = _untagged(data, at + 2)
    places = runs.places()
    rows = _records(data, places, _COMMIT)
    # The code is behind the metadata, and before the one byte that says that there are no tags.
    code = _records(data, places + runs.of(runs.stride) - 3, np.dtype([("code", ">i2")]))
    return FoundCommits(
        groups,
        errors,
        list(codes),
        runs.of(runs.owner),
        runs.of(of_topic),
        _ints(rows["partition"]),
        _ints(rows["committed"]),
        _ints(code["code"]),
    )


def _commits(data: bytes, at: int, group: int, runs: _Runs) -> int:
    """Take in where a topic's commits are; the place after them."""
    count, at = _length(data, at, _LEAST_COMMIT)
    if not count:
        return _untagged(data, at)
    metadata = data[at + 16]
    if metadata < 0x80:
        stride = _LEAST_COMMIT + max(0, metadata - 1)
        end = at + count * stride
        if (
            end < len(data)
            and _alike(data, at + 16, count, stride)
            and data[at + stride - 1] == 0
            and _alike(data, at + stride - 1, count, stride)
        ):
            runs.add(group, at, count, stride)
            return _untagged(data, end)
    for _ in range(count):
        begin = at
        _, at = _bytes(data, at + 16)
        at += 2
        if data[at]:
            raise GarbledError("a commit with fields that are not known here")
        at += 1
        runs.add(group, begin, 1, at - begin)
    return _untagged(data, at)


# Metadata


_PARTITION = np.dtype(
    [
        ("error", ">i2"),
        ("partition", ">i4"),
        ("leader", ">i4"),
        ("epoch", ">i4"),
        ("replicas", "u1"),
    ]
)
_LEAST_PARTITION = _PARTITION.itemsize + 3


@dataclass(slots=True)
class _ReplicaCounts:
    """How many replicas, in-sync ones and offline ones the partitions of each run have."""

    runs: _Runs = field(default_factory=_Runs)
    replicas: list[int] = field(default_factory=list)
    in_sync: list[int] = field(default_factory=list)

    def add(self, topic: int, at: int, count: int, stride: int, replicas: int, isr: int) -> None:
        self.runs.add(topic, at, count, stride)
        self.replicas.append(replicas)
        self.in_sync.append(isr)


@_clear
def found_metadata(data: bytes) -> ClusterMetadata:
    """What a Metadata answer holds."""
    brokers = {}
    count, at = _length(data, 4, 11)
    for _ in range(count):
        (broker,) = _LONG.unpack_from(data, at)
        host, at = _text(data, at + 4)
        (port,) = _LONG.unpack_from(data, at)
        _, at = _bytes(data, at + 4)  # the rack
        at = _untagged(data, at)
        brokers[broker] = host, port
    cluster_id, at = _text(data, at)
    count, at = _length(data, at + 4, 26)  # the controller is a random broker in KRaft
    found: list[tuple[str, bytes]] = []
    errors: dict[str, int] = {}
    layouts = _ReplicaCounts()
    for _ in range(count):
        (error,) = _SHORT.unpack_from(data, at)
        name, at = _text(data, at + 2)
        topic_id = data[at : at + 16]
        index = len(found)
        if error:
            errors[name] = error
            # What such a topic has of partitions is passed over.
            at = _partitions(data, at + 17, index, _ReplicaCounts())
        else:
            found.append((name, topic_id))
            at = _partitions(data, at + 17, index, layouts)
        at = _untagged(data, at + 4)
    return _sorted(data, brokers, cluster_id or None, found, errors, layouts)


def _partitions(data: bytes, at: int, topic: int, layouts: _ReplicaCounts) -> int:
    """Take in where a topic's partitions are; the place after them."""
    count, at = _length(data, at, _LEAST_PARTITION)
    if not count:
        return at
    end, stride, replicas, isr = _partition(data, at)
    isr_at = at + 15 + 4 * replicas
    if (
        at + count * stride <= len(data)
        and _alike(data, at + 14, count, stride)
        and _alike(data, isr_at, count, stride)
        and _alike(data, isr_at + 1 + 4 * isr, count, stride)
        and _alike(data, end - 1, count, stride)
    ):
        layouts.add(topic, at, count, stride, replicas, isr)
        return at + count * stride
    for _ in range(count):
        end, stride, replicas, isr = _partition(data, at)
        layouts.add(topic, at, 1, stride, replicas, isr)
        at = end
    return at


def _partition(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Where a partition ends, its bytes, and how many replicas and in-sync ones it has."""
    begin = at
    replicas = (data[at + 14] or 1) - 1
    at += 15 + 4 * replicas
    isr = (data[at] or 1) - 1
    at += 1 + 4 * isr
    offline = (data[at] or 1) - 1
    at += 1 + 4 * offline
    if max(replicas, isr, offline) > _MOST_REPLICAS or data[at]:
        raise GarbledError("a partition of more replicas or fields than are read here")
    at += 1
    return at, at - begin, replicas, isr


def _sorted(
    data: bytes,
    brokers: dict[int, tuple[str, int]],
    cluster_id: str | None,
    found: list[tuple[str, bytes]],
    errors: dict[str, int],
    layouts: _ReplicaCounts,
) -> ClusterMetadata:
    runs = layouts.runs
    places = runs.places()
    rows = _records(data, places, _PARTITION)
    order = sorted(range(len(found)), key=lambda index: found[index][0])
    rank = np.zeros(len(found), np.int64)
    rank[order] = np.arange(len(found))
    topic, partition = rank[runs.of(runs.owner)], _ints(rows["partition"])
    sort = np.lexsort((partition, topic))
    replicas = runs.of(layouts.replicas)
    preferred = np.full(len(places), -1, np.int64)
    holders = [np.zeros(0, np.int64)]
    for many in np.unique(replicas[replicas > 0]).tolist():
        of_many = replicas == many
        ids = _records(data, places[of_many] + 15, np.dtype([("ids", ">i4", (many,))]))["ids"]
        preferred[of_many] = ids[:, 0]
        holders.append(_ints(ids).ravel())
    return ClusterMetadata(
        cluster_id,
        brokers,
        tuple(found[index][0] for index in order),
        tuple(_id_text(found[index][1]) for index in order),
        errors,
        topic[sort],
        partition[sort],
        _ints(rows["leader"])[sort],
        _ints(rows["epoch"])[sort],
        preferred[sort],
        replicas[sort],
        runs.of(layouts.in_sync)[sort],
        np.concatenate(holders),
    )


def _id_text(topic_id: bytes) -> str | None:
    """A topic's id as the state of earlier versions has it."""
    return None if topic_id == _NO_ID else b64encode(topic_id).decode().rstrip("=")


# Groups


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """What a broker that coordinates a group says of it when it lists it."""

    id: str
    protocol: str
    """`consumer`, `share`, `streams`, `connect`, …; empty where it never had a member."""
    state: str
    type: str | None
    """In lower case; None where the broker does not report it."""


def groups_request(version: int) -> bytes:
    """Ask ListGroups for all groups."""
    return b"\1\1\0" if version >= 5 else b"\1\0"


@_clear
def found_groups(data: bytes, version: int) -> tuple[int, list[ListedGroup]]:
    """What a ListGroups answer holds: Kafka's error code, and groups."""
    (error,) = _SHORT.unpack_from(data, 4)
    groups = []
    count, at = _length(data, 6, 4)
    for _ in range(count):
        group, at = _text(data, at)
        protocol, at = _text(data, at)
        state, at = _text(data, at)
        type_ = None
        if version >= 5:
            type_, at = _text(data, at)
        at = _untagged(data, at)
        groups.append(ListedGroup(group, protocol, state, type_.lower() if type_ else None))
    return error, groups


@dataclass(frozen=True, slots=True)
class DescribedMember:
    """A member of a classic group."""

    id: str
    static_id: str | None
    client_id: str
    host: str
    assignment: bytes
    """In the format of the group's protocol."""


@dataclass(frozen=True, slots=True)
class DescribedGroup:
    """What DescribeGroups says of a classic group."""

    id: str
    error: int
    state: str
    assignor: str
    members: tuple[DescribedMember, ...]
    operations: int
    """Those permitted, as bits by their number; see Kafka's AclOperation."""


def description_request(groups: Sequence[str], *, operations: bool = False) -> bytes:
    """Ask DescribeGroups for these groups, and on demand which operations are permitted."""
    asked = b"\1" if operations else b"\0"
    return b"".join((varint(len(groups) + 1), *map(text, groups), asked, b"\0"))


Reported = tuple[bytes, DescribedGroup]
"""The bytes in which a group was described, and what they say."""


@_clear
def described_groups(data: bytes, known: MutableMapping[str, Reported]) -> list[DescribedGroup]:
    """What a DescribeGroups answer holds.

    A group that is reported in the same bytes as in `known` is the same object; the others are put
    there.
    """
    groups = []
    count, at = _length(data, 4, 11)
    for _ in range(count):
        begin = at
        (error,) = _SHORT.unpack_from(data, at)
        group, at = _text(data, at + 2)
        before = known.get(group)
        if before is not None and data.startswith(before[0], begin):
            groups.append(before[1])
            at = begin + len(before[0])
            continue
        state, at = _text(data, at)
        _, at = _bytes(data, at)  # the protocol's type
        assignor, at = _text(data, at)
        size, at = _length(data, at, 7)
        members = []
        for _ in range(size):
            member, at = _text(data, at)
            static_id, at = _text(data, at)
            client, at = _text(data, at)
            host, at = _text(data, at)
            _, at = _bytes(data, at)  # what it subscribes to
            assignment, at = _bytes(data, at)
            at = _untagged(data, at)
            members.append(DescribedMember(member, static_id or None, client, host, assignment))
        (operations,) = _LONG.unpack_from(data, at)
        at = _untagged(data, at + 4)
        described = DescribedGroup(group, error, state, assignor, tuple(members), operations)
        known[group] = data[begin:at], described
        groups.append(described)
    return groups


# Configurations, and who is fenced

CONFIGS_VERSION, FENCED_VERSION = 4, 2
"""The first versions of DescribeConfigs that is spoken here (Kafka 2.6), and of DescribeCluster that
reports fenced brokers (Kafka 4.0)."""

_TOPIC_RESOURCE, _BROKERS = b"\2", b"\1"


@dataclass(frozen=True, slots=True)
class DescribedConfig:
    """What DescribeConfigs says of one topic."""

    topic: str
    error: int
    values: Mapping[str, str]
    """By key; a key without a value is left out."""


def configs_request(topics: Sequence[str], keys: Sequence[str]) -> bytes:
    """Ask DescribeConfigs for some keys of topics, without synonyms and documentation."""
    asked = varint(len(keys) + 1) + b"".join(map(text, keys)) + b"\0"
    resources = b"".join(_TOPIC_RESOURCE + text(topic) + asked for topic in topics)
    return varint(len(topics) + 1) + resources + b"\0\0\0"


@_clear
def described_configs(data: bytes) -> list[DescribedConfig]:
    """What a DescribeConfigs answer holds."""
    found = []
    count, at = _length(data, 4, 7)
    for _ in range(count):
        (error,) = _SHORT.unpack_from(data, at)
        _, at = _bytes(data, at + 2)  # the error in words
        topic, at = _text(data, at + 1)
        values = {}
        size, at = _length(data, at, 8)
        for _ in range(size):
            key, at = _text(data, at)
            value, at = _text(data, at)
            at += 3  # read-only, source, sensitive
            synonyms, at = _length(data, at, 4)
            for _ in range(synonyms):
                _, at = _bytes(data, at)
                _, at = _bytes(data, at)
                at = _untagged(data, at + 1)
            _, at = _bytes(data, at + 1)  # type, documentation
            at = _untagged(data, at)
            if value:
                values[key] = value
        at = _untagged(data, at)
        found.append(DescribedConfig(topic, error, values))
    return found


CLUSTER_REQUEST = b"\0" + _BROKERS + b"\1\0"
"""Ask DescribeCluster 2 for all brokers, the fenced ones too."""


@_clear
def fenced_brokers(data: bytes) -> tuple[int, frozenset[int]]:
    """What a DescribeCluster answer holds: Kafka's error code, and the ids of fenced brokers."""
    (error,) = _SHORT.unpack_from(data, 4)
    _, at = _bytes(data, 6)  # the error in words
    _, at = _bytes(data, at + 1)  # the cluster's id, after the kind of node
    count, at = _length(data, at + 4, 12)
    fenced = set()
    for _ in range(count):
        (broker,) = _INT.unpack_from(data, at)
        _, at = _bytes(data, at + 4)
        _, at = _bytes(data, at + 4)
        if data[at]:
            fenced.add(broker)
        at = _untagged(data, at + 1)
    return error, frozenset(fenced)
