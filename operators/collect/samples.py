"""The common columns of collected samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from operators.schema.arrow import TIMESTAMP, batch_with, sample_batch
from operators.schema.guid import entity_guid, entity_path
from operators.schema.metrics import CLUSTER, EntityType, Origin

PROVIDER = "kafka"
OWN = "own"
"""Provider of the COLLECTION rows of custom collectors."""


@dataclass(slots=True)
class KeptColumns:
    """What samples of the same entities have in common from tick to tick."""

    made_of: tuple[Any, ...]
    """Of what the entities' names are made."""
    common: Sequence[pa.Array]
    """All columns, as they are where nothing was measured."""
    lists: dict[str, tuple[list[Any], pa.Array]] = field(default_factory=dict)
    """By column that was given as a list: the last one, and what was made of it."""


KeptByEntity: TypeAlias = dict[tuple[str, str, str], KeptColumns]
"""By entity type, provider, and where it is one entity its name."""

_MOST_KNOWN = 100
"""Entities of a cluster, at most, whose row alone is a batch; COLLECTION's targets and few others."""


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """What the samples of a cluster say of it."""

    cluster: str
    environment: str
    account_id: int | None
    cluster_id: str | None = None
    """The id that the cluster gave itself; None where it has none, or has not reported it."""
    provider: str = PROVIDER
    """Whose cluster it is: kafka, rabbitmq."""
    known: KeptByEntity = field(default_factory=dict, compare=False, repr=False)
    """See `SampleIdentity`."""


class SampleIdentity(Protocol):
    """Which cluster samples are of."""

    @property
    def cluster(self) -> str:
        """Its name."""

    @property
    def environment(self) -> str:
        """Production, staging or the like."""

    @property
    def account_id(self) -> int | None:
        """The New Relic account."""

    @property
    def cluster_id(self) -> str | None:
        """The id that the cluster gave itself."""

    @property
    def provider(self) -> str:
        """Whose cluster it is: kafka, rabbitmq."""

    @property
    def known(self) -> "KeptByEntity":
        """What its samples have had in common: kept for `collected_batch`, empty at first."""


def collected_batch(
    identity: SampleIdentity,
    tick: int,
    entity_type: EntityType,
    parts: Sequence[Sequence[str]],
    names: Sequence[str],
    columns: Mapping[str, Any],
    provider: str | None = None,
) -> pa.RecordBatch:
    """Collected samples of one entity type at `tick` (ms); shape: `schema_of(entity_type)`.

    `parts` are each entity's parts of the GUID's path (see `entity_guid`), `names` what follows
    the cluster in its entity name. `columns` are the identity columns and the metrics. `provider`
    is the cluster's own unless it is given.
    """
    provider = provider or identity.provider
    # The same from tick to tick, while no entity comes or goes.
    key = (entity_type.name, provider, names[0] if len(names) == 1 else "")
    made_of = (identity.cluster_id, list(map(tuple, parts)), list(names))
    known = identity.known.get(key)
    if known is None or known.made_of != made_of:
        if len(identity.known) > _MOST_KNOWN:
            identity.known.clear()
        common = _common(identity, entity_type, parts, names, provider)
        known = identity.known[key] = KeptColumns(made_of, common)
    own = {"timestamp": pa.repeat(pa.scalar(tick, TIMESTAMP), len(parts)), **columns}
    changed = []
    for name, values in columns.items():
        if isinstance(values, list):
            if (before := known.lists.get(name)) is not None and before[0] == values:
                own[name] = before[1]
            else:
                changed.append(name)
    batch = batch_with(entity_type, len(parts), own, known.common)
    for name in changed:
        # A copy: whoever gave it may change it in place.
        known.lists[name] = list(columns[name]), batch.column(name)
    return batch


def _common(
    identity: SampleIdentity,
    entity_type: EntityType,
    parts: Sequence[Sequence[str]],
    names: Sequence[str],
    provider: str,
) -> Sequence[pa.Array]:
    """The columns of entities of which nothing was measured."""
    account, cluster = identity.account_id, identity.cluster
    # A group may be called nothing at all; the cluster alone has no path.
    paths = [
        entity_path(cluster, name) if path else cluster
        for path, name in zip(parts, names, strict=True)
    ]
    common: Sequence[pa.Array] = sample_batch(
        entity_type,
        len(parts),
        {
            "entity_guid": [
                entity_guid(account, entity_type.name, provider, cluster, *path) for path in parts
            ],
            "entity_name": paths,
            "cluster_name": cluster,
            "cluster_id": identity.cluster_id,
            "provider": provider,
            "environment": identity.environment,
            "origin": Origin.COLLECTED.value,
        },
    ).columns
    return common


def cluster_part(identity: SampleIdentity, tick: int, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """One CLUSTER row with what a kind knows of it; values are scalars or None."""
    known = {name: [value] for name, value in columns.items() if value is not None}
    return collected_batch(identity, tick, CLUSTER, [()], [""], known)
