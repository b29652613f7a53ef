"""Pages by HTTP: who asks for them, and what is wrong where none comes."""

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
from pydantic import SecretStr
from yarl import URL

from operators.collect.errors import CollectionError, Problem
from operators.collect.host_names import Names
from operators.collect.pages.settings import PagesSettings, TlsSettings
from operators.schema.secrets import without_password
from operators.schema.units import mebibytes

MAX_PAGE = 32 << 20
"""Bytes of a page that is read; a bigger one is refused."""

_CHUNK = 1 << 16
_REDIRECTS = 5


class PageSession:
    """One HTTP session for all pages of a cluster."""

    def __init__(self, settings: PagesSettings) -> None:
        self._settings = settings
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None

    async def opened(self) -> Mapping[str, str]:
        """Open it where it is not; the headers to ask with.

        Raises:
            OSError: a file of `tls` or of a secret cannot be read, or is none.
        """
        await self._opened()
        return await asyncio.to_thread(authorization, self._settings)

    async def fetch(self, headers: Mapping[str, str], url: str, what: str) -> str:
        """The text of the page at `url`, which `what` names.

        Raises:
            CollectionError: there is none, and why.
            UnicodeDecodeError: it is no text.
        """
        try:
            return await _fetch(await self._opened(), headers, url, what)
        except aiohttp.ClientSSLError as error:
            text = f"{what}: {error}; check `tls` in broker_metrics"
            raise CollectionError(Problem("tls", text)) from error
        except aiohttp.ClientConnectorError as error:
            raise CollectionError(Problem("refused", f"{what}: {error.os_error}")) from error
        except aiohttp.ClientConnectionError as error:
            raise CollectionError(Problem("refused", f"{what}: {error}")) from error
        except aiohttp.ClientError as error:
            raise CollectionError(Problem("page", f"{what}: {error}")) from error

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = await asyncio.to_thread(tls_context, self._settings.tls)
            if self._session is None:  # Another tick may have opened it meanwhile.
                connector = aiohttp.TCPConnector(resolver=self._names, ssl=context)
                self._session = aiohttp.ClientSession(connector=connector)
        return self._session


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
                text = f"{what}: is bigger than {mebibytes(MAX_PAGE):.0f} MiB"
                raise CollectionError(Problem("page", text))
    return body.decode()


def authorization(settings: PagesSettings) -> dict[str, str]:
    """The headers that pages are asked with; files of secrets are read again.

    Raises:
        OSError: such a file cannot be read, or is empty.
    """
    headers = {"Accept": "text/plain;version=0.0.4, */*;q=0.1"}
    basic = settings.basic_auth
    if basic is not None:
        headers["Authorization"] = basic_login(basic.username, basic.password, basic.password_file)
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


def basic_login(user: str, password: SecretStr | None, file: Path | None) -> str:
    """The header `Authorization` of a user whose password is given, or in a file.

    Raises:
        OSError: the file cannot be read, or holds none.
    """
    login = base64.b64encode(f"{user}:{secret_of(password, file)}".encode())
    return f"Basic {login.decode()}"


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
