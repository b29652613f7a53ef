"""The work of a RabbitMQ cluster's ticks."""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from operators.collect.budget import PAGES_SHARE, Budget
from operators.collect.errors import CollectionError, Problem, summary
from operators.collect.once import Once
from operators.collect.samples import ClusterIdentity, KeptByEntity
from operators.collect.settings import Selected
from operators.rabbitmq.api import Alarms, Api
from operators.rabbitmq.detailed import (
    BRIEF,
    COUNTERS,
    DETAILED,
    DETAILS,
    NODES,
    QUEUES,
    Queue,
    QueuesPage,
    dead_lettered,
    details_of,
    has_series_by_queue,
    identity_of,
    parse_page,
    unescaped,
)
from operators.rabbitmq.nodes import COLUMNS, node_samples, of_page, with_alarms
from operators.rabbitmq.places import keeps_statistics, page_url, places, totals_url
from operators.rabbitmq.queues import LISTED, MEASURED, Listed, Read, listing, measured
from operators.rabbitmq.queues import queue_samples as samples_of
from operators.rabbitmq.settings import RabbitSettings
from operators.rabbitmq.turns import BetweenTicks, Turn
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.ticks import Collected, Ticks

PAGE_SIZE = 500
"""Queues of a page of the API: the most that it gives."""

MANY = 2_000
"""Queues on a node from which on what costs much is not read by ticks, but between them."""

API_FOR = 600.0
"""Seconds for which the API is read where no page was to be had; then pages are tried again."""

CLUSTER_SHARE = 0.4
"""Until which share of the time the API says what nodes there are; else they are the last that there were."""

_PORT = (
    "the plugin rabbitmq_prometheus is not to be reached, so queues are read by the API, which costs \
RabbitMQ many times as much: enable it, open its port (15692) or say under `prometheus` where it is"
)

_HIDDEN = (
    "the API does not say what its queues are (type, state, leader): give the user a permission on it, "
    "even one for nothing (rabbitmqctl set_permissions)"
)

_BY_OBJECT = (
    "prometheus.return_per_object_metrics is on, so RabbitMQ's page /metrics has thousands of series by \
queue: turn it off, as it is by itself"
)

_NO_STATISTICS = "the management plugin keeps none (management.disable_stats or \
management_agent.disable_metrics_collector, as in RabbitMQ's own image), so it reports of the cluster no channel \
and no partition, and where the Prometheus plugin is not reached of nodes no memory and disk, and of queues no \
message: keep them, or have the plugin reached"

log = Log("mqpipe.collect")


class _FoundNodes:
    """Which nodes there are at a tick, and where their pages are; asked for once."""

    def __init__(self) -> None:
        self.names: Once[list[Mapping[str, Any]]] = Once()
        self.nodes: Once[list[Mapping[str, Any]]] = Once()
        self.overview: Once[Mapping[str, Any]] = Once()

    def cancel(self) -> None:
        for asked in (self.names, self.nodes, self.overview):
            asked.cancel()


_Known = tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]
"""Nodes, and the overview."""


