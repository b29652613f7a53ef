"""One connection to a cluster: AdminClient's calls as coroutines that never block the loop."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    ConsumerGroupDescription,
    ConsumerGroupListing,
    DescribeClusterResult,
    ListConsumerGroupsResult,
    ListOffsetsResultInfo,
    NewTopic,
    OffsetSpec,
    TopicDescription,
)

from operators.collect.connection import Connection
from operators.collect.errors import (
    UNREACHED,
    CollectionError,
    Problem,
    class_of,
    kafka_error,
    problem_of,
)
from operators.collect.futures import all_done
from operators.collect.once import Once
from operators.collect.topology import Topology, topology_of
from operators.collect.troubles import Troubles

T = TypeVar("T")

DEFAULTS: Mapping[str, str | int] = {
    "client.id": "mqpipe",
    "socket.keepalive.enable": "true",
    "socket.connection.setup.timeout.ms": 10_000,
    # A broker that comes back is noticed within a tick.
    "reconnect.backoff.ms": 200,
    "reconnect.backoff.max.ms": 2_000,
    "enable.metrics.push": "false",
}
"""librdkafka properties that differ from its own defaults; `client` in the config has the last word."""

A_REQUEST = 500
"""Partitions, or topics, a call. librdkafka's time grows with their square: the end offsets of
10,000 partitions take 0.5 s in one call, and 0.1 s in calls of 500."""

GROUP_REQUEST_TIMEOUT = 3600.0
"""Seconds, librdkafka's maximum, for requests to a group's coordinator.

They must not time out inside librdkafka: where one does before its coordinator is connected, and
the coordinator comes back, librdkafka 2.16 uses freed memory and the process dies (librdkafka
issue 4605). Instead the caller stops waiting, and the client is replaced: see `retire`.
"""

THREADS = 2
"""Threads of a client: the metadata request blocks one, the other makes big calls meanwhile."""

LATE = 0.5
"""Seconds after its time-out at which a request is given up that librdkafka did not end."""

EARLIEST, LATEST, MAX_TIMESTAMP = -2, -1, -3
"""What can be asked of a partition's offsets besides the first one at or after a time (ms)."""


@dataclass(frozen=True, slots=True)
class Offset:
    """What ListOffsets answers for one partition; `timestamp` (ms) is -1 where it has none."""

    offset: int
    timestamp: int
    leader_epoch: int


