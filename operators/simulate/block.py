"""A block of consecutive ticks of one shard."""

from dataclasses import dataclass

import numpy as np

from operators.schema.arrays import Ints


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive ticks: `times` in ms since 1970, `interval` ms apart."""

    times: Ints
    interval: int

    @classmethod
    def of(cls, start: int, interval: int, count: int) -> "Block":
        """`count` ticks from `start`."""
        return cls(start + interval * np.arange(count, dtype=np.int64), interval)

    @property
    def seconds(self) -> float:
        """The interval in seconds."""
        return self.interval / 1000

    @property
    def ticks(self) -> int:
        """How many."""
        return len(self.times)

    @property
    def first(self) -> int:
        """Number of the first tick since 1970."""
        return int(self.times[0]) // self.interval

    @property
    def before(self) -> "Block":
        """The one tick before this block."""
        return Block(self.times[:1] - self.interval, self.interval)
