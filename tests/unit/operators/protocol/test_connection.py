"""One connection: requests in a pipeline, and what comes that is no answer."""

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.protocol import Client, RequestError
from tests.certificates import self_signed, server_context
from tests.unit.operators.protocol.broker import Asked, Broker, broker, framed, groups_answer

NO_GROUPS = b"\0\0\0\0\0\0\x01\0"
"""An answer to ListGroups, version 5."""

Body = Callable[[Client, Broker], Awaitable[None]]


def run(
    answer: Callable[[Asked, asyncio.StreamWriter], Awaitable[None]],
    body: Body,
    *,
    versions: bool = True,
    certificate: Path | None = None,
) -> None:
    """Run a test's body with a client of a stand-in broker, by TLS where it has a certificate."""
    tls = None if certificate is None else server_context(certificate)
    more = {} if tls is None else {"security.protocol": "SSL", "ssl.ca.location": str(certificate)}

    async def whole() -> None:
        async with asyncio.timeout(30.0), broker(answer, versions=versions, tls=tls) as there:
            client = Client("a-cluster", {**there.properties, **more})
            try:
                await body(client, there)
            finally:
                await client.close()

    asyncio.run(whole())


async def silent(request: Asked, writer: asyncio.StreamWriter) -> None:
    """Answers nothing."""


async def at_once(request: Asked, writer: asyncio.StreamWriter) -> None:
    """Answers a group named after the request."""
    writer.write(groups_answer(request, f"g-{request.id}"))


def groups(answer: object) -> list[str]:
    return [group.group_id for group in answer.groups]  # type: ignore[attr-defined]


def test_requests_go_out_before_answers_come() -> None:
    """All of them on one connection; each gets its own answer."""
    waiting: list[tuple[Asked, asyncio.StreamWriter]] = []

    async def later(request: Asked, writer: asyncio.StreamWriter) -> None:
        waiting.append((request, writer))
        if len(waiting) == 5:
            for one, to in waiting:
                to.write(groups_answer(one, f"g-{one.id}"))

    async def body(client: Client, there: Broker) -> None:
        found = await asyncio.gather(*(client.ask("ListGroups", 10.0) for _ in range(5)))
        assert len(there.connections) == 1
        ids = [asked.id for asked in there.connections[0] if asked.key == 16]
        assert [groups(one) for one in found] == [[f"g-{id_}"] for id_ in ids]

    run(later, body)


