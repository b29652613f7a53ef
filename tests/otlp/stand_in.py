"""A stand-in for an OTLP receiver on a loopback port, which enforces the documented contract."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from tests.newrelic.behaviour import Hang, Ok, Reset, Status
from tests.newrelic.server import reset
from tests.otlp.reading import Point
from tests.otlp.rules import PROTOBUF, Rules, Verdict, refusal
from tests.scripted_backend import Backend


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it was answered; `status` is None where it was not."""

    status: int | None
    size: int
    reason: str


class Receiver(Backend[Request]):
    """An OTLP receiver, as far as a sender sees it."""

    def __init__(self, rules: Rules | None = None, *, keep: bool = True) -> None:
        super().__init__()
        self.rules = rules or Rules()
        self._keep = keep
        self._points: list[Point] = []
        self._count = 0

    @property
    def points(self) -> list[Point]:
        """The points that were kept, in the order of their arrival."""
        with self._changed:
            return list(self._points)

    def _came(self) -> str:
        return f"{self._count} points"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        behaviour = self._next()
        if isinstance(behaviour, Status):
            after = behaviour.retry_after
            verdict = refusal(
                behaviour.status, "as the test wants", None if after is None else str(after)
            )
        else:
            if isinstance(behaviour, Ok):
                await asyncio.sleep(behaviour.after)
            accepts = not isinstance(behaviour, Hang | Reset) or behaviour.accepts
            verdict = (
                self.rules.judge(request.method, request.path, request.headers, body)
                if accepts
                else Verdict(0)
            )
        answered = not isinstance(behaviour, Hang | Reset)
        with self._changed:
            self._count += len(verdict.points)
            if self._keep:
                self._points += verdict.points
            status = verdict.status if answered else None
            self._requests.append(Request(status, len(body), verdict.reason))
            self._changed.notify_all()
        if isinstance(behaviour, Hang):
            await asyncio.Event().wait()
        if isinstance(behaviour, Reset):
            return reset(request)
        return web.Response(
            status=verdict.status,
            body=verdict.body,
            headers={**verdict.headers, "Content-Type": PROTOBUF},
        )
