"""Samples of consumer groups, and by config of each partition that they commit to."""

import numpy as np
import pyarrow as pa

from operators.collect.commits import Commits
from operators.collect.offsets import UNKNOWN, Offsets
from operators.collect.raw import commits_batch, known, members_batch
from operators.collect.samples import Identity, cluster_part, collected_batch
from operators.collect.topology import Ints, Topology
from operators.schema.metrics import CONSUMER_GROUP, PARTITION_OFFSET
from operators.ticks import Collected


def group_samples(
    identity: Identity,
    tick: int,
    commits: Commits,
    topology: Topology,
    offsets: Offsets | None,
    message_at: Ints,
    partition_offsets: bool = False,
) -> Collected:
    """One CONSUMER_GROUP row for each group that answered, whether it has members or not.

    A group's lag is summed over the partitions that have a leader; it is null where one of them
    did not tell its end offset, or where the group has no commit that can be compared. Partitions
    of deleted topics do not count. `message_at` has for each row of `commits` the timestamp (ms)
    of the first message after it, UNKNOWN where that is not known. With `partition_offsets`
    there is a PARTITION_OFFSET row for each partition with a commit, and for each that is
    assigned without one.
    """
    groups = commits.groups.groups
    ids = [group.id for group in groups]
    committed = np.zeros(len(groups), np.int64)
    np.add.at(committed, commits.group, commits.committed)
    has_commits = np.bincount(commits.group, minlength=len(groups)) > 0
    columns: dict[str, object] = {
        "consumer_group": ids,
        "consumerGroup.activeConsumers": [_count(group.members) for group in groups],
        "consumerGroup.assignedPartitions": [_count(group.assigned) for group in groups],
        "consumerGroup.committedOffset": pa.array(committed, mask=~has_commits),
        "consumerGroup.state": [group.state for group in groups],
        "consumerGroup.type": [group.type for group in groups],
    }
    raw = {"members": members_batch(commits)}
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
        raw["commits"] = commits_batch(commits, offsets, message_at)
    batches = [
        collected_batch(identity, tick, CONSUMER_GROUP, [(name,) for name in ids], ids, columns),
        cluster_part(
            identity,
            tick,
            {"cluster.consumerGroupCount": commits.groups.listed, "cluster.totalLag": total_lag},
        ),
    ]
    if partition_offsets and offsets is not None:
        batches.append(_partitions(identity, tick, commits, topology, offsets))
    return Collected(tuple(batches), raw)


def _partitions(
    identity: Identity, tick: int, commits: Commits, topology: Topology, offsets: Offsets
) -> pa.RecordBatch:
    groups = commits.groups.groups
    names = [
        (groups[group].id, commits.topics[topic], str(partition))
        for group, topic, partition in zip(
            commits.group.tolist(),
            commits.topic.tolist(),
            commits.partition.tolist(),
            strict=True,
        )
    ]
    with_commit = set(names)
    bare = [
        name
        for group in groups
        for topic, partition in group.assigned or ()
        if (name := (group.id, topic, str(partition))) not in with_commit
    ]
    bare_rows = [topology.row(topic, int(partition)) for _, topic, partition in bare]
    bare_ends = [int(offsets.end[row]) if row >= 0 else UNKNOWN for row in bare_rows]
    nothing = np.full(len(bare), UNKNOWN, np.int64)
    names += bare
    return collected_batch(
        identity,
        tick,
        PARTITION_OFFSET,
        names,
        ["/".join(name) for name in names],
        {
            "consumer_group": [group for group, _, _ in names],
            "topic": [topic for _, topic, _ in names],
            "partition": [int(partition) for _, _, partition in names],
            "consumer.offset": known(np.concatenate([commits.committed, nothing])),
            "consumer.lag": known(np.concatenate([commits.lag(offsets), nothing])),
            "consumer.hwm": known(
                np.concatenate([commits.end(offsets), np.array(bare_ends, np.int64)])
            ),
        },
    )


def _count(things: tuple[object, ...] | None) -> int | None:
    return None if things is None else len(things)
