"""When and where anomalies happen: those of the settings, and those drawn at a rate.

What is drawn depends on the seed and on absolute days alone, so that any block of ticks, in any
run, meets the same anomalies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import exp
from typing import TypeAlias

import numpy as np

from operators.schema.arrays import Ints
from operators.schema.guid import broker_name, entity_path, node_name
from operators.schema.metrics import BROKER, CONSUMER_GROUP, NODE, QUEUE, TOPIC, EntityType
from operators.schema.nearest import did_you_mean, nearest
from operators.simulate.anomalies.kinds import Case, Effect, Kind, kind_of
from operators.simulate.anomalies.relations import Relations
from operators.simulate.churn import Churn
from operators.simulate.local_time import DAY, at_local
from operators.simulate.noise import (
    hashed,
    key_of,
)
from operators.simulate.settings import AnomalySettings
from operators.simulate.topology import Topology

Paths: TypeAlias = dict[EntityType, list[str]]
"""Paths of a cluster's entities by their type, in the topology's order."""


@dataclass(frozen=True)
class Anomaly:
    """One anomaly in one cluster. Times are ms since 1970."""

    kind: str
    entity: str
    """Path of the entity where it starts."""
    entity_type: EntityType
    root: int
    """The entity's place among those of its type."""
    start: int
    duration: int
    onset: float
    recovery: float
    magnitude: float
    chance: float

    @property
    def end(self) -> int:
        """End of the recovery."""
        return self.start + self.duration

    @property
    def peak(self) -> int:
        """End of the onset."""
        return self.start + round(self.onset * self.duration)

    @cached_property
    def label(self) -> str:
        """`<kind>:<root entity>:<start>`."""
        moment = datetime.fromtimestamp(self.start / 1000, UTC)
        return f"{self.kind}:{self.entity}:{moment:%Y-%m-%dT%H:%M:%SZ}"

    def effects(self, relations: Relations) -> tuple[Effect, ...]:
        """What it does, and to whom."""
        case = Case(self.root, relations, self.magnitude, self.chance)
        return tuple(e for e in kind_of(self.kind).effects(case) if len(e.entities))


class UnknownEntityError(ValueError):
    """An anomaly of the settings starts at an entity that is not there; `hint` says which there are."""

    def __init__(self, kind: str, entity: str, hint: str) -> None:
        super().__init__(kind, entity, hint)
        self.kind = kind
        self.entity = entity
        self.hint = hint

    def __str__(self) -> str:
        said = f"anomaly `{self.kind}`: no entity `{self.entity}` that it can start at"
        return f"{said}; {self.hint}"


