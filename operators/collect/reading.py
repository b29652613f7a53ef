"""What is read of a cluster at one tick, each thing once, for all of its kinds."""

import asyncio

import numpy as np

from operators.collect.budget import Budget
from operators.collect.client import KafkaClient
from operators.collect.errors import CollectionError
from operators.collect.group_state import Groups, read_groups
from operators.collect.offsets import Offsets, read_offsets
from operators.collect.once import Once
from operators.collect.settings import ClusterSettings
from operators.collect.topology import Ints, Topology

METADATA_TRIES = (0.25, 0.5)
"""Until which share of the time each try at the metadata may last: one of them may meet a
broker that hangs, the next one then meets another."""
LISTING_SHARE = 0.35
GROUPS_SHARE = 0.6
OFFSETS_SHARE = 0.85
"""Until which share of the time groups are listed, groups answer, and offsets come."""


class Reading:
    """One tick of one cluster.

    Commits are read first and end offsets after them, so that the order of reading makes no lag
    negative.
    """

    def __init__(
        self, client: KafkaClient, settings: ClusterSettings, suspects: frozenset[str]
    ) -> None:
        self._client = client
        self._settings = settings
        self._suspects = suspects
        self._topology = Once[Topology]()
        self._groups = Once[Groups]()
        self._offsets = Once[Offsets]()

    async def topology(self, budget: Budget) -> Topology:
        """Brokers, topics, partitions.

        Raises:
            CollectionError: the cluster did not answer.
        """
        return await self._topology.get(lambda: self._read_topology(budget))

    async def groups(self, budget: Budget) -> Groups:
        """The selected groups.

        Raises:
            CollectionError: no broker named its groups.
        """
        return await self._groups.get(lambda: self._read_groups(budget))

    async def offsets(self, budget: Budget) -> Offsets:
        """Start and end offsets of the selected topics and of those that groups commit to.

        Raises:
            CollectionError: there is no metadata, or no time left.
        """
        return await self._offsets.get(lambda: self._read_offsets(budget))

    def cancel(self) -> None:
        """Stop reading."""
        for once in (self._topology, self._groups, self._offsets):
            once.cancel()

    async def _read_topology(self, budget: Budget) -> Topology:
        what = f"{self._client.cluster}: read the metadata"
        for share in METADATA_TRIES[:-1]:
            try:
                return await self._client.topology(budget.until(share, what))
            except CollectionError as error:
                if not error.retryable:
                    raise
                self._client.retire()
        return await self._client.topology(budget.until(METADATA_TRIES[-1], what))

    async def _read_groups(self, budget: Budget) -> Groups:
        what = f"{self._client.cluster}: read the consumer groups"
        # End offsets that were read before these commits are of no use for them.
        self._offsets.forget()
        return await read_groups(
            self._client,
            self._settings.groups,
            budget.until(LISTING_SHARE, what),
            budget.until(GROUPS_SHARE, what),
            self._suspects,
        )

    async def _read_offsets(self, budget: Budget) -> Offsets:
        topology, groups = await asyncio.gather(
            self.topology(budget), self.groups(budget), return_exceptions=True
        )
        if isinstance(topology, BaseException):
            raise topology
        rows = self._wanted(topology, None if isinstance(groups, BaseException) else groups)
        what = f"{self._client.cluster}: read the offsets"
        timeout = budget.until(OFFSETS_SHARE, what)
        return await read_offsets(self._client, topology, rows, timeout)

    def _wanted(self, topology: Topology, groups: Groups | None) -> Ints:
        wanted = {t for t in topology.topics if self._settings.topics.selects(t)}
        for group in groups.groups if groups else ():
            wanted.update(topic for topic, _, _ in group.commits or ())
            wanted.update(topic for topic, _ in group.assigned or ())
        chosen = np.array([topic in wanted for topic in topology.topics], np.bool_)
        return np.flatnonzero(chosen[topology.topic]) if len(chosen) else np.array([], np.int64)
