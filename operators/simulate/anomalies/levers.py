"""The anomalies of one block of ticks, as what they do to the physics' arrays."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.kinds import FACTORS, Effect, Lever
from operators.simulate.anomalies.occurrences import Anomaly, AnomalySchedule
from operators.simulate.anomalies.relations import Relations
from operators.simulate.block import Block


@dataclass(frozen=True, slots=True)
class Pull:
    """One lever pulled on some entities over a stretch of a block."""

    anomaly: Anomaly
    effect: Effect
    span: slice
    """The ticks at which it has effect."""
    strength: Floats
    """From 0 (exclusive) to 1, at each of these ticks."""
    recovering: Any
    """Whether it abates, at each of these ticks."""

    @property
    def entities(self) -> Ints:
        """Places of the entities."""
        return self.effect.entities

    @property
    def pulled(self) -> Floats:
        """The amount that is added, or the factor, at each entity and tick of the span."""
        amount = np.broadcast_to(np.asarray(self.effect.amount, np.float64), len(self.entities))
        if self.effect.lever in FACTORS:
            return 1 + (amount - 1)[:, None] * self.strength
        return amount[:, None] * self.strength


class Levers:
    """All pulls of a block, in the order in which their anomalies began."""

    def __init__(self, anomalies: Iterable[tuple[Anomaly, Sequence[Effect]]], times: Ints) -> None:
        self.ticks = len(times)
        self._pulls: dict[Lever, list[Pull]] = {}
        for anomaly, effects in anomalies:
            for effect in effects:
                pull = _pull(anomaly, effect, times)
                if pull is not None:
                    self._pulls.setdefault(effect.lever, []).append(pull)

    def __bool__(self) -> bool:
        return bool(self._pulls)

    def of(self, *levers: Lever) -> Iterator[Pull]:
        """The pulls of some levers."""
        for lever in levers:
            yield from self._pulls.get(lever, ())

    def scaled(self, lever: Lever, values: Ints, owner: Ints | None = None) -> Ints:
        """Whole numbers of shape (rows, ticks or 1) times the lever's factors, rounded down.

        Rows are the entities, or those of the entities that `owner` says. A new array of shape
        (rows, ticks) where the lever is pulled, else the same one.
        """
        if lever not in self._pulls:
            return values
        whole = np.broadcast_to(values, (len(values), self.ticks)).copy()
        for pull in self._pulls[lever]:
            rows, factors = pull.entities, pull.pulled
            if owner is not None:
                place = np.full(1 + max(owner.max(initial=0), rows.max(initial=0)), -1)
                place[rows] = np.arange(len(rows))
                rows = np.flatnonzero(place[owner] >= 0)
                factors = factors[place[owner[rows]]]
            whole[rows, pull.span] = (whole[rows, pull.span] * factors).astype(np.int64)
        return whole

    def added(self, lever: Lever, count: int) -> Floats | None:
        """The lever's amounts on `count` entities, shape (count, ticks); None where not pulled."""
        if lever not in self._pulls:
            return None
        total = np.zeros((count, self.ticks))
        for pull in self._pulls[lever]:
            total[pull.entities, pull.span] += pull.pulled
        return total


class AnomalyTimeline:
    """The anomalies of a cluster in time, with what they do to it."""

    def __init__(self, schedule: AnomalySchedule, relations: Relations) -> None:
        self._schedule, self._relations = schedule, relations
        self._effects: dict[str, tuple[Effect, ...]] = {}

    def over(self, block: Block) -> list[tuple[Anomaly, tuple[Effect, ...]]]:
        """What is under way during a block or the tick before it, by its start."""
        first, last = int(block.times[0]) - block.interval, int(block.times[-1])
        found = self._schedule.between(first, last)
        self._effects = {
            a.label: self._effects.get(a.label) or a.effects(self._relations) for a in found
        }
        return [(a, self._effects[a.label]) for a in found]


def _pull(anomaly: Anomaly, effect: Effect, times: Ints) -> Pull | None:
    """The effect on a block, or None where it has none.

    Strength rises in a straight line from 0 at the effect's begin to 1 after its onset, stays,
    and falls to 0 at its end.
    """
    begin = anomaly.start + effect.begin * anomaly.duration
    length = (effect.end - effect.begin) * anomaly.duration
    onset = length * (anomaly.onset if effect.onset is None else effect.onset)
    recovery = length * (anomaly.recovery if effect.recovery is None else effect.recovery)
    since, left = times - begin, begin + length - times
    strength = np.ones(len(times))
    if onset:
        strength = np.minimum(strength, since / onset)
    if recovery:
        strength = np.minimum(strength, left / recovery)
    ticks = np.flatnonzero((strength > 0) & (since >= 0) & (left > 0))
    if not len(ticks):
        return None
    span = slice(int(ticks[0]), int(ticks[-1]) + 1)
    return Pull(anomaly, effect, span, strength[span], left[span] <= recovery)
