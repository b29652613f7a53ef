"""Collectors of one's own: another kind of target, with the same pool, ticks and sinks around it."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

import pyarrow as pa

from operators import plugins
from operators.collect.errors import CollectionError, Problem
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import CollectorSettings
from operators.pool.thread import call
from operators.schema.arrow import NoSamplesError, require_samples
from operators.ticks import Collected, Ticks

Batches = Sequence[pa.RecordBatch]


class Collector(Protocol):
    """Collects one target of one's own.

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


class OwnCollector:
    """A collector of one's own, made when it is first needed; its batches are looked at."""

    def __init__(self, settings: CollectorSettings, account_id: int | None = None) -> None:
        self._settings = settings
        self._identity = ClusterIdentity(settings.name, settings.environment, account_id)
        self._own: Any = None

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """Collect the samples of one tick.

        Raises:
            CollectionError: it cannot be made, or gave what samples are not.
            Exception: whatever it raised itself.
        """
        if self._own is None:
            self._own = await call(self._make)
        batches = await call(self._own.collect, tick.start, time_left)
        if not isinstance(batches, Sequence):
            # A generator's work would be done here, on the loop.
            given = type(batches).__name__
            raise self._error(f"gave a {given} in place of a list of RecordBatches")
        try:
            return Collected(tuple(require_samples(b, "collected_batch") for b in batches))
        except NoSamplesError as error:
            raise self._error(str(error)) from error

    async def close(self) -> None:
        """Close it, where it can be closed."""
        close = getattr(self._own, "close", None)
        if close is not None:
            await call(close)

    def _make(self) -> Any:
        settings = self._settings
        try:
            own = plugins.load("collector", settings.use)(self._identity, **settings.options)
        except Exception as error:
            raise self._error(f"cannot be made: {type(error).__name__}: {error}") from error
        if not callable(getattr(own, "collect", None)):
            raise self._error("what it makes has no method `collect(tick, time_left)`")
        return own

    def _error(self, why: str) -> CollectionError:
        settings = self._settings
        return CollectionError(
            Problem("config", f"{settings.name}: the collector `{settings.use}` {why}")
        )
