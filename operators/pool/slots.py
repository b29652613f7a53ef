"""Slots: where attempts run, never more than a limit, each no longer than its time."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from operators.pool.stats import PoolStats, SlotState
from operators.pool.task import Task

CANCEL_GRACE = 0.05
"""Seconds that a cancelled attempt has to end before its slot goes to another."""

TURN = 0.005
"""Seconds without waiting after which a slot lets the loop do other things."""


class SlotOwner(Protocol):
    """Whose tasks run in the slots."""

    def next_attempt(self, now: float) -> Task | None:
        """The next task to run, its `began` and `until` set; None when none waits."""

    def attempt_ended(
        self, task: Task, now: float, value: Any, failure: BaseException | None
    ) -> None:
        """The attempt gave a value, or failed; a time-out is a TimeoutError."""

    def attempt_abandoned(self, task: Task) -> None:
        """The attempt, ended by time-out or cancelling, does not obey and goes on."""

    def attempt_returned(self, task: Task) -> None:
        """An abandoned attempt ended after all."""


@dataclass(slots=True, eq=False)
class _Slot:
    index: int
    runner: asyncio.Task[None] | None = None
    task: Task | None = None
    timer: asyncio.TimerHandle | None = None
    """Fires at the attempt's end of time or before, and is then armed again: most attempts end
    long before, so setting one for each would be wasted."""
    stopping: bool = False
    abandoned: bool = False


class Slots:
    """Runs attempts in at most `stats.limit` slots.

    A busy slot has a runner, an asyncio task that serves one attempt after the other. At an
    attempt's end of time its runner is cancelled; when it does not end within `CANCEL_GRACE`
    seconds (a thread, or a coroutine that ignores it) it is abandoned, and the slot is free.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, size: int, stats: PoolStats, owner: SlotOwner
    ) -> None:
        self._loop = loop
        self._stats = stats
        self._owner = owner
        self._slots = [_Slot(index) for index in range(size)]
        self._free = self._slots[::-1]
        self._abandoned: set[asyncio.Task[None]] = set()
        self.stopping = 0
        """Slots whose attempt was cancelled and has not ended yet."""

    def start(self) -> None:
        """Put another slot to work if a task waits and one is free."""
        stats = self._stats
        if not stats.queued or stats.running >= stats.limit:
            return
        slot = self._free.pop()
        stats.running += 1
        slot.task = task = self._owner.next_attempt(self._loop.time())
        if task is None:
            stats.running -= 1
            self._free.append(slot)
            return
        slot.runner = self._loop.create_task(self._run(slot, task))
        slot.runner.add_done_callback(partial(self._release, slot))

    def stop(self, task: Task) -> None:
        """Cancel the running attempt of a task; its end will not be reported."""
        for slot in self._slots:
            if slot.task is task:
                self._stop(slot)
                return

    def states(self) -> list[SlotState]:
        """What each slot works on at this moment. Any thread may ask."""
        now = self._loop.time()
        return [
            SlotState(slot.index, None, 0.0)
            if (task := slot.task) is None
            else SlotState(slot.index, task.key or "", now - task.began)
            for slot in self._slots
        ]

    async def settle(self) -> None:
        """Wait until no runner is left but abandoned ones."""
        while runners := [slot.runner for slot in self._slots if slot.runner is not None]:
            await asyncio.wait(runners, timeout=CANCEL_GRACE)

    async def _run(self, slot: _Slot, first: Task) -> None:
        owner, stats = self._owner, self._stats
        task: Task | None = first
        now = turn = self._loop.time()
        while task is not None:
            if slot.timer is None or task.until < slot.timer.when():
                self._arm(slot, task.until)
            value, failure = None, None
            try:
                if now - turn > TURN:
                    await asyncio.sleep(0)
                    now = turn = self._loop.time()
                value = await task.work(task.until - now)
            except (Exception, asyncio.CancelledError, SystemExit) as error:
                failure = error
            if slot.task is not task:
                return  # it was stopped, and its end is known
            slot.task = None
            now = self._loop.time()
            owner.attempt_ended(task, now, value, failure)
            if slot.runner is not None and slot.runner.cancelling():
                raise asyncio.CancelledError
            task = owner.next_attempt(now) if stats.running <= stats.limit else None
            slot.task = task
        if slot.runner is not None:
            self._release(slot, slot.runner)

    def _release(self, slot: _Slot, runner: asyncio.Task[None]) -> None:
        if slot.abandoned or slot.runner is not runner:
            return
        task, slot.task, slot.runner = slot.task, None, None
        self._stopped(slot)
        self._free.append(slot)
        self._stats.running -= 1
        if task is not None:  # the loop's end cancelled the runner before it began
            self._owner.attempt_ended(task, self._loop.time(), None, asyncio.CancelledError())
        self.start()

    def _arm(self, slot: _Slot, when: float) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
        slot.timer = self._loop.call_at(when, self._time_is_up, slot)

    def _time_is_up(self, slot: _Slot) -> None:
        slot.timer = None
        task = slot.task
        if task is None:
            return
        now = self._loop.time()
        if now < task.until:
            self._arm(slot, task.until)
            return
        self._stop(slot)
        error = TimeoutError(f"no answer within {task.until - task.began:.3g} s")
        self._owner.attempt_ended(task, now, None, error)

    def _stop(self, slot: _Slot) -> None:
        task, slot.task = slot.task, None
        runner = slot.runner
        if task is None or runner is None:
            return
        slot.stopping = True
        self.stopping += 1
        runner.cancel()
        grace = self._loop.call_later(CANCEL_GRACE, self._abandon, slot, task, runner)
        runner.add_done_callback(lambda _: grace.cancel())

    def _stopped(self, slot: _Slot) -> None:
        self.stopping -= slot.stopping
        slot.stopping = False

    def _abandon(self, slot: _Slot, task: Task, runner: asyncio.Task[None]) -> None:
        slot.abandoned = True
        self._stopped(slot)
        fresh = self._slots[slot.index] = _Slot(slot.index)
        self._free.append(fresh)
        self._stats.running -= 1
        self._stats.abandoned += 1
        self._stats.abandoned_now += 1
        self._abandoned.add(runner)
        runner.add_done_callback(lambda _: self._return(task, runner))
        self._owner.attempt_abandoned(task)
        self.start()

    def _return(self, task: Task, runner: asyncio.Task[None]) -> None:
        self._abandoned.discard(runner)
        self._stats.abandoned_now -= 1
        self._owner.attempt_returned(task)
