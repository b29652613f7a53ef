"""Samples of consumer groups, and by config of each partition that they commit to."""

from collections import Counter
from collections.abc import Sequence, Sized

import numpy as np
import pyarrow as pa

from operators.collect.client.description import REBALANCING
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.entities.group_topics import Pairs, group_topic_samples
from operators.collect.raw.batches import commits_batch, known, members_batch
from operators.collect.reading.commits import Commits
from operators.collect.reading.groups import FoundGroups
from operators.collect.reading.limits import NOT_KNOWN, Limits
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.tiered import known_sums
from operators.collect.samples import SampleIdentity, cluster_part, collected_batch
from operators.schema.arrays import Flags, Ints
from operators.schema.guid import entity_path
from operators.schema.metrics import CONSUMER_GROUP, PARTITION_OFFSET
from operators.ticks import Collected


def group_samples(
    identity: SampleIdentity,
    tick: int,
    commits: Commits,
    topology: ClusterMetadata,
    offsets: Offsets | None,
    message_at: Ints,
    partition_offsets: bool = False,
    pairs: Pairs | None = None,
    group_topics: int = 0,
    limits: Limits = NOT_KNOWN,
    open_rows: Flags | None = None,
    remote: Ints | None = None,
) -> Collected:
    """One CONSUMER_GROUP row for each group that answered, whether it has members or not.

    A group's lag is summed over the partitions that have a leader; it is null where one of them
    did not report its end offset, or where the group has no commit that can be compared. Partitions
    of deleted topics do not count. A share group's lag is what its coordinator says. `message_at` has for each row of `commits` the timestamp (ms)
    of the first message after it, UNKNOWN where that is not known. With `partition_offsets`
    there is a PARTITION_OFFSET row for each partition with a commit, and for each that is
    assigned without one. Of `pairs` there are `group_topics` GROUP_TOPIC rows at most.
    `limits` are what is known of the topics' retention,
    `open_rows` which commits are before a transaction that is not ended, `remote` how many unread messages
    each has in tiered storage alone.
    """
    groups = commits.groups.groups
    ids = [group.id for group in groups]
    described = [group.description for group in groups]
    # A share group commits nothing.
    own = ~commits.shared[commits.group]
    committed = np.zeros(len(groups), np.int64)
    np.add.at(committed, commits.group[own], commits.committed[own])
    has_commits = np.bincount(commits.group[own], minlength=len(groups)) > 0
    columns: dict[str, object] = {
        "consumer_group": ids,
        "consumerGroup.activeConsumers": [_count(of.members if of else None) for of in described],
        "consumerGroup.assignedPartitions": [_count(of.owners if of else None) for of in described],
        "consumerGroup.committedOffset": pa.array(committed, mask=~has_commits),
        "consumerGroup.state": [group.state for group in groups],
        "consumerGroup.type": [group.type for group in groups],
        "consumerGroup.assignor": [of and of.assignor for of in described],
        "consumerGroup.rebalancing": [
            None if group.state is None else int(group.state in REBALANCING) for group in groups
        ],
    }
    raw = {"members": members_batch(commits)}
    if open_rows is not None:
        waits = np.bincount(commits.group[open_rows], minlength=len(groups)) > 0
        columns["consumerGroup.openTransaction"] = waits.astype(np.int8)
    columns["consumerGroup.readsCompacted"] = _compacted(commits, limits)
    if remote is not None:
        columns["consumerGroup.remoteMessages"] = known_sums(remote, commits.group, len(groups))
    total_lag = None
    if offsets is not None:
        lag = commits.lag(offsets)
        comparable = lag != UNKNOWN
        unanswered = commits.led & ~comparable
        total, largest = np.zeros((2, len(groups)), np.int64)
        np.add.at(total, commits.group[comparable], lag[comparable])
        np.maximum.at(largest, commits.group[comparable], lag[comparable])
        has_lag = np.bincount(commits.group[comparable], minlength=len(groups)) > 0
        has_lag &= np.bincount(commits.group[unanswered], minlength=len(groups)) == 0
        columns["consumerGroup.totalLag"] = pa.array(total, mask=~has_lag)
        columns["consumerGroup.maxLag"] = pa.array(largest, mask=~has_lag)
        # Groups that nobody named may lag too.
        total_lag = None if commits.groups.listed is None else int(total[has_lag].sum())
        raw["commits"] = commits_batch(commits, offsets, message_at, limits)
    batches = [
        collected_batch(identity, tick, CONSUMER_GROUP, [(name,) for name in ids], ids, columns),
        cluster_part(
            identity,
            tick,
            {
                "cluster.consumerGroupCount": commits.groups.listed,
                "cluster.totalLag": total_lag,
                **_in_state(commits.groups),
            },
        ),
    ]
    if pairs is not None and group_topics and offsets is not None:
        batches.append(
            group_topic_samples(
                identity, tick, commits, pairs, offsets, group_topics, limits, open_rows, remote
            )
        )
    if partition_offsets and offsets is not None:
        batches.append(_partitions(identity, tick, commits, topology, offsets))
    return Collected(tuple(batches), raw)


