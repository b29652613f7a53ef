"""What the merge has to know of a cluster: who it is, what is expected, what it is like."""

from dataclasses import dataclass, field

import pyarrow as pa

from operators.collect.expected import Expectation, Expected, Servers
from operators.collect.samples import KeptByEntity
from operators.merge.like import Like
from operators.schema.arrow import TIMESTAMP, sample_batch
from operators.schema.guid import entity_guid, entity_path
from operators.schema.metrics import CLUSTER, EntityType, Origin
from operators.ticks import PROBE_KIND, SIMULATION_KIND

CLUSTER_KIND = "cluster"
"""Stands for the joined row among the kinds of target."""

UNFILLED = frozenset({PROBE_KIND, SIMULATION_KIND})
"""Kinds of target that hybrid mode does not fill: a measure of the moment, and what is simulated
anyway."""

ExpectedNames = dict[str, Expected]
"""GUIDs, and the entities that they are of."""


@dataclass(frozen=True)
class Plan:
    """One collected cluster: what it is called, what is expected of it, what it is like."""

    cluster: str
    environment: str
    account_id: int | None = None
    expect: Expectation | None = None
    """None where nothing is."""
    like: Like = Like()
    cluster_id: str | None = None
    """The id that the cluster gave itself, once it has reported it."""
    provider: str = field(kw_only=True)
    joined_kinds: tuple[str, ...] = ()
    """The kinds whose results make the cluster's row; a custom target has no such row."""
    servers: Servers | None = None
    """The provider's servers, if the absent among them may be down and not gone."""
    known: KeptByEntity = field(default_factory=dict, compare=False, repr=False)
    """See `SampleIdentity`."""

    @property
    def joined(self) -> bool:
        """Whether there is a cluster's row."""
        return bool(self.joined_kinds)

    def expected(self, kind: str) -> dict[EntityType, ExpectedNames]:
        """What is expected of one kind of target, or of the joined row (`CLUSTER_KIND`)."""
        if kind == CLUSTER_KIND:
            return {CLUSTER: {self.guid: Expected((), ())}} if self.joined else {}
        of_kind = {} if self.expect is None else self.expect.of(kind)
        return {
            entity_type: {self._guid(entity_type, *entity.path): entity for entity in entities}
            for entity_type, entities in of_kind.items()
        }

    def knows(self, kind: str) -> bool:
        """Whether a kind of target is the provider's own."""
        return self.joined and kind in (*self.joined_kinds, PROBE_KIND)

    def names_servers(self, kind: str) -> bool:
        """Whether the complete result of a kind names all servers that are up."""
        return self.servers is not None and self.servers.kind == kind

    @property
    def guid(self) -> str:
        """The cluster's own GUID."""
        return self._guid(CLUSTER)

    def _guid(self, entity_type: EntityType, *parts: str) -> str:
        return entity_guid(self.account_id, entity_type.name, self.provider, self.cluster, *parts)

    def bare_rows(self, entity_type: EntityType, names: ExpectedNames, tick: int) -> pa.RecordBatch:
        """Rows of `tick` (ms) in which every metric is null, of origin `filled`."""
        entities = list(names.values())
        columns = {
            "timestamp": pa.array([tick] * len(names), TIMESTAMP),
            "entity_guid": list(names),
            "entity_name": [entity_path(self.cluster, *entity.path) for entity in entities],
            "cluster_name": self.cluster,
            "provider": self.provider,
            "environment": self.environment,
            "origin": Origin.FILLED.value,
        }
        columns |= {
            identity.column: [entity.identity[place] for entity in entities]
            for place, identity in enumerate(entity_type.identity)
        }
        return sample_batch(entity_type, len(names), columns)
