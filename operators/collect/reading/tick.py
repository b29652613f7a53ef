"""What is read of a cluster at one tick, each thing once, for all of its kinds."""

import asyncio

import numpy as np

from operators.collect.budget import Budget
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import (
    ClusterMetadata,
)
from operators.collect.once import Once
from operators.collect.pages.reader import PageReader, Pages
from operators.collect.reading.commits import Commits, commits_of
from operators.collect.reading.groups import FoundGroups, read_groups
from operators.collect.reading.log_dirs import LogDirs, read_log_dirs
from operators.collect.reading.offsets import Offsets, read_offsets
from operators.collect.settings import Selected
from operators.schema.arrays import Flags

METADATA_SHARE = 0.5
LISTING_SHARE = 0.65
GROUPS_SHARE = 0.75
PAGES_SHARE = 0.7
OFFSETS_SHARE = 0.9
LOG_DIRS_SHARE = 0.9
"""Until which share of the time the metadata comes, groups are listed, groups answer, and so on."""


class Reading:
    """One tick of one cluster.

    Commits are read first and end offsets after them, so that the order of reading makes no lag
    negative.
    """

    def __init__(
        self,
        client: KafkaClient,
        page_reader: PageReader,
        topics: Selected,
        groups: Selected,
        *,
        log_dirs: bool = False,
        committed: bool = False,
    ) -> None:
        self._client = client
        self._page_reader = page_reader
        self._selected_topics = topics
        self._selected_groups = groups
        self._asks_log_dirs = log_dirs
        self._committed = committed
        self._topology = Once[ClusterMetadata]()
        self._groups = Once[FoundGroups]()
        self._commits = Once[Commits]()
        self._offsets = Once[Offsets]()
        self._pages = Once[Pages]()
        self._log_dirs = Once[LogDirs | None]()

    async def topology(self, budget: Budget) -> ClusterMetadata:
        """Brokers, topics, partitions.

        Raises:
            CollectionError: the cluster did not answer.
        """
        return await self._topology.get(lambda: self._read_topology(budget))

    async def groups(self, budget: Budget) -> FoundGroups:
        """The selected groups.

        Raises:
            CollectionError: no broker named its groups, or there is no metadata.
        """
        self._begin_groups_anew()
        return await self._groups.get(lambda: self._read_groups(budget))

    async def commits(self, budget: Budget) -> Commits:
        """The commits of the selected groups, joined to their partitions.

        Raises:
            CollectionError: no broker named its groups, or there is no metadata.
        """
        self._begin_groups_anew()
        return await self._commits.get(lambda: self._join_commits(budget))

    async def pages(self, budget: Budget) -> Pages:
        """The brokers' metrics pages."""
        return await self._pages.get(lambda: self._read_pages(budget))

    async def log_dirs(self, budget: Budget) -> LogDirs | None:
        """What is in the brokers' log directories; None where they are not to be asked.

        Raises:
            CollectionError: there is no metadata, or no time left.
        """
        return await self._log_dirs.get(lambda: self._read_log_dirs(budget))

    async def offsets(self, budget: Budget) -> Offsets:
        """Start and end offsets of the selected topics and of those that groups commit to.

        Raises:
            CollectionError: there is no metadata, or no time left.
        """
        self._begin_groups_anew()
        return await self._offsets.get(lambda: self._read_offsets(budget))

    def cancel(self) -> None:
        """Stop reading."""
        for once in (
            self._topology,
            self._groups,
            self._commits,
            self._offsets,
            self._pages,
            self._log_dirs,
        ):
            once.cancel()

    def _begin_groups_anew(self) -> None:
        """Where groups could not be read, whoever comes next has them read again.

        What was read without them is then older than the commits that come.
        """
        if self._groups.failed:
            for once in (self._groups, self._commits, self._offsets):
                once.forget()

    async def _read_topology(self, budget: Budget) -> ClusterMetadata:
        what = f"{self._client.cluster}: read the metadata"
        return await self._client.topology(budget.until(METADATA_SHARE, what))

    async def _read_groups(self, budget: Budget) -> FoundGroups:
        topology = await self.topology(budget)
        what = f"{self._client.cluster}: read the consumer groups"
        return await read_groups(
            self._client,
            topology,
            self._selected_groups,
            budget.until(LISTING_SHARE, what),
            budget.until(GROUPS_SHARE, what),
        )

    async def _join_commits(self, budget: Budget) -> Commits:
        topology, groups = await asyncio.gather(self.topology(budget), self.groups(budget))
        return commits_of(groups, topology)

    async def _read_pages(self, budget: Budget) -> Pages:
        what = f"{self._client.cluster}: read the metrics pages"
        addresses = None
        if self._page_reader.needs_brokers:
            topology = await self.topology(budget)
            addresses = {broker: topology.address(broker) for broker in topology.brokers}
        return await self._page_reader.read(budget.until(PAGES_SHARE, what), addresses)

    async def _read_log_dirs(self, budget: Budget) -> LogDirs | None:
        if not self._asks_log_dirs:
            return None
        topology = await self.topology(budget)
        what = f"{self._client.cluster}: read the log directories"
        return await read_log_dirs(self._client, topology, budget.until(LOG_DIRS_SHARE, what))

    async def _read_offsets(self, budget: Budget) -> Offsets:
        topology, groups = await asyncio.gather(
            self.topology(budget), self.groups(budget), return_exceptions=True
        )
        if isinstance(topology, BaseException):
            raise topology
        wanted = self._wanted(topology, None if isinstance(groups, BaseException) else groups)
        rows = np.flatnonzero(wanted[topology.topic])
        what = f"{self._client.cluster}: read the offsets"
        left = budget.until(OFFSETS_SHARE, what)
        return await read_offsets(self._client, topology, rows, left, self._committed)

    def _wanted(self, topology: ClusterMetadata, groups: FoundGroups | None) -> Flags:
        """By topic: whether it is selected, or a group commits to it or reads it."""
        read = groups.topics if groups else frozenset[str]()
        selects = self._selected_topics.selects
        return np.array([name in read or selects(name) for name in topology.topics], np.bool_)
