"""The common columns of collected samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import pyarrow as pa

from operators.schema.arrow import TIMESTAMP, sample_batch
from operators.schema.guid import entity_guid, entity_path
from operators.schema.metrics import CLUSTER, EntityType, Origin

PROVIDER = "kafka"
OWN = "own"
"""Provider of the COLLECTION rows of custom collectors."""


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
    cluster, provider = identity.cluster, provider or identity.provider
    guids, paths = _entities(
        identity.account_id,
        entity_type.name,
        provider,
        cluster,
        tuple(map(tuple, parts)),
        tuple(names),
    )
    return sample_batch(
        entity_type,
        len(parts),
        {
            "timestamp": pa.repeat(pa.scalar(tick, TIMESTAMP), len(parts)),
            "entity_guid": guids,
            "entity_name": paths,
            "cluster_name": cluster,
            "cluster_id": identity.cluster_id,
            "provider": provider,
            "environment": identity.environment,
            "origin": Origin.COLLECTED.value,
            **columns,
        },
    )


@lru_cache(maxsize=512)
def _entities(
    account: int | None,
    type_name: str,
    provider: str,
    cluster: str,
    parts: tuple[tuple[str, ...], ...],
    names: tuple[str, ...],
) -> tuple[pa.Array, pa.Array]:
    """GUIDs and names of entities: the same from tick to tick, while none comes or goes."""
    guids = [entity_guid(account, type_name, provider, cluster, *path) for path in parts]
    # A group may be called nothing at all; the cluster alone has no path.
    paths = [
        entity_path(cluster, name) if path else cluster
        for path, name in zip(parts, names, strict=True)
    ]
    return tuple(pa.array(column, pa.string()).dictionary_encode() for column in (guids, paths))


def cluster_part(identity: SampleIdentity, tick: int, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """One CLUSTER row with what a kind knows of it; values are scalars or None."""
    known = {name: [value] for name, value in columns.items() if value is not None}
    return collected_batch(identity, tick, CLUSTER, [()], [""], known)
