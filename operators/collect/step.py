"""All that collects in a process, as the work of one step of a dataflow."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from operators.events import CollectedInPart
from operators.schema.events import Listener
from operators.schema.logs import Log
from operators.ticks import Collected, Ticks

log = Log("mqpipe.collect")


class Collects(Protocol):
    """What gives the samples of a cluster's ticks."""

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """The samples of one tick, within `time_left` seconds; raises where there are none."""

    async def close(self) -> None:
        """Called at the end."""


class Collectors:
    """What collects, by cluster, for all targets of a process: the work that `offload` is given.

    `listener` gets each tick that lacks a part.
    """

    def __init__(self, collectors: Mapping[str, Collects], listener: Listener) -> None:
        self._collectors = collectors
        self._listener = listener

    async def work(self, tick: Ticks, time_left: float) -> Collected:
        """Collect one tick of one target; see `ClusterCollector.collect`."""
        collected = await self._collectors[tick.cluster].collect(tick, time_left)
        if collected.error is not None:
            self._listener(CollectedInPart(tick.partition, collected.error_class, collected.error))
        return collected

    async def close(self) -> None:
        """End all connections; what one of them raises is logged and keeps no other open."""
        closing = (collector.close() for collector in self._collectors.values())
        ended = await asyncio.gather(*closing, return_exceptions=True)
        for cluster, outcome in zip(self._collectors, ended, strict=True):
            if isinstance(outcome, Exception):
                cause = f"{type(outcome).__name__}: {outcome}"
                log.warning("collector not closed", cluster=cluster, cause=cause)
