"""The graceful end of a run: sources stay open until nothing is under way."""

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from operators.schedule import AwakeClock, Schedule
from operators.schema.clock import wall_seconds


def look_for(partitions: int, grace: float = 25.0) -> float:
    """Seconds between two looks of so many partitions: a fifth to 5, by which they make 250 a second.

    Within a `grace` period there are some of them: a drain takes two.
    """
    return max(0.2, min(partitions / 250, 5.0, grace / 4))


class Drain:
    """Asks the sources of this process to end, and knows when they may.

    At end of input Bytewax loses work that is still under way, so after `request` the sources
    emit nothing new but stay open until whatever entered has left, or `grace` seconds are over.
    All workers of a cluster must have said that they drain, and then `settle` seconds must pass,
    for what is between two workers counts nowhere.
    One a process, shared by its sources, its offloading operators and its merge.

    Sources look every `look` seconds whether the end was asked for, or a little more often: also when
    their epochs of `epoch` seconds end, which they do together.
    """

    def __init__(
        self,
        grace: float = 25.0,
        settle: float = 0.3,
        look: float = 0.2,
        epoch: float = 5.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._grace = grace
        self._settle = settle
        self.look = epoch / math.ceil(epoch / look)
        self.epoch = epoch
        self._clock = clock or AwakeClock()
        self._lock = threading.Lock()
        self._under_way = 0
        self._requested_at: float | None = None
        self._at_once = False
        self._opened = False
        self._workers = 0
        self._silent: set[int] = set()
        self._last_heard = float("-inf")

    def now(self) -> float:
        """Seconds by the clock of the grace period, in which a process that is stopped has no time."""
        return self._clock()

    def next_look(self) -> datetime:
        """When a source looks again: all of them at the same instants, for the engine wakes once for all."""
        return datetime.fromtimestamp((wall_seconds() // self.look + 1) * self.look, UTC)

    def open(self, workers: int) -> None:
        """The sources are there: from here on the end is theirs, and `workers` report their ticks."""
        self._workers = workers
        self._opened = True

    @property
    def opened(self) -> bool:
        """Whether the sources were built."""
        return self._opened

    def request(self) -> None:
        """Ask for the end: no new ticks from here on. Asking again changes nothing."""
        self._at_once = True
        self._begin()

    def _begin(self) -> None:
        if self._requested_at is None:
            self._requested_at = self._clock()

    @property
    def requested(self) -> bool:
        """Whether the end was asked for, or a source came to its own."""
        return self._requested_at is not None

    def hear(self, worker: int) -> None:
        """A worker, of this process or another, emits nothing new: this process drains too."""
        if worker not in self._silent:
            self._last_heard = self._clock()
            self._silent.add(worker)
        self._begin()

    def has_ended(self, schedule: Schedule, tick: int) -> bool:
        """Whether a source whose next tick is `tick` emits no more; it asks the others to end too.

        Where the schedule's end was reached, one that was held up still has its last ticks,
        unless the end was asked for besides.

        Raises:
            StopIteration: it may end now.
        """
        if schedule.over(tick):
            self._begin()
        if not self.requested or (schedule.owes(tick) and not self._at_once):
            return False
        if self.may_end:
            raise StopIteration
        return True

    @property
    def under_way(self) -> int:
        """How many pieces of work entered and have not left."""
        return self._under_way

    def enter(self, pieces: int = 1) -> None:
        """Work was accepted that needs its operator alive to finish."""
        with self._lock:
            self._under_way += pieces

    def leave(self, pieces: int = 1) -> None:
        """That many pieces of work were emitted, or given up."""
        with self._lock:
            self._under_way -= pieces

    @property
    def grace_left(self) -> float:
        """Seconds until the grace period is over; all of it before the drain was asked for."""
        return self.grace_left_of(1.0)

    def grace_left_of(self, share: float) -> float:
        """Seconds until this share of the grace period is over."""
        grace = share * self._grace
        if self._requested_at is None:
            return grace
        return max(0.0, self._requested_at + grace - self._clock())

    @property
    def overdue(self) -> bool:
        """Whether the grace period is over."""
        return self.grace_left == 0

    @property
    def may_end(self) -> bool:
        """Whether a source may raise StopIteration now."""
        if self._requested_at is None:
            return False
        silence = self._clock() - max(self._requested_at, self._last_heard)
        settled = len(self._silent) >= self._workers and silence >= self._settle
        return self.overdue or (settled and self._under_way <= 0)
