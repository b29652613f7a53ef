"""Transactions that are not ended, and keep a group's lag from reaching 0."""

import numpy as np

from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.reading.commits import Commits
from operators.collect.reading.offsets import Offsets, stable_offsets
from operators.schema.arrays import Flags, Ints


class OpenTransactions:
    """Which commits are before a transaction that is not ended.

    To ask for all last stable offsets at each tick would cost as much as for the end offsets. They are
    asked of the partitions alone where something waits and nothing moves, neither end nor commit; where
    none was open, of these not again before the end moves, as it does where one begins.
    """

    def __init__(self) -> None:
        self._free: Ints = np.zeros(0, np.int64)
        """By row: the end offset at which none was open, UNKNOWN where that is not known."""
        self._keys: tuple[object, ...] = ()
        self._columns: tuple[Ints, ...] = ()

    async def of(
        self,
        client: KafkaClient,
        topology: ClusterMetadata,
        commits: Commits,
        offsets: Offsets,
        timeout: float,
    ) -> Flags | None:
        """By row of the commits: whether its partition has one; None where there is no tick before."""
        end = commits.end(offsets)
        if offsets.stable is not None:
            stable = commits.readable(offsets)
            found: Flags = (stable != UNKNOWN) & (stable < end)
            return found
        keys = (commits.topics, tuple(group.id for group in commits.groups.groups))
        columns = (commits.group, commits.topic, commits.partition, commits.committed, end)
        before, self._columns = self._columns, columns
        same, self._keys = keys == self._keys, keys
        if not (same and all(map(np.array_equal, before[:3], columns[:3]))):
            self._free = np.full(len(end), UNKNOWN, np.int64)
            return None
        still: Flags = (before[3] == columns[3]) & (before[4] == end) & (end > commits.committed)
        still &= (end != UNKNOWN) & (commits.row != UNKNOWN) & (self._free != end)
        if not still.any():
            return still
        rows = np.unique(commits.row[still])
        stable = (await stable_offsets(client, topology, rows, timeout))[commits.row]
        free = still & (stable >= end)
        self._free[free] = end[free]
        held: Flags = still & (stable != UNKNOWN) & ~free
        return held