class AnomalySchedule:
    """The anomalies of one cluster. One whose root is away when it starts does not happen.

    Raises:
        UnknownEntityError: an anomaly of the settings starts at an entity of this cluster that
            does not exist, or is of a type at which the kind cannot start.
    """

    def __init__(
        self,
        cluster: str,
        topology: Topology,
        settings: tuple[AnomalySettings, ...],
        key: int,
        time_zone: str = "UTC",
        difficulty: float = 0.0,
    ) -> None:
        self._time_zone, self._ease = time_zone, 1 - difficulty
        self._paths = paths_of(cluster, topology)
        self._churn = Churn(topology, key)
        # Keyed by what they say, so that one more in the settings does not move the others.
        keyed = [
            (s, key_of(key, s.model_dump_json(exclude_defaults=True), settings[:i].count(s)))
            for i, s in enumerate(settings)
        ]
        fixed = [self._scheduled(s, k) for s, k in keyed if s.entity is not None]
        self._fixed = [a for each in fixed for a in each if self._is_there(a)]
        self._rates = [(s, k) for s, k in keyed if s.rate is not None]
        # One that overlaps ends half its length later, and local days begin up to a day apart.
        lasting = [s.duration * (1500 if s.overlap else 1000) for s, _ in self._rates]
        self._apart = DAY if any(s.at is not None for s, _ in self._rates) else 0
        self._longest = round(max(lasting, default=0)) + self._apart
        self._days: dict[int, list[Anomaly]] = {}

    def between(self, start: int, end: int) -> list[Anomaly]:
        """Anomalies that are under way at some time of [start, end], by start, then label."""
        found = [a for a in self._fixed if a.start <= end and a.end >= start]
        if self._rates:
            first, last = (start - self._longest) // DAY, (end + self._apart) // DAY
            for day in [d for d in self._days if d < first]:
                del self._days[day]
            for day in range(first, last + 1):
                if day not in self._days:
                    self._days[day] = [a for a in self._drawn(day) if self._is_there(a)]
                found += [a for a in self._days[day] if a.start <= end and a.end >= start]
        return sorted(found, key=lambda a: (a.start, a.label))

    def _is_there(self, anomaly: Anomaly) -> bool:
        if self._churn.always:
            return True
        there = self._churn.at(anomaly.start).of(anomaly.entity_type)
        return there is None or bool(there[anomaly.root])

    def _scheduled(self, settings: AnomalySettings, key: int) -> list[Anomaly]:
        entity_type, root = root_of(settings, self._paths)
        assert settings.start is not None  # noqa: S101 - it goes with `entity`
        start = round(settings.start.timestamp()) * 1000
        chance = float(hashed(key, np.array([start // 1000]))[0])
        kind = kind_of(settings.kind)
        anomaly = self._anomaly(settings, kind, entity_type, root, start, chance)
        return [anomaly, *self._overlapping(settings, anomaly, key)]

    def _drawn(self, day: int) -> Iterator[Anomaly]:
        """Anomalies that start on a day since 1970, by the rates of the settings."""
        for settings, key in self._rates:
            kind = kind_of(settings.kind)
            for entity_type in kind.roots:
                count = len(self._paths[entity_type])
                numbers = _poisson(settings.rate or 0.0, key, day, count)
                for root in np.flatnonzero(numbers).tolist():
                    # Of one time of day there is one.
                    often = int(numbers[root]) if settings.at is None else 1
                    for n in range(often):
                        draw = hashed(key_of(key, entity_type.name, day, root, n), np.arange(2))
                        start = day * DAY + int(draw[0] * DAY) // 1000 * 1000
                        if settings.at is not None:
                            start = at_local(day, settings.at, self._time_zone)
                        chance = float(draw[1])
                        one = self._anomaly(settings, kind, entity_type, root, start, chance)
                        yield one
                        yield from self._overlapping(settings, one, key)

    def _overlapping(
        self, settings: AnomalySettings, other: Anomaly, key: int
    ) -> Iterator[Anomaly]:
        """The one that sets in half-way through another, where the cluster has a place for it."""
        if settings.overlap is None:
            return
        kind = kind_of(settings.overlap)
        key = key_of(key, "overlap", other.label)
        root_draw, chance = hashed(key, np.arange(2)).tolist()
        if other.entity_type in kind.roots:
            entity_type, root = other.entity_type, other.root
        else:
            places = [(t, n) for t in kind.roots for n in range(len(self._paths[t]))]
            if not places:
                return
            entity_type, root = places[int(root_draw * len(places))]
        start = other.start + other.duration // 2000 * 1000
        second = settings.model_copy(update={"kind": settings.overlap})
        yield self._anomaly(second, kind, entity_type, root, start, chance)

    def _anomaly(
        self,
        settings: AnomalySettings,
        kind: Kind,
        entity_type: EntityType,
        root: int,
        start: int,
        chance: float,
    ) -> Anomaly:
        onset = kind.onset if settings.onset is None else settings.onset
        recovery = kind.recovery if settings.recovery is None else settings.recovery
        return Anomaly(
            kind=settings.kind,
            entity=self._paths[entity_type][root],
            entity_type=entity_type,
            root=root,
            start=start,
            duration=max(1, round(settings.duration * 1000 * self._ease)),
            onset=onset,
            recovery=min(recovery, 1 - onset),
            magnitude=settings.magnitude * self._ease,
            chance=chance,
        )


def root_of(settings: AnomalySettings, paths: Paths) -> tuple[EntityType, int]:
    """Type and place of the entity at which an anomaly of the settings starts.

    Raises:
        UnknownEntityError: it does not exist, or is of a type at which the kind cannot start.
    """
    roots = kind_of(settings.kind).roots
    entity = str(settings.entity)
    for entity_type in roots:
        if entity in paths[entity_type]:
            return entity_type, paths[entity_type].index(entity)
    right = [path for entity_type in roots for path in paths[entity_type]]
    question = did_you_mean(entity, right)
    if question and not any(entity in others for others in paths.values()):
        raise UnknownEntityError(settings.kind, entity, question)
    kinds = " or ".join(entity_type.label.replace("_", " ") for entity_type in roots)
    such = nearest(entity, right) or next(iter(right), None)
    hint = f"such as `{such}`" if such else f"and `{entity.split('/')[0]}` has none"
    raise UnknownEntityError(settings.kind, entity, f"it starts at a {kinds}, {hint}")


def paths_of(cluster: str, topology: Topology) -> Paths:
    """Paths of all entities by their type, in the topology's order."""
    names = {
        BROKER: [broker_name(b) for b in topology.brokers],
        TOPIC: [t.name for t in topology.topics],
        CONSUMER_GROUP: [g.name for g in topology.groups],
        QUEUE: [q.name for q in topology.queues],
        NODE: [node_name(name) for name in topology.nodes],
    }
    return {t: [entity_path(cluster, name) for name in found] for t, found in names.items()}


def _poisson(rate: float, key: int, day: int, count: int) -> Ints:
    """Numbers of events of `count` entities on a day, by the inverse of Poisson's distribution."""
    uniform = hashed(key_of(key, "number", day), np.arange(count))
    numbers = np.zeros(count, np.int64)
    chance = total = exp(-rate)
    n = 0
    while (more := uniform >= total).any() and chance > 1e-18:
        numbers += more
        n += 1
        chance *= rate / n
        total += chance
    return numbers
