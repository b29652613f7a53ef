"""The work of a NATS cluster's ticks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from operators.collect.budget import Budget
from operators.collect.errors import CollectionError, Problem, summary
from operators.collect.once import Once
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import Selected
from operators.nats.monitor import Json, Monitor, Report
from operators.nats.servers import NatsServer, members_of, node_samples
from operators.nats.settings import NatsSettings
from operators.nats.streams import STREAM, Found, found_in, queue_samples
from operators.schema.clock import wall_clock
from operators.ticks import Collected, Ticks

T = TypeVar("T")

_NO_JETSTREAM = (
    "JetStream is off on each server that answers, so there is no stream: enable it (`jetstream {}` in the "
    "server's configuration), or name the servers that have it in `url`"
)

Accounts = tuple[str, Sequence[Json] | None, int]
"""A server's name, its accounts (None without JetStream), and when they were read (ms)."""


class NatsCollector:
    """Collects from one cluster. Its kinds share one session, and what a tick reads of the servers."""

    notes: tuple[str, ...] = ()

    def __init__(self, settings: NatsSettings, account_id: int | None = None) -> None:
        self._settings = settings
        self._identity = ClusterIdentity(
            settings.name, settings.environment, account_id, provider="nats"
        )
        self._monitor = Monitor(settings)
        self._accounts = Selected(settings.accounts)
        self._streams = Selected(settings.streams)
        self._consumers = Selected(settings.consumers)
        self._ticks: dict[int, Mapping[str, Once[Report]]] = {}

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """Collect one kind's samples of one tick within `time_left` seconds.

        Raises:
            CollectionError: nothing could be collected, and why.
        """
        budget = Budget(time_left)
        asked = self._asked(tick.start)
        match tick.kind:
            case "nodes":
                return await self._collect_nodes(tick.start, asked, budget)
            case "queues":
                return await self._collect_queues(tick.start, asked, budget)
        raise ValueError(f"{tick.cluster}: no kind of target is called `{tick.kind}`")

    async def close(self) -> None:
        """Stop what is being read and end the connections."""
        for asked in self._ticks.values():
            for general in asked.values():
                general.cancel()
        await self._monitor.close()

    def _asked(self, tick: int) -> Mapping[str, Once[Report]]:
        """What each server says of itself at a tick, asked once for all kinds."""
        if tick not in self._ticks:
            self._ticks[tick] = {url: Once() for url in self._settings.url}
            for old in sorted(self._ticks)[:-2]:
                del self._ticks[old]
        return self._ticks[tick]

    async def _general(self, url: str, asked: Mapping[str, Once[Report]], budget: Budget) -> Report:
        left = budget.until(1, f"{self._settings.name}: read {url}")
        return await asked[url].get(lambda: self._monitor.general(url, left))

    async def _collect_nodes(
        self, tick: int, asked: Mapping[str, Once[Report]], budget: Budget
    ) -> Collected:
        async def read(url: str) -> NatsServer:
            general = await self._general(url, asked, budget)
            left = budget.until(1, f"{self._settings.name}: read {url}")
            jetstream, healthy = await asyncio.gather(
                _or_problem(self._monitor.jetstream(url, left)), self._monitor.healthy(url, left)
            )
            return NatsServer(
                general, None if isinstance(jetstream, Problem) else jetstream, healthy
            )

        servers, problems = await self._each(read)
        names = {server.report.server for server in servers}
        down = [name for name, up in members_of(servers).up.items() if up is False]
        if len(problems) == len(down) and not names & set(down):
            # Those that do not answer are the ones that are said to be down: all is known.
            problems = []
        collected = node_samples(self._identity, tick, servers, complete=not problems)
        return _with(collected, problems)

    async def _collect_queues(
        self, tick: int, asked: Mapping[str, Once[Report]], budget: Budget
    ) -> Collected:
        async def read(url: str) -> Accounts:
            general = await self._general(url, asked, budget)
            left = budget.until(1, f"{self._settings.name}: read {url}")
            accounts = await self._monitor.accounts(url, left)
            return general.server, accounts, wall_clock()

        servers, problems = await self._each(read)
        if all(accounts is None for _, accounts, _ in servers):
            problem = Problem("unsupported", f"{self._settings.name}: {_NO_JETSTREAM}")
            raise CollectionError(problems[0] if problems else problem)
        accounts = {name: (of, at) for name, of, at in servers if of is not None}
        found = await asyncio.to_thread(found_in, accounts)
        queues = [queue for key, queue in found.items() if self._selects(key, queue)]
        collected = queue_samples(
            self._identity, tick, queues, frozenset(accounts), complete=not problems
        )
        return _with(collected, problems)

    async def _each(self, read: Callable[[str], Awaitable[T]]) -> tuple[list[T], list[Problem]]:
        """What is read of each server, and why of some it is not.

        Raises:
            CollectionError: nothing is read of any.
        """
        found = await asyncio.gather(*(_or_problem(read(url)) for url in self._settings.url))
        problems = [each for each in found if isinstance(each, Problem)]
        if len(problems) == len(found):
            raise CollectionError(problems[0])
        return [each for each in found if not isinstance(each, Problem)], problems

    def _selects(self, key: tuple[str, ...], queue: Found) -> bool:
        account, stream, *consumer = key
        if not (self._accounts.selects(account) and self._streams.selects(stream)):
            return False
        if queue.type == STREAM:
            return True
        durable = any((each.page.get("config") or {}).get("durable_name") for each in queue.reports)
        return (durable or self._settings.ephemeral) and self._consumers.selects(*consumer)


async def _or_problem(asked: Awaitable[T]) -> T | Problem:
    try:
        return await asked
    except CollectionError as error:
        return error.problem


def _with(collected: Collected, problems: Sequence[Problem]) -> Collected:
    error_class, error = summary(problems)
    return Collected(collected.batches, collected.raw, error_class, error)
