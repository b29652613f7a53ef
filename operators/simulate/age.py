"""How long the oldest message of a lag has waited, by the traffic that its pattern gives."""

from collections.abc import Callable

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.block import Block
from operators.simulate.local_time import DAY

MINUTE = 60_000
SHORT = 60.0
"""Seconds of waiting within which a pattern hardly changes."""

_UNIT = 1 << 20
"""Factors are summed as whole parts of this size, so that sums are exact in blocks of any size."""


class Ages:
    """Ages of a shard's lags; `pattern` gives the factor of its traffic at times (ms)."""

    def __init__(self, pattern: Callable[[Ints], Floats]) -> None:
        self._pattern = pattern

    def of(self, lag: Ints, arrivals: Floats, block: Block) -> Floats:
        """Seconds since the oldest message of each lag came; arrays of shape (rows, ticks).

        `arrivals` are messages/s to be expected at each tick. Of what came before a tick is
        known that it went up and down with the pattern: the age a solves
        lag = arrivals(t) / pattern(t) · ∫ pattern over [t − a, t], by minutes. What came more
        than a day ago came as on that day. Up to a minute a = lag / arrivals. Messages that an
        anomaly adds or takes away are not told apart.
        """
        seconds: Floats = lag / np.maximum(arrivals, 1e-3)
        row, tick = np.nonzero(seconds > SHORT)
        if len(row):
            seconds[row, tick] = self._by_pattern(seconds[row, tick], tick, block)
        return seconds

    def _by_pattern(self, seconds: Floats, tick: Ints, block: Block) -> Floats:
        """Ages by the pattern, of those that would be so many seconds at the tick's own rate."""
        begin = (int(block.times[0]) - DAY) // MINUTE * MINUTE
        minutes = np.arange(begin, int(block.times[-1]) + MINUTE, MINUTE)
        factors = np.rint(self._pattern(minutes) * _UNIT).astype(np.int64)
        before = np.concatenate(([0], np.cumsum(factors * MINUTE)))
        """What came before each minute."""

        def until(times: Ints) -> Ints:
            place = (times - begin) // MINUTE
            came: Ints = before[place] + factors[place] * (times - minutes[place])
            return came

        now, day = until(block.times)[tick], until(block.times - DAY)[tick]
        factor = factors[(block.times - begin) // MINUTE][tick]
        came = np.rint(np.minimum(seconds, 1e8) * 1000).astype(np.int64) * factor
        oldest = now - came
        place = np.searchsorted(before[:-1], oldest, side="right") - 1
        rest = (oldest - before[place]) / np.maximum(factors[place], 1)
        ages = (block.times[tick] - minutes[place] - rest) / 1000
        longer = came / np.maximum(now - day, 1) * (DAY / 1000)
        known: Floats = np.where(oldest >= day, ages, longer)
        return np.where(factor > 0, known, seconds)
