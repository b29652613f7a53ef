"""A shard's specification: everything that its samples follow from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import Only
from operators.schema.nearest import suggestion
from operators.schema.settings import Misfit, MisfitError
from operators.simulate.anomalies.occurrences import (
    AnomalySchedule,
    Paths,
    UnknownEntityError,
    paths_of,
    root_of,
)
from operators.simulate.fleets import topology_of
from operators.simulate.noise import (
    key_of,
)
from operators.simulate.patterns import AnyPattern, Scene
from operators.simulate.settings import (
    AnomalySettings,
    FleetSettings,
    SimulationSettings,
    cluster_names,
)
from operators.simulate.topology import Topology


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """One simulated cluster. Samples depend on this, on the ticks, and on nothing else."""

    cluster: str
    fleet: str
    seed: int
    topology: Topology
    settings: FleetSettings
    anomalies: tuple[AnomalySettings, ...] = ()
    """Those that may happen in this cluster, and perhaps in others."""
    beside: frozenset[Only] = frozenset()
    """What is made besides rows: see `Only`."""
    difficulty: float = 0.0
    """Share of their strength and duration that they lack."""

    @property
    def provider(self) -> str:
        """Value of the column `provider`."""
        return self.settings.provider

    @property
    def does_io(self) -> bool:
        """Whether its generator does I/O, so that a pool asks it (see `PooledGenerator`)."""
        return self.settings.generator is not None and self.settings.generator.io

    @property
    def environment(self) -> str:
        """Value of the column `environment`."""
        return self.settings.environment

    @property
    def pattern(self) -> AnyPattern:
        """How its traffic moves with time."""
        return self.settings.pattern

    @property
    def key(self) -> int:
        """Key of the shard's random numbers."""
        return key_of(self.seed, self.cluster)

    @property
    def schedule(self) -> AnomalySchedule:
        """When what goes wrong.

        Raises:
            UnknownEntityError: see there.
        """
        zone = self.settings.time_zone
        return AnomalySchedule(
            self.cluster, self.topology, self.anomalies, self.key, zone, self.difficulty
        )

    @property
    def entities(self) -> int:
        """Samples a tick, at most: entities that come and go may be away."""
        return self.topology.entities + self.group_topics

    @property
    def group_topics(self) -> int:
        """Rows of a group and topic a tick, at most."""
        return min(self.topology.pairs, self.settings.group_topics)

    @property
    def fingerprint(self) -> str:
        """Changes with the seed and with what the cluster holds: then its state is of no use."""
        shape: tuple[object, ...] = (
            self.seed,
            self.cluster,
            self.topology,
            self.settings.generator,
        )
        if self.topology.nodes:
            settings = self.settings
            shape = (
                *shape,
                self.topology.nodes,
                settings.quorum_queues,
                settings.stream_queues,
                settings.stream_max_bytes,
                tuple(queue.type for queue in self.topology.queues),
            )
        return sha256(repr(shape).encode()).hexdigest()[:16]

    @property
    def digest(self) -> str:
        """Changes with all that the samples depend on, patterns and anomalies among it."""
        said = [s.model_dump_json() for s in (self.settings, *self.anomalies)]
        said += [str(self.difficulty)] if self.difficulty else []
        return sha256(repr((self.fingerprint, said)).encode()).hexdigest()[:16]


def shards(settings: SimulationSettings) -> list[ShardSpec]:
    """The shards of all fleets, in the order of the settings.

    A fleet `f` of one cluster makes the cluster `f`, of N `f-1` to `f-N`.

    Raises:
        MisfitError: two clusters of one name, an anomaly of an unknown fleet, or one that starts
            at an entity that does not exist or is of a type at which its kind cannot start.
    """
    specs: dict[str, ShardSpec] = {}
    misfits: list[Misfit] = []
    for place, fleet in enumerate(settings.fleets):
        for name in cluster_names(fleet):
            if name in specs:
                other = specs[name].fleet
                message = (
                    f"two simulated clusters are called `{name}` "
                    f"(fleets `{other}` and `{fleet.name}`); rename one"
                )
                misfits.append((("fleets", place, "name"), message))
            else:
                spec = shard_of(fleet, settings.seed, name, anomalies=settings.anomalies)
                specs[name] = replace(spec, difficulty=settings.difficulty)
    misfits += _unknown_names(settings, specs)
    if misfits:
        raise MisfitError(misfits)
    return list(specs.values())


def _unknown_names(
    settings: SimulationSettings, specs: Mapping[str, ShardSpec]
) -> Iterator[Misfit]:
    """What anomalies name and is not there."""
    fleets = [fleet.name for fleet in settings.fleets]

    @cache
    def paths(cluster: str) -> Paths:
        return paths_of(cluster, specs[cluster].topology)

    for place, anomaly in enumerate(settings.anomalies):
        if anomaly.fleet is not None and anomaly.fleet not in fleets:
            hint = suggestion(anomaly.fleet, fleets)
            yield ("anomalies", place, "fleet"), f"no fleet `{anomaly.fleet}`; {hint}"
        if anomaly.entity is None:
            continue
        cluster, where = anomaly.entity.split("/")[0], ("anomalies", place, "entity")
        if cluster not in specs:
            hint = f"no cluster `{cluster}`; {suggestion(cluster, specs)}"
            yield where, str(UnknownEntityError(anomaly.kind, anomaly.entity, hint))
            continue
        try:
            root_of(anomaly, paths(cluster))
        except UnknownEntityError as error:
            yield where, str(error)


def shard_of(
    fleet: FleetSettings,
    seed: int,
    cluster: str,
    topology: Topology | None = None,
    anomalies: Sequence[AnomalySettings] = (),
) -> ShardSpec:
    """The shard of one cluster: of a fleet's own shape, or of a `topology` that is given.

    The latter is for filling: entities of given names, with the levels that the topology says.
    """
    return ShardSpec(
        cluster=cluster,
        fleet=fleet.name,
        seed=seed,
        topology=topology or topology_of(fleet, seed, cluster),
        settings=fleet,
        anomalies=tuple(
            a
            for a in anomalies
            if a.fleet in (None, fleet.name)
            and (a.entity is None or a.entity.split("/")[0] == cluster)
        ),
    )


def by_cluster(settings: SimulationSettings) -> Mapping[str, ShardSpec]:
    """The shards by the name of their cluster."""
    return {spec.cluster: spec for spec in shards(settings)}


def pattern_factor(spec: ShardSpec, timestamps: Ints) -> Floats:
    """The pattern's factor of a shard at times in ms since 1970; shape: that of `timestamps`."""
    scene = Scene(spec.settings.time_zone, spec.settings.holidays, spec.key)
    return spec.pattern.at(np.asarray(timestamps, np.int64), scene)
