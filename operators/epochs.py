"""When the engine ends a source's epochs: all sources' at the same times, and so of all workers.

Bytewax ends a source's epoch the first time that it asks the source once the epoch's length is over,
and asks no source for more whose epoch is ahead of another's; of what is due there it goes on looking
all the time. It counts an epoch from when the one before ended. So of two sources the one that is asked
more often has the shorter epochs, gets further ahead with each, and after some minutes gives something
once an epoch (`findings/bytewax-sources-drift-apart.sh`).

Here they end at multiples of their length by the wall clock: the engine's is shorter by SLACK, and no
source asks to be awoken between that and the multiple. One that ends early for all that has its next
epoch longer; one that is late has them shorter until it is there.
"""

from collections.abc import Callable

from operators.schema.clock import wall_seconds

SLACK = 0.1
"""Seconds by which an epoch may end late, and the next one still in time; of a long one LONG_SHARE."""

LONG_SHARE = 0.02
SHORT_SHARE = 0.25
"""Of a short epoch the slack is no more than that."""

EARLY_SHARE = 0.25
"""Of an epoch's length: what ends by so much before a multiple waits for it the next time."""


def least_length(epoch: float) -> float:
    """Seconds after which the engine may end an epoch that is to take `epoch` seconds."""
    return epoch - min(max(SLACK, LONG_SHARE * epoch), SHORT_SHARE * epoch)


class EpochEnds:
    """When one partition of a source is to be asked, such that its epochs of `length` seconds end with others'."""

    def __init__(self, length: float, clock: Callable[[], float] = wall_seconds) -> None:
        self._length = length
        self._least = least_length(length)
        self._clock = clock
        self._ended = clock()

    def ended(self) -> None:
        """An epoch has ended."""
        self._ended = self._clock()

    def awake_at(self, moment: float) -> float:
        """When to be asked (seconds since the Unix epoch) in place of `moment`.

        At the latest when the epoch is to end, and not between when it may and when it is to.
        """
        now = self._clock()
        may_end = self._ended + self._least
        if now >= may_end:
            # The engine ends it once it has been asked; of a source without state it does not say so.
            self._ended = now
            may_end = now + self._least
        # One that is awoken late is not to end the epoch by that.
        soon = may_end - (self._length - self._least) / 2
        return moment if moment < soon else self._end(may_end)

    def _end(self, may_end: float) -> float:
        over = self._ended + self._length
        early = -over % self._length
        if early <= EARLY_SHARE * self._length:
            return over + early
        return max(may_end, over - (self._length - early))
