"""A pool's events, each made only where it is heard."""

from collections.abc import Callable
from typing import Any

from operators.events import (
    BreakerClosed,
    BreakerOpened,
    Observer,
    PoolEvent,
    PoolStarted,
    PoolStopped,
    PoolStopping,
    TaskCompleted,
    TaskFailed,
    TaskQueued,
    TaskRetrying,
    TaskStarted,
    observers,
)
from operators.pool.task import Result, Task


class Announcer:
    """Tells an observer what happens in the pool of that name."""

    def __init__(self, pool: str, observer: Observer) -> None:
        self._pool = pool
        self._tell: dict[type[PoolEvent], Callable[[object], None]] = dict.fromkeys(
            observer.pool_events, observers(observer).hear
        )

    def started(self, size: int, queue: int) -> None:
        """The pool takes tasks."""
        if tell := self._tell.get(PoolStarted):
            tell(PoolStarted(self._pool, size, queue))

    def stopping(self, under_way: int) -> None:
        """The pool takes no more tasks."""
        if tell := self._tell.get(PoolStopping):
            tell(PoolStopping(self._pool, under_way))

    def stopped(self, cancelled: int) -> None:
        """Nothing runs any more."""
        if tell := self._tell.get(PoolStopped):
            tell(PoolStopped(self._pool, cancelled))

    def queued(self, task: Task, queued: int) -> None:
        """A task, or its next attempt, waits for a slot."""
        if tell := self._tell.get(TaskQueued):
            tell(TaskQueued(self._pool, task.key, task.attempts + 1, task.priority, queued))

    def begun(self, task: Task) -> None:
        """An attempt begins."""
        if tell := self._tell.get(TaskStarted):
            tell(TaskStarted(self._pool, task.key, task.attempts))

    def retrying(self, task: Task, delay: float, error_class: str, error: str) -> None:
        """An attempt failed and there will be another."""
        if tell := self._tell.get(TaskRetrying):
            tell(TaskRetrying(self._pool, task.key, task.attempts, delay, error_class, error))

    def completed(self, key: str | None, result: Result[Any]) -> None:
        """A task gave its value."""
        if tell := self._tell.get(TaskCompleted):
            tell(TaskCompleted(self._pool, key, result.attempts, result.duration))

    def failed(self, key: str | None, result: Result[Any]) -> None:
        """A task ended without a value, or was not taken."""
        if tell := self._tell.get(TaskFailed):
            outcome, _, attempts, duration, error_class, error = result
            tell(
                TaskFailed(
                    self._pool, key, outcome, attempts, duration, error_class or "", error or ""
                )
            )

    def breaker_opened(self, key: str, probe: float) -> None:
        """A target is left alone."""
        if tell := self._tell.get(BreakerOpened):
            tell(BreakerOpened(self._pool, key, probe))

    def breaker_closed(self, key: str) -> None:
        """A target answers again."""
        if tell := self._tell.get(BreakerClosed):
            tell(BreakerClosed(self._pool, key))
