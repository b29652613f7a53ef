"""What happens in pools as events in New Relic, where the config asks for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any

from flows.config import Config
from flows.errors import UsageError
from operators.background import Background
from operators.events import (
    EVENTS,
    NOBODY,
    Observer,
    PoolEvent,
    TaskCompleted,
    TaskQueued,
    TaskStarted,
)

EVENT_TYPE = "MqpipePoolEvent"

_USUAL = (TaskQueued, TaskStarted, TaskCompleted)
"""What happens at every tick, and is sent only where all is asked for."""

_NAMES = {"key": "target", "error_class": "errorClass", "under_way": "underWay"}
"""Fields whose attribute has another name."""

_CLOSING = 5.0
"""Seconds for the last post."""


@contextmanager
def pool_events(config: Config, process_id: int = 0) -> Iterator[Observer]:
    """Who sends pools' events while the block runs, and what is left after it.

    Nobody where `sinks.newrelic.pool_events` does not ask for them.

    Raises:
        UsageError: the licence key cannot be read.
    """
    newrelic = config.sinks.newrelic
    if newrelic is None or newrelic.pool_events is None or config.account_id is None:
        yield NOBODY
        return
    from sinks.newrelic.poster import EventPoster

    try:
        poster = EventPoster(newrelic, config.account_id)
    except ValueError as error:
        raise UsageError(str(error)) from error
    wanted = frozenset(e for e in EVENTS if newrelic.pool_events == "all" or e not in _USUAL)

    def hear(event: object) -> None:
        if isinstance(event, PoolEvent) and type(event) in wanted:
            poster.put({**attributes(event), "processId": process_id})

    background, closing = Background(), asyncio.Event()
    posting = asyncio.run_coroutine_threadsafe(poster.run(closing), background.loop)
    try:
        yield Observer(hear, wanted)
    finally:
        background.loop.call_soon_threadsafe(closing.set)
        with suppress(TimeoutError):
            posting.result(_CLOSING)
        background.close()


def attributes(event: PoolEvent) -> dict[str, Any]:
    """An event's attributes in New Relic; durations and delays are in seconds."""
    return {
        "eventType": EVENT_TYPE,
        "event": type(event).__name__,
        **{_NAMES.get(f.name, f.name): getattr(event, f.name) for f in fields(event)},
    }
