"""How long and how often a delivery is tried."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How attempts are repeated.

    The first retry comes at once, retry n after min(maximum, factor · 2^(n-1)) seconds, with
    full jitter. `attempts` bounds them; None goes on until it is delivered.
    """

    factor: float = 1.0
    maximum: float = 30.0
    attempts: int | None = None
    stuck_attempts: int = 20
    """A parcel that failed so often while others were delivered is given up."""
    stuck_others: int = 100
    """How many others."""

    def wait(self, retry: int) -> float:
        """Seconds before retry number `retry` (from 1)."""
        if retry == 1:
            return 0.0
        return random.uniform(0, min(self.maximum, self.factor * 2 ** min(retry - 1, 32)))
