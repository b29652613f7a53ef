"""Sums over the last minute or so, in little memory."""

from collections import deque


class Recent:
    """A sum over the last `window` seconds, kept a second at a time."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._parts: deque[tuple[int, int]] = deque()
        self._sum = 0

    def add(self, now: float, amount: int) -> None:
        """Count an amount at that moment (seconds)."""
        second = int(now)
        if self._parts and self._parts[-1][0] == second:
            amount_then = self._parts.pop()[1]
            self._parts.append((second, amount_then + amount))
        else:
            self._parts.append((second, amount))
        self._sum += amount
        self._drop(now)

    def sum(self, now: float) -> int:
        """What was counted in the last `window` seconds."""
        self._drop(now)
        return self._sum

    def clock_set(self, seconds: float) -> None:
        """The clock that moments are read from was set by so many seconds."""
        self._parts = deque((second + round(seconds), amount) for second, amount in self._parts)

    def _drop(self, now: float) -> None:
        while self._parts and self._parts[0][0] <= now - self._window:
            self._sum -= self._parts.popleft()[1]
