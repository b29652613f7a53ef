"""Brokers' own metrics, from the Prometheus page of each of them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.collect.errors import CollectionError, Problem
from operators.collect.pages.dialects import REDPANDA, SOURCES
from operators.collect.pages.parse import Page, parse_page
from operators.collect.pages.settings import PagesSettings
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.schema.secrets import without_password

if TYPE_CHECKING:
    from operators.collect.pages.session import PageSession

_EXPORT = "export the MBeans as docker/jmx-exporter.yml does, or run the exporter with these rules"
_OF_TOPICS = "kafka.server:type=BrokerTopicMetrics,name=…PerSec,topic=… Count"

log = Log("mqpipe.collect")


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages that came, by broker id, and why others did not."""

    pages: Mapping[int, Page]
    problems: tuple[Problem, ...] = ()

    @property
    def sizes(self) -> Mapping[int, Mapping[str, int]]:
        """Bytes on a broker's disks by topic, by broker id; empty where no page reports them."""
        if all(page.sizes is None for page in self.pages.values()):
            return {}
        return {broker: page.sizes or {} for broker, page in self.pages.items()}


def _session_of(settings: PagesSettings) -> "PageSession | None":
    if not settings:
        return None
    # aiohttp takes 11 MB, and many clusters are asked for no page.
    from operators.collect.pages.session import PageSession

    return PageSession(settings)


class PageReader:
    """Reads the pages of a cluster's brokers, all at once.

    What pages lack is reported once, and kept in `notes`: sentences that say what would bring it.
    """

    def __init__(self, cluster: str, settings: PagesSettings) -> None:
        self.notes: list[str] = []
        self._cluster = cluster
        self._settings = settings
        self._session = _session_of(settings)
        self._reported: dict[int, set[str]] = {}
        """By broker: columns that its page lacks, as was reported."""

    @property
    def reads(self) -> bool:
        """Whether there are pages at all."""
        return bool(self._settings)

    @property
    def needs_brokers(self) -> bool:
        """Whether the pages are found by the brokers' hosts."""
        return self._settings.port is not None

    async def read(self, timeout: float, brokers: Mapping[int, str] | None = None) -> Pages:
        """Every page that comes within `timeout` seconds; a broker's trouble is its own.

        `brokers` are the live ones' `host:port` by id, where the pages are found by these.
        """
        urls = self._settings.urls_of(brokers or {})
        session = self._session
        if not urls or session is None:
            return Pages({})
        try:
            headers = await session.opened()
        except OSError as error:
            what = f"{self._cluster}: read the metrics pages"
            return Pages({}, (Problem("config", f"{what}: broker_metrics: {error}"),))
        found = await asyncio.gather(
            *(
                self._read_one(session, headers, broker, url, timeout)
                for broker, url in urls.items()
            )
        )
        reported = dict(zip(urls, found, strict=True))
        pages = {broker: page for broker, page in reported.items() if isinstance(page, Page)}
        self._note(pages)
        return Pages(pages, tuple(page for page in found if isinstance(page, Problem)))

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()

    def _note(self, pages: Mapping[int, Page]) -> None:
        """Report what pages lack that was not reported before."""
        fresh: defaultdict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
        for broker, page in pages.items():
            reported = self._reported.setdefault(broker, set())
            if lacks := tuple(column for column in page.lacks if column not in reported):
                fresh[page.dialect, lacks].append(broker)
                reported.update(lacks)
        for (dialect, lacks), brokers in fresh.items():
            note = lacking(brokers, dialect, lacks)
            self.notes.append(note)
            log.warning("metrics pages lack columns", cluster=self._cluster, note=note)

    async def _read_one(
        self,
        session: "PageSession",
        headers: Mapping[str, str],
        broker: int,
        url: str,
        timeout: float,
    ) -> Page | Problem:
        what = f"{self._cluster}: metrics page of broker {broker} ({without_password(url)})"
        try:
            async with asyncio.timeout(timeout):
                text = await session.fetch(headers, url, what)
                page = await asyncio.to_thread(parse_page, text, wall_clock())
        except CollectionError as error:
            return error.problem
        except TimeoutError:
            return Problem("timeout", f"{what}: no answer within {timeout:.1f} s")
        except UnicodeDecodeError as error:
            return Problem("page", f"{what}: {error}")
        if page is None:
            return Problem("page", f"{what}: has no metrics of a Kafka broker; {_EXPORT}")
        return page


def lacking(brokers: Sequence[int], dialect: str, columns: Sequence[str]) -> str:
    """A sentence on what brokers' pages lack, and what would bring it."""
    many = len(brokers) > 1
    whose = f"broker{'s' if many else ''} {', '.join(map(str, sorted(brokers)))}"
    by_source: defaultdict[str, list[str]] = defaultdict(list)
    for column in columns:
        by_source[SOURCES[column][0] if column in SOURCES else _OF_TOPICS].append(column)
    named = "; ".join(f"{', '.join(of)} ({source})" for source, of in by_source.items())
    rules = f" (names as of: {dialect})" if dialect else ""
    verb = "pages" if many else "page"
    advice = "Redpanda does not report them" if dialect == REDPANDA else f"for these {_EXPORT}"
    return f"the metrics {verb} of {whose}{rules} cannot give {named}; {advice}"
