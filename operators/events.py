"""What happens in a pool, and in what it does, as events: one class each, for whom it concerns.

A listener is a plain callable that takes one event. It is called on the pool's loop, so it
returns at once; what it raises is logged and goes no further. Where a class has no listener,
no event of it is made.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from operators.ticks import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """Something happened in the pool of that name."""

    pool: str


@dataclass(frozen=True, slots=True)
class PoolStarted(PoolEvent):
    """The pool takes tasks."""

    size: int
    """Slots at the start."""
    queue: int
    """Tasks that may wait."""


@dataclass(frozen=True, slots=True)
class PoolStopping(PoolEvent):
    """The pool takes no more tasks."""

    under_way: int
    """Tasks that have not ended."""


@dataclass(frozen=True, slots=True)
class PoolStopped(PoolEvent):
    """Nothing runs any more."""

    cancelled: int
    """Tasks that had to be cancelled."""


@dataclass(frozen=True, slots=True)
class TaskEvent(PoolEvent):
    """Something happened to a task of that target; a task without one has key None."""

    key: str | None


@dataclass(frozen=True, slots=True)
class TaskQueued(TaskEvent):
    """A task was accepted, or the next attempt of one is due."""

    attempt: int
    priority: str
    queued: int
    """Tasks that wait for a slot, this one included."""


@dataclass(frozen=True, slots=True)
class TaskStarted(TaskEvent):
    """An attempt began."""

    attempt: int


@dataclass(frozen=True, slots=True)
class TaskCompleted(TaskEvent):
    """A task gave its value."""

    attempts: int
    duration: float
    """Seconds since it was submitted."""


@dataclass(frozen=True, slots=True)
class TaskFailed(TaskEvent):
    """A task ended without a value, or was not taken at all (overrun, refused)."""

    outcome: Outcome
    attempts: int
    duration: float
    """Seconds since it was submitted."""
    error_class: str
    error: str


@dataclass(frozen=True, slots=True)
class TaskRetrying(TaskEvent):
    """An attempt failed and there will be another."""

    attempt: int
    """The one that failed."""
    delay: float
    """Seconds until the next."""
    error_class: str
    error: str


@dataclass(frozen=True, slots=True)
class BreakerOpened(TaskEvent):
    """A target is left alone but for probes."""

    probe: float
    """Seconds until the first."""


@dataclass(frozen=True, slots=True)
class BreakerClosed(TaskEvent):
    """A target answers again."""


@dataclass(frozen=True, slots=True)
class CollectedInPart:
    """A target's tick was collected but for some parts; which, and why, says `error`.

    To its pool that task has completed: this is told by what collects.
    """

    target: str
    error_class: str | None
    error: str


Listeners: TypeAlias = Mapping[type[PoolEvent], Sequence[Callable[[Any], None]]]
"""Who hears which class of events."""


def joined(one: Listeners, other: Listeners) -> Listeners:
    """The listeners of both."""
    kinds: set[type[PoolEvent]] = {*one, *other}
    return {kind: (*one.get(kind, ()), *other.get(kind, ())) for kind in kinds}


def tellers(listeners: Listeners) -> dict[type[PoolEvent], Callable[[PoolEvent], None]]:
    """For each class that has listeners, the function that tells them all of an event."""
    return {event: partial(_tell, tuple(hear)) for event, hear in listeners.items() if hear}


def _tell(hear: tuple[Callable[[Any], None], ...], event: PoolEvent) -> None:
    for listener in hear:
        try:
            listener(event)
        except Exception:
            log.exception("a listener of %s raised", type(event).__name__)


EVENTS: tuple[type[PoolEvent], ...] = (
    PoolStarted,
    PoolStopping,
    PoolStopped,
    TaskQueued,
    TaskStarted,
    TaskCompleted,
    TaskFailed,
    TaskRetrying,
    BreakerOpened,
    BreakerClosed,
)
"""Every class that pools make."""
