"""HTTP by which a cluster's servers are asked: whole answers, or the cause in words."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from operators.collect import http
from operators.collect.errors import CollectionError, Problem
from operators.collect.http import Http
from operators.collect.pages.settings import TlsSettings
from tests.ports import PortClaim

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def said(status: str, body: bytes, *more: str) -> Answer:
    """Answers every request so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
        writer.write("\r\n".join(head).encode() + body)
        await writer.drain()

    return answer


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Never answers."""
    await reader.read()


async def foreign(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks another protocol."""
    await reader.read(1)
    writer.write(b"INFO {}\r\n")
    await writer.drain()


def get(answer: Answer, timeout: float = 10.0, scheme: str = "http", **more: Any) -> bytes:
    """What a server with this answer is read as."""

    connections: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        with suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ask() -> bytes:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                return await asked(f"{scheme}://127.0.0.1:{port}/varz", timeout, **more)
            finally:
                await asyncio.gather(*filter(None, connections))

    return asyncio.run(ask())


async def asked(url: str, timeout: float = 10.0, **more: Any) -> bytes:
    """One request by a session of its own."""
    session = Http(TlsSettings(), "url", refused)
    try:
        return await session.get(url, timeout, "nats: GET /varz", {"Accept": "text/plain"}, **more)
    finally:
        await session.close()


def refused(status: int, body: bytes, what: str) -> Problem:
    """A status in words."""
    return Problem("page", f"{what}: answers {status}: {body.decode()}")


def problem(*arguments: Any, **more: Any) -> Problem:
    """Why there is no answer."""
    with pytest.raises(CollectionError) as caught:
        get(*arguments, **more)
    return caught.value.problem


def test_a_body_is_read_whole() -> None:
    """Of the statuses that are read."""
    assert get(said("200 OK", b"well")) == b"well"
    assert get(said("503 Down", b"ill"), statuses=(200, 503)) == b"ill"


def test_another_status_is_in_the_callers_words() -> None:
    """With how the answer begins. One that leads elsewhere is not followed."""
    found = problem(said("403 Forbidden", b"no"))
    assert found == Problem("page", "nats: GET /varz: answers 403: no")
    elsewhere = said("302 Found", b"", "Location: http://127.0.0.1:1/")
    assert "answers 302" in str(problem(elsewhere))


def test_one_that_hangs_costs_its_time_and_no_more() -> None:
    """It is said what was waited for."""
    found = problem(silent, timeout=0.05)
    assert found.error_class == "timeout"
    assert "no answer within 0.1 s: does a node hang?" in str(found)


def test_another_protocol_is_said() -> None:
    """The port is wrong then."""
    found = problem(foreign)
    assert found.error_class == "garbage"
    assert "speaks no HTTP; check the port in `url`" in str(found)


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server's page fills the memory."""
    monkeypatch.setattr(http, "MAX_ANSWER", 1 << 20)
    found = problem(said("200 OK", bytes(3 << 20)))
    assert "is bigger than 1 MiB" in str(found)


def test_a_closed_port_and_an_unknown_name_are_different_causes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each names the setting."""
    with PortClaim() as claim, pytest.raises(CollectionError) as caught:
        asyncio.run(asked(f"http://127.0.0.1:{claim.port}/varz"))
    assert caught.value.problem.error_class == "refused"
    assert "check `url`" in str(caught.value)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(CollectionError) as caught:
        asyncio.run(asked("http://nats-9.example:8222/varz"))
    assert caught.value.problem.error_class == "resolve"
    assert "check the host in `url`" in str(caught.value)


def test_a_port_without_tls_is_said() -> None:
    """It was asked by https."""
    found = problem(foreign, scheme="https")
    assert found.error_class == "tls"
    assert "check `tls`, and that the port speaks TLS" in str(found)
