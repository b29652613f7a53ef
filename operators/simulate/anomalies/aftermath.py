"""What the backlog would be without anomalies: by it is known how long one's traces last."""

from dataclasses import dataclass

import numpy as np

from operators.schema.arrays import Ints
from operators.simulate.anomalies.labels import NONE, Labels, carried, with_next_tick
from operators.simulate.consumption import Consumption, backlog_of

Trace = tuple[int, int, int, str]
"""Pair, its undisturbed backlog, start and label of the anomaly that shapes it."""


@dataclass(frozen=True, slots=True)
class Driven:
    """What drives pairs in a block: messages of topics, capacity of pairs."""

    messages: Ints
    """Shape (topics, ticks)."""
    capacity: Ints
    """Shape (pairs, ticks or 1)."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """Pairs that anomalies have shaped, and the codes of their labels, shape (pairs, ticks)."""

    pairs: Ints
    lag: Ints
    """Where the lag is another than it would be."""
    rates: Ints
    """Where the lag or a rate is; a rate compares two ticks, so that is a tick longer."""


class Aftermath:
    """Follows the pairs that an anomaly has shaped until nothing is left of it.

    Since the undisturbed and the real backlog obey the same recursion, they meet again once
    the surplus is worked off; until then the pair's samples are shaped by the anomaly.
    """

    def __init__(self, traces: tuple[Trace, ...] = ()) -> None:
        self.traces = traces
        """The pairs that were shaped at the last tick."""

    def __bool__(self) -> bool:
        return bool(self.traces)

    def follow(
        self,
        pairs: Consumption,
        before: Ints,
        calm: Driven,
        real: Driven,
        backlog: Ints,
        pulled: Ints,
        labels: Labels,
    ) -> Shaped:
        """The pairs that are shaped in a block.

        `before` is all pairs' backlog before the block, `backlog` in it, shape (pairs, ticks);
        `pulled` are the codes of the anomalies that drive them, of the same shape.
        """
        moved = (calm.messages != real.messages).any(axis=1)[pairs.topic]
        moved |= (calm.capacity != real.capacity).any(axis=1)
        traced = {trace[0]: trace for trace in self.traces}
        moved[list(traced)] = True
        if pairs.away is not None:
            moved &= ~pairs.away
        chosen = np.flatnonzero(moved)
        undisturbed = before[chosen].copy()
        was = np.zeros(len(chosen), np.bool_)
        code = np.full(len(chosen), NONE, np.int64)
        for place, pair in enumerate(chosen.tolist()):
            if pair in traced:
                _, undisturbed[place], _, label = traced[pair]
                was[place], code[place] = True, labels.code(label)
        topic = pairs.topic[chosen]
        came = calm.messages[topic]
        without = backlog_of(
            undisturbed[:, None], came - np.broadcast_to(calm.capacity[chosen], came.shape)
        )
        behind = with_next_tick(backlog[chosen] != without, before[chosen] != undisturbed)
        lag = (real.messages[topic] != came) | behind
        codes = carried(pulled[chosen], with_next_tick(lag, was), code)
        self.traces = tuple(
            (int(chosen[i]), int(without[i, -1]), *labels.known[codes[i, -1]])
            for i in np.flatnonzero(lag[:, -1])
        )
        return Shaped(chosen, np.where(lag, codes, NONE), codes)
