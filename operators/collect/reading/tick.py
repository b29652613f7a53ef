"""What is read of a cluster at one tick, each thing once, for all of its kinds."""

import asyncio
from contextlib import suppress

import numpy as np

from operators.collect.budget import PAGES_SHARE, Budget
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import (
    ClusterMetadata,
)
from operators.collect.errors import CollectionError
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
        before: Commits | None = None,
    ) -> None:
        """`before` are the commits of an earlier tick, of which much is the same in most."""
        self._client = client
        self._page_reader = page_reader
        self._selected_topics = topics
        self._selected_groups = groups
        self._asks_log_dirs = log_dirs
        self._committed = committed
        self._topology: Once[ClusterMetadata] = Once()
        self._groups: Once[FoundGroups] = Once()
        self._commits = before
        self._offsets: Once[Offsets] = Once()
        self._pages: Once[Pages] = Once()
        self._log_dirs: Once[LogDirs] = Once()

    def begin(self, budget: Budget, *, log_dirs: bool = False) -> asyncio.Task[ClusterMetadata]:
        """Begin to read the metadata, the pages and on demand the log directories, each for itself.

        It gives what reads the metadata.
        """
        topology = self._topology.begin(lambda: self._read_topology(budget))
        if self._page_reader.reads:
            self._pages.begin(lambda: self._read_pages(budget))
        if self._asks_log_dirs and log_dirs:
            self._log_dirs.begin(lambda: self._read_log_dirs(budget))
        return topology

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
        topology, groups = await self.topology(budget), await self.groups(budget)
        if self._commits is None or self._commits.groups is not groups:
            self._commits = commits_of(groups, topology, self._commits)
        return self._commits

    @property
    def joined(self) -> Commits | None:
        """The newest commits that were joined, of this tick or of one before; None where none were."""
        return self._commits

    async def pages(self, budget: Budget) -> Pages:
        """The brokers' metrics pages."""
        if not self._page_reader.reads:
            return Pages({})
        return await self._pages.get(lambda: self._read_pages(budget))

    async def log_dirs(self, budget: Budget) -> LogDirs | None:
        """What is in the brokers' log directories; None where they are not to be asked.

        Raises:
            CollectionError: there is no metadata, or no time left.
        """
        if not self._asks_log_dirs:
            return None
        return await self._log_dirs.get(lambda: self._read_log_dirs(budget))

    async def offsets(self, budget: Budget) -> Offsets:
        """Start and end offsets of the selected topics and of those that groups commit to.

        Raises:
            CollectionError: there is no metadata, or no time left.
        """
        return await self._offsets.get(lambda: self._read_offsets(budget))

    def cancel(self) -> None:
        """Stop reading."""
        for once in (
            self._topology,
            self._groups,
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
            for once in (self._groups, self._offsets):
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

    async def _read_pages(self, budget: Budget) -> Pages:
        what = f"{self._client.cluster}: read the metrics pages"
        addresses = None
        if self._page_reader.needs_brokers:
            topology = await self.topology(budget)
            addresses = {broker: topology.address(broker) for broker in topology.brokers}
        return await self._page_reader.read(budget.until(PAGES_SHARE, what), addresses)

    async def _read_log_dirs(self, budget: Budget) -> LogDirs:
        topology = await self.topology(budget)
        what = f"{self._client.cluster}: read the log directories"
        return await read_log_dirs(self._client, topology, budget.until(LOG_DIRS_SHARE, what))

    async def _read_offsets(self, budget: Budget) -> Offsets:
        topology = await self.topology(budget)
        groups: FoundGroups | None = None
        if not self._groups.failed:
            with suppress(CollectionError):  # reported to whoever asks for groups
                groups = await self.groups(budget)
        wanted = self._wanted(topology, groups)
        rows = np.flatnonzero(wanted[topology.topic])
        what = f"{self._client.cluster}: read the offsets"
        left = budget.until(OFFSETS_SHARE, what)
        return await read_offsets(self._client, topology, rows, left, self._committed)

    def _wanted(self, topology: ClusterMetadata, groups: FoundGroups | None) -> Flags:
        """By topic: whether it is selected, or a group commits to it or reads it."""
        read = groups.topics if groups else frozenset[str]()
        selects = self._selected_topics.selects
        return np.array([name in read or selects(name) for name in topology.topics], np.bool_)
