"""A NATS server's monitoring pages, as JSON."""

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from operators.collect.errors import CollectionError, Problem
from operators.collect.http import WELL, Http
from operators.collect.pages.session import basic_login
from operators.nats.settings import NatsSettings
from operators.schema.clock import wall_clock

ACCOUNTS = 256
"""Accounts of a page: JetStream's page is cut between accounts alone, and reports all streams of each."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What a server reports, and when (ms)."""

    server: str
    """Its name."""
    page: Json
    at: int


class Monitor:
    """The monitoring ports of one cluster's servers, by one session."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._http = Http(settings.tls, "url", _refused)

    async def general(self, url: str, timeout: float) -> Report:
        """What a server says of itself (`/varz`).

        Raises:
            CollectionError: there is no answer within `timeout` seconds, or none of NATS'.
        """
        page = await self._page(url, "varz", timeout)
        name = page.get("server_name") or page.get("server_id")
        if not isinstance(name, str) or not isinstance(page.get("start"), str):
            raise self._foreign(url, "varz")
        return Report(name, page, wall_clock())

    async def jetstream(self, url: str, timeout: float) -> Json:
        """What a server says of its JetStream (`/jsz`), without streams.

        Raises:
            CollectionError: see `general`.
        """
        return await self._page(url, "jsz", timeout)

    async def healthy(self, url: str, timeout: float) -> bool | None:
        """Whether a server finds itself well (`/healthz`); None where it does not say."""
        try:
            page = await self._page(url, "healthz", timeout, statuses=(*WELL, 400, 500, 503))
        except CollectionError:
            return None
        status = page.get("status")
        return status == "ok" if isinstance(status, str) else None

    async def accounts(self, url: str, timeout: float) -> list[Json] | None:
        """The accounts that have JetStream, with the streams and consumers of which a server has a replica.

        None where the server has no JetStream.

        Raises:
            CollectionError: see `general`.
        """
        asked: dict[str, str | int] = {
            "accounts": "true",
            "streams": "true",
            "consumers": "true",
            "config": "true",
        }
        found: dict[str, Json] = {}
        offset, ends = 0, time.monotonic() + timeout
        while True:
            left = max(0.0, ends - time.monotonic())
            query = {**asked, "limit": ACCOUNTS, "offset": offset}
            page = await self._page(url, "jsz", left, query)
            if page.get("disabled"):
                return None
            details = page.get("account_details") or []
            if not isinstance(details, list) or not all(map(_is_account, details)):
                raise self._foreign(url, "jsz")
            found |= {str(account.get("id") or account["name"]): account for account in details}
            offset += ACCOUNTS
            if len(details) < ACCOUNTS:
                return list(found.values())

    async def close(self) -> None:
        """End the connections."""
        await self._http.close()

    async def _page(
        self,
        url: str,
        page: str,
        timeout: float,
        query: Mapping[str, str | int] | None = None,
        *,
        statuses: Collection[int] = WELL,
    ) -> Json:
        what = f"{self._settings.name}: GET {url}/{page}"
        try:
            headers = await asyncio.to_thread(self._headers)
        except OSError as error:
            raise CollectionError(Problem("config", f"{what}: basic_auth: {error}")) from error
        asked = f"?{urlencode(query)}" if query else ""
        body = await self._http.get(f"{url}/{page}{asked}", timeout, what, headers, statuses)
        try:
            found = await asyncio.to_thread(json.loads, body)
        except (ValueError, RecursionError) as error:
            raise self._foreign(url, page) from error
        if not isinstance(found, dict):
            raise self._foreign(url, page)
        return found

    def _headers(self) -> dict[str, str]:
        basic = self._settings.basic_auth
        if basic is None:
            return {"Accept": "application/json"}
        login = basic_login(basic.username, basic.password, basic.password_file)
        return {"Accept": "application/json", "Authorization": login}

    def _foreign(self, url: str, page: str) -> CollectionError:
        text = f"{self._settings.name}: GET {url}/{page}: is `url` the monitoring port of a NATS server?"
        return CollectionError(Problem("garbage", text))


def _is_account(detail: Any) -> bool:
    """Whether it is one, with streams that have names and a state."""
    if not isinstance(detail, dict) or not isinstance(detail.get("name"), str):
        return False
    streams = detail.get("stream_detail") or []
    return isinstance(streams, list) and all(
        isinstance(stream, dict)
        and isinstance(stream.get("name"), str)
        and isinstance(stream.get("state"), dict)
        and _are_consumers(stream.get("consumer_detail") or [])
        for stream in streams
    )


def _are_consumers(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(consumer, dict) and isinstance(consumer.get("name"), str) for consumer in found
    )


def _refused(status: int, body: bytes, what: str) -> Problem:
    """Why it does not answer."""
    match status:
        case 401 | 403:
            return Problem("auth", f"{what}: answers {status}; check `basic_auth`")
        case 404:
            hint = "is `url` the monitoring port of a NATS server?"
            return Problem("unsupported", f"{what}: answers 404; {hint}")
    said = body[:200].decode(errors="replace").strip()
    class_ = "unavailable" if status >= 500 else "page"
    return Problem(class_, f"{what}: answers {status}" + (f": {said}" if said else ""))
