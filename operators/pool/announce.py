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
    """Reports to an observer what happens in the pool of that name."""

    def __init__(self, pool: str, observer: Observer) -> None:
        self._pool = pool
        self._report: dict[type[PoolEvent], Callable[[object], None]] = dict.fromkeys(
            observer.pool_events, observers(observer).hear
        )

    def started(self, size: int, queue: int) -> None:
        """The pool takes tasks."""
        if report := self._report.get(PoolStarted):
            report(PoolStarted(self._pool, size, queue))

    def stopping(self, under_way: int) -> None:
        """The pool takes no more tasks."""
        if report := self._report.get(PoolStopping):
            report(PoolStopping(self._pool, under_way))

    def stopped(self, cancelled: int) -> None:
        """Nothing runs any more."""
        if report := self._report.get(PoolStopped):
            report(PoolStopped(self._pool, cancelled))

    def queued(self, task: Task, queued: int) -> None:
        """A task, or its next attempt, waits for a slot."""
        if report := self._report.get(TaskQueued):
            report(TaskQueued(self._pool, task.key, task.attempts + 1, task.priority, queued))

    def begun(self, task: Task) -> None:
        """An attempt begins."""
        if report := self._report.get(TaskStarted):
            report(TaskStarted(self._pool, task.key, task.attempts))

    def retrying(self, task: Task, delay: float, error_class: str, error: str) -> None:
        """An attempt failed and there will be another."""
        if report := self._report.get(TaskRetrying):
            report(TaskRetrying(self._pool, task.key, task.attempts, delay, error_class, error))

    def completed(self, key: str | None, result: Result[Any]) -> None:
        """A task gave its value."""
        if report := self._report.get(TaskCompleted):
            report(TaskCompleted(self._pool, key, result.attempts, result.duration))

    def failed(self, key: str | None, result: Result[Any]) -> None:
        """A task ended without a value, or was not taken."""
        if report := self._report.get(TaskFailed):
            outcome, _, attempts, duration, error_class, error = result
            report(
                TaskFailed(
                    self._pool, key, outcome, attempts, duration, error_class or "", error or ""
                )
            )

    def breaker_opened(self, key: str, probe: float) -> None:
        """A target is left alone."""
        if report := self._report.get(BreakerOpened):
            report(BreakerOpened(self._pool, key, probe))

    def breaker_closed(self, key: str) -> None:
        """A target answers again."""
        if report := self._report.get(BreakerClosed):
            report(BreakerClosed(self._pool, key))
