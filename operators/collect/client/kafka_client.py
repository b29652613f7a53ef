"""What a collection asks of one cluster: the protocol's requests in the collection's own terms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from operators.collect.client.description import (
    DEAD,
    ClassicDescriptions,
    Description,
    consumer_group,
    share_group,
    streams_group,
)
from operators.collect.client.frames import (
    CLUSTER_REQUEST,
    CONFIGS_VERSION,
    FENCED_VERSION,
    METADATA_OF_ALL_TOPICS,
    SEVERAL_GROUPS,
    VERSIONS,
    DescribedGroup,
    FoundCommits,
    FoundOffsets,
    GarbledError,
    ListedGroup,
    commits_request,
    configs_request,
    described_configs,
    described_groups,
    description_request,
    fenced_brokers,
    found_commits,
    found_groups,
    found_metadata,
    found_offsets,
    groups_request,
    offsets_request,
)
from operators.collect.client.topology import (
    ClusterMetadata,
)
from operators.collect.errors import CollectionError, Problem, problem, problem_of, problem_of_code
from operators.collect.once import all_of
from operators.protocol.client import Client
from operators.protocol.errors import RequestError
from operators.schema.arrays import Ints

T = TypeVar("T")

EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL = -2, -1, -3, -4
"""What can be asked of a partition's offsets besides the first one at or after a time (ms)."""

EARLIEST_LOCAL_VERSION = 8
"""Of ListOffsets: the first that knows EARLIEST_LOCAL (KIP-405)."""

_UNKNOWN_TOPIC, _GROUP_NOT_FOUND, _CLUSTER_NOT_AUTHORIZED = 3, 69, 31

OPERATIONS = {3: "Read", 4: "Write", 5: "Create", 6: "Delete", 8: "Describe"}
"""Operations that may be permitted by Kafka's numbers, as its tools write them."""

_DESCRIBED = {
    "consumer": ("ConsumerGroupDescribe", consumer_group),
    "share": ("ShareGroupDescribe", share_group),
    "streams": ("StreamsGroupDescribe", streams_group),
}
"""By type of group: the request that describes it, and what its answer means."""


@dataclass(frozen=True, slots=True)
class ShareOffsets:
    """Where a share group is in one partition."""

    topic: str
    partition: int
    start: int
    """The first offset that is not done with; -1 where that is not known yet."""
    lag: int | None
    """Messages that are not done with; None where the broker does not report them."""


