"""Delivery over the network: the words for what may happen, and the patience it takes.

A destination packs samples into parcels and sends one parcel at a time. How an attempt ended it
says by returning (delivered) or by one of three failures:

- `RetryLater`: the parcel is fine, try again;
- `TooLarge`: the parcel is fine, its size is not;
- `Rejected`: this parcel will never be taken.

The courier does what follows from it, so that every destination is treated alike.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from operators.schema.arrow import Only, entity_type_of, one_batch, only, row_count
from operators.schema.clock import wall_seconds
from operators.schema.events import Listener, nobody
from operators.schema.logs import Log
from sinks.events import (
    DeliveryRetried,
    SamplesDead,
    SamplesDelivered,
    by_origin,
    count_by_origin,
)
from sinks.patience import Patience

SampleBatches = tuple[pa.RecordBatch, ...]


class RetryLater(Exception):  # noqa: N818 - an answer, not an error
    """Not delivered now; try again, after `after` seconds where that is known."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        self.reason = reason
        self.after = after
        super().__init__(reason, after)


class Rejected(Exception):  # noqa: N818
    """Never to be delivered as it is."""

    def __init__(self, reason: str, status: int | None = None, answer: str = "") -> None:
        self.reason = reason
        self.status = status
        self.answer = answer
        super().__init__(reason, status, answer)


class TooLarge(Rejected):
    """Not delivered since it is too large; a parcel of one sample is rejected."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Samples packed for one request. What `body` is, only its destination knows."""

    samples: SampleBatches
    route: str
    body: Any = field(repr=False)
    refused: str | None = None
    """Why not even to try."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Samples that a destination did not take, and why."""

    samples: SampleBatches
    sink: str
    route: str
    reason: str
    status: int | None = None
    answer: str = ""
    attempts: int = 0
    at: int = 0
    """Milliseconds since the epoch."""


class Destination(Protocol):
    """The other side of a network sink."""

    @property
    def name(self) -> str:
        """Its name in the config, in events and in dead letters."""

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        """Parcels that hold all of these samples; called on threads, may take time.

        `route` limits them to one route; `now` is in milliseconds since the epoch.
        """

    async def start(self) -> None:
        """Called once on the loop, before anything is sent."""

    async def send(self, parcel: Parcel) -> None:
        """Send one parcel; return when it is acknowledged.

        Raises:
            RetryLater, TooLarge, Rejected: it was not.
        """

    async def stop(self) -> None:
        """Called once on the loop, when nothing more will be sent."""


