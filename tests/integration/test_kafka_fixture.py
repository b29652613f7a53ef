"""The tests' own Kafka is a real one: it keeps messages and commits, and survives kill -9."""

import os
import socket
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.broker import BrokerError
from tests.kafka.cluster import JMX_EXPORTER_CONFIG, Kafka, KafkaCluster
from tests.kafka.security import LIMITED, SecuredKafka
from tests.kafka.tool_answers import GROUPS, described_group
from tests.kafka.tools import ToolError, ask_tool, run_tool
from tests.kafka.workload import commit, create_topic, produce

pytestmark = pytest.mark.kafka


def _create_topic(bootstrap: str, partitions: int, replicas: int) -> str:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
    return topic


def _produce(bootstrap: str, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def _live_brokers(admin: AdminClient) -> list[int]:
    return sorted(admin.list_topics(timeout=30).brokers)


def _consume(consumer: Consumer, count: int) -> list[bytes]:
    messages = consumer.consume(count, timeout=30)
    assert [m.error() for m in messages] == [None] * count
    return [m.value() or b"" for m in messages]


def _group_rows(described: str) -> list[list[str]]:
    """The rows of `kafka-consumer-groups --describe`, without blank lines and the header."""
    rows = [line.split() for line in described.splitlines() if line.strip()]
    return [row for row in rows if row[0] != "GROUP" and not row[0].startswith("Consumer")]


def test_messages_and_commits_are_kept(kafka: Kafka) -> None:
    """A consumer reads what was produced, and Kafka's own tool sees its commit and lag."""
    topic = _create_topic(kafka.bootstrap_servers, 1, 1)
    group = f"group-{topic}"
    _produce(kafka.bootstrap_servers, topic, [b"a", b"b", b"c"])
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        assert _consume(consumer, 3) == [b"a", b"b", b"c"]
        consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    finally:
        consumer.close()

    described = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--describe",
        "--group",
        group,
    )
    assert [row[:6] for row in _group_rows(described)] == [[group, topic, "0", "2", "3", "1"]]


def test_a_tool_says_the_same_in_a_jvm_that_has_started(kafka: Kafka) -> None:
    """As alone: what it prints, and that it failed; one that takes too long costs only itself."""
    topic = create_topic(kafka)
    commit(kafka, topic, f"group-{topic}", [2, 0, 7])
    of_group = "--bootstrap-server", kafka.bootstrap_servers, "--group", f"group-{topic}"
    alone = run_tool(GROUPS, *of_group, "--describe", "--offsets")
    assert alone.count(f" {topic} ") == 3
    assert ask_tool(GROUPS, *of_group, "--describe", "--offsets") == alone
    with pytest.raises(ToolError, match=r"ended with 1:\n(?s:.*)Missing required"):
        ask_tool(GROUPS, "--list")
    with pytest.raises(ToolError, match=r"--list took over 0\.5 s"):
        ask_tool(GROUPS, "--bootstrap-server", "127.0.0.1:1", "--list", timeout=0.5)
    assert ask_tool(GROUPS, *of_group, "--describe", "--offsets") == alone


def test_each_other_version_keeps_commits_too(other_kafka: KafkaCluster) -> None:
    """Today's tool sees what was committed to it."""
    topic = create_topic(other_kafka)
    produce(other_kafka, topic, [5, 0, 7])
    commit(other_kafka, topic, f"group-{topic}", [2, 0, 7])
    described = described_group(other_kafka, f"group-{topic}")
    assert [row["LAG"] for row in described] == ["3", "0", "0"]


def test_a_metrics_page_counts_what_was_produced(kafka: Kafka) -> None:
    """A topic's messages are counted, and every name that docker/jmx-exporter.yml gives is there."""
    if not kafka.metrics_urls:
        pytest.skip("the broker of MQPIPE_TEST_BOOTSTRAP has no metrics page that is known here")
    topic = _create_topic(kafka.bootstrap_servers, 1, 1)
    _produce(kafka.bootstrap_servers, topic, [b"x"] * 7)
    (url,) = kafka.metrics_urls.values()
    with urlopen(url, timeout=30) as page:
        lines = page.read().decode().splitlines()
    assert f'kafka_server_brokertopicmetrics_messagesin_total{{topic="{topic}"}} 7.0' in lines
    assert f'kafka_log_log_logendoffset{{partition="0",topic="{topic}"}} 7.0' in lines
    assert "kafka_controller_kafkacontroller_activecontrollercount 1.0" in lines

    documented = {
        line.split()[1].partition("{")[0]
        for line in JMX_EXPORTER_CONFIG.read_text().splitlines()
        if line.startswith(("#   kafka_", "#   java_")) and "ZooKeeper-mode only" not in line
    }
    served = {line.partition("{")[0].partition(" ")[0] for line in lines}
    assert len(documented) > 20
    assert documented - served == set()


