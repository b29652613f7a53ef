"""A stand-in for a broker: an asyncio server that answers as a test says."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, TypeAlias

from operators.protocol.messages import MESSAGES

SERVED = {message.key: (0, message.highest) for message in MESSAGES.values()}


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    key: int
    version: int
    id: int
    body: bytes


Answer: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Broker:
    """Where it listens, and what came; each connection is a list."""

    port: int
    connections: list[list[Asked]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def properties(self) -> dict[str, str]:
        """A client's."""
        return {"bootstrap.servers": f"127.0.0.1:{self.port}"}

    async def until(self, number: int) -> list[Asked]:
        """All requests but those for versions, once there are so many."""
        while True:
            found = [a for one in self.connections for a in one if a.key != 18]
            if len(found) >= number:
                return found
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10.0)


@asynccontextmanager
async def broker(
    answer: Answer, *, versions: bool = True, tls: SSLContext | None = None
) -> AsyncIterator[Broker]:
    """Answers requests for versions itself (unless told not to), all others by `answer`."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        asked: list[Asked] = []
        it.connections.append(asked)
        it.writers.append(writer)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                request = _parsed(frame)
                asked.append(request)
                it.came.set()
                if versions and request.key == 18:
                    writer.write(framed(request.id, versions_body()))
                else:
                    await answer(request, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass  # the client, or the test, is done
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    it = Broker(server.sockets[0].getsockname()[1])
    try:
        yield it
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def framed(id_: int, body: bytes, *, tagged: bool = False) -> bytes:
    """An answer's frame."""
    header = struct.pack(">i", id_) + (b"\0" if tagged else b"")
    return struct.pack(">i", len(header) + len(body)) + header + body


def versions_body(served: dict[int, tuple[int, int]] | None = None) -> bytes:
    """What a broker says that it serves, in version 3."""
    _, response = MESSAGES["ApiVersions"].classes()
    keys = [
        response.ApiVersion(api_key=key, min_version=low, max_version=high, version=3)
        for key, (low, high) in (SERVED if served is None else served).items()
    ]
    return bytes(response(version=3, error_code=0, api_keys=keys).encode(version=3))


def groups_answer(request: Asked, *names: str) -> bytes:
    """An answer to ListGroups."""
    _, response = MESSAGES["ListGroups"].classes()
    groups: list[Any] = [
        response.ListedGroup(group_id=n, protocol_type="consumer", version=request.version)
        for n in names
    ]
    body = response(version=request.version, error_code=0, groups=groups)
    return framed(request.id, bytes(body.encode(version=request.version)), tagged=True)


def answer_to(request: Asked, **fields: Any) -> bytes:
    """An answer to any request, by its fields."""
    (message,) = [one for one in MESSAGES.values() if one.key == request.key]
    _, response = message.classes()
    body = response(version=request.version, **fields).encode(version=request.version)
    tagged = request.version >= message.flexible and request.key != 18
    return framed(request.id, bytes(body), tagged=tagged)


def read(request: Asked) -> Any:
    """A request's fields."""
    (message,) = [one for one in MESSAGES.values() if one.key == request.key]
    return message.classes()[0].decode(memoryview(request.body), version=request.version)


def _parsed(frame: bytes) -> Asked:
    key, version, id_, length = struct.unpack_from(">hhih", frame)
    start = 10 + length
    flexible = {m.key: m.flexible for m in MESSAGES.values()}
    if version >= flexible[key]:
        start += 1
    return Asked(key, version, id_, frame[start:])
