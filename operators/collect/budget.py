"""The time of one attempt, dealt out to its parts."""

import time
from collections.abc import Callable

from operators.collect.errors import CollectionError, Problem

MARGIN = 0.08
"""Share of the time kept back: a part that is late must cost its own rows, not the attempt."""


PAGES_SHARE = 0.7
"""Until which share of the time servers' metrics pages come."""


class Budget:
    """So many seconds for one attempt, from now on."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._usable = seconds * (1 - MARGIN)

    def until(self, share: float, what: str) -> float:
        """Seconds until `share` of the usable time is over, for `what`.

        Raises:
            CollectionError: it is over already.
        """
        left = self.left(share)
        if left <= 0:
            raise CollectionError(
                Problem("timeout", f"{what}: what came before it took all of its time")
            )
        return left

    def left(self, share: float) -> float:
        """Seconds until `share` of the usable time is over; negative where it is."""
        return self._start + self._usable * share - self._clock()
