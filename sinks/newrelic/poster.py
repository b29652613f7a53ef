"""Events about mqpipe itself to New Relic: at most once, and never in the way of samples."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa

from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from sinks.delivery import Parcel, Rejected, RetryLater
from sinks.newrelic.destination import EVENTS, NewRelic
from sinks.newrelic.fragments import TEXT
from sinks.newrelic.payloads import payloads
from sinks.newrelic.settings import NewRelicSettings
from sinks.patience import Patience

LIMIT = 10_000
"""Events that wait in memory; the oldest give way."""

EVERY = 5.0
"""Seconds between two posts."""

_MAX_STRING = 4_096


class NewRelicPoster:
    """Posts plain events (`eventType` and attributes) from a bounded buffer in memory.

    They do not go through the spool: what reports on the process must not take room from samples.
    What waits while New Relic is away gives way to what is newer, what it refuses is dropped;
    both are logged. `put` may be called on any thread, the rest lives on one event loop.

    Raises:
        ValueError: the licence key cannot be read.
    """

    def __init__(
        self,
        settings: NewRelicSettings,
        account_id: int,
        limit: int = LIMIT,
        every: float = EVERY,
        patience: Patience = Patience(),  # noqa: B008 - immutable
    ) -> None:
        self._newrelic = NewRelic(settings, account_id, interval=0)
        self._limit = limit
        self._every = every
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._log = Log("mqpipe.newrelic")

    def put(self, event: Mapping[str, Any]) -> None:
        """Take an event; attributes that are None are left out, `timestamp` is now without one."""
        timed = {"timestamp": wall_clock(), **event}
        known = {
            name: value[:_MAX_STRING] if isinstance(value, str) else value
            for name, value in timed.items()
            if value is not None
        }
        with self._lock:
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(json.dumps(known) + ",")

    async def run(self, closing: asyncio.Event) -> None:
        """Post what comes until `closing` is set, and then what is left, once."""
        await self._newrelic.start()
        try:
            while not closing.is_set():
                await _either(closing, self._every)
                await self._post(closing)
            # What came during the last post, or before the first.
            await self._post(closing)
        finally:
            await self._newrelic.stop()

    async def _post(self, closing: asyncio.Event) -> None:
        with self._lock:
            events, self._waiting = list(self._waiting), deque()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._log.warning("events of pools gave way to newer ones", events=dropped)
        for payload in payloads(pa.array(events, TEXT)):
            await self._send(payload.body, payload.stop - payload.start, closing)

    async def _send(self, body: bytes, events: int, closing: asyncio.Event) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._newrelic.send(Parcel((), EVENTS, body))
            except RetryLater as later:
                if closing.is_set():
                    self._log.warning(
                        "events of pools are dropped", events=events, reason=later.reason
                    )
                    return
                wait = later.after if later.after is not None else self._patience.wait(attempt)
                await _either(closing, wait)
            except Rejected as rejected:
                self._log.error(
                    "events of pools are refused", events=events, reason=rejected.reason
                )
                return
            else:
                return


async def _either(closing: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until it is time to end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(closing.wait(), seconds)
