"""The pool: bounded, fair and patient concurrent work for any task."""

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from random import Random
from typing import Any, Self, TypeVar

from operators.events import NOBODY, Observer
from operators.pool.announce import Announcer
from operators.pool.breaker import Breakers
from operators.pool.limit import AdaptiveLimit
from operators.pool.queue import AgeingQueue, rank
from operators.pool.settings import PoolSettings, Priority
from operators.pool.slots import CANCEL_GRACE, Slots
from operators.pool.stats import BreakerState, PoolStats, SlotState
from operators.pool.task import Phase, Result, Task, Work, classify, is_retryable
from operators.schema.logs import Log
from operators.ticks import Outcome

T = TypeVar("T")

log = Log("mqpipe.pool")


class Pool:
    """Runs tasks, at most `size` at a time, and answers each with a `Result`.

    A task is work (an async callable that is given the seconds it has), the key of its target,
    a priority, and a deadline for all its attempts. A task that finds the queue full, its key's
    last task under way, or its key's breaker open is answered at once and counted. Tasks without
    a key have neither overruns nor breakers.

    All of it is used on `loop`, whose clock is the pool's; `stats`, `slots` and `breakers` may be
    read by any thread.
    """

    def __init__(
        self,
        name: str,
        settings: PoolSettings,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        observer: Observer = NOBODY,
        classify: Callable[[BaseException], str] = classify,
        rng: Random | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.loop = loop or asyncio.get_running_loop()
        self.stats = PoolStats(limit=settings.smallest)
        self._now = self.loop.time
        self._classify = classify
        self._rng = rng or Random()
        self._auto = (
            AdaptiveLimit(settings.smallest, settings.largest) if settings.size == "auto" else None
        )
        self._tasks: dict[Hashable, Task] = {}
        self._queue = AgeingQueue()
        self._slots = Slots(self.loop, settings.largest, self.stats, self)
        self._breakers = Breakers(settings.breaker, settings.largest)
        self._expiry: asyncio.TimerHandle | None = None
        self._stopping = False
        self._waiters: list[asyncio.Future[None]] = []
        self._announce = Announcer(name, observer)
        self._announce.started(self.stats.limit, settings.queue)

    # Giving it work

    async def submit(
        self,
        work: Work[T],
        *,
        key: str | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> Result[T]:
        """Run one task and wait for its end; `deadline` is seconds from now.

        When the caller is cancelled, the task is.
        """
        future: asyncio.Future[Result[T]] = self.loop.create_future()

        def done(result: Result[T]) -> None:
            if not future.done():
                future.set_result(result)

        task = self.offer(work, done, key=key, priority=priority, deadline=deadline)
        try:
            return await future
        except asyncio.CancelledError:
            if task is not None:
                self.cancel(task)
            raise

    def offer(
        self,
        work: Work[T],
        done: Callable[[Result[T]], None],
        *,
        key: str | None = None,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
    ) -> Task | None:
        """Take a task, or refuse it; `done` is called once, on the loop, with its result.

        Answers the task, or None where it was refused (`done` was called then).
        """
        now = self._now()
        settings = self.settings
        attempts = settings.attempts
        if key is not None:
            if key in self._tasks:
                self._refuse(
                    done, key, Outcome.OVERRUN, "overrun", "its last task is still under way"
                )
                return None
            attempts = self._breakers.allows(key, now, attempts)
        if self._stopping:
            self._refuse(done, key, Outcome.REFUSED, "stopping", "the pool takes no more tasks")
            return None
        if not self.has_room:
            self._refuse(
                done, key, Outcome.REFUSED, "queue_full", f"{settings.queue} tasks wait already"
            )
            return None
        if not attempts:
            self._refuse(
                done, key, Outcome.REFUSED, "breaker_open", "it kept failing, and is left alone"
            )
            return None
        if deadline is not None and deadline <= 0:
            late = f"this machine is busy: it came {-deadline:.1f} s after its deadline; raise the interval"
            self._refuse(done, key, Outcome.FAILED, "timeout", late)
            return None
        patience = inf if deadline is None else deadline
        turn = rank(priority, now, patience, settings.timeout)
        task = Task(work, done, key, priority, now, now + patience, turn, attempts)
        self._tasks[task if key is None else key] = task
        self._enqueue(task)
        return task

    def cancel(self, task: Task | str) -> None:
        """Cancel a task, or that of a key; it ends as failed, `cancelled`, at once."""
        found = self._tasks.get(task) if isinstance(task, str) else task
        if found is None or found.phase is Phase.ENDED:
            return
        if found.phase is Phase.RUNNING:
            self._slots.stop(found)
        elif found.phase is Phase.QUEUED:
            self._queue.remove(found)
            self.stats.queued -= 1
        else:
            self.stats.backing_off -= 1
        self._end(found, Outcome.FAILED, self._now(), None, "cancelled", "it was cancelled")

    # Its state

    @property
    def capacity(self) -> int:
        """How many tasks may be under way: running, waiting for a slot or for an attempt."""
        return self.stats.limit + self.settings.queue

    @property
    def has_room(self) -> bool:
        """Whether another task would be taken."""
        return len(self._tasks) + self._slots.stopping < self.capacity

    def slots(self) -> list[SlotState]:
        """What each slot works on at this moment. Any thread may ask."""
        return self._slots.states()

    def breakers(self) -> list[BreakerState]:
        """The targets in trouble at this moment. Any thread may ask."""
        return self._breakers.states(self._now())

    async def room(self) -> None:
        """Wait for room: where there is none, until half the queue is free."""
        while not self.has_room:
            if self._slots.stopping:
                await asyncio.sleep(CANCEL_GRACE)
            else:
                await self._change()

    # Its end

    async def drain(self, timeout: float) -> None:
        """Take no more tasks, wait up to `timeout` seconds for those under way, cancel the rest."""
        self._stopping = True
        self._announce.stopping(len(self._tasks))
        try:
            async with asyncio.timeout(timeout):
                while self._tasks:
                    await self._change()
        except TimeoutError:
            pass
        rest = list(self._tasks.values())
        for task in rest:
            self.cancel(task)
        await self._slots.settle()
        self._announce.stopped(len(rest))

    async def close(self) -> None:
        """Cancel what is under way, and end."""
        await self.drain(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # A task's way: queued, running, backing off, ended

    def _enqueue(self, task: Task) -> None:
        stats = self.stats
        task.phase = Phase.QUEUED
        self._queue.push(task)
        stats.queued += 1
        self._announce.queued(task, stats.queued)
        self._slots.start()
        if task.phase is Phase.QUEUED:
            stats.queued_high = max(stats.queued_high, stats.queued)
            self._watch(task.deadline)

    def _watch(self, deadline: float) -> None:
        """See to it that the queue is looked at when a deadline passes: one timer for all."""
        if deadline < (self._expiry.when() if self._expiry else inf):
            if self._expiry:
                self._expiry.cancel()
            self._expiry = self.loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = self._now()
        for task in self._queue.late(now):
            if task.phase is Phase.QUEUED:  # the end of one may be the end of another
                self._queue.remove(task)
                self.stats.queued -= 1
                self._fail_late(task, now)
        self._watch(self._queue.earliest_deadline())

    def _fail_late(self, task: Task, now: float) -> None:
        self._fail(
            task,
            now,
            "timeout",
            "no slot was free before its deadline: raise the pool's size, or the interval",
        )

    def next_attempt(self, now: float) -> Task | None:
        """For the slots: the next task, ready to run."""
        stats = self.stats
        while (task := self._queue.pop()) is not None:
            stats.queued -= 1
            if now < task.deadline:
                break
            self._fail_late(task, now)
        else:
            return None
        stats.attempts += 1
        task.phase = Phase.RUNNING
        task.attempts += 1
        if task.attempts > 1:
            stats.retries += 1
        task.began = now
        task.until = min(now + self.settings.timeout, task.deadline)
        self._announce.begun(task)
        return task

    def attempt_ended(
        self, task: Task, now: float, value: Any, failure: BaseException | None
    ) -> None:
        """For the slots: an attempt came to its end."""
        if self._auto is not None:
            self.stats.limit = self._auto.observe(
                now - task.began, failed=failure is not None, saturated=self.stats.queued > 0
            )
            self._slots.start()
        if failure is None:
            self._end(task, Outcome.COMPLETED, now, value)
            return
        error_class, error, retryable = self._describe(failure)
        if retryable and task.attempts < task.attempts_allowed:
            delay = self._backoff(task)
            if now + delay < task.deadline:
                task.phase = Phase.BACKING_OFF
                self.stats.backing_off += 1
                task.timer = self.loop.call_at(now + delay, self._resume, task)
                self._announce.retrying(task, delay, error_class, error)
                return
        self._fail(task, now, error_class, error)

    def attempt_abandoned(self, task: Task) -> None:
        """For the slots: a cancelled attempt goes on."""
        if task.key is not None and self._breakers.abandoned(task.key, self._now()):
            self._announce.breaker_opened(task.key, self.settings.breaker.probe)

    def attempt_returned(self, task: Task) -> None:
        """For the slots: an abandoned attempt ended."""
        if task.key is not None:
            self._breakers.returned(task.key)

    def _backoff(self, task: Task) -> float:
        """Full jitter: anything up to an exponential bound (AWS Architecture Blog, 2015).

        Never so short that the last attempt's slot might not be free again.
        """
        backoff = self.settings.backoff
        bound = min(backoff.max, backoff.initial * 2.0 ** min(task.attempts - 1, 60))
        return max(2 * CANCEL_GRACE, self._rng.uniform(0, bound))

    def _resume(self, task: Task) -> None:
        self.stats.backing_off -= 1
        now = self._now()
        task.timer = None
        task.rank = rank(task.priority, now, task.deadline - now, self.settings.timeout)
        self._enqueue(task)

    def _fail(self, task: Task, now: float, error_class: str, error: str) -> None:
        """End a task by its own fault, or its target's."""
        key = task.key
        opened = key is not None and task.attempts > 0 and self._breakers.failed(key, now)
        self._end(task, Outcome.FAILED, now, None, error_class, error)
        if key is not None and opened:
            self._announce.breaker_opened(key, self.settings.breaker.probe)

    def _end(
        self,
        task: Task,
        outcome: Outcome,
        now: float,
        value: Any,
        error_class: str | None = None,
        error: str | None = None,
    ) -> None:
        key = task.key
        del self._tasks[task if key is None else key]
        if task.timer is not None:
            task.timer.cancel()
        task.phase = Phase.ENDED
        duration = now - task.accepted
        self.stats.ended(outcome, duration, error_class)
        result = Result(outcome, value, task.attempts, duration, error_class, error)
        if outcome is Outcome.COMPLETED:
            self._announce.completed(key, result)
            if key is not None and self._breakers.completed(key):
                self._announce.breaker_closed(key)
        else:
            self._announce.failed(key, result)
        self._answer(task.done, result)
        if self._waiters and len(self._tasks) <= self.capacity - 1 - self.settings.queue // 2:
            self._wake()

    def _refuse(
        self,
        done: Callable[[Result[Any]], None],
        key: str | None,
        outcome: Outcome,
        error_class: str,
        error: str,
    ) -> None:
        self.stats.refused(outcome, error_class)
        result: Result[Any] = Result(outcome, error_class=error_class, error=error)
        self._announce.failed(key, result)
        self._answer(done, result)

    # Helpers

    def _describe(self, failure: BaseException) -> tuple[str, str, bool]:
        """Class, message and whether to try again; a task's own exception may break them."""
        try:
            error = str(failure) or type(failure).__name__
            return self._classify(failure), error, is_retryable(failure)
        except Exception:
            log.exception(f"pool `{self.name}`: cannot describe a {type(failure).__name__}")
            return "error", type(failure).__name__, True

    def _answer(self, done: Callable[[Result[Any]], None], result: Result[Any]) -> None:
        try:
            done(result)
        except Exception:
            log.exception(f"pool `{self.name}`: a task's `done` raised")

    async def _change(self) -> None:
        """Wait until half the queue is free, or nothing is under way."""
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
