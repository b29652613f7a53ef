"""What costs much of many queues: read between two ticks, one thing at a time, so that no tick waits for it."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any

from operators.collect.errors import Problem


class Turn(Enum):
    """What is read so."""

    LIST = auto()
    """What queues are: type, leader, members."""
    DETAILS = auto()
    """Bytes, memory, capacity, the first message's time: nine tenths of what a page costs."""
    DEAD_LETTERS = auto()
    """Their count: its page sums up all queues."""


DUE = {Turn.LIST: 60.0, Turn.DETAILS: 55.0, Turn.DEAD_LETTERS: 55.0}
"""Seconds for which what was read is taken as it was."""

ReadTurn = Callable[[Turn], Coroutine[Any, Any, list[Problem]]]
"""Reads it, keeps what it found, and says what went wrong."""


class BetweenTicks:
    """Whose turn it is, and what is being read."""

    def __init__(self) -> None:
        self._last = dict.fromkeys(Turn, -math.inf)
        self._reading: asyncio.Task[list[Problem]] | None = None

    def last(self, turn: Turn) -> float:
        """When it was read or tried last (s, of the monotonic clock)."""
        return self._last[turn]

    def due(self, turn: Turn) -> bool:
        """Whether it is to be read again."""
        return time.monotonic() >= self._falls_due(turn)

    def came(self, turn: Turn) -> None:
        """It was read just now, by whatever way."""
        self._last[turn] = time.monotonic()

    def begin(self, read: ReadTurn) -> None:
        """Read what has waited longest of what is due; nothing while something is being read."""
        turn = min(DUE, key=self._falls_due)
        if self._reading is None and self.due(turn):
            self.came(turn)
            self._reading = asyncio.create_task(read(turn))

    def _falls_due(self, turn: Turn) -> float:
        return self._last[turn] + DUE[turn]

    def ended(self) -> list[Problem]:
        """What went wrong with the read that has ended; what it raised is raised. Given once."""
        if self._reading is None or not self._reading.done():
            return []
        reading, self._reading = self._reading, None
        return reading.result()

    async def settled(self) -> None:
        """Wait until nothing is being read."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def close(self) -> None:
        """Stop what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
