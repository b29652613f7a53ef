"""Connections to the other processes of a cluster: a peer that has gone silent is noticed."""

import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from flows.addresses import parse_address

SILENCE = 30
"""Seconds after which a peer whose machine does not answer is taken for gone."""

_OPEN_FILES = Path("/dev/fd")
"""This process's, on Linux as on macOS."""

_IDLE = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
_UNANSWERED = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Options that not every system has: without the second, what was sent and is not answered is given
up as late as the system does by itself, which on macOS takes minutes."""


def notice_silence(addresses: Sequence[str], seconds: int = SILENCE) -> int:
    """Have the kernel end connections whose other side does not answer; gives how many there are.

    The engine sets no time-out on them: of a network that is cut without a word, or a machine
    that loses power, a process that has just sent nothing would never hear, and one that has
    after a quarter of an hour. A peer that is only busy answers, for its kernel does.
    """
    count = 0
    for connection in _connections({parse_address(address)[1] for address in addresses}):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (_IDLE, max(1, seconds // 3)),
            (socket.TCP_KEEPINTVL, max(1, seconds // 6)),
            (_UNANSWERED, 1000 * seconds),
        ):
            if option is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        count += 1
    return count


def _connections(ports: set[int]) -> Iterator[socket.socket]:
    """This process's TCP connections that have one of the ports at either end.

    They are the engine's, which reports them to nobody.
    """
    for number in [int(file.name) for file in _OPEN_FILES.iterdir()]:
        with suppress(OSError):  # It was closed meanwhile, or is not connected.
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with closing(socket.socket(fileno=os.dup(number))) as found:
                if found.type != socket.SOCK_STREAM or found.family == socket.AF_UNIX:
                    continue
                if ports & {found.getsockname()[1], found.getpeername()[1]}:
                    yield found
