"""An aiohttp server in a thread of its own, whose listening socket can go and come back."""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")

# Seconds that a handler under way gets when the server goes down. (To aiohttp 0 means for ever.)
_SHUTDOWN = 0.01


class ServerThread:
    """Serves every request on 127.0.0.1:`port` by one handler; bodies are left as they were sent.

    A handler is cancelled when its client hangs up.
    """

    def __init__(
        self, handle: Callable[[web.Request], Awaitable[web.StreamResponse]], port: int
    ) -> None:
        self._handle = handle
        self._port = port
        self._runner: web.AppRunner | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"server-{port}", daemon=True
        )
        self._thread.start()

    def up(self) -> None:
        """Listens.

        Raises:
            OSError: the port is taken.
        """
        self._call(self._up())

    def down(self) -> None:
        """Closes the listening socket and every connection."""
        self._call(self._down())

    def close(self) -> None:
        """Goes down for good and ends the thread."""
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._runner is None:
            # The connection was being accepted while the server went down.
            return reset(request)
        return await self._handle(request)

    async def _up(self) -> None:
        if self._runner is not None:
            return
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _down(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def reset(request: web.Request) -> web.Response:
    """Resets the connection (TCP RST); the response that aiohttp wants goes nowhere."""
    if request.transport is not None:
        # Closing a socket that lingers for 0 seconds sends RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        request.transport.abort()
    return web.Response()
