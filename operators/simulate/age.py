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

    def within(self, seconds: float, arrivals: Floats, block: Block) -> Floats:
        """Messages that came within so many seconds before each tick: the lag of which that is the age.

        Of `arrivals` (messages/s), shape (ticks,). Where nothing comes it is endless.
        """
        if seconds <= SHORT:
            return arrivals * seconds
        came = _Came(self._pattern, block)
        of_a_day = min(int(seconds * 1000), DAY)
        window = came.until(block.times) - came.until(block.times - of_a_day)
        factor = came.factor(block.times)
        lag: Floats = arrivals * window * (seconds / of_a_day) / np.maximum(factor, 1)
        return np.where(factor > 0, lag, np.inf)

    def _by_pattern(self, seconds: Floats, tick: Ints, block: Block) -> Floats:
        """Ages by the pattern, of those that would be so many seconds at the tick's own rate."""
        traffic = _Came(self._pattern, block)
        now, day = traffic.until(block.times)[tick], traffic.until(block.times - DAY)[tick]
        factor = traffic.factor(block.times)[tick]
        came = np.rint(np.minimum(seconds, 1e8) * 1000).astype(np.int64) * factor
        oldest = now - came
        place = np.searchsorted(traffic.before[:-1], oldest, side="right") - 1
        rest = (oldest - traffic.before[place]) / np.maximum(traffic.factors[place], 1)
        ages = (block.times[tick] - traffic.minutes[place] - rest) / 1000
        longer = came / np.maximum(now - day, 1) * (DAY / 1000)
        known: Floats = np.where(oldest >= day, ages, longer)
        return np.where(factor > 0, known, seconds)


class _Came:
    """What a pattern lets come from a day before a block on, by minutes, as whole parts of `_UNIT`."""

    def __init__(self, pattern: Callable[[Ints], Floats], block: Block) -> None:
        self._begin = (int(block.times[0]) - DAY) // MINUTE * MINUTE
        self.minutes = np.arange(self._begin, int(block.times[-1]) + MINUTE, MINUTE)
        self.factors = np.rint(pattern(self.minutes) * _UNIT).astype(np.int64)
        self.before = np.concatenate(([0], np.cumsum(self.factors * MINUTE)))
        """What came before each minute."""

    def until(self, times: Ints) -> Ints:
        """What came before times (ms)."""
        place = (times - self._begin) // MINUTE
        came: Ints = self.before[place] + self.factors[place] * (times - self.minutes[place])
        return came

    def factor(self, times: Ints) -> Ints:
        """What comes at times, in a millisecond."""
        return self.factors[(times - self._begin) // MINUTE]
