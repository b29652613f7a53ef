"""Connections to peers: the kernel is to end those whose other side is silent."""

import socket
from collections.abc import Iterator

import pytest

import flows.peers
from flows.peers import notice_silence


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket, str]]:
    """Both ends of a TCP connection, and the address that one of them dialled."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as dialled:
            accepted, _ = server.accept()
            with accepted:
                yield dialled, accepted, f"127.0.0.1:{port}"


def silence_of(end: socket.socket) -> tuple[int, int, int, int]:
    """Whether it is kept alive; seconds until it is first asked and asked again; ms until its end."""
    tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
    idle, again, most = (end.getsockopt(socket.IPPROTO_TCP, option) for option in tcp)
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), idle, again, most


def test_a_silent_peer_is_noticed_on_connections_of_the_cluster(
    connection: tuple[socket.socket, socket.socket, str],
) -> None:
    """At both ends, and they go on working; other connections are left as they are."""
    dialled, accepted, address = connection
    before = silence_of(dialled)
    assert notice_silence(["127.0.0.1:1"]) == 0
    assert silence_of(dialled) == before
    assert notice_silence([address, "elsewhere:1"], 30) == 2
    assert silence_of(dialled) == silence_of(accepted) == (1, 10, 5, 30_000)
    dialled.sendall(b"still there")
    assert accepted.recv(20) == b"still there"


def test_a_system_without_linux_options_has_those_that_it_has(
    connection: tuple[socket.socket, socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS: what is idle is asked still."""
    monkeypatch.setattr(flows.peers, "_UNANSWERED", None)
    dialled, _, address = connection
    before = dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert notice_silence([address], 30) == 2
    assert silence_of(dialled) == (1, 10, 5, before)
