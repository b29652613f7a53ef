"""One cluster: who is asked, when a broker hangs, is gone, or speaks other versions."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from operators.protocol import Client, RequestError
from operators.protocol.messages import MESSAGES
from operators.protocol.sasl.exchange import RefusedError
from tests.ports import PortClaim
from tests.unit.operators.protocol.broker import (
    SERVED,
    Asked,
    Broker,
    answer_to,
    broker,
    framed,
    groups_answer,
    versions_body,
)


def asynchronous(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs on a loop of its own, for half a minute at most."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30.0))

    run.__doc__, run.__name__ = test.__doc__, test.__name__
    return run


async def named(name: str) -> Any:
    async def answer(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(groups_answer(request, name))

    return answer


async def silent(request: Asked, writer: asyncio.StreamWriter) -> None:
    """Answers nothing."""


async def who(client: Client, timeout: float = 10.0, broker: int | None = None) -> str:
    (group,) = (await client.ask("ListGroups", timeout, broker)).groups
    return str(group.group_id)


def client_of(*brokers: Broker | PortClaim, **properties: str) -> Client:
    """A client that tries these in this order; underscores stand for dots."""
    more = {name.replace("_", "."): value for name, value in properties.items()}
    servers = ",".join(f"127.0.0.1:{one.port}" for one in brokers)
    client = Client("a-cluster", {"bootstrap.servers": servers, **more})
    client._bootstrap.sort(key=[("127.0.0.1", one.port) for one in brokers].index)
    return client


@asynchronous
async def test_a_bootstrap_server_that_refuses_or_hangs_holds_up_nobody() -> None:
    """One that takes no connections, and one that takes them and says nothing."""
    async with broker(silent, versions=False) as hung, broker(await named("a")) as well:
        with PortClaim() as nobody:
            client = client_of(nobody, hung, well)
            assert await who(client, 4.0) == "a"
            await client.close()


@asynchronous
async def test_a_broker_that_hangs_does_not_answer_for_the_cluster_again() -> None:
    """It had answered before; the next who asks anybody asks another at once."""
    async with broker(silent) as hung, broker(await named("b")) as well:
        client = client_of(hung, well)
        client.learn({1: ("127.0.0.1", hung.port), 2: ("127.0.0.1", well.port)})
        await client.versions(10.0, 1)
        with pytest.raises(RequestError):
            await who(client, 0.2, 1)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for _ in range(10):
            assert await who(client, 8.0) == "b"
        # Each time that it were asked first would take two seconds.
        assert loop.time() - begun < 2.0
        await client.close()


@asynchronous
async def test_where_nobody_can_be_reached_the_most_telling_error_is_raised() -> None:
    """That a broker sends garbage says more than that another is not there."""

    async def garbage(request: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400")

    async with broker(garbage, versions=False) as other:
        with PortClaim() as nobody:
            client = client_of(nobody, other)
            with pytest.raises(RequestError) as failed:
                await who(client, 2.0)
            assert failed.value.error_class == "garbage"
            await client.close()
            client = client_of(nobody)
            with pytest.raises(RequestError) as failed:
                await who(client, 2.0)
            assert failed.value.error_class == "refused"
            assert "Connection refused" in str(failed.value)
            await client.close()


@asynchronous
async def test_brokers_are_asked_where_metadata_says_they_are() -> None:
    """By their id; one that left is closed once it has answered, and is not asked any more."""
    async with broker(await named("a")) as first, broker(await named("b")) as second:
        client = client_of(first)
        assert await who(client) == "a"
        client.learn({1: ("127.0.0.1", first.port), 2: ("127.0.0.1", second.port)})
        assert [await who(client, 5.0, n) for n in (1, 2)] == ["a", "b"]
        with pytest.raises(RequestError, match=r"^broker 1 \(127\.0\.0\.1:\d+\): does not serve"):
            await client.send("ListGroups", 9, b"", 5.0, 1)
        client.learn({1: ("127.0.0.1", first.port), 3: ("localhost", second.port)})
        assert await who(client, 5.0, 3) == "b"
        with pytest.raises(RequestError) as gone:
            await who(client, 5.0, 2)
        assert gone.value.error_class == "unavailable"
        assert len(second.connections) == 2
        await client.close()


@asynchronous
async def test_a_failed_connection_is_tried_again_after_a_pause() -> None:
    """Until then the same error comes at once; afterwards the broker that is back answers."""
    loop = asyncio.get_running_loop()
    with PortClaim() as claim:
        port = claim.port
        client = client_of(claim, reconnect_backoff_ms="300")
        client.learn({1: ("127.0.0.1", port)})
        for _ in range(3):
            with pytest.raises(RequestError, match="Connection refused"):
                await who(client, 5.0, 1)
        (link,) = client._links.values()
        assert link.failures == 1
        assert 0 < link.waits < 0.4
    begun = loop.time()
    server = await asyncio.start_server(_answers("back"), "127.0.0.1", port)
    async with server:
        # Whoever asks anybody waits for the pause to end.
        assert await who(client, 10.0) == "back"
        assert 0.05 < loop.time() - begun < 5.0
        await client.close()


def _answers(name: str) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while size := await reader.read(4):
            frame = await reader.readexactly(int.from_bytes(size, "big"))
            key, version = (int.from_bytes(frame[i : i + 2], "big") for i in (0, 2))
            asked = Asked(key, version, int.from_bytes(frame[4:8], "big"), b"")
            writer.write(
                framed(asked.id, versions_body()) if key == 18 else groups_answer(asked, name)
            )
        writer.close()

    return serve


@asynchronous
async def test_a_connection_that_was_lost_is_opened_again() -> None:
    """What was under way fails with the reason; the next request is answered."""
    async with broker(await named("a")) as there:
        client = client_of(there)
        assert await who(client) == "a"
        there.writers[0].close()
        (link,) = client._links.values()
        while link.open:
            await asyncio.sleep(0)
        assert await who(client) == "a"
        assert len(there.connections) == 2
        await client.close()


@asynchronous
async def test_a_connection_that_is_closed_as_something_is_asked_is_opened_again() -> None:
    """As brokers do with one that was idle for too long: nobody notices."""
    turns: list[Asked] = []

    async def close_second(request: Asked, writer: asyncio.StreamWriter) -> None:
        turns.append(request)
        if len(turns) == 2:
            writer.close()
        else:
            writer.write(groups_answer(request, "a"))

    async with broker(close_second) as there:
        client = client_of(there)
        client.learn({1: ("127.0.0.1", there.port)})
        assert [await who(client, 5.0, 1) for _ in range(2)] == ["a", "a"]
        assert len(there.connections) == 2
        await client.close()


def serves(served: dict[int, tuple[int, int]]) -> Any:
    async def answer(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 18:
            writer.write(framed(request.id, versions_body(served)))
        else:
            writer.write(groups_answer(request, f"v{request.version}"))

    return answer


@asynchronous
async def test_the_highest_version_that_both_speak_is_spoken() -> None:
    """Or the one that is wanted; where there is none, it is said who lacks what."""
    list_groups = MESSAGES["ListGroups"].key
    for served, spoken in (((0, 99), "v5"), ((3, 4), "v4")):
        async with broker(serves({**SERVED, list_groups: served}), versions=False) as there:
            client = client_of(there)
            assert await who(client) == spoken
            found = await client.ask("ListGroups", 5.0, version=4)
            assert found.groups[0].group_id == "v4"
            assert await client.version("ListGroups", 5.0) == int(spoken[1:])
            await client.close()
    async with broker(serves({**SERVED, list_groups: (6, 9)}), versions=False) as there:
        client = client_of(there)
        with pytest.raises(RequestError) as refused:
            await who(client)
        assert refused.value.error_class == "unsupported"
        assert "does not serve ListGroups (it has v6 to v9)" in str(refused.value)
        assert await client.version("ListGroups", 5.0) is None
        with pytest.raises(RequestError, match="does not serve ListGroups v3"):
            await client.send("ListGroups", 3, b"", 5.0)
        await client.close()


@asynchronous
async def test_a_broker_older_than_2_8_is_said() -> None:
    """It has neither DescribeCluster nor Metadata 10."""
    old = {key: versions for key, versions in SERVED.items() if key != 60}
    old[MESSAGES["Metadata"].key] = (0, 9)
    async with broker(serves(old), versions=False) as there:
        client = client_of(there)
        with pytest.raises(RequestError) as refused:
            await who(client)
        assert refused.value.error_class == "unsupported"
        assert "older than Kafka 2.8" in str(refused.value)
        await client.close()


@asynchronous
async def test_a_broker_that_does_not_know_our_question_for_versions_is_asked_in_its_own() -> None:
    """KIP-511: it answers UNSUPPORTED_VERSION in version 0, with the versions that it has."""
    _, response = MESSAGES["ApiVersions"].classes()

    async def answer(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key != 18:
            writer.write(groups_answer(request, "a"))
            return
        served = SERVED if request.version == 2 else {18: (0, 2)}
        version = 2 if request.version == 2 else 0
        keys = [
            response.ApiVersion(api_key=k, min_version=low, max_version=high, version=version)
            for k, (low, high) in served.items()
        ]
        code = 0 if version else 35
        body = response(version=version, error_code=code, api_keys=keys).encode(version=version)
        writer.write(framed(request.id, bytes(body)))

    async with broker(answer, versions=False) as there:
        client = client_of(there)
        assert await who(client) == "a"
        assert [asked.version for asked in there.connections[0]][:2] == [3, 2]
        await client.close()


@asynchronous
async def test_a_connection_that_does_not_come_about_ends_in_time() -> None:
    """TCP stands, and nothing is said: by the time for connections, if that is less."""
    async with broker(silent, versions=False) as hung:
        client = client_of(hung, socket_connection_setup_timeout_ms="1000")
        with pytest.raises(RequestError) as late:
            await who(client, 10.0)
        assert late.value.error_class == "timeout"
        with pytest.raises(RequestError) as late:
            await who(client, 0.1)
        assert late.value.error_class == "timeout"
        await client.close()


@asynchronous
async def test_who_stops_waiting_leaves_the_connection_to_others() -> None:
    """The first who asked is cancelled while it opens; the second gets its answer."""
    gate = asyncio.Event()

    async def slow(request: Asked, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await serves(SERVED)(request, writer)

    async with broker(slow, versions=False) as there:
        client = client_of(there)
        client.learn({1: ("127.0.0.1", there.port)})
        first = asyncio.ensure_future(who(client, 10.0, 1))
        second = asyncio.ensure_future(who(client, 10.0, 1))
        while not there.connections:
            await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert await second == "v5"
        assert len(there.connections) == 1
        await client.close()


@asynchronous
async def test_the_broker_learns_who_asks() -> None:
    """The client's id, and what software it is (KIP-511)."""
    frames: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client("a", {"bootstrap.servers": f"127.0.0.1:{port}", "client.id": "me"})
        with pytest.raises(RequestError):
            await who(client)
        await client.close()
    assert b"\0\x02me" in frames[0]
    assert b"mqpipe" in frames[0]


