"""A stand-in for an OTLP receiver on a loopback port, which enforces the documented contract."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from tests.newrelic.behaviour import Behaviour, Hang, Ok, Reset, Script, Status
from tests.newrelic.server import ServerThread, reset
from tests.otlp.reading import Point
from tests.otlp.rules import PROTOBUF, Rules, Verdict, refusal
from tests.ports import PortClaim


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it was answered; `status` is None where it was not."""

    status: int | None
    size: int
    reason: str


class Receiver:
    """A server in a thread of its own; a context manager. Any thread may call its methods."""

    def __init__(self, rules: Rules | None = None, *, keep: bool = True) -> None:
        self.rules = rules or Rules()
        self._keep = keep
        self._script = Script()
        self._changed = threading.Condition()
        self._points: list[Point] = []
        self._requests: list[Request] = []
        self._count = 0
        self._resources = ExitStack()
        self.port = self._resources.enter_context(PortClaim()).port
        self._server = ServerThread(self._handle, self.port)
        self._resources.callback(self._server.close)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def endpoint(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def points(self) -> list[Point]:
        """The points that were kept, in the order of their arrival."""
        with self._changed:
            return list(self._points)

    @property
    def requests(self) -> list[Request]:
        """All requests, in the order of their answers."""
        with self._changed:
            return list(self._requests)

    def script(self, *behaviours: Behaviour) -> None:
        """What the next requests meet, one each."""
        with self._changed:
            self._script.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """The usual behaviour from now on."""
        with self._changed:
            self._script.usual = behaviour

    def faults(self, *, seed: int, rate: float, among: Sequence[Behaviour]) -> None:
        """From now on a request meets a fault with probability `rate`; 0 ends it."""
        with self._changed:
            self._script.draw_faults(seed, rate, among)

    def down(self) -> None:
        """Refuse connections."""
        self._server.down()

    def up(self) -> None:
        """Listen again, at the same port."""
        self._server.up()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Return when a condition holds, which is asked after each request."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), self._requests[-5:]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        with self._changed:
            behaviour = self._script.next()
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
