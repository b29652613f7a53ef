"""Alerts against anomalies, one by one: what is right, what is found, how fast, and which cause."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from flows.anomalies.ground_truth import GroundTruth
from operators.schema.arrays import Flags, Ints

NEVER = np.iinfo(np.int64).max

TOUCHED = 0.5
"""What an anomaly counts in the score of causes that was found only on what it touched."""


_NONE: Ints = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Matches:
    """Which alerts an anomaly explains, and which anomalies an alert found."""

    alerts: int
    right: int
    """Alerts that an anomaly explains."""
    first: Ints
    """By anomaly: when the first alert came on anything that it touches, in ms; NEVER."""
    rooted: Flags
    """By anomaly: whether an alert came on its root, or named it."""

    def __or__(self, other: "Matches") -> "Matches":
        return Matches(
            self.alerts + other.alerts,
            self.right + other.right,
            np.minimum(self.first, other.first),
            self.rooted | other.rooted,
        )


@dataclass(frozen=True, slots=True)
class EventScore:
    """Event-wise figures of some anomalies. Delays are seconds from onset to first alert."""

    anomalies: int
    delays: tuple[float, ...]
    """One for each anomaly that was found, sorted."""
    cause: float | None
    """0 to 1: each anomaly counts 1 where its root was alerted on or named, TOUCHED where only
    what it touched was alerted on; None without anomalies."""

    @property
    def recall(self) -> float | None:
        """Share of anomalies that were found; None without anomalies."""
        return len(self.delays) / self.anomalies if self.anomalies else None


class Matching:
    """Holds alerts, entity by entity, against anomalies.

    An anomaly explains an alert on an entity that it touches which lasts into its time, from its
    onset to `grace` ms after its recovery.
    """

    def __init__(self, ground_truth: GroundTruth, grace: int) -> None:
        self._ground_truth, self._grace = ground_truth, grace
        self._alerts = self._right = 0
        self._first = np.full(len(ground_truth), NEVER)
        self._rooted = np.zeros(len(ground_truth), np.bool_)

    def add(
        self, entity: str, start: Ints, end: Ints, causes: Sequence[str | None] | None = None
    ) -> None:
        """Take in alerts on an entity; times in ms. `causes` are the roots that they name."""
        self._alerts += len(start)
        ground_truth = self._ground_truth
        places, explained = self.explained(entity, start, end)
        if not explained.size:
            return
        self._right += int(explained.any(axis=1).sum())
        came = np.maximum(start[:, None], ground_truth.start[places])
        came = np.where(explained, came, NEVER).min(axis=0)
        np.minimum.at(self._first, places, came)
        for column, place in enumerate(places.tolist()):
            root = ground_truth.roots[place]
            rooted = explained[:, column]
            if entity != root:
                rooted = rooted & [cause == root for cause in causes] if causes else rooted[:0]
            self._rooted[place] |= bool(rooted.any())

    def explained(self, entity: str, start: Ints, end: Ints) -> tuple[Ints, Flags]:
        """Places of the anomalies that touch an entity, and which alerts each explains.

        The latter's shape: (alerts, anomalies).
        """
        places = self._ground_truth.touching.get(entity, _NONE)
        over = self._ground_truth.end[places] + self._grace
        return places, (start[:, None] <= over) & (end[:, None] >= self._ground_truth.start[places])

    def matches(self) -> Matches:
        """What came of it."""
        return Matches(self._alerts, self._right, self._first, self._rooted)


def match(alerts: pl.DataFrame, ground_truth: GroundTruth, grace: int) -> Matches:
    """Alerts (shape: ALERTS) against anomalies; `grace` in ms."""
    matching = Matching(ground_truth, grace)
    for (entity,), mine in alerts.group_by("entity"):
        start, end = (mine[name].to_numpy() for name in ("start", "end"))
        matching.add(str(entity), start, end, mine["cause"].to_list())
    return matching.matches()


def merged(parts: Iterable[Matches], ground_truth: GroundTruth) -> Matches:
    """Matches of disjoint alerts, as one."""
    none = Matches(0, 0, np.full(len(ground_truth), NEVER), np.zeros(len(ground_truth), np.bool_))
    return reduce(Matches.__or__, parts, none)


def score_events(
    matches: Matches, ground_truth: GroundTruth
) -> tuple[dict[str, EventScore], EventScore]:
    """The figures of each kind of anomaly by name, and of all."""
    kinds = np.array(ground_truth.kinds, np.str_)
    every = np.ones(len(ground_truth), np.bool_)
    by_kind = {
        kind: _score(matches, ground_truth, kinds == kind)
        for kind in sorted(set(ground_truth.kinds))
    }
    return by_kind, _score(matches, ground_truth, every)


def _score(matches: Matches, ground_truth: GroundTruth, chosen: Flags) -> EventScore:
    found = chosen & (matches.first != NEVER)
    delays = np.sort(matches.first[found] - ground_truth.start[found]) / 1000
    total = int(chosen.sum())
    credit = TOUCHED * found.sum() + (1 - TOUCHED) * (found & matches.rooted).sum()
    return EventScore(total, tuple(delays.tolist()), float(credit / total) if total else None)
