"""A backend on a loopback port, for tests: it answers by a script of behaviours, goes down and comes back."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Generic, Self, TypeVar

from aiohttp import web

from tests.newrelic.behaviour import FAULTS, Behaviour, Script
from tests.newrelic.server import ServerThread
from tests.ports import PortClaim

R = TypeVar("R")
"""What is noted of a request."""


class Backend(ABC, Generic[R]):
    """A server in a thread of its own; a context manager. Any thread may call its methods.

    Args:
        port: the port to listen at; a free one without it.
    """

    def __init__(self, port: int | None = None) -> None:
        self._script = Script()
        self._changed = threading.Condition()
        self._requests: list[R] = []
        self._resources = ExitStack()
        self.port = port or self._resources.enter_context(PortClaim()).port
        self._server = ServerThread(self._handle, self.port)
        self._resources.callback(self._server.close)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def endpoint(self) -> str:
        """Its scheme and host: what stands before the paths of its API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[R]:
        """All requests, in the order of their answers."""
        with self._changed:
            return list(self._requests)

    def script(self, behaviours: Sequence[Behaviour]) -> None:
        """What the next requests meet, one each, before the usual behaviour comes back."""
        with self._changed:
            self._script.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """The usual behaviour from now on."""
        with self._changed:
            self._script.usual = behaviour

    def faults(self, *, seed: int, rate: float, among: Sequence[Behaviour] = FAULTS) -> None:
        """From now on a request meets a fault with probability `rate`; 0 ends it."""
        with self._changed:
            self._script.draw_faults(seed, rate, among)

    def down(self) -> None:
        """Closes the listening socket and every connection: further ones are refused."""
        self._server.down()

    def up(self) -> None:
        """Listens again, at the same port."""
        self._server.up()

    def wait_until(
        self, condition: Callable[[], bool], timeout: float = 30.0, what: str = "such state"
    ) -> None:
        """Returns when `condition` holds; it is asked after each request.

        Raises:
            TimeoutError: it did not, after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(
                    f"no {what} within {timeout} s: {self._came()}, "
                    f"last requests {self._requests[-5:]}"
                )

    def _next(self) -> Behaviour:
        """What the next request meets."""
        with self._changed:
            return self._script.next()

    @abstractmethod
    def _came(self) -> str:
        """What came so far, in words."""

    @abstractmethod
    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
