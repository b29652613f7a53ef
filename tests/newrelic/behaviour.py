"""How a stand-in answers one request: well, or in one of the ways in which networks fail."""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ok:
    """Answers by the rules, `after` seconds."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """Refuses with an HTTP status, and with `Retry-After` (whole seconds) where it is given."""

    status: int
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.status < 300:
            raise ValueError(f"{self.status} does not refuse; Ok() accepts")


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answers. With `accepts` the samples are kept all the same."""

    accepts: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets the connection (TCP RST). With `accepts` the samples are kept all the same."""

    accepts: bool = False


@dataclass(frozen=True, slots=True)
class TruncatedAnswer:
    """Answers by the rules, but closes the connection in the middle of the answer's body."""


Behaviour = Ok | Status | Hang | Reset | TruncatedAnswer

FAULTS: tuple[Behaviour, ...] = (
    Status(429, retry_after=1),
    Status(429),
    Status(408),
    Status(413),
    Status(500),
    Status(503),
    Reset(),
    Reset(accepts=True),
    TruncatedAnswer(),
)
"""What a sender has to outlive without loss. Hanging is not among them: it takes its time-out."""


class Script:
    """Which behaviour the next request meets.

    First those of the script, one a request; then, at the given rate, a fault drawn at random;
    else the usual one.
    """

    def __init__(self) -> None:
        self.usual: Behaviour = Ok()
        self.queue: deque[Behaviour] = deque()
        self._random = random.Random()
        self._rate = 0.0
        self._faults: Sequence[Behaviour] = FAULTS

    def extend(self, behaviours: Iterable[Behaviour]) -> None:
        """Adds to what the next requests meet."""
        self.queue.extend(behaviours)

    def draw_faults(self, seed: int, rate: float, faults: Sequence[Behaviour]) -> None:
        """From now on a request meets one of `faults` with probability `rate`."""
        self._random, self._rate, self._faults = random.Random(seed), rate, faults

    def next(self) -> Behaviour:
        """The behaviour for one request."""
        if self.queue:
            return self.queue.popleft()
        if self._rate and self._random.random() < self._rate:
            return self._random.choice(self._faults)
        return self.usual
