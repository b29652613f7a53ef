"""What is read of a cluster at one tick, each thing once, for all of its kinds."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from operators.collect.budget import Budget
from operators.collect.client import KafkaClient
from operators.collect.commits import Commits, commits_of
from operators.collect.errors import CollectionError
from operators.collect.group_state import Groups, read_groups
from operators.collect.log_dirs import LogDirReader, LogDirs
from operators.collect.offsets import Offsets, read_offsets
from operators.collect.once import Once
from operators.collect.pages import PageReader, Pages
from operators.collect.settings import ClusterSettings
from operators.collect.timeline import Timelines
from operators.collect.topic_ids import TopicIds
from operators.collect.topology import Topology

METADATA_TRIES = (0.25, 0.5)
"""Until which share of the time each try at the metadata may last: one of them may meet a
broker that hangs, the next one then meets another."""
LISTING_SHARE = 0.35
GROUPS_SHARE = 0.6
PAGES_SHARE = 0.6
OFFSETS_SHARE = 0.8
LOG_DIRS_SHARE = 0.8
IDS_SHARE = 0.85
"""Until which share of the time groups are listed, groups answer, and the others come."""


@dataclass(slots=True)
class Memory:
    """What a collector remembers from tick to tick; all of it can be asked for anew."""

    silent: frozenset[str] = frozenset()
    """Groups that did not answer last time."""
    topic_ids: TopicIds = field(default_factory=TopicIds)
    timelines: Timelines = field(default_factory=Timelines)


class Reading:
    """One tick of one cluster.

    Commits are read first and end offsets after them, so that the order of reading makes no lag
    negative.
    """

    def __init__(
        self,
        client: KafkaClient,
        page_reader: PageReader,
        settings: ClusterSettings,
        memory: Memory,
        log_dir_reader: LogDirReader | None = None,
    ) -> None:
        self._client = client
        self._page_reader = page_reader
        self._settings = settings
        self._memory = memory
        self._log_dir_reader = log_dir_reader
        self._topology = Once[Topology]()
        self._groups = Once[Groups]()
        self._commits = Once[Commits]()
        self._offsets = Once[tuple[Offsets, Mapping[str, str]]]()
        self._pages = Once[Pages]()
        self._log_dirs = Once[LogDirs | None]()

    async def topology(self, budget: Budget) -> Topology:
        """Brokers, topics, partitions.

        Raises:
            CollectionError: the cluster did not answer.
        """
        return await self._topology.get(lambda: self._read_topology(budget))

    async def groups(self, budget: Budget) -> Groups:
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

    async def offsets(self, budget: Budget) -> tuple[Offsets, Mapping[str, str]]:
        """Start and end offsets of the selected topics and of those that groups commit to.

        With them come the ids of these topics, as far as they are known.

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
        if not self._client.knows_brokers:
            # Who is to name groups must be known, or it shows not that a broker did not.
            await self.topology(budget)
        what = f"{self._client.cluster}: read the consumer groups"
        groups = await read_groups(
            self._client,
            self._settings.collected_groups,
            budget.until(LISTING_SHARE, what),
            budget.until(GROUPS_SHARE, what),
            self._memory.silent,
        )
        self._memory.silent = groups.silent
        return groups

    async def _join_commits(self, budget: Budget) -> Commits:
        topology, groups = await asyncio.gather(self.topology(budget), self.groups(budget))
        return await asyncio.to_thread(commits_of, groups, topology)

    async def _read_pages(self, budget: Budget) -> Pages:
        what = f"{self._client.cluster}: read the metrics pages"
        brokers = (await self.topology(budget)).brokers if self._page_reader.needs_brokers else {}
        return await self._page_reader.read(budget.until(PAGES_SHARE, what), brokers)

    async def _read_log_dirs(self, budget: Budget) -> LogDirs | None:
        if self._log_dir_reader is None:
            return None
        topology = await self.topology(budget)
        what = f"{self._client.cluster}: read the log directories"
        return await self._log_dir_reader.read(topology.brokers, budget.until(LOG_DIRS_SHARE, what))

    async def _read_offsets(self, budget: Budget) -> tuple[Offsets, Mapping[str, str]]:
        topology, groups = await asyncio.gather(
            self.topology(budget), self.groups(budget), return_exceptions=True
        )
        if isinstance(topology, BaseException):
            raise topology
        wanted = self._wanted(topology, None if isinstance(groups, BaseException) else groups)
        chosen = np.array([topic in wanted for topic in topology.topics], np.bool_)
        rows = np.flatnonzero(chosen[topology.topic]) if len(chosen) else topology.topic
        what = f"{self._client.cluster}: read the offsets"
        offsets = await read_offsets(
            self._client, topology, rows, budget.until(OFFSETS_SHARE, what)
        )
        ids = await self._memory.topic_ids.of(
            self._client, topology, offsets, wanted, budget.until(IDS_SHARE, what)
        )
        return offsets, ids

    def _wanted(self, topology: Topology, groups: Groups | None) -> frozenset[str]:
        """The selected topics and those that groups commit to or read."""
        wanted = {topic for topic in topology.topics if self._settings.topics.selects(topic)}
        for group in groups.groups if groups else ():
            wanted.update(topic for topic, _, _ in group.commits or ())
            wanted.update(topic for topic, _ in group.assigned or ())
        return frozenset(wanted)
