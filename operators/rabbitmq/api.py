"""RabbitMQ's HTTP: the management API as JSON, and the pages of the Prometheus plugin."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp

from operators.collect.errors import CollectionError, Problem
from operators.collect.host_names import Names
from operators.collect.pages.session import secret_of, tls_context
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.secrets import without_password

MAX_ANSWER = 512 << 20
"""Bytes of an answer that is read; a bigger one is refused."""

Alarms = frozenset[tuple[str, str]]
"""Which nodes have raised what."""

MEMORY, DISK = "memory", "disk space"
"""What is scarce, as the API calls it."""

_WELL = (200,)
_CHUNK = 1 << 18
_MONITORING = (
    "give the user the tag `monitoring` and permissions on the virtual hosts "
    "(rabbitmqctl set_user_tags, set_permissions)"
)


class Api:
    """One cluster's management API, and pages of its nodes, by one session."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._names = Names()
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, path: str, timeout: float, **query: str | int) -> Any:
        """What `GET /api/<path>` answers.

        Raises:
            CollectionError: there is no answer within `timeout` seconds, or it says no.
        """
        return await self._asked(path, timeout, _WELL, query)

    async def alarms(self, timeout: float) -> Alarms:
        """The alarms of all nodes, as the node that is asked knows them.

        Raises:
            CollectionError: there is no answer within `timeout` seconds, or it says no.
        """
        path = "health/checks/alarms"
        # Where there are some it answers as if it were not available.
        found = await self._asked(path, timeout, (*_WELL, 503), {})
        if isinstance(found, dict) and found.get("status") == "ok":
            return frozenset()
        try:
            return frozenset((str(a["node"]), str(a["resource"])) for a in found["alarms"])
        except (TypeError, KeyError) as error:
            text = f"{self._settings.name}: GET /api/{path}: reports no alarms"
            raise CollectionError(Problem("garbage", text)) from error

    async def _asked(
        self, path: str, timeout: float, statuses: Collection[int], query: Mapping[str, str | int]
    ) -> Any:
        url = f"{self._settings.url}/api/{path}"
        what = f"{self._settings.name}: GET {without_password(url)}"
        headers = {**await self._login(what), "Accept": "application/json"}
        if query:
            url = f"{url}?{urlencode(query)}"
        async with self._answer(url, headers, timeout, what, statuses) as body:
            try:
                return await asyncio.to_thread(json.loads, body)
            except ValueError as error:
                text = f"{what}: answers with no JSON; is `url` RabbitMQ's management API?"
                raise CollectionError(Problem("garbage", text)) from error

    async def page(self, url: str, timeout: float, node: str) -> str:
        """The text of a node's Prometheus page.

        Raises:
            CollectionError: it did not come within `timeout` seconds.
        """
        what = f"{self._settings.name}: Prometheus page of {node} ({without_password(url)})"
        # RabbitMQ takes nearly as long to compress a page of many queues as to make it.
        headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
        if url.startswith("https:") or not self._settings.url.startswith("https:"):
            # From 3.13 on it may want to know who asks. No password goes in the clear that else would not.
            headers |= await self._login(what)
        async with self._answer(url, headers, timeout, what) as body:
            try:
                return await asyncio.to_thread(str, body, "utf-8")
            except UnicodeDecodeError as error:
                raise CollectionError(Problem("page", f"{what}: {error}")) from error

    async def _login(self, what: str) -> dict[str, str]:
        """The header that says who asks.

        Raises:
            CollectionError: the password's file cannot be read.
        """
        try:
            password = await asyncio.to_thread(
                secret_of, self._settings.password, self._settings.password_file
            )
        except OSError as error:
            raise CollectionError(Problem("config", f"{what}: {error}")) from error
        login = base64.b64encode(f"{self._settings.user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {login}"}

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(tls_context, self._settings.tls)
                connector = aiohttp.TCPConnector(resolver=self._names, ssl=context)
                self._session = aiohttp.ClientSession(connector=connector)
            return self._session

    @asynccontextmanager
    async def _answer(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        what: str,
        statuses: Collection[int] = _WELL,
    ) -> AsyncIterator[bytes]:
        """An answer's body; what goes wrong until then is reported as what it means."""
        try:
            session = await self._opened()
            async with asyncio.timeout(timeout):
                body = await _body(session, url, headers, what, statuses)
        except OSError as error:
            if isinstance(error, TimeoutError):
                text = f"{what}: no answer within {timeout:.1f} s: does a node hang?"
                raise CollectionError(Problem("timeout", text)) from error
            raise CollectionError(_unreached(error, what)) from error
        except aiohttp.ClientError as error:
            raise CollectionError(_unreached(error, what)) from error
        yield body


def _unreached(error: Exception, what: str) -> Problem:
    match error:
        case aiohttp.ClientSSLError():
            return Problem("tls", f"{what}: {error}; check `tls`, and that the port speaks TLS")
        case aiohttp.ClientConnectorDNSError():
            return Problem("resolve", f"{what}: {error.os_error}; check the host in `url`")
        case aiohttp.ClientConnectorError():
            return Problem("refused", f"{what}: {error.os_error}; check `url`")
        case OSError() if not isinstance(error, aiohttp.ClientError):
            return Problem("config", f"{what}: tls: {error}")
    return Problem("refused", f"{what}: {error}")


def _refused(body: bytes, what: str) -> Problem:
    """Why it lets nobody in: who is known and may not is answered 401 too, with another reason."""
    try:
        reason = str(json.loads(body)["reason"])
    except (ValueError, TypeError, KeyError):
        reason = "Login failed"
    if reason == "Login failed":
        return Problem("auth", f"{what}: {reason}; check `user` and `password`")
    return Problem("authorization", f"{what}: not permitted ({reason}); {_MONITORING}")


async def _body(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    what: str,
    statuses: Collection[int],
) -> bytes:
    body = bytearray()
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        if response.status in (401, 403):
            raise CollectionError(_refused(await response.content.read(_CHUNK), what))
        if response.status == 404:
            raise CollectionError(
                Problem("unsupported", f"{what}: answers 404; is the plugin enabled there?")
            )
        if response.status == 400:
            raise CollectionError(Problem("range", f"{what}: answers 400"))
        if response.status not in statuses:
            class_ = "unavailable" if response.status >= 500 else "page"
            raise CollectionError(Problem(class_, f"{what}: answers {response.status}"))
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > MAX_ANSWER:
                text = f"{what}: is bigger than {MAX_ANSWER >> 20} MiB"
                raise CollectionError(Problem("page", text))
    return bytes(body)