@asynchronous
async def test_what_one_broker_does_not_let_in_is_not_tried_at_others() -> None:
    """A wrong password locks users out where it is given often."""

    async def deny(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 17:
            writer.write(answer_to(request, error_code=0, mechanisms=["PLAIN"]))
        else:
            writer.write(
                answer_to(request, error_code=58, error_message="Nobody\nsuch", auth_bytes=b"")
            )

    async with broker(deny) as first, broker(deny) as second:
        client = client_of(first, second, **LOGIN)
        with pytest.raises(RequestError) as denied:
            await who(client)
        assert denied.value.error_class == "auth"
        assert denied.value.code == 58
        assert str(denied.value).endswith("PLAIN: SASL_AUTHENTICATION_FAILED: Nobody such")
        assert len(first.connections) + len(second.connections) == 1
        await client.close()


def lets_in(milliseconds: int) -> Any:
    """A broker whose sessions last so long, and which takes no requests during a login."""

    async def answer(request: Asked, writer: asyncio.StreamWriter) -> None:
        if request.key == 17:
            writer.write(answer_to(request, error_code=0, mechanisms=["PLAIN"]))
        elif request.key == 36:
            await asyncio.sleep(0.02)
            writer.write(
                answer_to(
                    request,
                    error_code=0,
                    error_message=None,
                    auth_bytes=b"",
                    session_lifetime_ms=milliseconds,
                )
            )
        else:
            writer.write(groups_answer(request, "a"))

    return answer


LOGIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "me",
    "sasl_password": "hunter2",
}


