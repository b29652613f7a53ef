"""Samples of brokers, and what the metadata says of the whole cluster."""

import numpy as np

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
    ids = np.array(sorted(topology.brokers), np.int64)
    led = topology.leader
    brokers = collected_batch(
        identity,
        tick,
        BROKER,
        [(broker_name(broker),) for broker in ids],
        [broker_name(broker) for broker in ids],
        {
            "broker_id": ids,
            "broker.host": [topology.address(broker) for broker in ids.tolist()],
            "broker.partitionCount": _count(ids, topology.holders),
            "broker.leaderCount": _count(ids, led),
            "replication.unreplicatedPartitions": _count(ids, led[topology.under_replicated]),
            **_gauges(ids, pages),
        },
    )
    offline = int(topology.offline.sum())
    seen = set(np.unique(topology.holders).tolist()) | topology.brokers.keys() | (fenced or set())
    partitions = topology.partitions
    cluster = cluster_part(
        identity,
        tick,
        {
            "cluster.activeBrokerCount": len(ids),
            "cluster.knownBrokerCount": len(seen),
            "cluster.fencedBrokerCount": None if fenced is None else len(fenced),
            "cluster.globalTopicCount": len(topology.topics) + len(topology.errors),
            "cluster.globalPartitionCount": partitions,
            "cluster.offlinePartitionsCount": offline,
            "cluster.underReplicatedPartitions": int(topology.under_replicated.sum()),
            "cluster.preferredReplicaImbalanceCount": int(
                (~topology.offline & (led != topology.preferred)).sum()
            ),
            "cluster.activeControllerCount": _controllers(pages),
            "cluster.availability": 100 * (1 - offline / partitions) if partitions else 100.0,
        },
    )
    raw = {
        "pages": pages_batch(topology.brokers, pages),
        "epochs": epochs_batch(topology, read_at),
        **broker_measures(pages),
    }
    return Collected((brokers, cluster), raw)


def _gauges(ids: Ints, pages: Pages) -> dict[str, list[float | None]]:
    """By column: what each broker's page says."""
    of = [pages.pages[broker].gauges if broker in pages.pages else {} for broker in ids.tolist()]
    columns = sorted({column for gauges in of for column in gauges})
    return {column: [gauges.get(column) for gauges in of] for column in columns}


def _controllers(pages: Pages) -> int | None:
    """How many brokers say that they are the controller; None where no page reports it."""
    found = [page.gauges.get("broker.isController") for page in pages.pages.values()]
    reported = [flag for flag in found if flag is not None]
    return round(sum(reported)) if reported else None


def _count(ids: Ints, of: Ints) -> Ints:
    """How often each id is found in `of`."""
    found, counts = np.unique(of, return_counts=True)
    by_id = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return np.array([by_id.get(broker, 0) for broker in ids.tolist()], np.int64)
