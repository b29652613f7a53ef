"""A TCP proxy that can be cut, so that nothing comes through, and that can garble what does."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress


class Proxy:
    """Passes a loopback port's connections on to another port; its own port, some free one where none is given, is known before it runs.

    While it is cut it takes connections, as a network that swallows packets seems to, and passes
    nothing on.
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._open = asyncio.Event()
        self._open.set()
        self._garble: Callable[[bytes], bytes] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, target: int) -> None:
        """Passes connections on to the port `target` from here on."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target)
            for source, sink in ((reader, there_writer), (there_reader, writer)):
                task = asyncio.create_task(self._pass_on(source, sink, answers=sink is writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        self._server = await asyncio.start_server(serve, sock=self._socket)

    def cut(self) -> None:
        """Lets nothing through."""
        self._open.clear()

    def mend(self) -> None:
        """Lets through what waited, and what comes."""
        self._open.set()

    def garble(self, into: Callable[[bytes], bytes] | None) -> None:
        """Passes on what `into` makes of each piece of an answer; None: the answers themselves."""
        self._garble = into

    async def close(self) -> None:
        """Ends all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with suppress(OSError):
            try:
                while data := await source.read(1 << 16):
                    await self._open.wait()
                    sink.write(self._garble(data) if answers and self._garble else data)
                    await sink.drain()
            finally:
                sink.close()
