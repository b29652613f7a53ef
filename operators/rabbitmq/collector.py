"""The work of a RabbitMQ cluster's ticks."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from operators.collect.budget import Budget
from operators.collect.errors import CollectionError, Problem, summary
from operators.collect.once import Once
from operators.collect.samples import ClusterIdentity
from operators.collect.settings import Selected
from operators.rabbitmq.api import Api
from operators.rabbitmq.detailed import (
    BRIEF,
    COUNTERS,
    DETAILS,
    QUEUES,
    Page,
    Queue,
    parse_page,
    unescaped,
)
from operators.rabbitmq.nodes import COLUMNS, node_samples
from operators.rabbitmq.queues import LISTED, MEASURED, Listed, Read, listing, measured
from operators.rabbitmq.queues import queue_samples as samples_of
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.logs import Log
from operators.ticks import Collected, Ticks

PAGE_SIZE = 500
"""Queues of a page of the API: the most that it gives."""

LISTED_FOR = 60.0
"""Seconds for which what a queue is (type, leader, members) is taken as it was, while no queue and no
node comes or goes."""

MANY, DETAILS_FOR = 2_000, 55.0
"""Queues on a node from which on details of them (bytes, memory, capacity, the first message's time) are
taken as they were for so many seconds: they are nine tenths of what a page costs."""

PORT = 15692
"""Where the Prometheus plugin listens, unless it is told otherwise."""

API_FOR = 600.0
"""Seconds for which the API is read where no page was to be had; then pages are tried again."""

CLUSTER_SHARE = 0.4
"""Until which share of the time the API says what nodes there are; else they are the last that there were."""

PAGES_SHARE = 0.7
"""Until which share of the time the nodes' pages come."""

_PORT = (
    "the plugin rabbitmq_prometheus is not to be reached, so queues are read by the API, which costs \
RabbitMQ many times as much: enable it, open its port (15692) or say under `prometheus` where it is"
)

_NO_STATISTICS = "the management plugin keeps none (management.disable_stats or \
management_agent.disable_metrics_collector, as in RabbitMQ's own image), so it tells of nodes no memory, disk or \
alarm, of the cluster no channel, and by `reader: api` of queues no message: keep them, and have the \
Prometheus plugin reached"

log = Log("mqpipe.collect")


class _Topology:
    """Which nodes there are at a tick, and where their pages are; asked for once."""

    def __init__(self) -> None:
        self.nodes: Once[list[Mapping[str, Any]]] = Once()
        self.overview: Once[Mapping[str, Any]] = Once()

    def cancel(self) -> None:
        self.nodes.cancel()
        self.overview.cancel()


class RabbitCollector:
    """Collects from one cluster. Its kinds share one session, and what a tick reads."""

    def __init__(self, settings: RabbitSettings, account_id: int | None = None) -> None:
        self._settings = settings
        self._account = account_id
        self._api = Api(settings)
        self._vhosts = Selected(settings.vhosts)
        self._queues = Selected(settings.queues)
        self._ticks: dict[int, _Topology] = {}
        self._cluster_id: str | None = None
        self._asked_id = False
        self._running: frozenset[str] = frozenset()
        self._listed: Mapping[Queue, Listed] = {}
        self._listed_at = -LISTED_FOR
        self._by_api_until = 0.0
        self._known: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]] | None = None
        self._details: dict[str, tuple[float, Mapping[str, Mapping[Queue, float]]]] = {}
        self._noted: dict[str, str] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not wrong and still worth to know; each was logged once."""
        return tuple(self._noted.values())

    async def collect(self, tick: Ticks, time_left: float) -> Collected:
        """Collect one kind's samples of one tick within `time_left` seconds.

        Raises:
            CollectionError: nothing could be collected, and why.
        """
        budget = Budget(time_left)
        topology = self._topology(tick.start)
        match tick.kind:
            case "nodes":
                return await self._collect_nodes(tick.start, topology, budget)
            case "queues":
                return await self._collect_queues(tick.start, topology, budget)
        raise ValueError(f"{tick.cluster}: no kind of target is called `{tick.kind}`")

    async def close(self) -> None:
        """Stop what is being read and end the connections."""
        for topology in self._ticks.values():
            topology.cancel()
        await self._api.close()

    @property
    def _identity(self) -> ClusterIdentity:
        settings = self._settings
        return ClusterIdentity(
            settings.name, settings.environment, self._account, self._cluster_id, "rabbitmq"
        )

    def _topology(self, tick: int) -> _Topology:
        if tick not in self._ticks:
            self._ticks[tick] = _Topology()
            for old in sorted(self._ticks)[:-2]:
                del self._ticks[old]
        return self._ticks[tick]

    # Nodes

    async def _collect_nodes(self, tick: int, topology: _Topology, budget: Budget) -> Collected:
        nodes, overview, _ = await asyncio.gather(
            self._nodes(topology, budget), self._overview(topology, budget), self._learn_id(budget)
        )
        if not _keeps_statistics(overview):
            self._note("RabbitMQ keeps no statistics", _NO_STATISTICS)
        return node_samples(self._identity, tick, nodes, overview)

    async def _nodes(self, topology: _Topology, budget: Budget) -> list[Mapping[str, Any]]:
        left = budget.until(1, f"{self._settings.name}: read the nodes")
        found = await topology.nodes.get(lambda: self._api.ask("nodes", left, columns=COLUMNS))
        return _listed(found, f"{self._settings.name}: read the nodes")

    async def _overview(self, topology: _Topology, budget: Budget) -> Mapping[str, Any]:
        left = budget.until(1, f"{self._settings.name}: read the overview")
        found = await topology.overview.get(lambda: self._api.ask("overview", left))
        if not isinstance(found, dict):
            raise CollectionError(_no_api(f"{self._settings.name}: read the overview"))
        return found

    async def _learn_id(self, budget: Budget) -> None:
        """The cluster's own id; who may not ask for it is told it by the pages."""
        if self._asked_id or self._cluster_id is not None:
            return
        try:
            left = budget.until(1, f"{self._settings.name}: read the cluster's id")
            found = await self._api.ask("global-parameters/internal_cluster_id", left)
        except CollectionError as error:
            self._asked_id = not error.retryable or error.error_class == "unsupported"
            return
        self._asked_id = True
        if isinstance(found, dict) and isinstance(found.get("value"), str):
            self._cluster_id = found["value"]

    # Queues

    async def _collect_queues(self, tick: int, topology: _Topology, budget: Budget) -> Collected:
        nodes, overview, hung = await self._cluster(topology, budget)
        running = frozenset(str(node["name"]) for node in nodes if node.get("running"))
        read: Read | None = None
        problems: list[Problem] = []
        if self._settings.reader != "api" and time.monotonic() >= self._by_api_until:
            read, problems = await self._by_pages(running, overview, budget)
        if read is None and self._settings.reader == "prometheus":
            raise CollectionError(problems[0])
        if read is None:
            if problems:
                self._by_api_until = time.monotonic() + API_FOR
                self._note("queues are read by the API", f"{problems[0].text}; {_PORT}")
            read, problems = await self._by_api(budget), []
        problems += hung
        now = time.time_ns() // 1_000_000
        queues = [name for name in self._there(read) if self._selects(name)]
        collected = samples_of(self._identity, tick, read, queues, now)
        error_class, error = summary(problems)
        return Collected(collected.batches, collected.raw, error_class, error)

    async def _cluster(
        self, topology: _Topology, budget: Budget
    ) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, Any], list[Problem]]:
        """The nodes and the overview: the last that were told, and why, where the API hangs.

        It asks all nodes, so it does as soon as one of them hangs.
        """
        what = f"{self._settings.name}: read the nodes"
        try:
            async with asyncio.timeout(budget.until(CLUSTER_SHARE, what)):
                nodes, overview, _ = await asyncio.gather(
                    self._nodes(topology, budget),
                    self._overview(topology, budget),
                    self._learn_id(budget),
                )
        except TimeoutError as error:
            problem = Problem("timeout", f"{what}: no answer from the API: does a node hang?")
            if self._known is None:
                raise CollectionError(problem) from error
            return *self._known, [problem]
        self._known = nodes, overview
        return nodes, overview, []

    def _selects(self, queue: Queue) -> bool:
        vhost, name = queue
        return self._vhosts.selects(vhost) and self._queues.selects(name)

    @staticmethod
    def _there(read: Read) -> set[Queue]:
        """The queues that there are, but those of a node that was not read.

        One that is listed and on no page has just been made, or its node does not run.
        """
        listed = {
            name
            for name, of in read.listed.items()
            if of.leader is None or of.leader not in read.missing
        }
        return listed | set(read.gauges.get("queue.depth", {}))

    # By the Prometheus plugin

    async def _by_pages(
        self, running: frozenset[str], overview: Mapping[str, Any], budget: Budget
    ) -> tuple[Read | None, list[Problem]]:
        """What the nodes' pages tell, and the problems of those that do not; None where none does."""
        urls = self._urls(running, overview)
        names = sorted(running)
        until = budget.until(PAGES_SHARE, f"{self._settings.name}: read the Prometheus pages")
        found = await asyncio.gather(*(self._page(name, urls.get(name), until) for name in names))
        pages = {n: page for n, page in zip(names, found, strict=True) if isinstance(page, Page)}
        problems = [page for page in found if isinstance(page, Problem)]
        if not pages:
            return None, problems or [
                Problem("unavailable", f"{self._settings.name}: no node runs")
            ]
        at = time.time_ns() // 1_000_000
        listed, lacking = await self._list(pages, running, budget)
        return (
            Read(
                _gauges(pages, listed),
                {name: page.counters for name, page in pages.items()},
                dict.fromkeys(pages, at),
                listed,
                running - pages.keys(),
            ),
            [*problems, *lacking],
        )

    def _urls(self, running: frozenset[str], overview: Mapping[str, Any]) -> dict[str, str]:
        """Where the pages of nodes are: as the settings say, or at the port that each listens on."""
        urls: dict[str, str] = {}
        for listener in overview.get("listeners") or ():
            protocol, node = str(listener.get("protocol")), str(listener.get("node"))
            if protocol in ("http/prometheus", "https/prometheus") and node in running:
                scheme = protocol.partition("/")[0]
                urls[node] = f"{scheme}://{self._host(node, running)}:{listener.get('port')}"
        if not _keeps_statistics(overview):
            # Then the API tells of no listeners either.
            urls = {node: f"http://{self._host(node, running)}:{PORT}" for node in running}
        return {**urls, **self._settings.prometheus}

    def _host(self, node: str, running: frozenset[str]) -> str:
        """Where a node is reached: the API's own host is known to be, others are by their names."""
        alone = len(running) == 1
        host = urlsplit(self._settings.url).hostname if alone else node.partition("@")[2]
        return f"[{host}]" if host and ":" in host else f"{host}"

    async def _page(self, node: str, url: str | None, timeout: float) -> Page | Problem:
        if url is None:
            text = f"{self._settings.name}: {node} has no Prometheus plugin"
            return Problem("unsupported", text)
        known, details = self._details.get(node, (-DETAILS_FOR, {}))
        brief = time.monotonic() < known + DETAILS_FOR
        of_queues = BRIEF if brief else QUEUES
        families = urlencode([("family", family) for family in (*of_queues, *COUNTERS)])
        where = f"{url.rstrip('/').removesuffix('/metrics')}/metrics/detailed?{families}"
        try:
            text = await self._api.page(where, timeout, node)
        except CollectionError as error:
            return error.problem
        page = await asyncio.to_thread(parse_page, text)
        if page.node is None:
            return Problem("page", f"{self._settings.name}: {url} is no page of RabbitMQ's plugin")
        if page.node != node:
            text = f"{self._settings.name}: the page of {node} ({url}) is that of {page.node}"
            return Problem("page", text)
        self._cluster_id = page.cluster_id or self._cluster_id
        if brief:
            page.gauges |= _as_they_were(details, page.queues)
        elif len(page.queues) >= MANY:
            self._details[node] = (
                time.monotonic(),
                {column: page.gauges[column] for column in DETAILS},
            )
        return page

    async def _list(
        self, pages: Mapping[str, Page], running: frozenset[str], budget: Budget
    ) -> tuple[Mapping[Queue, Listed], list[Problem]]:
        """What the queues are: as it was, where nothing has come or gone since."""
        on_pages = {queue for page in pages.values() for queue in page.queues}
        known = (
            self._listed.keys() >= on_pages or {*map(unescaped, on_pages)} <= self._listed.keys()
        )
        fresh = time.monotonic() < self._listed_at + LISTED_FOR
        if known and fresh and running == self._running:
            gone = {
                name
                for name, of in self._listed.items()
                if of.leader in pages and name not in on_pages
            }
            self._listed = {n: of for n, of in self._listed.items() if n not in gone}
            return self._listed, []
        try:
            left = budget.until(1, f"{self._settings.name}: list the queues")
            answer = await self._api.ask("queues", left, disable_stats="true", columns=LISTED)
            found = _listed(answer, f"{self._settings.name}: list the queues")
        except CollectionError as error:
            return {n: of for n, of in self._listed.items() if n in on_pages}, [error.problem]
        self._listed = await asyncio.to_thread(listing, found)
        self._listed_at, self._running = time.monotonic(), running
        return self._listed, []

    # By the API

    async def _by_api(self, budget: Budget) -> Read:
        """What the API's pages tell.

        Raises:
            CollectionError: one of them does not come.
        """
        what = f"{self._settings.name}: read the queues"
        found: list[Mapping[str, Any]] = []
        number, count = 1, 1
        while number <= count:
            try:
                answer = await self._api.ask(
                    "queues",
                    budget.until(1, what),
                    page=number,
                    page_size=PAGE_SIZE,
                    columns=MEASURED,
                )
            except CollectionError as error:
                # So many queues went meanwhile that there is no such page any more.
                if error.error_class == "range" and number > 1:
                    break
                raise
            if not isinstance(answer, dict):
                raise CollectionError(_no_api(what))
            found += _listed(answer.get("items"), what)
            number, count = number + 1, int(answer.get("page_count") or 0)
        return await asyncio.to_thread(measured, found, time.time_ns() // 1_000_000)

    def _note(self, event: str, note: str) -> None:
        if event not in self._noted:
            self._noted[event] = f"{event}: {note}"
            log.warning(event, cluster=self._settings.name, note=note)


def _as_they_were(
    details: Mapping[str, Mapping[Queue, float]], depths: Mapping[Queue, float]
) -> dict[str, dict[Queue, float]]:
    """Details of the queues that there are; what is empty holds no bytes."""
    kept = {
        column: {queue: value for queue, value in values.items() if queue in depths}
        for column, values in details.items()
    }
    for queue in kept["queue.messageBytes"]:
        if depths[queue] == 0:
            kept["queue.messageBytes"][queue] = 0
    return kept


def _keeps_statistics(overview: Mapping[str, Any]) -> bool:
    """Whether the management plugin does; without it tells of no listeners, among much else."""
    return "listeners" in overview


def _gauges(
    pages: Mapping[str, Page], listed: Mapping[Queue, Listed]
) -> dict[str, dict[Queue, float]]:
    """Values by column; of a queue that is on two pages, its leader's."""
    gauges: dict[str, dict[Queue, float]] = {}
    for node, page in pages.items():
        for column, values in page.gauges.items():
            into = gauges.setdefault(column, {})
            for name, value in values.items():
                queue = name
                if name not in listed and "\\" in f"{name[0]}{name[1]}":
                    queue = unescaped(name)
                if queue not in into or (of := listed.get(queue)) is None or of.leader == node:
                    into[queue] = value
    return gauges


def _listed(answer: Any, what: str) -> list[Mapping[str, Any]]:
    """An answer that is a list of objects with names.

    Raises:
        CollectionError: it is none.
    """
    if isinstance(answer, list) and all(isinstance(a, dict) and "name" in a for a in answer):
        return answer
    raise CollectionError(_no_api(what))


def _no_api(what: str) -> Problem:
    return Problem("garbage", f"{what}: is `url` RabbitMQ's management API?")
