"""The addresses of a host, looked up so that a name server that hangs holds up nobody else."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias

from operators.protocol.apart import apart

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""A family, and what sockets of it connect to."""

_lock = threading.Lock()
_under_way: dict[tuple[str, int, socket.AddressFamily], Future[list[Address]]] = {}


async def addresses(
    host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
) -> list[Address]:
    """All addresses of a host, in the order in which they are to be tried.

    A look-up cannot be stopped, and takes tens of seconds where a name server hangs: each has a
    thread of its own, and all who ask for the same wait for one.

    Raises:
        OSError: there is no such name, or nobody knows.
    """
    try:
        return _found(host, port, family, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return await asyncio.wrap_future(_asked(host, port, family))


def _asked(host: str, port: int, family: socket.AddressFamily) -> Future[list[Address]]:
    what = host, port, family
    with _lock:
        asked = _under_way.get(what)
        if asked is None:
            asked = _under_way[what] = apart(partial(_look_up, host, port, family))
        return asked


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Address]:
    try:
        return _found(host, port, family, socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "not a name") from error
    finally:
        with _lock:
            _under_way.pop((host, port, family), None)


def _found(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [(of_family, address) for of_family, _, _, _, address in found]  # type: ignore[misc]
