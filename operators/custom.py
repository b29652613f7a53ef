"""What custom collectors, patterns, anomalies and generators import: all of it is here.

These names stay; where they come from may change. See docs/collectors.md and docs/simulation.md.
"""

from typing import TYPE_CHECKING

from operators.schema.lazy import names_from

if TYPE_CHECKING:
    from operators.collect.custom import Collector as Collector
    from operators.collect.samples import ClusterIdentity as ClusterIdentity
    from operators.collect.samples import collected_batch as collected_batch
    from operators.schema.arrow import sample_batch as sample_batch
    from operators.schema.guid import entity_guid as entity_guid
    from operators.schema.guid import entity_path as entity_path
    from operators.schema.metrics import BROKER as BROKER
    from operators.schema.metrics import CLUSTER as CLUSTER
    from operators.schema.metrics import CONSUMER_GROUP as CONSUMER_GROUP
    from operators.schema.metrics import GROUP_TOPIC as GROUP_TOPIC
    from operators.schema.metrics import NODE as NODE
    from operators.schema.metrics import PARTITION_OFFSET as PARTITION_OFFSET
    from operators.schema.metrics import QUEUE as QUEUE
    from operators.schema.metrics import TOPIC as TOPIC
    from operators.schema.metrics import EntityType as EntityType
    from operators.simulate.anomalies.kinds import Case as Case
    from operators.simulate.anomalies.kinds import Effect as Effect
    from operators.simulate.anomalies.kinds import Kind as Kind
    from operators.simulate.anomalies.kinds import Lever as Lever
    from operators.simulate.block import Block as Block
    from operators.simulate.generators import Generator as Generator
    from operators.simulate.patterns import Scene as Scene
    from operators.simulate.pooled import AskedGenerator as AskedGenerator
    from operators.simulate.pooled import PooledGenerator as PooledGenerator
    from operators.simulate.spec import ShardSpec as ShardSpec

MODULES = {
    "operators.collect.custom": ("Collector",),
    "operators.collect.samples": (
        "ClusterIdentity",
        "collected_batch",
    ),
    "operators.schema.arrow": ("sample_batch",),
    "operators.schema.guid": (
        "entity_guid",
        "entity_path",
    ),
    "operators.schema.metrics": (
        "BROKER",
        "CLUSTER",
        "CONSUMER_GROUP",
        "GROUP_TOPIC",
        "NODE",
        "PARTITION_OFFSET",
        "QUEUE",
        "TOPIC",
        "EntityType",
    ),
    "operators.simulate.anomalies.kinds": (
        "Case",
        "Effect",
        "Kind",
        "Lever",
    ),
    "operators.simulate.block": ("Block",),
    "operators.simulate.generators": ("Generator",),
    "operators.simulate.patterns": ("Scene",),
    "operators.simulate.pooled": (
        "AskedGenerator",
        "PooledGenerator",
    ),
    "operators.simulate.spec": ("ShardSpec",),
}
"""The names that can be imported from here, by where they are."""

__getattr__ = names_from(__name__, MODULES)
