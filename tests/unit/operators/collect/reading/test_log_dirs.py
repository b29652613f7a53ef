"""Topics' sizes by the brokers' log directories: who is asked, and what fails."""

import asyncio
from collections.abc import Mapping

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.errors import CollectionError, Problem
from operators.collect.reading.log_dirs import LogDirs, read_log_dirs
from tests.kafka_metadata import topology


class Disks:
    """Stands in for KafkaClient: what is on the brokers' disks."""

    cluster = "real"

    def __init__(self, disks: Mapping[int, Mapping[str, int] | Problem]) -> None:
        self.disks = disks

    async def log_dirs(self, broker: int, timeout: float, what: str) -> Mapping[str, int]:
        found = self.disks[broker]
        if isinstance(found, Problem):
            raise CollectionError(Problem(found.error_class, f"{what}: {found.text}"))
        return found


def read(disks: Mapping[int, Mapping[str, int] | Problem]) -> LogDirs:
    client: KafkaClient = Disks(disks)  # type: ignore[assignment]
    return asyncio.run(read_log_dirs(client, topology(list(disks), {}), 5.0))


def test_a_broker_that_refuses_costs_its_own_sizes() -> None:
    """The others' are there, and the problem names the broker and what to do."""
    found = read({1: {"orders": 5}, 2: Problem("authorization", "grant Describe on Cluster")})
    assert found.sizes == {1: {"orders": 5}}
    (problem,) = found.problems
    assert problem.error_class == "authorization"
    assert problem.text == (
        "real: log directories of broker 2 (host-2:9092): grant Describe on Cluster"
    )


def test_a_broker_without_topics_has_none() -> None:
    """It has answered: what is nowhere else then has no size."""
    assert read({1: {}, 2: {"orders": 7}}).sizes == {1: {}, 2: {"orders": 7}}