class RabbitCollector:
    """Collects from one cluster. Its kinds share one session, and what a tick reads."""

    def __init__(self, settings: RabbitSettings, account_id: int | None = None) -> None:
        self._settings = settings
        self._account = account_id
        self._api = Api(settings)
        self._vhosts = Selected(settings.vhosts)
        self._queues = Selected(settings.queues)
        self._ticks: dict[int, _FoundNodes] = {}
        self._cluster_id: str | None = None
        self._common: KeptByEntity = {}
        self._asked_id = False
        self._running: frozenset[str] = frozenset()
        self._listed: Mapping[Queue, Listed] = {}
        self._unlisted: frozenset[Queue] = frozenset()
        self._on_pages: frozenset[Queue] = frozenset()
        self._turns = BetweenTicks()
        self._by_api_until = 0.0
        self._known: _Known | None = None
        self._details: dict[str, Mapping[str, Mapping[Queue, float]]] = {}
        self._letters: dict[str, tuple[int, int | None]] = {}
        self._queues_on: dict[str, int] = {}
        self._by_object: set[str] = set()
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

    async def settled(self) -> None:
        """Wait for what is read between ticks."""
        await self._turns.settled()

    async def close(self) -> None:
        """Stop what is being read and end the connections."""
        for topology in self._ticks.values():
            topology.cancel()
        await self._turns.close()
        await self._api.close()

    @property
    def _identity(self) -> ClusterIdentity:
        settings = self._settings
        return ClusterIdentity(
            settings.name,
            settings.environment,
            self._account,
            self._cluster_id,
            "rabbitmq",
            known=self._common,
        )

    def _topology(self, tick: int) -> _FoundNodes:
        if tick not in self._ticks:
            self._ticks[tick] = _FoundNodes()
            for old in sorted(self._ticks)[:-2]:
                del self._ticks[old]
        return self._ticks[tick]

    # Nodes

    async def _collect_nodes(self, tick: int, topology: _FoundNodes, budget: Budget) -> Collected:
        (nodes, overview), problems = await self._cluster(topology, budget)
        silent: Collection[str] = ()
        if problems:
            pages, missing = await self._nodes_by_pages(nodes, overview, budget)
            if pages:
                problems = [*missing, *problems]
                silent = [name for name in _running(nodes) if name not in pages]
                # Of what was known before no more than that.
                nodes = [{"name": node["name"], "running": node.get("running")} for node in nodes]
                nodes = _reported_by(pages, nodes)
            else:
                nodes, overview = await self._asked(topology, budget)
                self._known, problems = (nodes, overview), []
        if not problems and not keeps_statistics(overview):
            self._note("RabbitMQ keeps no statistics", _NO_STATISTICS)
            pages, missing = await self._nodes_by_pages(nodes, overview, budget)
            # Where no page is to be had, that is noted.
            problems = missing if pages else []
            nodes = _reported_by(pages, nodes)
        collected = node_samples(self._identity, tick, nodes, overview, silent)
        error_class, error = summary(problems)
        return Collected(collected.batches, collected.raw, error_class, error)

    async def _nodes_by_pages(
        self, nodes: Sequence[Mapping[str, Any]], overview: Mapping[str, Any], budget: Budget
    ) -> tuple[Mapping[str, Mapping[str, Any]], list[Problem]]:
        """What nodes' own pages report of each that runs, as the API calls it, and what is missing of it."""
        if self._settings.reader == "api":
            return {}, []
        running = _running(nodes)
        names = sorted(running)
        urls = places(self._settings, running, overview)
        until = budget.until(PAGES_SHARE, f"{self._settings.name}: read the nodes' pages")
        found, alarms = await asyncio.gather(
            asyncio.gather(*(self._text(name, urls.get(name), NODES, until) for name in names)),
            self._alarms(until),
        )
        pages: dict[str, Mapping[str, Any]] = {}
        problems: list[Problem] = []
        for name, text in zip(names, found, strict=True):
            problem = text if isinstance(text, Problem) else self._foreign(name, urls[name], text)
            if problem is None:
                pages[name] = with_alarms(of_page(str(text)), name, alarms)
            else:
                problems.append(problem)
        return pages, problems

    async def _alarms(self, timeout: float) -> Alarms | None:
        """Those of all nodes; None where it is not known."""
        try:
            return await self._api.alarms(timeout)
        except CollectionError:
            return None

    async def _names(self, topology: _FoundNodes, budget: Budget) -> list[Mapping[str, Any]]:
        """The nodes, and whether they run. While one hangs, this alone is reported, after five seconds."""
        what = f"{self._settings.name}: read the nodes"
        left = budget.until(PAGES_SHARE, what)
        plain = {"disable_stats": "true", "columns": "name,running"}
        return _listed(
            await topology.names.get(lambda: self._api.ask("nodes", left, **plain)), what
        )

    async def _nodes(self, topology: _FoundNodes, budget: Budget) -> list[Mapping[str, Any]]:
        left = budget.until(1, f"{self._settings.name}: read the nodes")
        found = await topology.nodes.get(lambda: self._api.ask("nodes", left, columns=COLUMNS))
        return _listed(found, f"{self._settings.name}: read the nodes")

    async def _overview(self, topology: _FoundNodes, budget: Budget) -> Mapping[str, Any]:
        left = budget.until(1, f"{self._settings.name}: read the overview")
        found = await topology.overview.get(lambda: self._api.ask("overview", left))
        if not isinstance(found, dict):
            raise CollectionError(_no_api(f"{self._settings.name}: read the overview"))
        return found

    async def _learn_id(self, budget: Budget) -> None:
        """The cluster's own id; who may not ask for it finds it on the pages."""
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

    async def _collect_queues(self, tick: int, topology: _FoundNodes, budget: Budget) -> Collected:
        (nodes, overview), hung = await self._cluster(topology, budget)
        running = _running(nodes)
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
            read, problems = await self._by_api(budget, running), []
        problems += hung
        now = wall_clock()
        queues = [name for name in self._there(read) if self._selects(name)]
        collected = samples_of(self._identity, tick, read, queues, now)
        error_class, error = summary(problems)
        return Collected(collected.batches, collected.raw, error_class, error)

    async def _cluster(self, topology: _FoundNodes, budget: Budget) -> tuple[_Known, list[Problem]]:
        """The nodes and the overview: the last that were reported, and why, where the API hangs.

        It asks all nodes, so it does as soon as one of them hangs.
        """
        what = f"{self._settings.name}: read the nodes"
        known = self._known or (await self._names(topology, budget), {})
        try:
            async with asyncio.timeout(budget.left(CLUSTER_SHARE)):
                self._known = await self._asked(topology, budget)
        except TimeoutError:
            self._known = known
            text = f"{what}: no answer from the API, which asks all of them: does one hang?"
            return known, [Problem("timeout", text)]
        return self._known, []

    async def _asked(self, topology: _FoundNodes, budget: Budget) -> _Known:
        """The nodes and the overview; the cluster's id, where it is to be had, with them."""
        nodes, overview, _ = await asyncio.gather(
            self._nodes(topology, budget),
            self._overview(topology, budget),
            self._learn_id(budget),
        )
        return nodes, overview

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
        """What the nodes' pages report, and the problems of those that do not; None where none does."""
        urls = places(self._settings, running, overview)
        names = sorted(running)
        until = budget.until(PAGES_SHARE, f"{self._settings.name}: read the Prometheus pages")
        found = await asyncio.gather(*(self._page(name, urls.get(name), until) for name in names))
        pages = {
            n: page for n, page in zip(names, found, strict=True) if isinstance(page, QueuesPage)
        }
        problems = [page for page in found if isinstance(page, Problem)]
        if not pages:
            return None, problems or [
                Problem("unavailable", f"{self._settings.name}: no node runs")
            ]
        at = wall_clock()
        (listed, lacking), letters = await asyncio.gather(
            self._list(pages, running, budget), self._dead_letters(urls, running, budget)
        )
        between = self._turns.ended()
        if self._has_many:
            self._turns.begin(lambda turn: self._read_between(turn, urls, running, until))
        return (
            Read(
                _gauges(pages, listed),
                {name: page.counters for name, page in pages.items()},
                dict.fromkeys(pages, at),
                listed,
                running - pages.keys(),
                letters,
            ),
            [*problems, *lacking, *between],
        )

    @property
    def _has_many(self) -> bool:
        return any(map(self._is_big, self._queues_on))

    def _is_big(self, node: str) -> bool:
        """Whether a node has many queues, as far as it is known."""
        return self._queues_on.get(node, 0) >= MANY

    async def _read_between(
        self, turn: Turn, urls: Mapping[str, str], running: frozenset[str], timeout: float
    ) -> list[Problem]:
        """Read what costs much of the nodes that have many queues, for the ticks that follow."""
        big = [node for node in sorted(running & urls.keys()) if self._is_big(node)]
        match turn:
            case Turn.LIST:
                began = time.monotonic()
                try:
                    found = await self._asked_list(timeout, running)
                except CollectionError as error:
                    return [error.problem]
                if self._turns.last(turn) <= began:
                    self._take_list(found, running)
            case Turn.DETAILS:
                asked = [self._read_details(node, urls[node], timeout) for node in big]
                return [problem for problem in await asyncio.gather(*asked) if problem is not None]
            case Turn.DEAD_LETTERS:
                self._letters = await self._counted(big, urls, timeout)
        return []

    async def _read_details(self, node: str, url: str, timeout: float) -> Problem | None:
        text = await self._text(node, url, DETAILED, timeout)
        problem = text if isinstance(text, Problem) else self._foreign(node, url, text)
        if problem is not None:
            # What is older than it should be is not known.
            self._details.pop(node, None)
            return problem
        self._details[node] = await asyncio.to_thread(details_of, str(text))
        return None

    async def _dead_letters(
        self, urls: Mapping[str, str], running: frozenset[str], budget: Budget
    ) -> dict[str, tuple[int, int | None]]:
        """Of each node that runs when (ms), and what it counted; empty where none was asked."""
        few = [
            node
            for node in sorted(running & urls.keys())
            if node in self._queues_on and not self._is_big(node)
        ]
        counted, self._letters = self._letters, {}
        if few:
            until = budget.until(1, f"{self._settings.name}: count the dead letters")
            counted |= await self._counted(few, urls, until)
        if not counted:
            return {}
        return {node: counted.get(node, (wall_clock(), None)) for node in running}

    async def _counted(
        self, nodes: Sequence[str], urls: Mapping[str, str], timeout: float
    ) -> dict[str, tuple[int, int | None]]:
        asked = [node for node in nodes if node not in self._by_object]
        counts = await asyncio.gather(*(self._dead_letters_of(n, urls[n], timeout) for n in asked))
        at = wall_clock()
        return {node: (at, count) for node, count in zip(asked, counts, strict=True)}

    async def _dead_letters_of(self, node: str, url: str, timeout: float) -> int | None:
        try:
            text = await self._api.page(totals_url(url), timeout, node)
        except CollectionError as error:
            # Of a node that hangs, its other page says so.
            if not error.retryable:
                self._note("dead letters are not counted", error.problem.text)
            return None
        if identity_of(text)[0] != node:
            return None
        if has_series_by_queue(text) and self._is_big(node):
            self._by_object.add(node)
            self._note("dead letters are not counted", _BY_OBJECT)
            return None
        return dead_lettered(text)

    async def _text(
        self, node: str, url: str | None, families: Iterable[str], timeout: float
    ) -> str | Problem:
        """What a node's page says of these families, or why it does not."""
        if url is None:
            return Problem("unsupported", f"{self._settings.name}: {node} has no Prometheus plugin")
        try:
            return await self._api.page(page_url(url, families), timeout, node)
        except CollectionError as error:
            return error.problem

    def _foreign(self, node: str, url: str | None, text: str) -> Problem | None:
        """That a page is not the node's, where it is not; the cluster's id is on it too."""
        name, cluster_id = identity_of(text)
        if name is None:
            return Problem("page", f"{self._settings.name}: {url} is no page of RabbitMQ's plugin")
        if name != node:
            reported = f"{self._settings.name}: the page of {node} ({url}) is that of {name}"
            return Problem("page", reported)
        self._cluster_id = cluster_id or self._cluster_id
        return None

    async def _page(self, node: str, url: str | None, timeout: float) -> QueuesPage | Problem:
        # How many there are is not known at first.
        brief = node not in self._queues_on or self._is_big(node)
        page = await self._families(node, url, BRIEF if brief else QUEUES, timeout)
        if isinstance(page, Problem):
            return page
        new, self._queues_on[node] = node not in self._queues_on, len(page.queues)
        if new and not self._is_big(node):
            return await self._families(node, url, QUEUES, timeout)
        if brief:
            page.gauges |= _as_they_were(self._details.get(node, {}), page.queues)
        else:
            self._details[node] = {column: page.gauges[column] for column in DETAILS}
        return page

    async def _families(
        self, node: str, url: str | None, of_queues: Iterable[str], timeout: float
    ) -> QueuesPage | Problem:
        text = await self._text(node, url, (*of_queues, *COUNTERS), timeout)
        if isinstance(text, Problem):
            return text
        problem = self._foreign(node, url, text)
        return await asyncio.to_thread(parse_page, text) if problem is None else problem

    async def _list(
        self, pages: Mapping[str, QueuesPage], running: frozenset[str], budget: Budget
    ) -> tuple[Mapping[Queue, Listed], list[Problem]]:
        """What the queues are: as it was, where nothing has come or gone since."""
        on_pages = self._on_pages = frozenset(
            queue for page in pages.values() for queue in page.queues
        )
        asked_for = on_pages - self._unlisted
        known = (
            self._listed.keys() >= asked_for or {*map(unescaped, asked_for)} <= self._listed.keys()
        )
        fresh = self._has_many or not self._turns.due(Turn.LIST)
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
            self._take_list(await self._asked_list(left, running), running)
        except CollectionError as error:
            return {n: of for n, of in self._listed.items() if n in on_pages}, [error.problem]
        self._turns.came(Turn.LIST)
        return self._listed, []

    async def _asked_list(self, timeout: float, running: frozenset[str]) -> Mapping[Queue, Listed]:
        answer = await self._api.ask("queues", timeout, disable_stats="true", columns=LISTED)
        found = _listed(answer, f"{self._settings.name}: list the queues")
        return await asyncio.to_thread(listing, found, running)

    def _take_list(self, found: Mapping[Queue, Listed], running: frozenset[str]) -> None:
        self._listed, self._running = found, running
        self._unlisted = frozenset(
            queue for queue in self._on_pages if not {queue, unescaped(queue)} & found.keys()
        )
        self._note_hidden()

    def _note_hidden(self) -> None:
        """Say of which virtual hosts the API lists no queue, though there are some."""
        listed = {vhost for vhost, _ in self._listed}
        hidden = {
            unescaped((v, ""))[0] for v, _ in self._unlisted if self._vhosts.selects(v)
        } - listed
        if hidden:
            shown = ", ".join(f"`{vhost}`" for vhost in sorted(hidden)[:5])
            self._note("queues of unknown type", f"virtual host {shown}: {_HIDDEN}")

    # By the API

    async def _by_api(self, budget: Budget, running: frozenset[str]) -> Read:
        """What the API's pages report.

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
        return await asyncio.to_thread(measured, found, wall_clock(), running)

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
    held = kept.get("queue.messageBytes", {})
    for queue in held:
        if depths[queue] == 0:
            held[queue] = 0
    return kept


def _reported_by(
    pages: Mapping[str, Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Nodes with what their pages say of them."""
    return [{**node, **pages.get(str(node["name"]), {})} for node in nodes]


def _running(nodes: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Which nodes run, as the API says."""
    return frozenset(str(node["name"]) for node in nodes if node.get("running"))


def _gauges(
    pages: Mapping[str, QueuesPage], listed: Mapping[Queue, Listed]
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
