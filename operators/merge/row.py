"""A cluster's row of one tick, joined from what its kinds know of it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from operators.collect.samples import SampleIdentity, collected_batch
from operators.health import Causes, health_score
from operators.schema.arrow import entity_type_of, schema_of
from operators.schema.metrics import CLUSTER

_FIRST_METRIC = len(schema_of(CLUSTER)) - len(CLUSTER.metrics)
"""Where its metrics begin, which are the last columns."""


def cluster_row(
    identity: SampleIdentity, tick: int, parts: Sequence[pa.RecordBatch]
) -> pa.RecordBatch:
    """One CLUSTER row at `tick` (ms) from the parts that each kind gave of it.

    Batches of other entity types among `parts` are passed over. A column that no part knows is
    null. `cluster.healthScore` is made of the joined columns (see `health_score`), and null where
    the metadata did not come.
    """
    known: dict[str, Any] = {}
    for part in parts:
        if entity_type_of(part) is CLUSTER and part.num_rows:
            row = part.slice(0, 1) if part.num_rows > 1 else part
            for place, metric in enumerate(CLUSTER.metrics, _FIRST_METRIC):
                column = row.column(place)
                if not column.null_count:
                    known[metric.name] = column
    if "cluster.availability" in known:
        known["cluster.healthScore"] = [_score(_causes(known))]
    return collected_batch(identity, tick, CLUSTER, [()], [""], known)


@lru_cache(maxsize=256)
def _score(causes: Causes) -> float:
    """From tick to tick a cluster mostly has the same health."""
    return float(health_score(causes))


_OF_HEALTH = (
    "knownBrokerCount",
    "activeBrokerCount",
    "underReplicatedPartitions",
    "underMinIsrPartitions",
    "offlinePartitionsCount",
    "globalPartitionCount",
    "errorRate",
    "stalledGroupCount",
    "consumerGroupCount",
    "nodeCount",
    "runningNodeCount",
    "queueCount",
    "availability",
)


def _causes(known: Mapping[str, pa.Array]) -> Causes:
    """What a joined row says is wrong."""
    of = {
        name: known[f"cluster.{name}"][0].as_py()
        for name in _OF_HEALTH
        if f"cluster.{name}" in known
    }
    brokers, up = of.get("knownBrokerCount"), of.get("activeBrokerCount")
    if "nodeCount" in of:
        return _causes_of_nodes(of)
    return Causes(
        down=None if brokers is None or up is None else brokers - up,
        known=brokers,
        under_replicated=of.get("underReplicatedPartitions"),
        under_min_in_sync=of.get("underMinIsrPartitions"),
        offline=of.get("offlinePartitionsCount"),
        partitions=of.get("globalPartitionCount"),
        errors=of.get("errorRate"),
        stalled=of.get("stalledGroupCount"),
        groups=of.get("consumerGroupCount"),
    )


def _causes_of_nodes(of: dict[str, Any]) -> Causes:
    """Nodes stand for brokers, queues for partitions."""
    queues = of.get("queueCount")
    return Causes(
        down=of["nodeCount"] - of.get("runningNodeCount", of["nodeCount"]),
        known=of["nodeCount"],
        offline=None if queues is None else round(queues * (1 - of["availability"] / 100)),
        partitions=queues,
    )
