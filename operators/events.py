"""What happens in a pool, and in what it does, as events: one class each, for whom it concerns.

An observer hears them as plain calls: on the pool's loop, on an engine's thread, on a sink's.
"""

from dataclasses import dataclass

from operators.schema.events import Listener, nobody
from operators.schema.logs import Log
from operators.ticks import Outcome

log = Log("mqpipe.events")


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
class TicksSimulated:
    """A simulated cluster's samples of so many consecutive ticks were made."""

    cluster: str
    ticks: int


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

    To its pool that task has completed: this is reported by what collects.
    """

    target: str
    error_class: str | None
    error: str


@dataclass(frozen=True, slots=True)
class Observer:
    """Who gets everything that happens in a job: pools, collection, merge and sinks.

    `hear` is called from any thread and returns at once. Of pools' events only those in
    `pool_events` are made; each is seldom but the three that every task has.
    """

    hear: Listener
    pool_events: frozenset[type[PoolEvent]] = frozenset()


def observers(*each: Observer) -> Observer:
    """All of them as one; what one raises is logged, and the others hear the event."""

    def hear(event: object) -> None:
        for observer in each:
            try:
                observer.hear(event)
            except Exception:
                log.exception(f"an observer of {type(event).__name__} raised")

    return Observer(hear, frozenset().union(*(observer.pool_events for observer in each)))


NOBODY = Observer(nobody)
"""Hears nothing, and has nothing made."""

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