@asynchronous
async def test_while_a_session_is_authenticated_anew_nothing_else_is_sent() -> None:
    """Between the first message of a login and its last answer; what was asked then is answered."""
    async with broker(lets_in(200)) as there:
        client = client_of(there, **LOGIN)
        keys: list[int] = []
        while keys.count(17) < 4:
            found = await asyncio.gather(*(who(client) for _ in range(3)))
            assert found == ["a"] * 3
            keys = [one.key for one in there.connections[0] if one.key != 18]
        assert all(after == 36 for key, after in pairwise(keys) if key == 17)
        assert len(there.connections) == 1
        await client.close()


@asynchronous
async def test_a_login_that_cannot_begin_leaves_the_session_what_is_left_of_it() -> None:
    """For want of a token, say: it is tried again, and only at the session's end it is an error."""
    async with broker(lets_in(1500)) as there:
        client = client_of(there, **LOGIN)
        assert await who(client) == "a"
        (link,) = client._links.values()
        connection = link.connection
        assert connection is not None
        login = client._access.login
        assert login is not None

        async def no_token(*_: object) -> Any:
            raise RefusedError("no token: of this test")

        login.exchange = no_token  # type: ignore[assignment,method-assign]
        loop = asyncio.get_running_loop()
        connection.authenticate_at = loop.time()
        assert await who(client) == "a"
        await asyncio.sleep(0)
        assert (connection.error, connection.holding) == (None, False)
        assert connection.authenticate_at > loop.time()
        connection.authenticate_at = connection.session_ends = loop.time()
        with pytest.raises(RequestError, match="no token: of this test") as refused:
            await who(client)
        assert refused.value.error_class == "auth"
        assert connection.error is not None
        await client.close()


@asynchronous
async def test_who_asks_a_closed_client_opens_nothing() -> None:
    """As a part of a tick does whose other part has failed it."""
    async with broker(await named("a")) as there:
        client = client_of(there)
        await client.close()
        with pytest.raises(RequestError, match="no longer asked"):
            await who(client)
        assert not there.connections


@asynchronous
async def test_a_connection_that_comes_about_as_the_client_is_closed_is_closed_too() -> None:
    """In the very turn of the loop in which it does, before anybody has heard of it."""
    async with broker(await named("a")) as there:
        client = client_of(there)
        asking = asyncio.ensure_future(who(client))
        while not client._links:
            await asyncio.sleep(0)
        (link,) = client._links.values()
        while (opening := link._opening) is None:
            await asyncio.sleep(0)
        while not opening.done():
            await asyncio.sleep(0)
        await client.close()
        await asyncio.gather(asking, return_exceptions=True)
        assert link.connection is not None
        assert link.connection.error is not None
