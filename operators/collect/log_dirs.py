"""How much room topics take on the brokers' disks: each broker is asked for its own."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from operators.collect.errors import CollectionError, Problem
from operators.collect.kafka_python import connection_settings, topic_sizes
from operators.pool.thread import in_thread

AT_ONCE = 8
"""Brokers asked at a time, each in a thread of its own."""

LATE = 0.2
"""Seconds after its time-out at which a broker is given up whose request did not end by itself."""


@dataclass(frozen=True, slots=True)
class LogDirs:
    """The brokers that answered, and why others did not."""

    sizes: Mapping[int, Mapping[str, int]]
    """Bytes on a broker's disks by topic, by broker id."""
    problems: tuple[Problem, ...] = ()


class LogDirReader:
    """Reads the log directories of a cluster's brokers; `properties` are librdkafka's.

    Raises:
        ValueError: a property has no counterpart; see `connection_settings`.
    """

    def __init__(
        self,
        cluster: str,
        properties: Mapping[str, str],
        ask: Callable[[str, Mapping[str, Any], float], Mapping[str, int]] = topic_sizes,
    ) -> None:
        self._cluster = cluster
        self._settings = connection_settings(properties)
        self._ask = ask
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[int, asyncio.Task[Mapping[str, int] | Problem]] = {}

    async def read(self, brokers: Mapping[int, str], timeout: float) -> LogDirs:
        """Sizes on each of the brokers (`host:port` by id) that answers within `timeout` seconds.

        A broker that still owes an answer from an earlier tick is not asked again.
        """
        found = await asyncio.gather(
            *(self._read_one(broker, address, timeout) for broker, address in brokers.items())
        )
        sizes = {b: one for b, one in zip(brokers, found, strict=True) if isinstance(one, Mapping)}
        return LogDirs(sizes, tuple(one for one in found if isinstance(one, Problem)))

    async def _read_one(
        self, broker: int, address: str, timeout: float
    ) -> Mapping[str, int] | Problem:
        what = f"{self._cluster}: log directories of broker {broker} ({address})"
        before = self._under_way.get(broker)
        if before is not None and not before.done():
            return Problem("timeout", f"{what}: still owes an answer from an earlier tick")
        task = asyncio.create_task(self._asked(what, address, timeout))
        self._under_way[broker] = task
        # A thread cannot be stopped: one that is late is left to itself.
        await asyncio.wait({task}, timeout=timeout + LATE)
        return task.result() if task.done() else Problem("timeout", f"{what}: no answer in time")

    async def _asked(self, what: str, address: str, timeout: float) -> Mapping[str, int] | Problem:
        clock = asyncio.get_running_loop().time
        end = clock() + timeout
        async with self._slots:
            left = end - clock()
            if left <= 0:
                return Problem("timeout", f"{what}: the brokers before it took all of its time")
            try:
                return await in_thread(partial(self._ask, address, self._settings, left))
            except CollectionError as error:
                return Problem(error.error_class, f"{what}: {error}")
