"""Random numbers that depend on the seed and on absolute time, never on the run.

Only integer arithmetic and the IEEE operations + − × ÷ are used, so that the numbers are the
same on every machine, for one tick as for a block.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from operators.schema.arrays import Floats, Ints

Lanes = NDArray[np.uint16]

LANES = 4
"""16-bit numbers in one 64-bit draw."""


def key_of(*parts: object) -> int:
    """A 128-bit key for a named stream of random numbers."""
    return int.from_bytes(sha256("\0".join(map(str, parts)).encode()).digest()[:16], "little")


def draws(key: int, first: int, ticks: int, width: int) -> NDArray[np.uint64]:
    """`width` 64-bit draws for each of `ticks` ticks from tick number `first`.

    Philox keyed by `key`, its counter positioned by the tick's number. Shape: (ticks, width).
    """
    counters = -(-width // 4)  # Philox makes four 64-bit numbers of one counter
    raw = np.random.Philox(key=key, counter=first * counters).random_raw(ticks * counters * 4)
    return np.asarray(raw).reshape(ticks, counters * 4)[:, :width]


def lanes(drawn: NDArray[np.uint64]) -> Lanes:
    """Draws of shape (ticks, n) as 16-bit numbers of shape (n, ticks, 4)."""
    turned = np.ascontiguousarray(drawn.T)
    return turned.view(np.uint16).reshape(*turned.shape, LANES)


def hashed(key: int, index: NDArray[np.int64]) -> Floats:
    """Uniform numbers in [0, 1), one for each `index`, by the finaliser of splitmix64."""
    z = index.astype(np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(key & 0xFFFFFFFFFFFFFFFF)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth(key: int, times: Ints, period: int) -> Floats:
    """A curve through random points in [0, 1), one every `period` ms, straight in between."""
    index, rest = np.divmod(times, period)
    low, high = hashed(key, index), hashed(key, index + 1)
    return low + (high - low) * (rest / period)


def drift(key: int, count: int, times: Ints, period: int) -> Iterator[tuple[slice, Floats, Floats]]:
    """Slow curves of `count` entities in [-1, 1]: random points every `period` ms, straight between.

    Yields, for each stretch of `times` between two points, its slice and the entities' values at
    the two points, shape (count,). The curve is `low * (1 - f) + high * f` where f is the share
    of the period that has passed (`phase`).
    """
    cells = times // period
    edges = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1, append=cells[-1] + 1))
    places = np.arange(count, dtype=np.int64)
    for begin, end in pairwise(edges.tolist()):
        first = int(cells[begin]) * count
        low = 2 * hashed(key, first + places) - 1
        high = 2 * hashed(key, first + count + places) - 1
        yield slice(begin, end), low, high


def phase(times: Ints, period: int) -> Floats:
    """Share of the current `period` (ms) that has passed."""
    return times % period / period


def distinct(numbers: Ints) -> Ints:
    """The numbers that there are, each once, in order.

    Asked for nothing besides, numpy.unique imports its masked arrays, a thirtieth of a start.
    """
    return np.unique(numbers, return_index=True)[0]
