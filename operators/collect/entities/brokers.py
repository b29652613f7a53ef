"""Samples of brokers, and what the metadata says of the whole cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import (
    ClusterMetadata,
)
from operators.collect.pages.reader import Pages
from operators.collect.raw.batches import broker_measures, epochs_batch, pages_batch
from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.schema.arrays import Ints
from operators.schema.guid import broker_name
from operators.schema.metrics import BROKER
from operators.ticks import Collected


def broker_samples(
    identity: SampleIdentity,
    tick: int,
    topology: ClusterMetadata,
    pages: Pages,
    fenced: frozenset[int] | None = None,
    read_at: int = 0,
) -> Collected:
    """One BROKER row for each live broker, and the CLUSTER columns that metadata gives.

    `broker.leaderCount` and `replication.unreplicatedPartitions` count the partitions that the
    broker leads, `broker.partitionCount` the replicas that it holds.
    What a broker's page says is null where it did not come. `fenced` are brokers that are fenced,
    None where nobody reported them; `read_at` is when the metadata came (ms).
    `cluster.availability` is the share of partitions that have a leader, in percent; 100 where
    there are no partitions.
    """
    of = topology.made(_FixedOfBrokers, lambda: _fixed(topology))
    brokers = collected_batch(
        identity, tick, BROKER, of.parts, of.names, {**of.columns, **_gauges(of.ids, pages)}
    )
    cluster = cluster_part(
        identity,
        tick,
        {
            **of.cluster,
            "cluster.knownBrokerCount": len(of.seen | (fenced or set())),
            "cluster.fencedBrokerCount": None if fenced is None else len(fenced),
            "cluster.activeControllerCount": _controllers(pages),
        },
    )
    raw = {
        "pages": pages_batch(topology, pages),
        "epochs": epochs_batch(topology, read_at),
        **broker_measures(pages),
    }
    return Collected((brokers, cluster), raw)


@dataclass(frozen=True, slots=True)
class _FixedOfBrokers:
    """What the metadata alone says of brokers, and of the cluster."""

    ids: list[int]
    """Of the live brokers."""
    parts: list[tuple[str]]
    names: list[str]
    columns: Mapping[str, pa.Array]
    cluster: Mapping[str, float]
    seen: frozenset[int]
    """Brokers that live, or hold a replica."""


def _fixed(topology: ClusterMetadata) -> _FixedOfBrokers:
    ids = sorted(topology.brokers)
    names = [broker_name(broker) for broker in ids]
    led, partitions = topology.leader, topology.partitions
    offline = int(topology.offline.sum())
    return _FixedOfBrokers(
        ids,
        [(name,) for name in names],
        names,
        {
            "broker_id": pa.array(ids, pa.int32()),
            "broker.host": pa.array([topology.address(b) for b in ids]).dictionary_encode(),
            "broker.partitionCount": _count(ids, topology.holders),
            "broker.leaderCount": _count(ids, led),
            "replication.unreplicatedPartitions": _count(ids, led[topology.under_replicated]),
        },
        {
            "cluster.activeBrokerCount": len(ids),
            "cluster.globalTopicCount": len(topology.topics) + len(topology.errors),
            "cluster.globalPartitionCount": partitions,
            "cluster.offlinePartitionsCount": offline,
            "cluster.underReplicatedPartitions": int(topology.under_replicated.sum()),
            "cluster.preferredReplicaImbalanceCount": int(
                (~topology.offline & (led != topology.preferred)).sum()
            ),
            "cluster.availability": 100 * (1 - offline / partitions) if partitions else 100.0,
        },
        frozenset(np.unique(topology.holders).tolist()) | topology.brokers.keys(),
    )


def _gauges(ids: Sequence[int], pages: Pages) -> dict[str, list[float | None]]:
    """By column: what each broker's page says."""
    of = [pages.pages[broker].gauges if broker in pages.pages else {} for broker in ids]
    columns = sorted({column for gauges in of for column in gauges})
    return {column: [gauges.get(column) for gauges in of] for column in columns}


def _controllers(pages: Pages) -> int | None:
    """How many brokers say that they are the controller; None where no page reports it."""
    found = [page.gauges.get("broker.isController") for page in pages.pages.values()]
    reported = [flag for flag in found if flag is not None]
    return round(sum(reported)) if reported else None


def _count(ids: Sequence[int], of: Ints) -> pa.Array:
    """How often each id is found in `of`."""
    found, counts = np.unique(of, return_counts=True)
    by_id = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return pa.array([by_id.get(broker, 0) for broker in ids], pa.int64())
