"""The way to one address: its connection, opened when needed and again after it was lost."""

import asyncio
import random

from operators.protocol.connection import Connection
from operators.protocol.errors import RequestError
from operators.protocol.opening import Access, authenticate, opened

_AGAIN = 1.0
"""Seconds after which a login for a session that has not ended yet is tried again."""


class Link:
    """The way to `host:port`."""

    def __init__(self, host: str, port: int, access: Access) -> None:
        self.where = f"{host}:{port}"
        """Whom it leads to, for errors."""
        self.connection: Connection | None = None
        self.failures = 0
        """Attempts to connect that failed since one succeeded."""
        self._host = host
        self._port = port
        self._access = access
        self._opening: asyncio.Task[Connection] | None = None
        self._again: asyncio.Task[None] | None = None
        self._error: RequestError | None = None
        self._again_at = 0.0
        self._closed: RequestError | None = None
        self._lapsed = False
        """Whether the connection before was ended since nothing came, or nothing sensible."""

    def belongs_to(self, broker: int) -> None:
        """It is known now whose address this is."""
        self.where = f"broker {broker} ({self._host}:{self._port})"
        if self.connection is not None:
            self.connection.where = self.where

    @property
    def open(self) -> bool:
        """Whether there is a connection."""
        return self.connection is not None and self.connection.error is None

    @property
    def doubts(self) -> int:
        """How little speaks for an answer: 0 where it has answered on the connection it has."""
        connection = self.connection
        if connection is not None and connection.error is None:
            if connection.overdue:
                return 3
            return 0 if connection.served else 1 + self._lapsed
        if self.failures:
            return 3 + self.failures
        return 1 + (self._lapsed or _lapsed(connection))

    @property
    def waits(self) -> float:
        """Seconds for which no attempt to connect is made after the last one failed."""
        return max(0.0, self._again_at - asyncio.get_running_loop().time())

    def ready(self) -> Connection | None:
        """The connection that there is; None where it is to be waited for, or closed for good."""
        connection = self.connection
        if connection is None or connection.error is not None or self._closed is not None:
            return None
        if connection.served:
            self._lapsed = False
        if connection.authenticate_at is not None:
            self._authenticate_anew(connection, connection.authenticate_at)
        return connection

    async def connected(self, deadline: float) -> Connection:
        """The connection; waits for it until `deadline`, by the loop's clock.

        Raises:
            RequestError: there is none, and why; soon after a failure at once.
        """
        if self._closed is not None:
            raise self._closed.again()
        if (ready := self.ready()) is not None:
            return ready
        connection = self.connection
        if self._opening is None:
            if self._error is not None and self.waits:
                raise self._error.again()
            self._lapsed = self._lapsed or _lapsed(connection)
            self._opening = asyncio.create_task(
                opened(self.where, self._host, self._port, self._access)
            )
            self._opening.add_done_callback(self._opened)
        # Whoever stops waiting leaves the attempt to others, and to the next who asks.
        opening = self._opening
        left = deadline - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({opening}, timeout=max(0.0, left))
        if not done:
            raise RequestError("timeout", f"{self.where}: not connected in time")
        if opening.cancelled():
            raise RequestError("unavailable", f"{self.where}: is no longer asked")
        error = opening.exception()
        if error is not None:
            raise _as_request_error(self.where, error).again()
        return opening.result()

    def close(self, *, at_once: bool = True) -> None:
        """End the connection for good; where it is not `at_once`, after the requests that wait."""
        self._closed = RequestError("unavailable", f"{self.where}: was closed")
        for task in (self._opening, self._again):
            if task is not None:
                task.cancel()
        if self.connection is not None:
            if at_once:
                self.connection.end(self._closed)
            else:
                self.connection.end_when_idle()

    def _opened(self, opening: asyncio.Task[Connection]) -> None:
        self._opening = None
        if opening.cancelled():
            return
        error = opening.exception()
        if error is None:
            self.connection = opening.result()
            if self._closed is not None:
                # It had come about before the attempt could be cancelled.
                self.connection.end(self._closed)
            self.failures = 0
            self._error = None
            return
        self._error = _as_request_error(self.where, error)
        backoff = self._access.backoff
        # Not a power that grows for ever.
        pause = min(backoff.first * 2 ** min(self.failures, 32), backoff.most)
        self.failures += 1
        self._again_at = asyncio.get_running_loop().time() + pause * random.uniform(0.8, 1.2)

    def _authenticate_anew(self, connection: Connection, due: float) -> None:
        """Where the session is about to end: what is asked meanwhile waits for the next."""
        now = asyncio.get_running_loop().time()
        if now < due or (self._again is not None and not self._again.done()):
            return
        if now >= connection.session_ends:
            connection.hold()
        self._again = asyncio.create_task(self._anew(connection))

    async def _anew(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._access.timeout):
                await authenticate(connection, self._host, self._access)
        except asyncio.CancelledError:
            connection.end(RequestError("unavailable", f"{self.where}: was closed"))
            raise
        except Exception as error:
            if connection.holding:
                connection.end(_as_request_error(self.where, error))
            else:
                # The session goes on for some time yet.
                connection.authenticate_at = asyncio.get_running_loop().time() + _AGAIN


def _lapsed(connection: Connection | None) -> bool:
    error = None if connection is None else connection.error
    return error is not None and error.error_class in ("timeout", "garbage")


def _as_request_error(where: str, error: BaseException) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, TimeoutError):
        return RequestError("timeout", f"{where}: not authenticated in time")
    return RequestError("unknown", f"{where}: {type(error).__name__}: {error}")
