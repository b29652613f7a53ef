"""Topics' sizes by the brokers' log directories: who is asked, how often, and what fails."""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from operators.collect.errors import CollectionError, Problem
from operators.collect.kafka_python import connection_settings, topic_sizes
from operators.collect.log_dirs import AT_ONCE, LogDirReader
from operators.collect.settings import ClusterSettings
from tests.ports import PortClaim

BROKERS = {1: "host-1:9092", 2: "host-2:9092"}


def cluster(**client: str) -> ClusterSettings:
    return ClusterSettings.model_validate(
        {"name": "real", "bootstrap_servers": "b:9092", "log_dirs": True, "client": client}
    )


def test_a_broker_that_refuses_costs_its_own_sizes() -> None:
    """The others' are there, and the problem names the broker and what to do."""

    def ask(address: str, _settings: Mapping[str, Any], _timeout: float) -> dict[str, int]:
        if address == BROKERS[2]:
            raise CollectionError(Problem("authorization", "grant Describe on Cluster"))
        return {"orders": 5}

    found = asyncio.run(LogDirReader("real", {}, ask).read(BROKERS, 5.0))
    assert found.sizes == {1: {"orders": 5}}
    (problem,) = found.problems
    assert problem.error_class == "authorization"
    assert problem.text == (
        "real: log directories of broker 2 (host-2:9092): grant Describe on Cluster"
    )


def test_a_broker_that_hangs_is_left_alone_until_it_answers() -> None:
    """The read ends without it; a thread that hangs is not joined by another one a tick."""
    answer = threading.Event()
    asked: list[str] = []

    def ask(address: str, _settings: Mapping[str, Any], _timeout: float) -> dict[str, int]:
        asked.append(address)
        if address == BROKERS[2]:
            answer.wait()
        return {"orders": 5}

    async def run() -> None:
        reader = LogDirReader("real", {}, ask)
        (problem,) = (await reader.read({2: BROKERS[2]}, 0.5)).problems
        assert (problem.error_class, "no answer in time" in problem.text) == ("timeout", True)
        found = await reader.read(BROKERS, 60.0)
        assert found.sizes.keys() == {1}
        (problem,) = found.problems
        assert (problem.error_class, "still owes an answer" in problem.text) == ("timeout", True)
        assert asked == [BROKERS[2], BROKERS[1]]
        answer.set()
        while (found := await reader.read(BROKERS, 60.0)).problems:
            continue
        assert found.sizes.keys() == {1, 2}

    asyncio.run(run())


def test_few_brokers_are_asked_at_a_time() -> None:
    """However many there are, threads are bounded, and all are asked."""
    lock = threading.Lock()
    under_way = most = 0

    def ask(_address: str, _settings: Mapping[str, Any], _timeout: float) -> dict[str, int]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        with lock:
            under_way -= 1
        return {}

    brokers = {broker: f"host-{broker}:9092" for broker in range(50)}
    found = asyncio.run(LogDirReader("real", {}, ask).read(brokers, 60.0))
    assert found.sizes.keys() == brokers.keys()
    assert most <= AT_ONCE


# kafka-python leaves a socket that was refused to the garbage collector, which is called here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_cannot_be_reached_is_told_from_one_that_is_silent() -> None:
    """A closed port refuses at once; one that takes the connection and is silent costs its time."""
    with PortClaim() as closed, socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {"refused": closed.port, "timeout": silent.getsockname()[1]}
        times = {"refused": 60.0, "timeout": 0.2}
        for protocol, (error_class, port) in product(("PLAINTEXT", "SSL"), ports.items()):
            settings = {"security_protocol": protocol}
            with pytest.raises(CollectionError) as failed:
                topic_sizes(f"127.0.0.1:{port}", settings, times[error_class])
            assert failed.value.error_class == error_class, str(failed.value)
            del failed
            gc.collect()


def test_properties_that_make_the_connection_are_translated() -> None:
    """What makes or guards it has its counterpart; how librdkafka tunes itself is left out."""
    properties = {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "mq",
        "sasl.password": "secret",
        "ssl.ca.location": "ca.pem",
        "ssl.endpoint.identification.algorithm": "none",
        "socket.timeout.ms": "5000",
    }
    assert connection_settings(properties) == {
        "client_id": "mqpipe",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "mq",
        "sasl_plain_password": "secret",
        "ssl_cafile": "ca.pem",
        "ssl_check_hostname": False,
    }


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"ssl.keystore.location": "key.p12"}, "`ssl.keystore.location`"),
        ({"sasl.oauthbearer.method": "oidc"}, "`sasl.oauthbearer.method`"),
        ({"enable.ssl.certificate.verification": "false"}, "certificate.verification"),
        ({"sasl.mechanism": "GSSAPI"}, "not with GSSAPI"),
    ],
)
def test_a_connection_that_cannot_be_made_is_a_fault_of_the_config(
    client: dict[str, str], says: str
) -> None:
    """It is said before anything runs, with the property's name."""
    with pytest.raises(ValidationError, match=says):
        cluster(**client)


def test_without_its_extra_it_is_a_fault_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install; a config that does not ask for it needs nothing."""
    for module in [name for name in sys.modules if name.split(".")[0] == "kafka"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "kafka", None)
    with pytest.raises(ValidationError, match="extra `log-dirs`"):
        cluster()
    assert not ClusterSettings(name="real", bootstrap_servers="b:9092").log_dirs
