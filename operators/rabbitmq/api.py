"""RabbitMQ's HTTP: the management API as JSON, and the pages of the Prometheus plugin."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

from operators.collect.errors import CollectionError, Problem
from operators.collect.http import WELL, Http
from operators.collect.pages.session import basic_login
from operators.rabbitmq.settings import RabbitSettings
from operators.schema.secrets import without_password

Alarms = frozenset[tuple[str, str]]
"""Which nodes have raised what."""

MEMORY, DISK = "memory", "disk space"
"""What is scarce, as the API calls it."""

_API = "is `url` that of RabbitMQ's management API, port 15672?"
_MONITORING = (
    "give the user the tag `monitoring` and permissions on the virtual hosts "
    "(rabbitmqctl set_user_tags, set_permissions)"
)


class Api:
    """One cluster's management API, and pages of its nodes, by one session."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._http = Http(settings.tls, "url", _refused)

    async def ask(self, path: str, timeout: float, **query: str | int) -> Any:
        """What `GET /api/<path>` answers.

        Raises:
            CollectionError: there is no answer within `timeout` seconds, or it says no.
        """
        return await self._asked(path, timeout, WELL, query)

    async def alarms(self, timeout: float) -> Alarms:
        """The alarms of all nodes, as the node that is asked knows them.

        Raises:
            CollectionError: there is no answer within `timeout` seconds, or it says no.
        """
        path = "health/checks/alarms"
        # Where there are some it answers as if it were not available.
        found = await self._asked(path, timeout, (*WELL, 503), {})
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
        body = await self._http.get(url, timeout, what, headers, statuses)
        try:
            return await asyncio.to_thread(json.loads, body)
        except ValueError as error:
            text = f"{what}: answers with no JSON; {_API}"
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
        body = await self._http.get(url, timeout, what, headers)
        try:
            return await asyncio.to_thread(str, body, "utf-8")
        except UnicodeDecodeError as error:
            raise CollectionError(Problem("page", f"{what}: {error}")) from error

    async def _login(self, what: str) -> dict[str, str]:
        """The header that says who asks.

        Raises:
            CollectionError: the password's file cannot be read.
        """
        of = self._settings
        try:
            login = await asyncio.to_thread(basic_login, of.user, of.password, of.password_file)
        except OSError as error:
            raise CollectionError(Problem("config", f"{what}: {error}")) from error
        return {"Authorization": login}

    async def close(self) -> None:
        """End the connections."""
        await self._http.close()


def _refused(status: int, body: bytes, what: str) -> Problem:
    """Why it does not answer."""
    match status:
        case 401 | 403:
            return _no_access(body, what)
        case 404:
            return Problem("unsupported", f"{what}: answers 404; is the plugin enabled there?")
        case 400:
            return Problem("range", f"{what}: answers 400")
    return Problem("unavailable" if status >= 500 else "page", f"{what}: answers {status}")


def _no_access(body: bytes, what: str) -> Problem:
    """Why it lets nobody in: who is known and may not is answered 401 too, with another reason."""
    try:
        reason = str(json.loads(body)["reason"])
    except (ValueError, TypeError, KeyError):
        reason = "Login failed"
    if reason == "Login failed":
        return Problem("auth", f"{what}: {reason}; check `user` and `password`")
    return Problem("authorization", f"{what}: not permitted ({reason}); {_MONITORING}")
