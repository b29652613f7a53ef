"""Members of every kind of group, for tests: by librdkafka, by Kafka's Java clients, by hand.

All that runs in Java is of published jars: a share consumer of Kafka's tools, and the Streams
application of Kafka's examples.
"""

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka.protocol.consumer.group import JoinGroupRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription

from tests.kafka import heartbeats
from tests.kafka.child import Spawner
from tests.kafka.cluster import Kafka
from tests.kafka.jars import classpath, java, resolve_jars
from tests.kafka.tool_answers import GROUPS, SHARE_GROUPS, STREAMS_GROUPS, described_groups
from tests.kafka.tools import QUICK_START
from tests.kafka.wire import Wire

SHARE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"
STREAMS_APPLICATION = "org.apache.kafka.streams.examples.wordcount.WordCountDemo"
STREAMS_TOPIC = "streams-plaintext-input"
"""What that application reads."""
SESSION = 600_000
"""Milliseconds after which a member that was hung is missed, where `PATIENT` are the settings."""
PATIENT = {
    f"group.{kind}.{which}session.timeout.ms": str(SESSION)
    for kind in ("consumer", "share", "streams")
    for which in ("", "max.")
} | {"group.consumer.max.assignment.interval.ms": str(SESSION)}
"""Settings of brokers that keep hung members, and let a group wait long for its assignment."""


@contextmanager
def share_member(kafka: Kafka, group: str, topic: str) -> Iterator[subprocess.Popen[bytes]]:
    """A share consumer (KIP-932) that has acknowledged all that was in a topic.

    It leaves its group at the end, and no longer hangs then.
    """
    _configure(kafka, group, "share.auto.offset.reset=earliest")
    command = ["--bootstrap-server", kafka.bootstrap_servers, "--topic", topic, "--group", group]
    with _member(SHARE_CONSUMER, *command) as process:
        _until(lambda: _has_no_lag(kafka, SHARE_GROUPS, group, "LAG"), process)
        yield process


@contextmanager
def streams_member(kafka: Kafka, group: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Streams application (KIP-1071) that has read all of `STREAMS_TOPIC`, which it makes first.

    It leaves its group at the end, and no longer hangs then.
    """
    with tempfile.TemporaryDirectory() as folder:
        properties = {
            "application.id": group,
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.protocol": "streams",
            "dsl.store.suppliers.class": "org.apache.kafka.streams.state."
            "BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers",
            "state.dir": folder,
            "commit.interval.ms": "100",
        }
        file = Path(folder, "streams.properties")
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        with _member(STREAMS_APPLICATION, str(file)) as process:
            _until(lambda: _has_no_lag(kafka, STREAMS_GROUPS, group, "OFFSET-LAG"), process)
            yield process


def hang(process: subprocess.Popen[bytes]) -> None:
    """Stops a member: it stays in its group until its session is over, and reads nothing."""
    process.send_signal(signal.SIGSTOP)


@contextmanager
def rebalancing(kafka: Kafka, group: str, topic: str) -> Iterator[None]:
    """A classic group of two members, the first of which does not join again."""
    wanted = ConsumerProtocolSubscription(version=0, topics=[topic], user_data=None)

    def join() -> JoinGroupRequest:
        return JoinGroupRequest(
            version=3,
            group_id=group,
            session_timeout_ms=SESSION,
            rebalance_timeout_ms=SESSION,
            member_id="",
            protocol_type="consumer",
            protocols=[("range", wanted.encode(version=0))],
        )

    with _wire(kafka) as first, _wire(kafka) as second:
        while first.ask(join()).error_code:
            pass
        second.send(join())
        _until(lambda: _state(kafka, group) == "PreparingRebalance")
        yield


@contextmanager
def assigning(kafka: Kafka, group: str, topic: str) -> Iterator[None]:
    """A consumer group whose second member came before a new assignment is due."""
    _configure(kafka, group, f"consumer.assignment.interval.ms={SESSION}")
    with _wire(kafka) as wire:
        _with_partitions(heartbeats.consumer(wire, group, topic))
        heartbeats.consumer(wire, group, topic)
        yield


@contextmanager
def reconciling(kafka: Kafka, group: str, topic: str) -> Iterator[None]:
    """A consumer group whose second member waits for what the first does not give back."""
    with _wire(kafka) as wire:
        first = heartbeats.consumer(wire, group, topic)
        _with_partitions(first)
        had = first.partitions
        second = heartbeats.consumer(wire, group, topic)
        while first.partitions == had:
            second.beat()
            first.beat()
        yield


@contextmanager
def not_ready(kafka: Kafka, group: str) -> Iterator[None]:
    """A streams group that lacks a topic which it is to read."""
    with _wire(kafka) as wire:
        heartbeats.streams(wire, group, "not-made-yet")
        yield


@contextmanager
def never_read(kafka: Kafka, group: str, topic: str) -> Iterator[None]:
    """A share group that has a member, and no partition of which is initialised."""
    with _wire(kafka) as wire:
        _with_partitions(heartbeats.share(wire, group, topic))
        yield


def share_from_the_end(kafka: Kafka, group: str, topic: str) -> None:
    """A share group without members that is to read what comes to a topic from now on."""
    to = "--to-latest", "--execute"
    kafka.tool(SHARE_GROUPS, "--reset-offsets", "--group", group, "--topic", topic, *to)


@contextmanager
def live_streams_member(
    kafka: Kafka,
    group: str,
    topic: str,
    static_id: str | None = None,
    commits: Sequence[int] = (),
) -> Iterator[None]:
    """A streams group whose one member has taken all partitions of a topic, and reads none.

    It commits an offset for each of the first partitions.

    Raises:
        RuntimeError: the broker refused it, and how: before 4.4.0 one with a static id.
    """
    with _wire(kafka) as wire:
        member = heartbeats.streams(wire, group, topic, instance_id=static_id)
        _with_partitions(member)
        tasks = {"active_tasks": member.assigned, "standby_tasks": [], "warmup_tasks": []}
        member.beat(**tasks, instance_id=static_id)
        if commits:
            member.commit(topic, commits)
        yield


def _with_partitions(member: heartbeats.HandMember) -> None:
    """Until it was told which are its own."""
    while not member.partitions:
        member.beat()


def _wire(kafka: Kafka) -> Wire:
    # One broker coordinates all groups.
    return Wire(kafka.bootstrap_servers.partition(",")[0])


def _configure(kafka: Kafka, group: str, config: str) -> None:
    entity = "--entity-type", "groups", "--entity-name", group
    kafka.tool("kafka.admin.ConfigCommand", "--alter", *entity, "--add-config", config)


def _state(kafka: Kafka, group: str) -> str:
    (row,) = described_groups(kafka, GROUPS, "--state")[group] or [{"STATE": "none"}]
    return row["STATE"]


def _has_no_lag(kafka: Kafka, tool: str, group: str, lag: str) -> bool:
    rows = described_groups(kafka, tool, "--offsets").get(group, [])
    return bool(rows) and all(row[lag] == "0" for row in rows)


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Ask again and again; where that is Kafka's tool, each time takes the seconds that it starts."""
    while not holds():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the member ended with {process.returncode}")


@contextmanager
def _member(main_class: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    spawner = Spawner()
    options = [*QUICK_START, "-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    command = [java(), *options, "-cp", classpath(resolve_jars()), main_class, *args]
    with tempfile.TemporaryDirectory() as folder:
        process = spawner.start(command, Path(folder, "log"))
        try:
            yield process
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            spawner.close()
