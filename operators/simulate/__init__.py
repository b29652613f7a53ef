"""Simulated fleets: physics, patterns, anomalies, vectorised over entities and ticks.

A shard is one simulated cluster. `shards(settings)` makes the specifications, `Shard` turns
ticks into samples, `anomaly_table` lists what went wrong. What patterns (`Scene`), anomalies
(`Kind`, `Case`, `Effect`, `Lever`) and generators (`Generator`, `Block`) need to be custom is
here too.
"""

from typing import TYPE_CHECKING

from operators.schema.lazy import names_from

if TYPE_CHECKING:
    from operators.plugins import PluginError as PluginError
    from operators.simulate.anomalies.kinds import Case as Case
    from operators.simulate.anomalies.kinds import Effect as Effect
    from operators.simulate.anomalies.kinds import Kind as Kind
    from operators.simulate.anomalies.kinds import Lever as Lever
    from operators.simulate.anomalies.occurrences import UnknownEntityError as UnknownEntityError
    from operators.simulate.anomalies.table import ANOMALIES as ANOMALIES
    from operators.simulate.anomalies.table import anomaly_table as anomaly_table
    from operators.simulate.block import Block as Block
    from operators.simulate.generators import Generator as Generator
    from operators.simulate.generators import GeneratorError as GeneratorError
    from operators.simulate.patterns import Scene as Scene
    from operators.simulate.pooled import PooledGenerator as PooledGenerator
    from operators.simulate.settings import AnomalySettings as AnomalySettings
    from operators.simulate.settings import FleetSettings as FleetSettings
    from operators.simulate.settings import SimulationSettings as SimulationSettings
    from operators.simulate.settings import cluster_names as cluster_names
    from operators.simulate.shard import Shard as Shard
    from operators.simulate.shard import ShardState as ShardState
    from operators.simulate.spec import ShardSpec as ShardSpec
    from operators.simulate.spec import by_cluster as by_cluster
    from operators.simulate.spec import pattern_factor as pattern_factor
    from operators.simulate.spec import shard_of as shard_of
    from operators.simulate.spec import shards as shards
    from operators.simulate.topology import GroupShape as GroupShape
    from operators.simulate.topology import QueueShape as QueueShape
    from operators.simulate.topology import TopicShape as TopicShape
    from operators.simulate.topology import Topology as Topology

_MODULES = {
    "operators.plugins": ("PluginError",),
    "operators.simulate.anomalies.kinds": ("Case", "Effect", "Kind", "Lever"),
    "operators.simulate.anomalies.occurrences": ("UnknownEntityError",),
    "operators.simulate.block": ("Block",),
    "operators.simulate.generators": ("Generator", "GeneratorError"),
    "operators.simulate.patterns": ("Scene",),
    "operators.simulate.pooled": ("PooledGenerator",),
    "operators.simulate.settings": (
        "AnomalySettings",
        "FleetSettings",
        "SimulationSettings",
        "cluster_names",
    ),
    "operators.simulate.shard": ("Shard", "ShardState"),
    "operators.simulate.spec": ("ShardSpec", "by_cluster", "pattern_factor", "shard_of", "shards"),
    "operators.simulate.topology": ("GroupShape", "QueueShape", "TopicShape", "Topology"),
    "operators.simulate.anomalies.table": ("ANOMALIES", "anomaly_table"),
}
"""The names that can be imported from here, by where they are."""

__getattr__ = names_from(__name__, _MODULES)