def _compacted(commits: Commits, limits: Limits) -> pa.Array:
    """By group: 1 where it reads a compacted topic; null where that is not known of one."""
    reported = [limits.compacted(topic) for topic in commits.topics]
    of_topics = np.array([UNKNOWN if flag is None else flag for flag in reported], np.int64)
    found = np.full((2, len(commits.groups.groups)), UNKNOWN, np.int64)
    if len(of_topics):
        there = commits.row != UNKNOWN
        flags = of_topics[commits.topic[there]]
        np.maximum.at(found[0], commits.group[there], flags)
        np.maximum.at(found[1], commits.group[there], -flags)
    known = (found[0] == 1) | ((found[0] == 0) & (found[1] <= 0))
    return pa.array(np.maximum(found[0], 0), pa.int8(), mask=~known)


def _in_state(groups: FoundGroups) -> dict[str, int]:
    """How many groups are in each state that the cluster counts, where all were named."""
    if groups.listed is None:
        return {}
    states = Counter(group.state for group in groups.groups)
    return {f"cluster.numGroups{s}": states[s] for s in ("Stable", "PreparingRebalance", "Dead")}


def _partitions(
    identity: SampleIdentity,
    tick: int,
    commits: Commits,
    topology: ClusterMetadata,
    offsets: Offsets,
) -> pa.RecordBatch:
    groups = commits.groups.groups
    places = zip(commits.topic.tolist(), commits.partition.tolist(), strict=True)
    of = commits.group.tolist()
    keys = [(commits.topics[topic], partition) for topic, partition in places]
    with_commit = set(zip(of, keys, strict=True))
    bare = [
        (index, key)
        for index, group in enumerate(groups)
        for key in (group.description.owners if group.description else ())
        if (index, key) not in with_commit
    ]
    of += [index for index, _ in bare]
    keys += [key for _, key in bare]
    bare_rows = _rows(topology, [key for _, key in bare])
    ends = np.where(bare_rows >= 0, offsets.end[bare_rows], UNKNOWN) if len(bare) else bare_rows
    nothing = np.full(len(bare), UNKNOWN, np.int64)
    names = [
        (groups[index].id, topic, str(partition))
        for index, (topic, partition) in zip(of, keys, strict=True)
    ]
    owners = [
        description.owners.get(key) if (description := groups[index].description) else None
        for index, key in zip(of, keys, strict=True)
    ]
    return collected_batch(
        identity,
        tick,
        PARTITION_OFFSET,
        names,
        [entity_path(*name) for name in names],
        {
            "consumer_group": [group for group, _, _ in names],
            "topic": [topic for topic, _ in keys],
            "partition": [partition for _, partition in keys],
            "consumer.offset": known(np.concatenate([commits.committed, nothing])),
            "consumer.lag": known(np.concatenate([commits.lag(offsets), nothing])),
            "consumer.hwm": known(np.concatenate([commits.end(offsets), ends])),
            "consumer.clientId": [owner and owner.client_id for owner in owners],
            "consumer.clientHost": [owner and owner.host for owner in owners],
            "consumer.staticId": [owner and owner.static_id for owner in owners],
        },
    )


def _rows(topology: ClusterMetadata, keys: Sequence[tuple[str, int]]) -> Ints:
    """The rows of partitions by topic and number."""
    topics = [topic for topic, _ in keys]
    partitions = np.array([partition for _, partition in keys], np.int64)
    return topology.rows(topics, np.arange(len(keys)), partitions)


def _count(things: Sized | None) -> int | None:
    return None if things is None else len(things)
