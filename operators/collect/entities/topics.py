"""Samples of topics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.pages.reader import Pages
from operators.collect.raw.batches import (
    Places,
    consumption_batch,
    layout_batch,
    offsets_batch,
    pages_batch,
    places_of,
    topic_measures,
)
from operators.collect.reading.commits import Commits
from operators.collect.reading.configs import TopicConfig
from operators.collect.reading.log_dirs import LogDirs
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.tiered import messages_on_disk
from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.collect.settings import Selected, SelectionSettings
from operators.schema.arrays import Flags, Ints
from operators.schema.metrics import TOPIC
from operators.ticks import Collected


def topic_samples(
    identity: SampleIdentity,
    tick: int,
    selection: SelectionSettings | Selected,
    topology: ClusterMetadata,
    offsets: Offsets | None,
    commits: Commits | None,
    pages: Pages,
    log_dirs: LogDirs | None = None,
    configs: Mapping[str, TopicConfig] | None = None,
    local: Ints | None = None,
) -> Collected:
    """One TOPIC row for each selected topic, those that did not answer among them.

    Besides it comes a CLUSTER row, whose sums the derivation fills in.

    Without `offsets` or `commits` (None) the columns that they give are null. Sums over a topic's
    partitions are null where a partition's offsets are not known; `topic.consumerLag` sums the
    lag of the groups that answered. `topic.diskSize` sums what the brokers' log directories hold,
    or where `log_dirs` is None what their pages say; it is null where a live broker's is missing.
    `configs` are what topics' configurations say, as far as that is known, `local` the first offsets on
    brokers' own disks, where topics have tiered storage.
    """
    fixed = topology.made((_FixedOfTopics, selection), lambda: _fixed(topology, selection))
    names, column = fixed.names, fixed.column
    columns: dict[str, object] = dict(fixed.columns)
    raw = {
        "pages": pages_batch(topology, pages),
        **topic_measures(pages, fixed.all),
    }
    of_cluster = {}
    if configs:
        columns |= _configured([configs.get(name) for name in names])
        of_cluster["cluster.underMinIsrPartitions"] = _under_min_in_sync(topology, configs)
    by_broker = pages.sizes if log_dirs is None else log_dirs.sizes
    if by_broker.keys() >= topology.brokers.keys():
        columns["topic.diskSize"] = [_size(by_broker.values(), name) for name in names]
    if offsets is not None:
        ended, started = offsets.end != UNKNOWN, offsets.start != UNKNOWN
        all_ended = topology.per_topic(~ended) == 0
        both = all_ended & (topology.per_topic(~started) == 0)
        ends = topology.per_topic(np.where(ended, offsets.end, 0))
        retained = topology.per_topic(np.where(ended & started, offsets.end - offsets.start, 0))
        columns["topic.offset"] = column(ends, all_ended)
        columns["topic.retainedMessages"] = column(retained, both)
        if local is not None:
            columns["topic.localMessages"] = column(
                *messages_on_disk(topology, offsets, local, configs or {})
            )
        raw["offsets"] = offsets_batch(fixed.places, offsets)
        raw["layout"] = fixed.layout
        if commits is not None:
            columns["topic.consumerLag"] = column(*_lag(topology, offsets, commits))
    if commits is not None:
        raw["consumption"] = consumption_batch(commits, fixed.all)
    batch = collected_batch(identity, tick, TOPIC, fixed.parts, names, columns)
    return Collected((batch, cluster_part(identity, tick, of_cluster)), raw)


@dataclass(frozen=True, slots=True)
class _FixedOfTopics:
    """What the metadata alone says of the selected topics."""

    index: Ints
    """Those that answered: their places in the metadata's topics."""
    names: list[str]
    """Those that did not are the last ones."""
    parts: list[tuple[str]]
    all: frozenset[str]
    columns: Mapping[str, pa.Array]
    places: Places
    layout: pa.RecordBatch

    def column(self, values: Ints, known: Flags | None = None) -> pa.Array:
        """A value by topic as a column; null where it is not known, and of topics that did not answer."""
        mask = None if known is None else ~known[self.index]
        present = pa.array(values[self.index], pa.int64(), mask=mask)
        refused = len(self.names) - len(self.index)
        if not refused:
            return present
        return pa.concat_arrays([present, pa.nulls(refused, pa.int64())])


def _fixed(topology: ClusterMetadata, selection: SelectionSettings | Selected) -> _FixedOfTopics:
    chosen = [i for i, name in enumerate(topology.topics) if selection.selects(name)]
    refused = sorted(name for name in topology.errors if selection.selects(name))
    names = [topology.topics[i] for i in chosen] + refused
    selected = np.zeros(len(topology.topics), np.bool_)
    selected[chosen] = True
    places = places_of(topology, np.flatnonzero(selected[topology.topic]))
    columns: dict[str, pa.Array] = {}
    fixed = _FixedOfTopics(
        np.array(chosen, np.int64),
        names,
        [(name,) for name in names],
        frozenset(names),
        columns,
        places,
        layout_batch(topology, places),
    )
    replication = np.zeros(len(topology.topics), np.int64)
    np.maximum.at(replication, topology.topic, topology.replicas)
    displaced = ~topology.offline & (topology.leader != topology.preferred)
    answers = [1] * len(chosen) + [0] * len(refused)
    columns |= {
        "topic": pa.array(names, pa.string()).dictionary_encode(),
        "topic.partitionCount": fixed.column(topology.counts),
        "topic.replicationFactor": fixed.column(replication),
        "topic.underReplicatedPartitions": fixed.column(
            topology.per_topic(topology.under_replicated)
        ),
        "topic.offlinePartitions": fixed.column(topology.per_topic(topology.offline)),
        "topic.partitionsWithNonPreferredLeader": fixed.column(topology.per_topic(displaced)),
        "topic.inSyncReplicas": fixed.column(topology.per_topic(topology.in_sync)),
        "topic.respondsToMetadataRequests": pa.array(answers, pa.int8()),
    }
    return fixed


def _configured(configs: Sequence[TopicConfig | None]) -> dict[str, object]:
    """Columns of topics' configurations; null where one is not known."""
    return {
        "topic.minInSyncReplicas": [of and of.min_in_sync for of in configs],
        "topic.retentionMs": [of and of.retention_ms for of in configs],
        "topic.retentionBytes": [of and of.retention_bytes for of in configs],
        "topic.cleanupPolicy": [of and of.cleanup_policy for of in configs],
    }


def _under_min_in_sync(topology: ClusterMetadata, configs: Mapping[str, TopicConfig]) -> int:
    """Partitions with a leader and fewer in-sync replicas than their topic needs, as far as known."""
    of_topics = [configs[name].min_in_sync if name in configs else None for name in topology.topics]
    needed = np.array([n or 0 for n in of_topics], np.int64)[topology.topic]
    return int((~topology.offline & (topology.in_sync < needed)).sum())


def _lag(topology: ClusterMetadata, offsets: Offsets, commits: Commits) -> tuple[Ints, Flags]:
    """By topic: the lag of all groups on it, and whether any group has a lag on it at all."""
    lag = commits.lag(offsets)
    known = lag != UNKNOWN
    topics = topology.topic[commits.row[known]]
    sums = np.zeros(len(topology.topics), np.int64)
    np.add.at(sums, topics, lag[known])
    return sums, np.bincount(topics, minlength=len(sums)) > 0


def _size(of_brokers: Iterable[Mapping[str, int]], topic: str) -> int | None:
    sizes = [sizes[topic] for sizes in of_brokers if topic in sizes]
    return sum(sizes) if sizes else None
