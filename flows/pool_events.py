"""What happens in pools, as events to the sinks that take them."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from typing import Any

from flows.sinks import usage_errors
from operators.background import Background
from operators.events import (
    EVENTS,
    Observer,
    PoolEvent,
    TaskCompleted,
    TaskQueued,
    TaskStarted,
    observers,
)
from sinks.sink import PoolEventOffer, Sink

EVENT_TYPE = "MqpipePoolEvent"

_USUAL = (TaskQueued, TaskStarted, TaskCompleted)
"""What happens at every tick, and is sent only where all is asked for."""

_NAMES = {"key": "target", "error_class": "errorClass", "under_way": "underWay"}
"""Fields whose attribute has another name."""

_CLOSING = 5.0
"""Seconds for the last post."""


@contextmanager
def pool_events(
    sinks: Iterable[Sink], account_id: int | None, process_id: int = 0
) -> Iterator[Observer]:
    """Who hands pools' events to the sinks that take them while the block runs, and what is left after it.

    Raises:
        UsageError: what a sink's settings name cannot be used.
    """
    with ExitStack() as posting:
        offers = [sink.pool_events for sink in sinks if sink.pool_events is not None]
        yield observers(
            *(posting.enter_context(_posted(offer, account_id, process_id)) for offer in offers)
        )


@contextmanager
def _posted(offer: PoolEventOffer, account_id: int | None, process_id: int) -> Iterator[Observer]:
    with usage_errors():
        poster = offer.poster(account_id)
    wanted = frozenset(event for event in EVENTS if offer.usual or event not in _USUAL)

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
    """An event's attributes; durations and delays are in seconds."""
    return {
        "eventType": EVENT_TYPE,
        "event": type(event).__name__,
        **{_NAMES.get(f.name, f.name): getattr(event, f.name) for f in fields(event)},
    }
