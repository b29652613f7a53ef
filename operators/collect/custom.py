"""Custom collectors: another kind of target, with the same pool, ticks and sinks around it."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol

import pyarrow as pa

from operators import plugins
from operators.collect.errors import CollectionError, Problem
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import CollectorSettings
from operators.ticks import Collected, Ticks

Batches = Sequence[pa.RecordBatch]


class Collector(Protocol):
    """Collects one target of any kind.

    It is what `factory(identity, **options)` gives, where the factory is an entry point of
    `mqpipe.collectors` or `module:name`, and `identity` is what `collected_batch` wants to know:
    the target's name as the cluster, environment and account. It may have a method `close()`, called at the end.
    Both may be coroutines; a plain `collect` runs in a thread of its own.
    """

    def collect(self, tick: int, time_left: float) -> Batches | Awaitable[Batches]:
        """The samples at `tick` (ms since the epoch), made by `collected_batch`.

        `time_left` is in seconds. Whatever it raises fails the attempt, and the pool tries again;
        an exception says by `retryable = False` that this is of no use, and names its class for
        reports by `error_class`.
        """


class CustomCollector:
    """A custom collector, made when it is first needed; its batches are looked at."""

    def __init__(self, settings: CollectorSettings, account_id: int | None = None) -> None:
        self._settings = settings
        self._part = plugins.AskedPart(
            partial(
                plugins.make,
                "collector",
                settings.use,
                ["collect(tick, time_left)"],
                ClusterIdentity(settings.name, settings.environment, account_id),
                options=settings.options,
                fault=self._fault,
            )
        )

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """Collect the samples of one tick.

        Raises:
            CollectionError: it cannot be made, or gave what samples are not.
            Exception: whatever it raised itself.
        """
        given = await self._part.ask("collect", tick.start, time_left)
        return Collected(tuple(plugins.samples_of(given, "collected_batch", self._fault)))

    async def close(self) -> None:
        """Close it, where it can be closed."""
        await self._part.close()

    def _fault(self, why: str) -> CollectionError:
        settings = self._settings
        return CollectionError(
            Problem("config", f"{settings.name}: the collector `{settings.use}` {why}")
        )
