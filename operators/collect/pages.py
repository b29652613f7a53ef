"""Brokers' own metrics, from the pages of the Prometheus JMX exporter on each of them."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from operators.collect.errors import CollectionError, Problem
from operators.collect.names import Names
from operators.collect.page import Page, parse_page

MAX_PAGE = 32 << 20
"""Bytes of a page that is read; a bigger one is refused."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages that came, by broker id, and why others did not."""

    pages: Mapping[int, Page]
    problems: tuple[Problem, ...] = ()

    @property
    def sizes(self) -> Mapping[int, Mapping[str, int]]:
        """Bytes on a broker's disks by topic, by broker id; empty where no page tells them."""
        if all(page.sizes is None for page in self.pages.values()):
            return {}
        return {broker: page.sizes or {} for broker, page in self.pages.items()}


class PageReader:
    """Reads the pages of a cluster's brokers, all at once."""

    def __init__(self, cluster: str, urls: Mapping[int, str]) -> None:
        self._cluster = cluster
        self._urls = urls
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None

    async def read(self, timeout: float) -> Pages:
        """Every page that comes within `timeout` seconds; a broker's trouble is its own."""
        if not self._urls:
            return Pages({})
        found = await asyncio.gather(
            *(self._read_one(broker, url, timeout) for broker, url in self._urls.items())
        )
        pages = dict(zip(self._urls, found, strict=True))
        return Pages(
            {broker: page for broker, page in pages.items() if isinstance(page, Page)},
            tuple(page for page in found if isinstance(page, Problem)),
        )

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _read_one(self, broker: int, url: str, timeout: float) -> Page | Problem:
        what = f"{self._cluster}: metrics page of broker {broker} ({without_password(url)})"
        try:
            async with asyncio.timeout(timeout):
                text = await self._fetch(url, what)
                page = await asyncio.to_thread(parse_page, text, time.time_ns() // 1_000_000)
        except CollectionError as error:
            return error.problem
        except TimeoutError:
            return Problem("timeout", f"{what}: no answer within {timeout:.1f} s")
        except aiohttp.ClientConnectorError as error:
            return Problem("refused", f"{what}: {error.os_error}")
        except aiohttp.ClientConnectionError as error:
            return Problem("refused", f"{what}: {error}")
        except (aiohttp.ClientError, UnicodeDecodeError) as error:
            return Problem("page", f"{what}: {error}")
        if page is None:
            text = "has no Kafka metrics; run the exporter with docker/jmx-exporter.yml"
            return Problem("page", f"{what}: {text}")
        return page

    async def _fetch(self, url: str, what: str) -> str:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=self._names)
            self._session = aiohttp.ClientSession(connector=connector)
        body = bytearray()
        async with self._session.get(url) as response:
            if response.status != 200:
                raise CollectionError(Problem("page", f"{what}: answers {response.status}"))
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > MAX_PAGE:
                    raise CollectionError(
                        Problem("page", f"{what}: is bigger than {MAX_PAGE >> 20} MiB")
                    )
        return body.decode()


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)
