"""How much room topics take on the brokers' disks: each broker is asked for its own."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import ClusterMetadata
from operators.collect.errors import CollectionError, Problem


@dataclass(frozen=True, slots=True)
class LogDirs:
    """The brokers that answered, and why others did not."""

    sizes: Mapping[int, Mapping[str, int]]
    """Bytes on a broker's disks by topic, by broker id."""
    problems: tuple[Problem, ...] = ()


async def read_log_dirs(client: KafkaClient, topology: ClusterMetadata, timeout: float) -> LogDirs:
    """Sizes on each of the live brokers that answers within `timeout` seconds."""

    async def ask(broker: int) -> Mapping[str, int] | Problem:
        where = f"broker {broker} ({topology.address(broker)})"
        try:
            return await client.log_dirs(
                broker, timeout, f"{client.cluster}: log directories of {where}"
            )
        except CollectionError as error:
            return error.problem

    found = await asyncio.gather(*map(ask, topology.brokers))
    sizes = {
        broker: one
        for broker, one in zip(topology.brokers, found, strict=True)
        if not isinstance(one, Problem)
    }
    return LogDirs(sizes, tuple(one for one in found if isinstance(one, Problem)))