class Undelivered(Exception):  # noqa: N818
    """The bound on attempts is reached; the samples are where they were."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Courier:
    """Delivers samples to one destination: retries, splits, and gives up what is rejected.

    At most `slots` parcels are packed or under way at a time, over all calls of `deliver`.
    Lives on one event loop.
    """

    def __init__(
        self,
        destination: Destination,
        patience: Patience = Patience(),  # noqa: B008 - immutable
        slots: int = 8,
        listener: Listener = nobody,
        clock: Callable[[], float] = wall_seconds,
    ) -> None:
        self._destination = destination
        self._patience = patience
        self._slots = asyncio.Semaphore(slots)
        self._listener = listener
        self._clock = clock
        self._delivered = 0
        self._not_before: dict[str, float] = {}
        self._failing_since: float | None = None
        self._reported: set[int | str] = set()
        self._log = Log("mqpipe.sinks").bind(sink=destination.name)

    async def deliver(self, samples: SampleBatches, route: str | None = None) -> list[DeadLetter]:
        """Deliver all samples; give back what the destination will never take.

        Raises:
            Undelivered: the patience has a bound and it is reached. Some of them may have
                been delivered.
        """
        parcels = self._packed(samples, route)
        tasks: list[asyncio.Task[list[DeadLetter]]] = []
        unpacked: list[DeadLetter] = []
        try:
            while True:
                await self._slots.acquire()
                try:
                    parcel = await self._next(parcels)
                except Exception as error:
                    self._log.exception("samples cannot be packed", samples=row_count(samples))
                    rest = Parcel(samples, route or "", None)
                    unpacked = [self._dead(rest, Rejected(f"cannot be packed: {error}"), 0)]
                    break
                if parcel is None:
                    break
                tasks.append(asyncio.create_task(self._convey(parcel)))
            conveyed = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [letter for letters in conveyed for letter in letters] + unpacked

    def _packed(self, samples: SampleBatches, route: str | None) -> Iterator[Parcel]:
        yield from self._destination.pack(samples, route, self._now())

    async def _next(self, parcels: Iterator[Parcel]) -> Parcel | None:
        """The next parcel, holding the slot; without one the slot is free again."""
        parcel = None
        try:
            parcel = await asyncio.to_thread(next, parcels, None)
        finally:
            if parcel is None:
                self._slots.release()
        return parcel

    async def _convey(self, parcel: Parcel) -> list[DeadLetter]:
        """Send a parcel that holds a slot, and what it may be split into."""
        try:
            outcome = await self._attempt(parcel)
        finally:
            self._slots.release()
        if outcome is None:
            counts, ticks = by_origin(parcel.samples)
            self._listener(SamplesDelivered(self._destination.name, parcel.route, counts, ticks))
            return []
        if isinstance(outcome, DeadLetter):
            counts = count_by_origin(outcome.samples)
            self._listener(
                SamplesDead(outcome.sink, outcome.route, counts, outcome.reason, outcome.status)
            )
            return [outcome]
        letters = []
        for part in outcome:
            letters += await self.deliver(part, parcel.route)
        return letters

    async def _attempt(self, parcel: Parcel) -> DeadLetter | list[SampleBatches] | None:
        """None: delivered; a letter: dead; samples: to be packed again."""
        if parcel.refused is not None:
            return self._dead(parcel, Rejected(parcel.refused), 0)
        packed_at, others = self._clock(), self._delivered
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._turn(parcel.route)
                await self._destination.send(parcel)
            except TooLarge as too_large:
                halves = halve(parcel.samples)
                return halves or self._dead(parcel, too_large, attempt)
            except Rejected as rejected:
                return self._dead(parcel, rejected, attempt)
            except RetryLater as later:
                if self._is_stuck(attempt, others):
                    reason = f"failed {attempt} times while others were delivered: {later.reason}"
                    return self._dead(parcel, Rejected(reason), attempt)
                await self._wait(parcel, later, attempt)
                if self._clock() - packed_at > _REPACK_AFTER:
                    return [parcel.samples]
            except Exception as error:
                self._log.exception("sending failed unexpectedly")
                reason = f"{type(error).__name__}: {error}"
                return self._dead(parcel, Rejected(reason), attempt)
            else:
                self._delivered += 1
                self._works_again()
                return None

    def _is_stuck(self, attempt: int, others: int) -> bool:
        patience = self._patience
        return (
            attempt >= patience.stuck_attempts and self._delivered - others >= patience.stuck_others
        )

    async def _turn(self, route: str) -> None:
        """Wait until the destination wants to hear from us again."""
        while (wait := self._not_before.get(route, 0.0) - self._clock()) > 0:
            await asyncio.sleep(wait)

    async def _wait(self, parcel: Parcel, later: RetryLater, attempt: int) -> None:
        patience = self._patience
        if patience.attempts is not None and attempt >= patience.attempts:
            raise Undelivered(later.reason)
        wait = later.after if later.after is not None else patience.wait(attempt)
        if later.after is not None:
            self._not_before[parcel.route] = self._clock() + wait
        if self._failing_since is None:
            self._failing_since = self._clock()
        event = DeliveryRetried(self._destination.name, parcel.route, later.reason, attempt, wait)
        self._listener(event)
        await asyncio.sleep(wait)

    def _works_again(self) -> None:
        if self._failing_since is not None:
            seconds = round(self._clock() - self._failing_since, 1)
            self._failing_since = None
            self._log.info("delivery works again", after_seconds=seconds)

    def _dead(self, parcel: Parcel, rejected: Rejected, attempts: int) -> DeadLetter:
        self._report(parcel, rejected)
        return DeadLetter(
            parcel.samples,
            self._destination.name,
            parcel.route,
            rejected.reason,
            rejected.status,
            rejected.answer,
            attempts,
            self._now(),
        )

    def _report(self, parcel: Parcel, rejected: Rejected) -> None:
        """Say what is refused, each status (or reason, where there is none) once."""
        kind = rejected.status or rejected.reason
        if kind not in self._reported and len(self._reported) < _MOST_REPORTED:
            self._reported.add(kind)
            self._log.error(
                "samples are refused; they, and further ones, go to dead letters",
                status=rejected.status,
                reason=rejected.reason,
                answer=rejected.answer[:200],
                route=parcel.route,
                samples=row_count(parcel.samples),
            )

    def _now(self) -> int:
        return round(self._clock() * 1000)


_MOST_REPORTED = 100

_REPACK_AFTER = 600.0
"""Seconds after which a parcel that waits is packed again: samples in it may have become too old."""


def slice_of(samples: Sequence[pa.RecordBatch], start: int, stop: int) -> SampleBatches:
    """The samples from number `start` to `stop`, counted through all batches."""
    parts = []
    for batch in samples:
        part = batch.slice(max(0, start), max(0, stop - max(0, start)))
        if stop > 0 and part.num_rows:
            parts.append(part)
        start, stop = start - batch.num_rows, stop - batch.num_rows
    return tuple(parts)


def halve(samples: Sequence[pa.RecordBatch]) -> list[SampleBatches]:
    """Two halves, or nothing where there is only one sample."""
    rows = row_count(samples)
    if rows < 2:
        return []
    return [slice_of(samples, 0, rows // 2), slice_of(samples, rows // 2, rows)]


def merged(samples: Sequence[pa.RecordBatch]) -> SampleBatches:
    """One batch an entity type (and schema): many small ones cost more than one large."""
    groups: dict[tuple[str, Only | None, pa.Schema], list[pa.RecordBatch]] = {}
    for batch in samples:
        kind = entity_type_of(batch).name, only(batch), batch.schema
        groups.setdefault(kind, []).append(batch)
    return tuple(one_batch(batches) for batches in groups.values())
