"""The work of a cluster's ticks: what is read, made into samples, with what is missing named."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from operators.collect.budget import Budget
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.client.topology import (
    UNKNOWN,
    ClusterMetadata,
)
from operators.collect.entities import broker_topics, group_clients
from operators.collect.entities.brokers import broker_samples
from operators.collect.entities.group_topics import left_out, pairs_of
from operators.collect.entities.groups import group_samples
from operators.collect.entities.partition_lag import partition_lag
from operators.collect.entities.topics import topic_samples
from operators.collect.errors import CollectionError, Problem, summary
from operators.collect.once import answer
from operators.collect.pages.reader import PageReader
from operators.collect.reading.commits import Commits
from operators.collect.reading.configs import TopicConfig, TopicConfigs
from operators.collect.reading.limits import NOT_KNOWN, Limits, limits_bytes, message_sizes
from operators.collect.reading.log_dirs import LogDirs
from operators.collect.reading.offsets import Offsets
from operators.collect.reading.open_transactions import OpenTransactions
from operators.collect.reading.tick import Reading
from operators.collect.reading.tiered import local_starts, remote_unread
from operators.collect.reading.timeline import Timelines
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import ClusterSettings, Selected
from operators.protocol.client import Client
from operators.schema.arrays import Ints
from operators.schema.arrow import Only
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.ticks import PROBE_KIND, Collected, TargetKind, Ticks

if TYPE_CHECKING:
    from operators.collect.probe import Probe

A = TypeVar("A")
T = TypeVar("T")

log = Log("mqpipe.collect")

CONFIGS_SHARE = 0.8
"""Until which share of the time configurations and fenced brokers come."""

READINGS_KEPT = 2
"""Ticks of a cluster whose readings are kept: a slow kind may still be at the one before."""


def _probe_of(settings: ClusterSettings, account_id: int | None) -> "Probe | None":
    if settings.probe is None:
        return None
    from operators.collect.probe import Probe  # librdkafka is loaded by what uses it

    return Probe(settings, settings.probe, account_id)


class ClusterCollector:
    """Collects from one cluster. Its kinds share one client, and what a tick reads."""

    def __init__(
        self,
        settings: ClusterSettings,
        account_id: int | None = None,
        *,
        beside: frozenset[Only] = frozenset(),
    ) -> None:
        """`beside` says what is collected besides rows: see `ClusterSettings.collector`."""
        self._settings = settings
        self._events = Only.EVENTS in beside
        self._partition_lag = Only.POINTS in beside and not settings.partition_offsets
        self._identity = ClusterIdentity(settings.name, settings.environment, account_id)
        self._client = KafkaClient(settings.name, Client(settings.name, settings.properties))
        self._page_reader = PageReader(settings.name, settings.broker_metrics)
        self._selected_topics = Selected(settings.topics)
        self._selected_groups = Selected(settings.collected_groups)
        self._readings: dict[int, Reading] = {}
        self._timelines = Timelines()
        self._configs = TopicConfigs()
        self._open = OpenTransactions()
        self._noted: dict[str, str] = {}
        """What was logged once, by the event."""
        self._probe = _probe_of(settings, account_id)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not wrong and still worth to know, in sentences; each was logged once."""
        return (*self._page_reader.notes, *self._noted.values())

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """Collect one kind's samples of one tick within `time_left` seconds.

        Raises:
            CollectionError: nothing could be collected, and why.
        """
        if tick.kind == PROBE_KIND and self._probe is not None:
            return await self._probe.collect(tick, time_left)
        budget = Budget(time_left)
        reading = self._reading(tick.start)
        match tick.kind:
            case TargetKind.BROKERS:
                return await self._brokers(tick.start, reading, budget)
            case TargetKind.TOPICS:
                return await self._topics(tick.start, reading, budget)
            case TargetKind.GROUPS:
                return await self._groups(tick.start, reading, budget)
        raise ValueError(f"{tick.cluster}: no kind of target is called `{tick.kind}`")

    async def close(self) -> None:
        """Stop what is being read and end the connections."""
        for reading in self._readings.values():
            reading.cancel()
        if self._probe is not None:
            await self._probe.close()
        await self._page_reader.close()
        await self._client.close()

    def _reading(self, tick: int) -> Reading:
        if tick not in self._readings:
            before = next(reversed(self._readings.values()), None)
            self._readings[tick] = Reading(
                self._client,
                self._page_reader,
                self._selected_topics,
                self._selected_groups,
                log_dirs=self._settings.log_dirs,
                committed=self._settings.isolation == "read_committed",
                before=None if before is None else before.joined,
            )
            # In the order of their coming: where the clock was set back, the newest is an early tick.
            for old in list(self._readings)[:-READINGS_KEPT]:
                del self._readings[old]
        return self._readings[tick]

    def _identity_of(self, topology: ClusterMetadata) -> ClusterIdentity:
        if self._identity.cluster_id != topology.cluster_id:
            self._identity = replace(self._identity, cluster_id=topology.cluster_id)
        return self._identity

    async def _brokers(self, tick: int, reading: Reading, budget: Budget) -> Collected:
        left = budget.until(
            CONFIGS_SHARE, f"{self._identity.cluster}: read which brokers are fenced"
        )
        asked = reading.begin(budget)
        fenced = await _or_problem(self._client.fenced_brokers, left)
        # Of this asking: where it failed, there may be no time left for another.
        topology = await answer(asked)
        pages = await reading.pages(budget)
        read_at = wall_clock()
        lacking = (fenced,) if isinstance(fenced, Problem) else ()
        reported = None if isinstance(fenced, Problem) else fenced
        collected = broker_samples(
            self._identity_of(topology), tick, topology, pages, reported, read_at
        )
        return _partial(collected, (*pages.problems, *lacking))

    async def _topics(self, tick: int, reading: Reading, budget: Budget) -> Collected:
        reading.begin(budget, log_dirs=True)
        topology = await reading.topology(budget)
        left = budget.until(
            CONFIGS_SHARE, f"{self._identity.cluster}: read the topics' configurations"
        )
        selected = filter(self._selected_topics.selects, topology.topics)
        asked = self._configs.asked(self._client, selected, left, topology.index)
        commits = await _or_problem(reading.commits, budget)
        offsets = await _or_problem(reading.offsets, budget)
        pages, log_dirs = await reading.pages(budget), await _or_problem(reading.log_dirs, budget)
        configs = await asked
        if self._configs.problem is not None:
            self._note("topics' configurations are not known", self._configs.problem.text)
        problems = [lacking for lacking in (offsets, commits) if isinstance(lacking, Problem)]
        if not isinstance(offsets, Problem):
            problems += offsets.problems
        if isinstance(log_dirs, Problem):
            log_dirs = LogDirs({}, (log_dirs,))
        if log_dirs is not None:
            problems += log_dirs.problems
        local = await self._local(topology, configs, budget)
        collected = topic_samples(
            self._identity_of(topology),
            tick,
            self._selected_topics,
            topology,
            None if isinstance(offsets, Problem) else offsets,
            None if isinstance(commits, Problem) else commits,
            pages,
            log_dirs,
            configs,
            local,
        )
        if self._events and (most := self._settings.broker_topics):
            names = frozenset(filter(self._selected_topics.selects, topology.topics))
            sizes = pages.sizes if log_dirs is None else log_dirs.sizes
            rows, without = broker_topics.broker_topics(
                self._identity_of(topology), tick, topology, names, pages, sizes, most
            )
            if without:
                note = broker_topics.left_out(without, most)
                self._note("too many topics on brokers", note)
            collected = replace(collected, batches=(*collected.batches, rows))
        return _partial(collected, problems)

    async def _groups(self, tick: int, reading: Reading, budget: Budget) -> Collected:
        topology, commits = await reading.topology(budget), await reading.commits(budget)
        offsets = await _or_problem(reading.offsets, budget)
        problems = list(commits.groups.problems)
        if isinstance(offsets, Problem):
            problems.append(offsets)
            message_at = np.full(len(commits.row), UNKNOWN, np.int64)
            limits, open_rows, remote = NOT_KNOWN, None, None
        else:
            problems += offsets.problems
            what = f"{self._identity.cluster}: find when messages were written"
            message_at, (limits, local) = await asyncio.gather(
                self._timelines.first_uncommitted(
                    self._client, topology, commits, offsets, budget.until(1, what)
                ),
                self._limits(topology, commits, offsets, reading, budget),
            )
            open_rows = await self._open.of(
                self._client, topology, commits, offsets, budget.until(1, what)
            )
            remote = remote_unread(commits, offsets, local)
        most = self._settings.group_topics
        pairs = pairs_of(commits) if most else None
        if pairs is not None and len(pairs) > most:
            self._note("too many groups and topics", left_out(len(pairs), most))
        collected = group_samples(
            self._identity_of(topology),
            tick,
            commits,
            topology,
            None if isinstance(offsets, Problem) else offsets,
            message_at,
            self._settings.partition_offsets,
            pairs,
            most,
            limits,
            open_rows,
            remote,
        )
        if self._partition_lag and not isinstance(offsets, Problem):
            lag = partition_lag(self._identity_of(topology), tick, commits, offsets, most)
            collected = replace(collected, batches=(*collected.batches, lag))
        most = self._settings.group_clients
        if self._events and most and not isinstance(offsets, Problem):
            clients, without = group_clients.group_clients(
                self._identity_of(topology), tick, commits, offsets, most
            )
            if without:
                self._note("too many clients of groups", group_clients.left_out(without, most))
            collected = replace(collected, batches=(*collected.batches, clients))
        return _partial(collected, problems)

    async def _limits(
        self,
        topology: ClusterMetadata,
        commits: Commits,
        offsets: Offsets,
        reading: Reading,
        budget: Budget,
    ) -> tuple[Limits, Ints | None]:
        """How long, and how much, the topics keep that groups read; what of it is on brokers' disks."""
        what = f"{self._identity.cluster}: read the topics' configurations"
        read = [topic for topic in commits.topics if topic in topology.index]
        try:
            configs = await self._configs.asked(
                self._client, read, budget.until(CONFIGS_SHARE, what), topology.index
            )
        except CollectionError:  # no time left; what was known is enough for the next tick
            return NOT_KNOWN, None
        local = await self._local(topology, configs, budget)
        sizes: dict[str, float] = {}
        if limits_bytes(configs):
            pages, log_dirs = await asyncio.gather(
                reading.pages(budget), _or_problem(reading.log_dirs, budget)
            )
            on_disk = log_dirs.sizes if isinstance(log_dirs, LogDirs) else pages.sizes
            sizes = message_sizes(configs, topology, offsets, on_disk, local)
        return Limits(configs, sizes), local

    async def _local(
        self, topology: ClusterMetadata, configs: Mapping[str, TopicConfig], budget: Budget
    ) -> Ints | None:
        """See `local_starts`; None too where no time is left."""
        try:
            left = budget.until(1, f"{self._identity.cluster}: read local offsets")
        except CollectionError:
            return None
        return await local_starts(self._client, topology, configs, left)

    def _note(self, event: str, note: str) -> None:
        """Log what is worth to know, once for all ticks."""
        if event not in self._noted:
            self._noted[event] = note
            log.warning(event, cluster=self._identity.cluster, note=note)


def _partial(collected: Collected, problems: Sequence[Problem]) -> Collected:
    if not problems:
        return collected
    error_class, error = summary(problems)
    return replace(collected, error_class=error_class, error=error)


async def _or_problem(ask: Callable[[A], Awaitable[T]], within: A) -> T | Problem:
    """What was asked for, or why it could not be had.

    It is asked for here, so that one who is cancelled before leaves nothing behind.
    """
    try:
        return await ask(within)
    except CollectionError as error:
        return error.problem
