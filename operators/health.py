"""A cluster's health: one number from what is wrong with it, the same for every origin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from operators.schema.arrays import Floats

STANDS_STILL = 60.0
"""Seconds that a group's oldest message has waited, and nothing was consumed: it stands still. What is
younger may only wait for the next commit."""


@dataclass(frozen=True, slots=True)
class Causes:
    """What is wrong with a cluster at one tick or at many; numbers, or arrays of one shape.

    None, or NaN in an array, is what is not known; it takes nothing from the health.
    """

    down: ArrayLike | None = None
    """Brokers that are known and not up."""
    known: ArrayLike | None = None
    """Brokers that are known: those that are up, hold a replica, or are fenced."""
    under_replicated: ArrayLike | None = None
    """Partitions, as the next two."""
    under_min_in_sync: ArrayLike | None = None
    offline: ArrayLike | None = None
    partitions: ArrayLike | None = None
    """All of them."""
    errors: ArrayLike | None = None
    """Requests that failed, in percent."""
    stalled: ArrayLike | None = None
    """Groups that stand still: see `STANDS_STILL`."""
    groups: ArrayLike | None = None
    """All of them."""


def health_score(causes: Causes) -> Any:
    """0 to 100; shape: that of the causes.

    100 · (1 − 0.7 · brokers down / known) · (1 − 0.3 · under-replicated / partitions) ·
    (1 − 0.3 · under-min-ISR / partitions) · (1 − 0.5 · min(1, errors / 10 %)) ·
    (1 − 0.3 · groups that stand still / groups); where a partition is offline that times
    0.5 · (1 − offline / partitions).

    No cause makes it rise. One of three brokers down gives 77 at most, an offline partition less
    than 50.
    """
    partitions = causes.partitions
    offline = _share(causes.offline, partitions)
    score = (
        100.0
        * (1 - 0.7 * _share(causes.down, causes.known))
        * (1 - 0.3 * _share(causes.under_replicated, partitions))
        * (1 - 0.3 * _share(causes.under_min_in_sync, partitions))
        * (1 - 0.5 * _share(causes.errors, 10.0))
        * (1 - 0.3 * _share(causes.stalled, causes.groups))
    )
    return np.where(offline > 0, score * 0.5 * (1 - offline), score)


def _share(part: ArrayLike | None, whole: ArrayLike | None) -> Floats:
    """The part of the whole in [0, 1]; 0 where one of them is not known."""
    if part is None or whole is None:
        return np.zeros(())
    share = np.asarray(part, np.float64) / np.maximum(np.asarray(whole, np.float64), 1)
    held: Floats = np.fmin(np.fmax(share, 0.0), 1.0)  # of NaN and a number the number
    return held


def stands_still(consumed: ArrayLike, oldest: ArrayLike) -> NDArray[np.bool_]:
    """Whether groups stand still: nothing consumed since the last tick, and a message waits for long.

    `consumed` are messages or messages/s, `oldest` seconds; NaN is not known, and no.
    """
    still: NDArray[np.bool_] = (np.asarray(consumed) == 0) & (np.asarray(oldest) >= STANDS_STILL)
    return still
