"""HTTP that a cluster's servers are asked by: one session, answers of a bounded size, causes in words."""

import asyncio
from collections.abc import Callable, Collection, Mapping

import aiohttp

from operators.collect.errors import CollectionError, Problem
from operators.collect.host_names import Names
from operators.collect.pages.session import tls_context
from operators.collect.pages.settings import TlsSettings
from operators.schema.units import mebibytes

MAX_ANSWER = 512 << 20
"""Bytes of an answer that is read; a bigger one is refused."""

WELL = (200,)
"""Statuses of answers that are read."""

Refused = Callable[[int, bytes, str], Problem]
"""Makes a problem of a status, of how the answer begins, and of what was asked."""

_CHUNK = 1 << 18


class Http:
    """One cluster's session; `setting` is the key that says where its servers are."""

    def __init__(self, tls: TlsSettings, setting: str, refused: Refused) -> None:
        self._tls = tls
        self._setting = setting
        self._refused = refused
        self._names = Names()
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def get(
        self,
        url: str,
        timeout: float,
        what: str,
        headers: Mapping[str, str],
        statuses: Collection[int] = WELL,
    ) -> bytes:
        """An answer's body; `what` says in words what is asked.

        Raises:
            CollectionError: there is none within `timeout` seconds, or of another status.
        """
        try:
            session = await self._opened()
            async with asyncio.timeout(timeout):
                return await self._body(session, url, headers, what, statuses)
        except OSError as error:
            if isinstance(error, TimeoutError):
                text = f"{what}: no answer within {timeout:.1f} s: does a node hang?"
                raise CollectionError(Problem("timeout", text)) from error
            raise CollectionError(self._unreached(error, what)) from error
        except aiohttp.ClientError as error:
            raise CollectionError(self._unreached(error, what)) from error

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(tls_context, self._tls)
                connector = aiohttp.TCPConnector(resolver=self._names, ssl=context)
                self._session = aiohttp.ClientSession(connector=connector)
            return self._session

    async def _body(
        self,
        session: aiohttp.ClientSession,
        url: str,
        headers: Mapping[str, str],
        what: str,
        statuses: Collection[int],
    ) -> bytes:
        body = bytearray()
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status not in statuses:
                begins = await response.content.read(_CHUNK)
                raise CollectionError(self._refused(response.status, begins, what))
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > MAX_ANSWER:
                    text = f"{what}: is bigger than {mebibytes(MAX_ANSWER):.0f} MiB"
                    raise CollectionError(Problem("page", text))
        return bytes(body)

    def _unreached(self, error: Exception, what: str) -> Problem:
        match error:
            case aiohttp.ClientSSLError():
                return Problem("tls", f"{what}: {error}; check `tls`, and that the port speaks TLS")
            case aiohttp.ClientConnectorDNSError():
                hint = f"check the host in `{self._setting}`"
                return Problem("resolve", f"{what}: {error.os_error}; {hint}")
            case aiohttp.ClientConnectorError():
                return Problem("refused", f"{what}: {error.os_error}; check `{self._setting}`")
            case aiohttp.ClientResponseError():
                return Problem(
                    "garbage", f"{what}: speaks no HTTP; check the port in `{self._setting}`"
                )
            case OSError() if not isinstance(error, aiohttp.ClientError):
                return Problem("config", f"{what}: tls: {error}")
        return Problem("refused", f"{what}: {error}")
