"""Fixtures that tests of every kind share: real Kafka clusters and the New Relic stand-in."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import hypothesis
import pytest

from tests.kafka.cluster import ExternalKafka, Kafka, KafkaCluster
from tests.kafka.jars import VERSION, VERSIONS, MissingToolError
from tests.kafka.security import SecuredKafka
from tests.newrelic.stand_in import StandIn
from tests.rabbitmq.server import RabbitServer

T = TypeVar("T")

# What is imported and collected stays: nobody need look for garbage among it.
gc.disable()

# A busy machine is no failure: how long an example takes, or its making, is not what a property
# says.
hypothesis.settings.register_profile(
    "mqpipe", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("mqpipe")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the tests that are left to `make test-long` otherwise."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.freeze()
    gc.enable()


SHARED = ("kafka3", "other_kafka", "secured_kafka", "rabbit")
"""Fixtures that take long to make: all tests that ask for one go to one worker, which makes it."""
BROKERS = 2
"""How many workers have a `kafka` of their own, beside those on the default port: one costs as much while it
stands idle as a few tests."""
DEFAULT_PORT = ("test_docs", "test_examples", "test_new_sink", "test_upgrade")
"""Modules whose jobs serve `/metrics` where they do by default: one after the other."""


@pytest.hookimpl(tryfirst=True)  # xdist's own, which looks for the groups, comes after it
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Says which tests stay together where several workers run them, and skips what is `long`.

    A module of integration or crash tests stays together for its fixtures' sake, a unit test goes
    where there is time; so those come last.
    """
    items.sort(key=lambda item: "unit" in item.path.parts)
    with_broker = sorted({item.path.stem for item in items if "kafka" in fixtures_of(item)})
    for item in items:
        group = _group(item, with_broker)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    if config.getoption("--long"):
        return
    for item in items:
        for mark in item.iter_markers("long"):
            item.add_marker(pytest.mark.skip(f"left to `make test-long`: {mark.args[0]}"))


def fixtures_of(item: pytest.Item) -> Sequence[str]:
    """The names of the fixtures that a test asks for."""
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return names


def _group(item: pytest.Item, with_broker: Sequence[str]) -> str | None:
    for name in SHARED:
        if name in fixtures_of(item):
            made_of = getattr(item, "callspec", None)
            return f"{name} {made_of.params[name]}" if made_of and name in made_of.params else name
    if "unit" in item.path.parts:
        return None
    module = item.path.stem
    if module in DEFAULT_PORT:
        return "default port"
    if module in with_broker:
        return f"kafka {with_broker.index(module) % BROKERS}"
    return module


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A cluster of one broker for all tests of a worker; the one of MQPIPE_TEST_BOOTSTRAP if set."""
    bootstrap = os.environ.get("MQPIPE_TEST_BOOTSTRAP")
    if bootstrap:
        yield ExternalKafka(bootstrap)
        return
    with started(KafkaCluster) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka3() -> Iterator[KafkaCluster]:
    """A cluster of three brokers, shared by all tests, which leave its brokers running."""
    with started(lambda: KafkaCluster(3)) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=[v for v in VERSIONS if v != VERSION])
def other_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of one broker of each other version that tests know, shared by those that ask."""
    with started(lambda: KafkaCluster(version=request.param)) as cluster:
        yield cluster


@pytest.fixture
def fresh_kafka3() -> Iterator[KafkaCluster]:
    """A cluster of three brokers for one test, which may kill and hang them."""
    with started(lambda: KafkaCluster(3)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitServer]:
    """A RabbitMQ of one node, shared by all tests: each has queues of its own."""
    with started(RabbitServer) as server:
        yield server


@pytest.fixture
def fresh_rabbit3() -> Iterator[RabbitServer]:
    """A RabbitMQ of three nodes for one test, which may kill and hang them."""
    with started(lambda: RabbitServer(3)) as server:
        yield server


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[SecuredKafka]:
    """A broker with SASL and TLS listeners and access control, shared by all tests."""
    with started(SecuredKafka) as secured:
        yield secured


@pytest.fixture
def newrelic() -> Iterator[StandIn]:
    """A New Relic stand-in that behaves until it is told otherwise."""
    with StandIn() as stand_in:
        yield stand_in


def started(start: Callable[[], T]) -> T:
    """What `start` gives. Without Java or Maven the test is skipped; in CI it fails."""
    try:
        return start()
    except MissingToolError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
