"""Fixtures that tests of every kind share: real Kafka clusters and the New Relic stand-in."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import hypothesis
import pytest

from tests.grouping import LastUses, part
from tests.kafka.cluster import PROXIED, ExternalKafka, Kafka, KafkaCluster, ReopenedKafka
from tests.kafka.groups import PATIENT
from tests.kafka.jars import VERSION, VERSIONS, MissingToolError
from tests.kafka.mending import mend
from tests.kafka.retention import EAGER, remote_storage
from tests.kafka.security import SecuredKafka
from tests.newrelic.stand_in import StandIn
from tests.ports import PortClaim
from tests.rabbitmq.server import RabbitServer
from tests.scratch import write_in_memory

T = TypeVar("T")

write_in_memory()

# What is imported and collected stays: nobody need look for garbage among it.
gc.disable()

# A busy machine is no failure: how long an example takes, or its making, is not what a property
# says.
hypothesis.settings.register_profile(
    "mqpipe", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "quick", hypothesis.settings.get_profile("mqpipe"), max_examples=25
)
hypothesis.settings.load_profile("mqpipe")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the tests that are left to `make test-long` otherwise."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.freeze()
    gc.enable()


last_uses = LastUses()
"""Of what tests of this worker share."""


@pytest.hookimpl(tryfirst=True)  # xdist's own, which looks for the groups, comes after it
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Says which tests stay together where several workers run them, and skips what is `long`."""
    part(items)
    last_uses.count(items, by_group=hasattr(config, "workerinput"))
    if config.getoption("--long"):
        return
    for item in items:
        for mark in item.iter_markers("long"):
            item.add_marker(pytest.mark.skip(f"left to `make test-long`: {mark.args[0]}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What tests share ends with the last of them."""
    try:
        return (yield)
    finally:
        last_uses.ran(item)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """A cluster of one broker for all tests of a group; the one of MQPIPE_TEST_BOOTSTRAP if set."""
    bootstrap = os.environ.get("MQPIPE_TEST_BOOTSTRAP")
    if bootstrap:
        yield ExternalKafka(bootstrap)
        return
    with started(ReopenedKafka) as kafka:
        last_uses.end_after(request, kafka.close)
        yield kafka


@pytest.fixture(scope="session")
def kafka3(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of three brokers, shared by all tests, which leave its brokers running.

    One that hangs is never counted out. Clients of the listener `PROXIED` are told ports at which nobody
    listens before a test does.
    """
    with ExitStack() as claims:
        ports = {(b, PROXIED): claims.enter_context(PortClaim()).port for b in (1, 2, 3)}
        settings = {"broker.session.timeout.ms": "3600000"}
        listeners = {PROXIED: "PLAINTEXT"}
        yield from shared(
            request,
            lambda: KafkaCluster(3, listeners=listeners, advertised=ports, settings=settings),
        )


@pytest.fixture
def emptied_kafka3(kafka3: KafkaCluster) -> Iterator[KafkaCluster]:
    """The same, with nobody's topics and groups, for a test that may hang its brokers."""
    mend(kafka3)
    yield kafka3
    mend(kafka3)


@pytest.fixture(scope="session", params=[v for v in VERSIONS if v != VERSION])
def other_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of one broker of each other version that tests know, shared by those that ask."""
    yield from shared(request, lambda: KafkaCluster(version=request.param))


@pytest.fixture(scope="session")
def breakable_kafka3(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of three brokers that tests ask for as `mended_kafka3`."""
    yield from shared(request, lambda: KafkaCluster(3))


@pytest.fixture
def mended_kafka3(breakable_kafka3: KafkaCluster) -> Iterator[KafkaCluster]:
    """A cluster of three brokers, empty and whole, for one test at a time, which may kill and hang them."""
    yield breakable_kafka3
    mend(breakable_kafka3)


@pytest.fixture(scope="session")
def breakable_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of one broker that tests ask for as `mended_kafka`."""
    yield from shared(request, KafkaCluster)


@pytest.fixture
def mended_kafka(breakable_kafka: KafkaCluster) -> Iterator[KafkaCluster]:
    """A cluster of one broker, empty and up, for one test at a time, which may kill and hang it."""
    yield breakable_kafka
    mend(breakable_kafka)


@pytest.fixture(scope="session")
def eager_kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """A broker that removes what is too old at once, and keeps members that hang; with remote storage.

    Shared by tests that make topics and groups with names of their own.
    """
    settings = {**PATIENT, **EAGER, **remote_storage(tmp_path_factory.mktemp("remote"))}
    yield from shared(request, lambda: KafkaCluster(settings=settings))


@pytest.fixture(scope="session")
def rabbit(request: pytest.FixtureRequest) -> Iterator[RabbitServer]:
    """A RabbitMQ of one node, shared by all tests: each has queues of its own."""
    yield from shared(request, RabbitServer)


@pytest.fixture(scope="session")
def breakable_rabbit3(request: pytest.FixtureRequest) -> Iterator[RabbitServer]:
    """A RabbitMQ of three nodes that tests ask for as `rabbit3`."""
    yield from shared(request, lambda: RabbitServer(3))


@pytest.fixture
def rabbit3(breakable_rabbit3: RabbitServer) -> RabbitServer:
    """A RabbitMQ of three nodes, whole and without queues, which a test may kill and cut off.

    It is mended before a test and not after it: after the last one nobody needs it.
    """
    breakable_rabbit3.mend()
    return breakable_rabbit3


@pytest.fixture(scope="session")
def secured_kafka(request: pytest.FixtureRequest) -> Iterator[SecuredKafka]:
    """A broker with SASL and TLS listeners and access control, shared by all tests."""
    yield from shared(request, SecuredKafka)


@pytest.fixture
def newrelic() -> Iterator[StandIn]:
    """A New Relic stand-in that behaves until it is told otherwise."""
    with StandIn() as stand_in:
        yield stand_in


def shared(
    request: pytest.FixtureRequest, start: Callable[[], AbstractContextManager[T]]
) -> Iterator[T]:
    """What `start` gives, until no later test asks for the fixture."""
    with ExitStack() as stack:
        made = stack.enter_context(started(start))
        last_uses.end_after(request, stack.close)
        yield made


def started(start: Callable[[], T]) -> T:
    """What `start` gives. Without Java or Maven the test is skipped; in CI it fails."""
    try:
        return start()
    except MissingToolError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