def test_brokers_end_and_come_back(mended_kafka3: KafkaCluster) -> None:
    """Killed, stopped or hung, a broker is missed by the others and catches up afterwards."""
    cluster = mended_kafka3
    topic = _create_topic(cluster.bootstrap_servers, 3, 3)
    survivors = ",".join(cluster.bootstrap_servers.split(",")[::2])
    admin = AdminClient({"bootstrap.servers": survivors})

    cluster.kill(2)
    for partition in range(3):
        _produce(survivors, topic, [b"after the kill"], partition)
    assert _live_brokers(admin) == [1, 3]
    cluster.start(2)
    assert _live_brokers(admin) == [1, 2, 3]

    cluster.stop(2)
    assert _live_brokers(admin) == [1, 3]
    cluster.start(2)

    hung = AdminClient({"bootstrap.servers": cluster.bootstrap_servers.split(",")[1]})
    assert _live_brokers(hung) == [1, 2, 3]
    cluster.pause(2)
    with pytest.raises(KafkaException) as error:
        AdminClient(
            {"bootstrap.servers": cluster.bootstrap_servers.split(",")[1], "log_level": 0}
        ).list_topics(timeout=0.5)
    assert error.value.args[0].code() == KafkaError._TRANSPORT
    cluster.resume(2)
    cluster.wait_until_up(2)
    described = cluster.tool("org.apache.kafka.tools.TopicCommand", "--describe", "--topic", topic)
    assert described.count("Replicas: ") == 3


def connect_again_and_again(host: str, port: int) -> None:
    """Until it fails: a killed process closes its sockets one after the other."""
    while True:
        socket.create_connection((host, port)).close()


def test_brokers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Even where that is killed with -9."""
    owner = subprocess.Popen(
        [sys.executable, "-m", "tests.kafka"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        host, port = owner.stdout.readline().split()[1].decode().split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            owner.kill()
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect_again_and_again(host, int(port))


def test_a_broker_that_fails_shows_its_log() -> None:
    """The error has the last lines that the broker printed."""
    with pytest.raises(BrokerError) as error:
        KafkaCluster(settings={"authorizer.class.name": "no.such.Authorizer"})
    assert str(error.value).startswith("broker 1 ended with 1")
    assert "ClassNotFoundException: no.such.Authorizer" in str(error.value)


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_java_tests_are_skipped_but_fail_in_ci(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    """A developer without Java goes on; CI does not."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-k", "messages_and_commits"],
        env={"PATH": str(tmp_path), "CI": ci, "PYTEST_DEBUG_TEMPROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout.splitlines()[-1]
    assert "`java`" in done.stdout


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [
        ("SASL", "PLAIN"),
        ("SASL", "SCRAM-SHA-512"),
        ("SASL_TLS", "PLAIN"),
        ("SASL_TLS", "SCRAM-SHA-512"),
        ("TLS", ""),
        ("MTLS", ""),
    ],
)
def test_each_secured_listener_lets_its_clients_in(
    secured_kafka: SecuredKafka, listener: str, mechanism: str
) -> None:
    """By password or by certificate, with and without TLS."""
    client = secured_kafka.client(listener, mechanism=mechanism)
    assert _live_brokers(AdminClient({**client})) == [1]


@pytest.mark.parametrize(
    ("listener", "wrong", "code"),
    [
        ("SASL", {"sasl.password": "wrong"}, KafkaError._AUTHENTICATION),
        ("TLS", {"ssl.ca.location": "untrusted"}, KafkaError._SSL),
    ],
)
def test_a_secured_listener_keeps_others_out(
    secured_kafka: SecuredKafka, listener: str, wrong: dict[str, str], code: int
) -> None:
    """A wrong password, and a broker whose certificate the client does not trust."""
    if "ssl.ca.location" in wrong:
        wrong = {"ssl.ca.location": secured_kafka.untrusted_ca}
    errors: list[KafkaError] = []
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": errors.append}
    admin = AdminClient(secured_kafka.client(listener) | wrong | quiet)
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=2)
    while code not in {error.code() for error in errors}:
        admin.poll(0.1)


def test_a_user_without_access_sees_no_topic(secured_kafka: SecuredKafka) -> None:
    """The limited user gets in and is shown nothing until an ACL says so."""
    plain = secured_kafka.cluster.bootstrap_servers
    topic = _create_topic(plain, 1, 1)
    limited = AdminClient({**secured_kafka.client("SASL", user=LIMITED)})
    assert topic not in limited.list_topics(timeout=30).topics
    secured_kafka.cluster.tool(
        "org.apache.kafka.tools.AclCommand",
        "--add",
        "--allow-principal",
        f"User:{LIMITED}",
        "--operation",
        "Describe",
        "--topic",
        topic,
    )
    assert topic in limited.list_topics(timeout=30).topics