class KafkaClient:
    """One cluster's connections, made when first needed and made anew after `retire`.

    Each call takes the seconds that it may last. The calls raise CollectionError where the whole
    request failed; where parts of it did, their KafkaErrors come back in place of values.

    librdkafka's logs go to `logging` at debug level: what they tell is in the errors too.
    """

    def __init__(self, cluster: str, config: Mapping[str, str]) -> None:
        self.cluster = cluster
        self._config = {**DEFAULTS, **config}
        self._connecting = Once[Connection]()
        self._connection: Connection | None = None
        self._brokers: Mapping[int, str] = {}
        # Its own threads: what blocks waits here, and holds up this cluster alone.
        self._threads: ThreadPoolExecutor | None = None
        self._troubles = Troubles()

    async def topology(self, timeout: float) -> Topology:
        """Brokers, topics and partitions, from one metadata request."""
        what = f"{self.cluster}: read the metadata"
        connection = await self._connected()
        self._serve()
        try:
            topology = await self._in_thread(
                lambda: topology_of(connection.admin.list_topics(timeout=timeout), time.time())
            )
        except KafkaException as error:
            raise self._failed(error, what, "Describe on the topics") from error
        if connection is self._connection:
            self._brokers = topology.brokers
        return topology

    @property
    def knows_brokers(self) -> bool:
        """Whether `topology` has answered on these connections."""
        return bool(self._brokers)

    async def topic_ids(self, topics: Sequence[str], timeout: float) -> dict[str, str]:
        """The id of each topic that tells; one that was made anew has another one than before."""
        answers = await asyncio.gather(
            *(self._describe_topics(some, timeout) for some in chunks(topics, A_REQUEST))
        )
        return {
            topic: str(answer.topic_id)
            for chunk in answers
            for topic, answer in chunk.items()
            if not isinstance(answer, KafkaError)
        }

    async def topic_errors(self, topics: Sequence[str], timeout: float) -> dict[str, KafkaError]:
        """Why topics cannot be described; those that can be are left out."""
        answers = await self._describe_topics(list(topics), timeout)
        return {t: answer for t, answer in answers.items() if isinstance(answer, KafkaError)}

    async def _describe_topics(
        self, topics: list[str], timeout: float
    ) -> dict[str, TopicDescription | KafkaError]:
        if not topics:
            return {}
        return await self._ask(
            f"{self.cluster}: describe topics",
            lambda admin: admin.describe_topics(TopicCollection(topics), request_timeout=timeout),
            timeout,
            big=True,
        )

    async def offsets(
        self, wanted: Mapping[tuple[str, int], int], timeout: float, what: str = "list offsets"
    ) -> dict[tuple[str, int], Offset | KafkaError]:
        """The offset that each partition has for what is asked of it.

        That is EARLIEST, LATEST, MAX_TIMESTAMP, or a time (ms): the first offset at or after it.
        Give partitions of one leader: whoever shares a call waits for its slowest leader. `what`
        says in an error what was being done.
        """
        parts = chunks(list(wanted.items()), A_REQUEST)
        asked = (self._offsets(dict(part), timeout, what) for part in parts)
        answers = await asyncio.gather(*asked)
        return {partition: answer for part in answers for partition, answer in part.items()}

    async def _offsets(
        self, wanted: Mapping[tuple[str, int], int], timeout: float, what: str
    ) -> dict[tuple[str, int], Offset | KafkaError]:
        answers: dict[TopicPartition, ListOffsetsResultInfo | KafkaError] = await self._ask(
            f"{self.cluster}: {what}",
            lambda admin: admin.list_offsets(_request(wanted), request_timeout=timeout),
            timeout,
            big=True,
        )
        return {(tp.topic, tp.partition): _offset(answer) for tp, answer in answers.items()}

    async def group_listing(
        self, timeout: float
    ) -> tuple[list[ConsumerGroupListing], list[KafkaError]]:
        """All consumer groups, and one error for each broker that did not name its own.

        It fails where no broker answered. That is told by the number of errors alone, for they
        say not whose they are: so let `topology` answer first.
        """
        asked = len(self._brokers)
        what = f"{self.cluster}: list the consumer groups"
        needs = "Describe on Cluster, or on each group"
        listing: ListConsumerGroupsResult = await self._ask_one(
            what,
            lambda admin: admin.list_consumer_groups(request_timeout=timeout),
            timeout,
            needs,
        )
        failures = listing.errors or []
        errors = [found for error in failures if (found := kafka_error(error)) is not None]
        if errors and not listing.valid and len(errors) >= asked:
            raise self._failed(errors[0], what, needs)
        return listing.valid or [], errors

    async def silent_brokers(self, timeout: float) -> dict[int, str]:
        """The brokers that do not answer within `timeout` seconds: `host:port` by id."""
        brokers = self._brokers
        # The one request that is sent to a broker by its id. A refusal is an answer too.
        resources = {b: ConfigResource(ConfigResource.Type.BROKER, str(b)) for b in brokers}
        answers = await self._ask(
            f"{self.cluster}: ask each broker",
            lambda admin: {
                broker: admin.describe_configs([resource], request_timeout=timeout)[resource]
                for broker, resource in resources.items()
            },
            timeout,
        )
        return {
            broker: brokers[broker]
            for broker, answer in answers.items()
            if isinstance(answer, KafkaError) and class_of(answer) in UNREACHED
        }

    async def group(self, group: str, *, operations: bool = False) -> ConsumerGroupDescription:
        """A group's state, type and members, and on demand which operations on it are permitted.

        Waits until cancelled: see `retire`.
        """
        description: ConsumerGroupDescription = await self._ask_one(
            f"{self.cluster}: describe the group {group}",
            lambda admin: admin.describe_consumer_groups(
                [group],
                include_authorized_operations=operations,
                request_timeout=GROUP_REQUEST_TIMEOUT,
            )[group],
            None,
            f"Describe on Group {group}",
        )
        return description

    async def commits(self, group: str) -> list[TopicPartition]:
        """A group's committed offsets. Waits until cancelled: see `retire`."""
        request = [ConsumerGroupTopicPartitions(group)]
        answer: ConsumerGroupTopicPartitions = await self._ask_one(
            f"{self.cluster}: list the offsets of the group {group}",
            lambda admin: admin.list_consumer_group_offsets(
                request, request_timeout=GROUP_REQUEST_TIMEOUT
            )[group],
            None,
            f"Describe on Group {group}",
        )
        return answer.topic_partitions or []

    async def permitted(self, timeout: float) -> tuple[str | None, frozenset[str]]:
        """The cluster's id, and the names of the operations on it that this client may do."""
        answer: DescribeClusterResult = await self._ask_one(
            f"{self.cluster}: describe the cluster",
            lambda admin: admin.describe_cluster(
                include_authorized_operations=True, request_timeout=timeout
            ),
            timeout,
            "Describe on Cluster",
        )
        operations = answer.authorized_operations or ()
        return answer.cluster_id, frozenset(operation.name for operation in operations)

    async def topic(self, topic: str, timeout: float) -> TopicDescription:
        """A topic, and which operations on it are permitted."""
        description: TopicDescription = await self._ask_one(
            f"{self.cluster}: describe the topic {topic}",
            lambda admin: admin.describe_topics(
                TopicCollection([topic]),
                include_authorized_operations=True,
                request_timeout=timeout,
            )[topic],
            timeout,
            f"Describe on Topic {topic}",
        )
        return description

    async def try_to_create(self, topic: NewTopic, timeout: float) -> None:
        """Have the cluster check whether a topic could be made; it makes none."""
        await self._ask_one(
            f"{self.cluster}: make the topic {topic.topic}",
            lambda admin: admin.create_topics([topic], validate_only=True, request_timeout=timeout)[
                topic.topic
            ],
            timeout,
            f"Create on Topic {topic.topic}",
        )

    def retire(self) -> None:
        """Stop using these connections; the next call makes new ones.

        What other calls still wait for is not disturbed. To be called when group requests were
        given up: their coordinators are forgotten with the client that knew them.
        """
        self._serve()
        self._connecting.forget()
        self._connection = None
        self._brokers = {}

    async def close(self) -> None:
        """End the connections and the thread."""
        self.retire()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _ask(
        self,
        what: str,
        call: Callable[[AdminClient], Mapping[Any, Future[Any]]],
        timeout: float | None,
        needs: str = "",
        *,
        big: bool = False,
    ) -> dict[Any, Any]:
        """What the call's futures give by key, KafkaErrors in place of those that failed.

        A `big` call takes milliseconds to be made, so it is made in a thread.
        """
        # Held until the answers are there: librdkafka drops the requests of a client that is gone.
        connection = await self._connected()

        def made() -> Mapping[Any, Future[Any]]:
            return call(connection.admin)

        try:
            futures = await self._in_thread(made) if big else made()
            async with asyncio.timeout(None if timeout is None else timeout + LATE):
                await all_done(futures.values())
        except (KafkaException, ValueError, TypeError, TimeoutError) as error:
            raise self._failed(error, what, needs) from error
        answers = {}
        for key, future in futures.items():
            failure = future.exception()
            found = None if failure is None else kafka_error(failure)
            if failure is not None and found is None:
                raise self._failed(failure, what, needs) from failure
            answers[key] = future.result() if failure is None else found
        return answers

    async def _ask_one(
        self,
        what: str,
        call: Callable[[AdminClient], Future[Any]],
        timeout: float | None,
        needs: str,
    ) -> Any:
        answers = await self._ask(what, lambda admin: {"": call(admin)}, timeout, needs)
        if isinstance(answers[""], KafkaError):
            raise self._failed(answers[""], what, needs)
        return answers[""]

    async def _connected(self) -> Connection:
        self._connection = await self._connecting.get(self._connect)
        return self._connection

    async def _connect(self) -> Connection:
        config: dict[str, Any] = {**self._config, "error_cb": self._troubles.on_error}
        try:
            return await self._in_thread(
                lambda: Connection(AdminClient(config, logger=self._troubles.log))
            )
        except (KafkaException, ValueError, TypeError) as error:
            problem = problem_of(error, f"{self.cluster}: make a client")
            raise CollectionError(Problem("config", problem.text)) from error

    def _serve(self) -> None:
        """Take the logs and errors that the client has queued: at each tick, and at a failure."""
        if self._connection is not None:
            self._connection.admin.poll(0)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._threads is None:
            name = f"kafka-{self.cluster}"
            self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix=name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _failed(
        self, error: BaseException | KafkaError, what: str, needs: str = ""
    ) -> CollectionError:
        self._serve()
        return CollectionError(problem_of(error, what, needs, self._troubles.cause))


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """The items in lists of at most `size`."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def _offset(answer: ListOffsetsResultInfo | KafkaError) -> Offset | KafkaError:
    if isinstance(answer, KafkaError):
        return answer
    if answer.offset == OFFSET_INVALID:
        # librdkafka's own mark of a leader that it could not ask, without an error beside it.
        return KafkaError(KafkaError.REQUEST_TIMED_OUT, "the leader did not answer")
    return Offset(answer.offset, answer.timestamp, answer.leader_epoch or 0)


def _request(wanted: Mapping[tuple[str, int], int]) -> dict[TopicPartition, OffsetSpec]:
    return {TopicPartition(topic, p): _spec(asked) for (topic, p), asked in wanted.items()}


def _spec(asked: int) -> OffsetSpec:
    at_or_after: Callable[[int], OffsetSpec] = OffsetSpec.for_timestamp
    specs: dict[int, Callable[[], OffsetSpec]] = {
        EARLIEST: OffsetSpec.earliest,
        LATEST: OffsetSpec.latest,
        MAX_TIMESTAMP: OffsetSpec.max_timestamp,
    }
    return specs[asked]() if asked in specs else at_or_after(asked)
