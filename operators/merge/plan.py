"""What the merge has to know of a cluster: who it is, what is expected, what it is like."""

from dataclasses import dataclass

import pyarrow as pa

from operators.collect.settings import ExpectSettings
from operators.merge.like import Like
from operators.schema.arrow import TIMESTAMP, sample_batch
from operators.schema.guid import entity_guid
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    TOPIC,
    EntityType,
    Origin,
)
from operators.ticks import PROBE_KIND, SIMULATION_KIND, TargetKind

PROVIDER = "kafka"
CLUSTER_KIND = "cluster"
"""Stands for the joined row among the kinds of target."""

UNFILLED = frozenset({PROBE_KIND, SIMULATION_KIND})
"""Kinds of target that hybrid mode does not fill: a measure of the moment, and what is simulated
anyway."""

Names = dict[str, str | int]
"""GUIDs, and the names or broker ids that they are of."""


@dataclass(frozen=True)
class Plan:
    """One collected cluster: what it is called, what is expected of it, what it is like."""

    cluster: str
    environment: str
    account_id: int | None = None
    expect: ExpectSettings = ExpectSettings()
    like: Like = Like()
    joined: bool = True
    """Whether there is a cluster's row; a target of one's own kind has none."""
    cluster_id: str | None = None
    """The id that the cluster gave itself, once it has told it."""

    def expected(self, kind: str) -> dict[EntityType, Names]:
        """What is expected of one kind of target, or of the joined row (`CLUSTER_KIND`)."""
        if kind == CLUSTER_KIND:
            return {CLUSTER: {self.guid: self.cluster}} if self.joined else {}
        match kind:
            case TargetKind.BROKERS:
                return {BROKER: {self._guid(BROKER, f"broker-{i}"): i for i in self.expect.brokers}}
            case TargetKind.TOPICS:
                return {TOPIC: {self._guid(TOPIC, name): name for name in self.expect.topics}}
            case TargetKind.GROUPS:
                names = self.expect.groups
                return {CONSUMER_GROUP: {self._guid(CONSUMER_GROUP, name): name for name in names}}
        return {}

    @property
    def guid(self) -> str:
        """The cluster's own GUID."""
        return self._guid(CLUSTER)

    def _guid(self, entity_type: EntityType, *parts: str) -> str:
        return entity_guid(self.account_id, entity_type.name, PROVIDER, self.cluster, *parts)

    def bare_rows(self, entity_type: EntityType, names: Names, tick: int) -> pa.RecordBatch:
        """Rows of `tick` (ms) in which every metric is null, of origin `filled`."""
        paths = {
            CLUSTER: "{cluster}",
            BROKER: "{cluster}/broker-{name}",
        }
        path = paths.get(entity_type, "{cluster}/{name}")
        columns = {
            "timestamp": pa.array([tick] * len(names), TIMESTAMP),
            "entity_guid": list(names),
            "entity_name": [path.format(cluster=self.cluster, name=n) for n in names.values()],
            "cluster_name": self.cluster,
            "provider": PROVIDER,
            "environment": self.environment,
            "origin": Origin.FILLED.value,
        }
        columns |= {identity.column: list(names.values()) for identity in entity_type.identity}
        return sample_batch(entity_type, len(names), columns)
