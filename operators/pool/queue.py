"""Tasks that wait for a slot: by priority, and with age a low one's turn comes too."""

from collections import deque
from math import inf

from operators.pool.settings import Priority
from operators.pool.task import Task

AGEING = 0.25
"""What one step of priority is worth, as a share of the time that a task has.

A task is served as if it had come that much later: one of low priority with 30 s to go lets
those of high priority pass that come in the 15 s after it, and then nobody.
"""

_STEPS = {Priority.HIGH: 0.0, Priority.NORMAL: AGEING, Priority.LOW: 2 * AGEING}


def rank(priority: Priority, now: float, time_left: float, timeout: float) -> float:
    """When it is a task's turn: the least rank is served first. In seconds, as `now`.

    `timeout` stands in for the time left of a task without a deadline.
    """
    return now + _STEPS[priority] * (timeout if time_left == inf else time_left)


class AgeingQueue:
    """First in, first out within a priority; the least rank first between priorities."""

    def __init__(self) -> None:
        self._lines: dict[Priority, deque[Task]] = {priority: deque() for priority in Priority}
        self._all = tuple(self._lines.values())

    def push(self, task: Task) -> None:
        """Let it wait behind those of its priority."""
        self._lines[task.priority].append(task)

    def pop(self) -> Task | None:
        """The next one, or None."""
        best: deque[Task] | None = None
        for line in self._all:
            if line and (best is None or line[0].rank < best[0].rank):
                best = line
        return best.popleft() if best is not None else None

    def remove(self, task: Task) -> None:
        """Take one out that waits."""
        self._lines[task.priority].remove(task)

    def late(self, now: float) -> list[Task]:
        """Those that wait although their deadline has passed."""
        return [task for line in self._all for task in line if task.deadline <= now]

    def earliest_deadline(self) -> float:
        """The deadline that passes next; infinite where there is none."""
        return min((task.deadline for line in self._all for task in line), default=inf)
