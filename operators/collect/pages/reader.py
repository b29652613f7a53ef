"""Brokers' own metrics, from the Prometheus page of each of them."""

import asyncio
import base64
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import SecretStr
from yarl import URL

from operators.collect.errors import CollectionError, Problem
from operators.collect.host_names import Names
from operators.collect.pages.dialects import REDPANDA, SOURCES
from operators.collect.pages.parse import Page, parse_page
from operators.collect.pages.settings import PagesSettings, TlsSettings
from operators.schema.clock import wall_clock
from operators.schema.logs import Log
from operators.schema.secrets import without_password

MAX_PAGE = 32 << 20
"""Bytes of a page that is read; a bigger one is refused."""

_CHUNK = 1 << 16
_REDIRECTS = 5

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


class PageReader:
    """Reads the pages of a cluster's brokers, all at once.

    What pages lack is reported once, and kept in `notes`: sentences that say what would bring it.
    """

    def __init__(self, cluster: str, settings: PagesSettings) -> None:
        self.notes: list[str] = []
        self._cluster = cluster
        self._settings = settings
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None
        self._reported: dict[int, set[str]] = {}
        """By broker: columns that its page lacks, as was reported."""

    @property
    def needs_brokers(self) -> bool:
        """Whether the pages are found by the brokers' hosts."""
        return self._settings.port is not None

    async def read(self, timeout: float, brokers: Mapping[int, str] | None = None) -> Pages:
        """Every page that comes within `timeout` seconds; a broker's trouble is its own.

        `brokers` are the live ones' `host:port` by id, where the pages are found by these.
        """
        urls = self._settings.urls_of(brokers or {})
        if not urls:
            return Pages({})
        try:
            session = await self._opened()
            headers = await asyncio.to_thread(authorization, self._settings)
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
            self._session = None
        await self._names.close()

    async def _opened(self) -> aiohttp.ClientSession:
        """The session that all pages are read by.

        Raises:
            OSError: a file of `tls` cannot be read, or is none.
        """
        if self._session is None:
            context = await asyncio.to_thread(tls_context, self._settings.tls)
            if self._session is None:  # Another tick may have opened it meanwhile.
                connector = aiohttp.TCPConnector(resolver=self._names, ssl=context)
                self._session = aiohttp.ClientSession(connector=connector)
        return self._session

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
        session: aiohttp.ClientSession,
        headers: Mapping[str, str],
        broker: int,
        url: str,
        timeout: float,
    ) -> Page | Problem:
        what = f"{self._cluster}: metrics page of broker {broker} ({without_password(url)})"
        try:
            async with asyncio.timeout(timeout):
                text = await _fetch(session, headers, url, what)
                page = await asyncio.to_thread(parse_page, text, wall_clock())
        except CollectionError as error:
            return error.problem
        except TimeoutError:
            return Problem("timeout", f"{what}: no answer within {timeout:.1f} s")
        except aiohttp.ClientSSLError as error:
            return Problem("tls", f"{what}: {error}; check `tls` in broker_metrics")
        except aiohttp.ClientConnectorError as error:
            return Problem("refused", f"{what}: {error.os_error}")
        except aiohttp.ClientConnectionError as error:
            return Problem("refused", f"{what}: {error}")
        except (aiohttp.ClientError, UnicodeDecodeError) as error:
            return Problem("page", f"{what}: {error}")
        if page is None:
            return Problem("page", f"{what}: has no metrics of a Kafka broker; {_EXPORT}")
        return page


async def _fetch(
    session: aiohttp.ClientSession, headers: Mapping[str, str], url: str, what: str
) -> str:
    """A page's text; redirects are followed on its host alone, for they would take it anywhere."""
    at = URL(url)
    for _ in range(_REDIRECTS):
        found = await _fetch_one(session, headers, at, what)
        if isinstance(found, str):
            return found
        at = _redirected(at, found, what)
    raise CollectionError(Problem("page", f"{what}: redirects more than {_REDIRECTS} times"))


def _redirected(at: URL, target: URL, what: str) -> URL:
    """Where a redirect leads, with the user that was for this place.

    Raises:
        CollectionError: to another host, or from https to http.
    """
    shown = without_password(str(target))
    if target.scheme not in ("http", "https") or target.host != at.host:
        text = f"redirects to another host ({shown}); if that is right, write it in broker_metrics"
        raise CollectionError(Problem("page", f"{what}: {text}"))
    if (at.scheme, target.scheme) == ("https", "http"):
        raise CollectionError(Problem("page", f"{what}: redirects from https to http ({shown})"))
    return target.with_user(at.user).with_password(at.password) if at.user else target


async def _fetch_one(
    session: aiohttp.ClientSession, headers: Mapping[str, str], at: URL, what: str
) -> str | URL:
    """A page's text, or where it redirects to."""
    body = bytearray()
    async with session.get(at, headers=headers, allow_redirects=False) as response:
        if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
            try:
                return at.join(URL(response.headers["Location"]))
            except ValueError as error:
                where = f"{what}: redirects to what is no URL ({error})"
                raise CollectionError(Problem("page", where)) from error
        if response.status in (401, 403):
            advice = "check basic_auth, or the bearer token, in broker_metrics"
            raise CollectionError(Problem("auth", f"{what}: answers {response.status}; {advice}"))
        if response.status != 200:
            raise CollectionError(Problem("page", f"{what}: answers {response.status}"))
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > MAX_PAGE:
                raise CollectionError(
                    Problem("page", f"{what}: is bigger than {MAX_PAGE >> 20} MiB")
                )
    return body.decode()


def authorization(settings: PagesSettings) -> dict[str, str]:
    """The headers that pages are asked with; files of secrets are read again.

    Raises:
        OSError: such a file cannot be read, or is empty.
    """
    headers = {"Accept": "text/plain;version=0.0.4, */*;q=0.1"}
    basic = settings.basic_auth
    if basic is not None:
        password = secret_of(basic.password, basic.password_file)
        shown = base64.b64encode(f"{basic.username}:{password}".encode())
        headers["Authorization"] = f"Basic {shown.decode()}"
    elif settings.bearer_token is not None or settings.bearer_token_file is not None:
        token = secret_of(settings.bearer_token, settings.bearer_token_file)
        headers["Authorization"] = f"Bearer {token}"
    return headers


def tls_context(settings: TlsSettings) -> ssl.SSLContext | bool:
    """How pages by https are trusted; True for the system's certificates alone.

    Raises:
        OSError: a file cannot be read, or holds no certificate or key.
    """
    if settings == TlsSettings():
        return True
    context = ssl.create_default_context()
    if settings.ca is not None:
        _load(context.load_verify_locations, settings.ca)
    if settings.certificate is not None:
        _load(context.load_cert_chain, settings.certificate, settings.key)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(load: Callable[..., None], *files: Path | None) -> None:
    try:
        load(*files)
    except OSError as error:
        names = ", ".join(str(file) for file in files if file is not None)
        raise OSError(f"{names}: {error.strerror or error}") from error


def secret_of(secret: SecretStr | None, file: Path | None) -> str:
    """A secret that is given, or that a file holds.

    Raises:
        OSError: the file cannot be read, or holds none.
    """
    if file is None:
        return "" if secret is None else secret.get_secret_value()
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OSError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    if not text or not text.isprintable():
        raise OSError(f"{file}: does not hold a secret of one line")
    return text


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
