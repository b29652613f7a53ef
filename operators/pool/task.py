"""What a pool is given and what it gives back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from operators.pool.settings import Priority
from operators.ticks import Outcome

T = TypeVar("T")

Work: TypeAlias = Callable[[float], Awaitable[T]]
"""One attempt: called with the seconds that it has, awaited for its value.

At its end of time it is cancelled. What blocks goes through `in_thread`.
"""


class Result(NamedTuple, Generic[T]):
    """How a task ended. A pool answers with data and raises nothing of a task's.

    `error_class` is what `classify` said of the last failure, or why the task was not taken:
    `overrun`, `queue_full`, `breaker_open` or `stopping`.
    """

    outcome: Outcome
    value: T | None = None
    attempts: int = 0
    duration: float = 0.0
    """Seconds from submission to the end, waiting included."""
    error_class: str | None = None
    error: str | None = None


def classify(error: BaseException) -> str:
    """The class of an error in results, metrics and logs: a few words, no details.

    An exception names its own by `error_class`.
    """
    named = getattr(error, "error_class", None)
    if isinstance(named, str):
        return named
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "connection"
    return "error"


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may help; an exception says no by `retryable = False`."""
    return bool(getattr(error, "retryable", True))


class Phase(Enum):
    """Where a task is on its way."""

    QUEUED = auto()
    """Waits for a slot."""
    RUNNING = auto()
    BACKING_OFF = auto()
    """Waits for its next attempt, in no slot."""
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Task:
    """A task that a pool accepted. Its fields are the pool's; times are the loop's, in seconds."""

    work: Work[Any]
    done: Callable[[Result[Any]], None]
    key: str | None
    priority: Priority
    accepted: float
    deadline: float
    """Infinite where none was given."""
    rank: float
    """Its place in the queue; see `operators.pool.queue`."""
    attempts_allowed: int
    attempts: int = 0
    phase: Phase = Phase.QUEUED
    timer: asyncio.TimerHandle | None = None
    """The end of its waiting while it backs off."""
    began: float = 0.0
    """When the attempt that runs began."""
    until: float = 0.0
    """When it is to end."""
