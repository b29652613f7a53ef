"""Simulated fleets: physics, patterns, anomalies, vectorised over entities and ticks.

A shard is one simulated cluster. `shards(settings)` makes the specifications, `Shard` turns
ticks into samples.
"""

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
    "FleetSettings",
    "GroupShape",
    "QueueShape",
    "Shard",
    "ShardSpec",
    "ShardState",
    "SimulationSettings",
    "TopicShape",
    "Topology",
    "anomaly_table",
    "by_cluster",
    "cluster_names",
    "pattern_factor",
    "shard_of",
    "shards",
]