class KafkaClient:
    """One cluster, asked through `client`, for which it is called `cluster`.

    Each call takes the seconds that it may last, and raises CollectionError where the whole
    request failed; where parts of it did, their Problems come back in place of values.
    """

    def __init__(self, cluster: str, client: Client) -> None:
        self.cluster = cluster
        self._client = client
        self._last: dict[str, tuple[bytes, Any]] = {}
        """By request: the last answer, and what was read of it."""
        self._classic = ClassicDescriptions()

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def topology(self, timeout: float) -> ClusterMetadata:
        """Brokers, topics and partitions, from one metadata request."""
        what = f"{self.cluster}: read the metadata"
        answer = await self._send("Metadata", METADATA_OF_ALL_TOPICS, timeout, None, what)
        topology = self._unless_same("Metadata", answer, what, found_metadata)
        self._client.learn(topology.brokers)
        return topology

    # Offsets

    async def offsets(
        self,
        broker: int,
        names: Sequence[str],
        topic: Ints,
        partition: Ints,
        asked: Ints | int,
        timeout: float,
        what: str,
        lane: int = 0,
        committed: bool = False,
    ) -> FoundOffsets:
        """The offset that each of a leader's partitions has for what is asked of it.

        That is EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL (the first on the leader's own disk), or a
        time (ms): the first offset at or after it.
        `topic` is an index into `names`, whose rows lie together. `what` says in an error what
        was being done. Of what is `committed` alone LATEST is the last stable offset.
        """
        what = f"{self.cluster}: {what}"
        body = offsets_request(names, topic, partition, asked, committed)
        answer = await self._send("ListOffsets", body, timeout, broker, what, lane)
        return self._read(what, lambda: found_offsets(answer))

    async def reports_local(self, broker: int, timeout: float) -> bool:
        """Whether a broker knows EARLIEST_LOCAL."""
        version = await self._version("ListOffsets", timeout, broker, "list offsets")
        return version >= EARLIEST_LOCAL_VERSION

    # Groups

    async def listed_groups(self, broker: int, timeout: float) -> list[ListedGroup]:
        """The groups that a broker coordinates."""
        what = f"{self.cluster}: list the consumer groups"
        version = await self._version("ListGroups", timeout, broker, what)
        body = groups_request(version)
        answer = await self._send("ListGroups", body, timeout, broker, what, version=version)
        error, groups = self._unless_same(
            f"ListGroups of {broker}", answer, what, partial(found_groups, version=version)
        )
        if error:
            needs = "Describe on Cluster, or on each group"
            raise CollectionError(problem_of_code(error, what, needs))
        return groups

    async def commits(
        self, broker: int, groups: Sequence[str], timeout: float
    ) -> list[FoundCommits]:
        """All commits of groups that a broker coordinates."""
        what = f"{self.cluster}: list the offsets of {len(groups)} groups"
        version = await self._version("OffsetFetch", timeout, broker, what)

        async def ask(some: Sequence[str]) -> FoundCommits:
            body = commits_request(some, version)
            answer = await self._send("OffsetFetch", body, timeout, broker, what, version=version)
            return self._read(what, lambda: found_commits(answer, version, some[0]))

        # Below Kafka 3.0 a request is of one group.
        batches = [groups] if version >= SEVERAL_GROUPS else [[group] for group in groups]
        return await all_of([ask(batch) for batch in batches])

    async def descriptions(
        self, broker: int, type_: str | None, groups: Sequence[str], timeout: float
    ) -> dict[str, Description | Problem]:
        """The groups of one type that a broker coordinates, or why one of them is not described."""
        what = f"{self.cluster}: describe the group"
        if type_ not in _DESCRIBED:
            found = await self._classic_groups(broker, groups, timeout, what)
            return {
                group.id: self._or_problem(group.error, None, group.id, what)
                or self._classic.of(group)
                for group in found
            }
        request, read = _DESCRIBED[type_]
        answer = await self._ask(
            request,
            timeout,
            broker,
            what,
            group_ids=list(groups),
            include_authorized_operations=False,
        )
        return {
            group.group_id: self._or_problem(
                group.error_code, group.error_message, group.group_id, what
            )
            or read(group)
            for group in answer.groups
        }

    def keep(self, groups: Iterable[str]) -> None:
        """Forget what was described of all groups but these."""
        self._classic.keep(groups)

    async def share_offsets(
        self, broker: int, groups: Sequence[str], timeout: float
    ) -> dict[str, list[ShareOffsets] | Problem]:
        """Where share groups are that a broker coordinates, or why that is not known."""
        what = f"{self.cluster}: list the offsets of the share group"
        answer = await self._ask(
            "DescribeShareGroupOffsets",
            timeout,
            broker,
            what,
            groups=[{"group_id": group, "topics": None} for group in groups],
        )
        found: dict[str, list[ShareOffsets] | Problem] = {}
        for group in answer.groups:
            if group.error_code:
                found[group.group_id] = self._problem(
                    group.error_code, group.error_message, group.group_id, what
                )
                continue
            found[group.group_id] = [
                ShareOffsets(
                    topic.topic_name,
                    partition.partition_index,
                    -1 if partition.error_code else partition.start_offset,
                    partition.lag if answer.version >= 1 and partition.lag >= 0 else None,
                )
                for topic in group.topics
                for partition in topic.partitions
            ]
        return found

    # Configurations

    async def topic_configs(
        self, topics: Sequence[str], keys: Sequence[str], timeout: float
    ) -> dict[str, Mapping[str, str] | Problem]:
        """Some keys of topics' configurations by topic, or why one of them is not reported."""
        what = f"{self.cluster}: describe the configuration of topics"
        version = await self._version("DescribeConfigs", timeout, None, what)
        if version < CONFIGS_VERSION:
            raise CollectionError(problem("unsupported", "the broker is too old", what))
        body = configs_request(topics, keys)
        answer = await self._send("DescribeConfigs", body, timeout, None, what, version=version)
        described = self._read(what, lambda: described_configs(answer))
        return {
            of.topic: problem_of_code(of.error, what, "DescribeConfigs on Topic")
            if of.error
            else of.values
            for of in described
        }

    async def fenced_brokers(self, timeout: float) -> frozenset[int] | None:
        """The ids of brokers that are fenced; None where brokers do not report them (before Kafka 4.0)."""
        what = f"{self.cluster}: describe the cluster"
        version = await self._version("DescribeCluster", timeout, None, what)
        if version < FENCED_VERSION:
            return None
        answer = await self._send(
            "DescribeCluster", CLUSTER_REQUEST, timeout, None, what, version=version
        )
        error, fenced = self._unless_same("DescribeCluster", answer, what, fenced_brokers)
        if error:
            raise CollectionError(problem_of_code(error, what, "Describe on Cluster"))
        return fenced

    def _or_problem(
        self, code: int, said: str | None, group: str, what: str
    ) -> Description | Problem | None:
        """What a group's error code means; None where it is none."""
        if code == _GROUP_NOT_FOUND:
            return DEAD
        return self._problem(code, said, group, what) if code else None

    def _problem(self, code: int, said: str | None, group: str, what: str) -> Problem:
        return problem_of_code(code, f"{what} {group}", f"Describe on Group {group}", said)

    async def _classic_groups(
        self,
        broker: int,
        groups: Sequence[str],
        timeout: float,
        what: str,
        *,
        operations: bool = False,
    ) -> list[DescribedGroup]:
        body = description_request(groups, operations=operations)
        answer = await self._send("DescribeGroups", body, timeout, broker, what)
        return self._read(what, lambda: described_groups(answer, self._classic.reported))

    # Disks

    async def log_dirs(self, broker: int, timeout: float, what: str) -> Mapping[str, int]:
        """Bytes in a broker's log directories, by topic.

        Replicas that move to another directory are there twice.
        """
        answer = await self._ask("DescribeLogDirs", timeout, broker, what, topics=None)
        code = answer.error_code if answer.version >= 3 else 0
        # Up to version 2 an answer without directories is how it says so.
        code = code or (0 if answer.results else _CLUSTER_NOT_AUTHORIZED)
        if code:
            raise CollectionError(problem_of_code(code, what, "Describe on Cluster"))
        sizes: dict[str, int] = {}
        for directory in answer.results:
            if directory.error_code:
                raise CollectionError(
                    problem_of_code(directory.error_code, f"{what}: {directory.log_dir}")
                )
            for topic in directory.topics:
                size = sum(partition.partition_size for partition in topic.partitions)
                sizes[topic.name] = sizes.get(topic.name, 0) + size
        return sizes

    # What is permitted

    async def permitted(self, timeout: float) -> frozenset[str]:
        """The operations on the cluster that this client may do; see OPERATIONS."""
        what = f"{self.cluster}: describe the cluster"
        answer = await self._ask(
            "DescribeCluster", timeout, None, what, include_cluster_authorized_operations=True
        )
        if answer.error_code:
            raise CollectionError(
                problem_of_code(
                    answer.error_code, what, "Describe on Cluster", answer.error_message
                )
            )
        return _operations(answer.authorized_operations)

    async def topic_errors(self, topics: Sequence[str], timeout: float) -> dict[str, Problem]:
        """Why topics cannot be described; those that can be are left out."""
        if not topics:
            return {}
        found = await self._topics(topics, timeout, f"{self.cluster}: describe topics")
        return {
            topic.name: problem_of_code(
                topic.error_code,
                f"{self.cluster}: describe the topic {topic.name}",
                f"Describe on Topic {topic.name}",
            )
            for topic in found
            if topic.error_code
        }

    async def topic(self, topic: str, timeout: float) -> frozenset[str]:
        """The operations on a topic that this client may do; see OPERATIONS."""
        what = f"{self.cluster}: describe the topic {topic}"
        for found in await self._topics([topic], timeout, what):
            if not found.error_code:
                return _operations(found.authorized_operations)
            raise CollectionError(
                problem_of_code(found.error_code, what, f"Describe on Topic {topic}")
            )
        raise CollectionError(problem_of_code(_UNKNOWN_TOPIC, what))

    async def group(self, group: str, timeout: float) -> frozenset[str]:
        """The operations on a group that this client may do; see OPERATIONS."""
        what = f"{self.cluster}: describe the group {group}"
        needs = f"Describe on Group {group}"
        answer = await self._ask(
            "FindCoordinator", timeout, None, what, key=group, key_type=0, coordinator_keys=[group]
        )
        found = answer.coordinators[0] if answer.version >= 4 else answer
        if found.error_code:
            raise CollectionError(
                problem_of_code(found.error_code, what, needs, found.error_message)
            )
        self._client.learn({**self._client.brokers, found.node_id: (found.host, found.port)})
        (described,) = await self._classic_groups(
            found.node_id, [group], timeout, what, operations=True
        )
        if described.error:
            raise CollectionError(problem_of_code(described.error, what, needs))
        return _operations(described.operations)

    async def try_to_create(
        self,
        topic: str,
        partitions: int,
        replicas: int,
        configs: Mapping[str, str],
        timeout: float,
    ) -> None:
        """Have the cluster check whether a topic could be made; it makes none."""
        what = f"{self.cluster}: make the topic {topic}"
        new = {
            "name": topic,
            "num_partitions": partitions,
            "replication_factor": replicas,
            "assignments": [],
            "configs": [{"name": name, "value": value} for name, value in configs.items()],
        }
        answer = await self._ask(
            "CreateTopics",
            timeout,
            None,
            what,
            topics=[new],
            timeout_ms=round(1000 * timeout),
            validate_only=True,
        )
        for found in answer.topics:
            if found.error_code:
                raise CollectionError(
                    problem_of_code(
                        found.error_code, what, f"Create on Topic {topic}", found.error_message
                    )
                )

    async def _topics(self, topics: Sequence[str], timeout: float, what: str) -> list[Any]:
        answer = await self._ask(
            "Metadata",
            timeout,
            None,
            what,
            topics=[{"name": topic} for topic in topics],
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=True,
        )
        return list(answer.topics)

    # The client underneath

    async def _version(self, name: str, timeout: float, broker: int | None, what: str) -> int:
        """The version of a request that is spoken here and by a broker."""
        try:
            version = await self._client.version(name, timeout, broker)
        except RequestError as error:
            raise CollectionError(problem_of(error, what)) from error
        if version is None:
            raise CollectionError(problem("unsupported", f"the broker does not know {name}", what))
        return min(version, VERSIONS.get(name, version))

    async def _send(
        self,
        name: str,
        body: bytes,
        timeout: float,
        broker: int | None,
        what: str,
        lane: int = 0,
        version: int | None = None,
    ) -> bytes:
        """The answer to a request, in `version` where `body` is of that alone."""
        if version is None:
            version = await self._version(name, timeout, broker, what)
        try:
            return bytes(await self._client.send(name, version, body, timeout, broker, lane))
        except RequestError as error:
            raise CollectionError(problem_of(error, what)) from error

    async def _ask(
        self, name: str, timeout: float, broker: int | None, what: str, **fields: Any
    ) -> Any:
        try:
            return await self._client.ask(name, timeout, broker, **fields)
        except RequestError as error:
            raise CollectionError(problem_of(error, what)) from error

    def _unless_same(self, request: str, answer: bytes, what: str, read: Callable[[bytes], T]) -> T:
        """What an answer holds; the same object as of the last one while that has the same bytes."""
        last = self._last.get(request)
        if last is None or last[0] != answer:
            last = self._last[request] = answer, self._read(what, lambda: read(answer))
        found: T = last[1]
        return found

    def _read(self, what: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except GarbledError as error:
            raise CollectionError(problem_of(error, what)) from error


def _operations(reported: int | Iterable[int]) -> frozenset[str]:
    """The names of permitted operations, reported as bits or as their numbers."""
    numbers = (
        {n for n in OPERATIONS if reported >> n & 1} if isinstance(reported, int) else set(reported)
    )
    return frozenset(name for number, name in OPERATIONS.items() if number in numbers)
