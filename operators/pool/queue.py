"""Tasks that wait for a slot: by priority, and with age a low one's turn comes too."""

from collections import deque

from operators.pool.task import Priority, Task

AGEING = 0.25
"""What one step of priority is worth, as a share of the task's time.

A task is served as if it had come that much later: one of low priority with 30 s to go lets
those of high priority pass that come in the 15 s after it, and then nobody.
"""

STEPS = {Priority.HIGH: 0.0, Priority.NORMAL: AGEING, Priority.LOW: 2 * AGEING}


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
