"""Messages that come into topics or queues: the source of truth for everything else."""

from collections.abc import Sequence

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.block import Block
from operators.simulate.local_time import HOUR
from operators.simulate.noise import (
    Lanes,
    drift,
    key_of,
    phase,
)
from operators.simulate.spec import ShardSpec, pattern_factor

WANDER = 2 * HOUR
"""Time in which an entity's own level wanders from one random point to the next."""

MOST_BYTES = 2**48
"""Bytes of an entity in a tick: times the parts of its traffic they fit 64-bit integers."""

ERRORS = 0.0005
"""Share of requests that fail on an ordinary day."""


class Traffic:
    """What comes into the topics or queues of a shard, by their levels in messages/s."""

    def __init__(self, spec: ShardSpec, levels: Sequence[float]) -> None:
        self._spec = spec
        self.levels = np.array(levels)
        sizes = [t.message_size for t in spec.topology.topics or spec.topology.queues]
        self._most = MOST_BYTES / max([1.0, *(a * b for a, b in zip(levels, sizes, strict=True))])
        """Seconds times factors up to which what comes can be counted."""
        self._half = spec.settings.noise / 2
        self._key = key_of(spec.key, "traffic")

    def expected(self, block: Block) -> Floats:
        """Messages/s to be expected: level · pattern · (1 + noise/2 · drift).

        `drift` in [-1, 1] is the entity's own slow curve. Shape: (entities, ticks).
        """
        # A growth of many years, say, is held to what 64-bit integers can count.
        factor = np.fmin(pattern_factor(self._spec, block.times), self._most / block.seconds)
        share = phase(block.times, WANDER)
        count = len(self.levels)
        expected = np.empty((count, block.ticks))
        for span, low, high in drift(self._key, count, block.times, WANDER):
            before, after = (self.levels * (1 + self._half * end) for end in (low, high))
            rest = factor[span] * (1 - share[span])
            np.multiply(before[:, None], rest, out=expected[:, span])
            expected[:, span] += after[:, None] * (factor[span] * share[span])
        return expected

    def messages(self, expected: Floats, uniform: Lanes, seconds: float) -> Ints:
        """Messages in the interval: ⌊expected · seconds · (1 + noise/2 · (2u₀ − 1)) + u₁⌋.

        The second random number rounds, so that low rates keep their mean.
        """
        count = uniform[:, :, 0] * (2 * self._half * seconds / 65536)
        count += (1 - self._half) * seconds
        count *= expected
        count += uniform[:, :, 1] * (1 / 65536)
        return count.astype(np.int64)


def failures(messages: Ints, uniform: Lanes) -> Ints:
    """Messages that are refused on an ordinary day: ⌊messages · ERRORS · (u₂ + ½) + u₁⌋."""
    count = uniform[:, :, 2] * (ERRORS / 65536)
    count += ERRORS / 2
    count *= messages
    count += uniform[:, :, 1] * (1 / 65536)
    return count.astype(np.int64)


def error_rate(failed: Ints, messages: Ints) -> Floats:
    """Share of messages that failed in percent: 100 · failed / (messages + failed)."""
    rate: Floats = 100 * failed / np.maximum(messages + failed, 1)
    return rate