def test_lanes_do_not_wait_for_each_other() -> None:
    """A request of the other lane is answered while the first has none."""

    async def groups_alone(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 16:
            await at_once(request, writer)

    async def body(client: Client, there: Broker) -> None:
        slow = asyncio.ensure_future(client.ask("Metadata", 10.0, topics=None))
        await there.until(1)
        assert len(groups(await client.ask("ListGroups", 5.0, lane=1))) == 1
        assert len(there.connections) == 2
        slow.cancel()

    run(groups_alone, body)


def test_a_cancelled_request_keeps_its_place() -> None:
    """Its answer is read and left, and the next request gets its own."""
    held: list[tuple[Asked, asyncio.StreamWriter]] = []

    async def hold(request: Asked, writer: asyncio.StreamWriter) -> None:
        held.append((request, writer))

    async def body(client: Client, there: Broker) -> None:
        first = asyncio.ensure_future(client.ask("ListGroups", 10.0))
        await there.until(1)
        second = asyncio.ensure_future(client.ask("ListGroups", 10.0))
        await there.until(2)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        for request, writer in held:
            writer.write(groups_answer(request, f"g-{request.id}"))
        assert groups(await second) == [f"g-{held[1][0].id}"]
        assert len(there.connections) == 1

    run(hold, body)


def test_one_that_is_late_keeps_its_place_while_others_are_answered() -> None:
    """A time-out does not close a connection on which something came meanwhile."""
    held: list[tuple[Asked, asyncio.StreamWriter]] = []

    async def first_alone(request: Asked, writer: asyncio.StreamWriter) -> None:
        held.append((request, writer))
        if len(held) == 1:
            await asyncio.sleep(0.3)
            await at_once(request, writer)

    async def body(client: Client, there: Broker) -> None:
        first = asyncio.ensure_future(client.ask("ListGroups", 10.0))
        await there.until(1)
        with pytest.raises(RequestError) as late:
            await client.ask("ListGroups", 0.5)
        assert late.value.error_class == "timeout"
        assert len(groups(await first)) == 1
        third = asyncio.ensure_future(client.ask("ListGroups", 10.0))
        await there.until(3)
        for request, writer in held[1:]:
            writer.write(groups_answer(request, f"g-{request.id}"))
        assert groups(await third) == [f"g-{held[2][0].id}"]
        assert len(there.connections) == 1

    run(first_alone, body)


def test_where_nothing_comes_the_connection_is_closed_and_the_next_request_opens_another() -> None:
    """At the oldest request's deadline, whatever the others would have waited."""

    async def body(client: Client, there: Broker) -> None:
        patient = asyncio.ensure_future(client.ask("ListGroups", 30.0))
        await there.until(1)
        with pytest.raises(RequestError) as closed:
            await client.ask("ListGroups", 0.2)
        assert closed.value.error_class == "timeout"
        # The oldest one's deadline is the patient one's: it still waits.
        assert not patient.done()
        patient.cancel()

    async def impatient_first(client: Client, there: Broker) -> None:
        client.learn({1: ("127.0.0.1", there.port)})
        short = asyncio.ensure_future(client.ask("ListGroups", 0.3, 1))
        await there.until(1)
        patient = asyncio.ensure_future(client.ask("ListGroups", 30.0, 1))
        await there.until(2)
        for failed in (short, patient):
            with pytest.raises(RequestError, match=r"no answer to ListGroups within 0\.\d s"):
                await failed
        with pytest.raises(RequestError):
            await client.ask("ListGroups", 0.1, 1)
        assert len(there.connections) == 2

    run(silent, body)
    run(silent, impatient_first)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1"),
        (struct.pack(">i", (1 << 31) - 1), "2147483647 bytes"),
        (struct.pack(">i", -5), "-5 bytes"),
        (struct.pack(">ii", 4, 12345), "the number 12345"),
        (framed(2, NO_GROUPS, tagged=True) * 2, "nobody asked for"),
        (framed(2, b"\xff" * 40, tagged=True), "makes no sense"),
        (framed(2, b"\xff" * 40), "header makes no sense"),
        (framed(2, b"", tagged=True), "makes no sense"),
    ],
)
def test_what_is_no_answer_ends_the_connection_and_is_said(sent: bytes, says: str) -> None:
    """Text, frames of 2 GiB and less than nothing, wrong numbers, answers that are too many."""

    async def garbage(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    async def body(client: Client, there: Broker) -> None:
        client.learn({7: ("127.0.0.1", there.port)})
        with pytest.raises(RequestError) as failed:
            await asked_and_ended(client)
        error = failed.value
        assert (error.error_class, says in str(error)) == ("garbage", True), str(error)
        assert f"broker 7 (127.0.0.1:{there.port}): " in str(error)

    run(garbage, body)


async def asked_and_ended(client: Client) -> None:
    """Raises what the request fails with or, where that was answered, what followed it."""
    await client.ask("ListGroups", 5.0, 7)
    await asyncio.sleep(0)
    (link,) = client._links.values()
    assert link.connection is not None
    assert link.connection.error is not None
    raise link.connection.error


@pytest.mark.parametrize("part", [b"\0\0", struct.pack(">ii", 100, 2), b"\x07\0\0\0" + bytes(9)])
def test_half_a_frame_costs_the_request_its_time(part: bytes) -> None:
    """And nothing else: less than a size, a small frame, and most of a big one."""

    async def half(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(part)

    async def body(client: Client, there: Broker) -> None:
        with pytest.raises(RequestError) as late:
            await client.ask("ListGroups", 0.3)
        assert late.value.error_class == "timeout"

    run(half, body)


def test_a_broker_that_hangs_up_is_said() -> None:
    """As soon as it is spoken to: it wants another protocol."""

    async def hang_up(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def body(client: Client, there: Broker) -> None:
        with pytest.raises(RequestError) as failed:
            await client.ask("ListGroups", 5.0)
        assert failed.value.error_class == "refused"
        assert "as soon as it was spoken to" in str(failed.value)

    run(hang_up, body)
    run(hang_up, body, versions=False)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [1, 1 << 10, (1 << 18) - 9, 1 << 18, (1 << 18) + 1, 3 << 20])
def test_answers_of_every_size_arrive_whole(size: int, tls: bool, tmp_path: Path) -> None:
    """Below, at and above the buffer; several behind one another, cut anywhere."""
    content = os.urandom(size)

    async def echo(request: Asked, writer: asyncio.StreamWriter) -> None:
        frame = framed(request.id, content, tagged=True)
        cuts = sorted({0, 3, 4, 7, len(frame) // 2, len(frame)})
        for begin, end in pairwise(cuts):
            writer.write(frame[begin:end])
            await writer.drain()
            await asyncio.sleep(0)

    async def body(client: Client, there: Broker) -> None:
        found = await asyncio.gather(*(client.send("ListGroups", 5, b"", 10.0) for _ in range(4)))
        assert all(bytes(answer) == content for answer in found)

    run(echo, body, certificate=self_signed(tmp_path) if tls else None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_hostile_broker_costs_one_connection(data: st.DataObject) -> None:
    """Whatever bytes come in place of an answer: one error, within the time, and life goes on."""
    noise = data.draw(st.binary(max_size=200))
    kind = data.draw(st.sampled_from(["raw", "framed", "body"]))

    async def hostile(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key != 3:
            await at_once(request, writer)
        elif kind == "raw":
            writer.write(noise)
        elif kind == "framed":
            writer.write(struct.pack(">i", len(noise)) + noise)
        else:
            writer.write(framed(request.id, noise, tagged=True))

    async def body(client: Client, there: Broker) -> None:
        found: list[object] = await asyncio.gather(
            client.ask("Metadata", 0.05, lane=1, topics=None), return_exceptions=True
        )
        if isinstance(found[0], BaseException):
            assert isinstance(found[0], RequestError)
            assert found[0].error_class in ("garbage", "timeout", "tls"), str(found[0])
        assert len(groups(await client.ask("ListGroups", 5.0))) == 1

    run(hostile, body)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_a_hostile_greeting_is_an_error_of_that_address(noise: bytes, in_frame: bool) -> None:
    """Bytes in place of the first answer, which says what versions the broker speaks."""

    async def greeting(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(request.id, noise) if in_frame else noise)
        writer.close()

    async def body(client: Client, there: Broker) -> None:
        with pytest.raises(RequestError) as failed:
            await client.ask("ListGroups", 2.0)
        assert failed.value.error_class in ("garbage", "refused", "tls", "unsupported")

    run(greeting, body, versions=False)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans()), min_size=1, max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_each_request_gets_its_own_answer(
    requests: list[tuple[int, bool]], pieces: list[int]
) -> None:
    """Whichever are cancelled, however large answers are, and wherever the stream is cut."""
    turns: list[tuple[Asked, asyncio.StreamWriter]] = []

    async def in_pieces(request: Asked, writer: asyncio.StreamWriter) -> None:
        turns.append((request, writer))
        if len(turns) < len(requests):
            return
        stream = b"".join(framed(one.id, one.body, tagged=True) for one, _ in turns)
        at = turn = 0
        while at < len(stream):
            step = pieces[turn % len(pieces)] ** 2
            writer.write(stream[at : at + step])
            await asyncio.sleep(0)
            at, turn = at + step, turn + 1

    async def body(client: Client, there: Broker) -> None:
        bodies = [bytes([n]) * size for n, (size, _) in enumerate(requests)]
        await client.versions(10.0)
        client.learn({1: ("127.0.0.1", there.port)})
        asked = [asyncio.ensure_future(client.send("ListGroups", 5, b, 20.0, 1)) for b in bodies]
        await asyncio.sleep(0)
        for task, (_, cancelled) in zip(asked, requests, strict=True):
            if cancelled:
                task.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        for answer, sent, (_, cancelled) in zip(found, bodies, requests, strict=True):
            if cancelled:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                assert isinstance(answer, memoryview)
                assert bytes(answer) == sent
        assert len(there.connections) == 1

    run(in_pieces, body)


def test_a_listener_that_does_not_answer_tls_has_its_time(tmp_path: Path) -> None:
    """As one that swallows what is sent."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def whole() -> None:
        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            properties = {
                "bootstrap.servers": f"127.0.0.1:{port}",
                "security.protocol": "SSL",
                "socket.connection.setup.timeout.ms": "1000",
            }
            client = Client("a-cluster", properties)
            with pytest.raises(RequestError) as late:
                await client.ask("ListGroups", 10.0)
            assert late.value.error_class == "timeout"
            assert "(TLS)" in str(late.value)
            await client.close()

    asyncio.run(asyncio.wait_for(whole(), 30.0))
