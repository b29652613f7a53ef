"""Simulated fleets: physics, patterns, anomalies, vectorised over entities and ticks.

A shard is one simulated cluster. `shards(settings)` makes the specifications, `Shard` turns
ticks into samples, `anomaly_table` tells what went wrong. What patterns (`Scene`), anomalies
(`Kind`, `Case`, `Effect`, `Lever`) and generators (`Generator`, `Block`) of one's own need is
here too.
"""

from operators.plugins import PluginError
from operators.simulate.anomalies.kinds import Case, Effect, Kind, Lever
from operators.simulate.anomalies.occurrences import UnknownEntityError
from operators.simulate.block import Block
from operators.simulate.generators import Generator, GeneratorError
from operators.simulate.patterns import Scene
from operators.simulate.pooled import PooledGenerator
from operators.simulate.settings import AnomalySettings, FleetSettings, SimulationSettings
from operators.simulate.shard import Shard, ShardState
from operators.simulate.spec import (
    ShardSpec,
    by_cluster,
    cluster_names,
    pattern_factor,
    shard_of,
    shards,
)
from operators.simulate.topology import GroupShape, QueueShape, TopicShape, Topology
from operators.simulate.truth import ANOMALIES, anomaly_table

__all__ = [
    "ANOMALIES",
    "AnomalySettings",
    "Block",
    "Case",
    "Effect",
    "FleetSettings",
    "Generator",
    "GeneratorError",
    "GroupShape",
    "Kind",
    "Lever",
    "PluginError",
    "PooledGenerator",
    "QueueShape",
    "Scene",
    "Shard",
    "ShardSpec",
    "ShardState",
    "SimulationSettings",
    "TopicShape",
    "Topology",
    "UnknownEntityError",
    "anomaly_table",
    "by_cluster",
    "cluster_names",
    "pattern_factor",
    "shard_of",
    "shards",
]
