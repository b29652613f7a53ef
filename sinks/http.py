"""Posts of one sink over HTTP: what came back, or that nothing did."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp

from operators.schema.clock import wall_seconds
from sinks.delivery import RetryLater

_ANSWER_BYTES = 65_536
_LONGEST_WAIT = 3_600.0
"""Seconds that a `Retry-After` may ask for: more is more likely a mistake than a wish."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `retry_after` is in seconds, None where it does not say."""

    status: int
    content_type: str
    body: bytes
    """As far as it came: the status is what counts."""
    retry_after: float | None


class HttpClient:
    """Connections of one sink; `timeout` is of one request, in seconds. Lives on one event loop.

    TLS is verified, redirects are not followed. With `proxies` those of the environment are used:
    not for this machine itself, whose plain http they could read.
    """

    def __init__(self, headers: Mapping[str, str], timeout: float, *, proxies: bool) -> None:
        self._headers = headers
        self._timeout = timeout
        self._proxies = proxies
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready for posts."""
        self._session = aiohttp.ClientSession(
            trust_env=self._proxies,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers=self._headers,
        )

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Post a body; gives the answer, whatever it is.

        Raises:
            RetryLater: there was none.
        """
        assert self._session is not None  # noqa: S101 - `start` comes first
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(
                    response.status,
                    response.content_type,
                    await _body(response),
                    seconds_of(response.headers.get("Retry-After")),
                )
        except TimeoutError as error:
            raise RetryLater(f"no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RetryLater(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Why there was no answer, in words: aiohttp's own have the socket's call in them."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{error.host}:{error.port}: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        failed = error.os_error
        number = failed.errno or 0
        why = os.strerror(number) if number > 0 else failed.strerror
        return f"cannot connect to {error.host}:{error.port}: {why or failed}"
    return f"{type(error).__name__}: {error}"


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    try:
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size >= _ANSWER_BYTES:
                break
    except (aiohttp.ClientError, OSError, TimeoutError):
        pass
    return b"".join(parts)[:_ANSWER_BYTES]


def seconds_of(retry_after: str | None, now: float | None = None) -> float | None:
    """What a `Retry-After` asks for (RFC 9110): seconds, or the time left until a date.

    None where it asks for nothing that can be read, or for no time at all: then to back off.
    `now` is in seconds since the epoch. More than an hour is taken for one.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        # An asctime date has no zone: it is UTC.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        seconds = date.timestamp() - (wall_seconds() if now is None else now)
    return min(seconds, _LONGEST_WAIT) if seconds > 0 else None
