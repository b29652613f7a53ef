"""The addresses of a host, looked up so that a name server that hangs holds up nobody else."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import TypeAlias

Address: TypeAlias = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]
"""A family, and what sockets of it connect to."""

_lock = threading.Lock()
_under_way: dict[tuple[str, int], Future[list[Address]]] = {}


async def addresses(host: str, port: int) -> list[Address]:
    """All addresses of a host, in the order in which they are to be tried.

    A look-up cannot be stopped, and takes tens of seconds where a name server hangs: each has a
    thread of its own, which all who ask for the same wait for.

    Raises:
        OSError: there is no such name, or nobody knows.
    """
    try:
        return _found(host, port, socket.AI_NUMERICHOST)
    except OSError:
        pass
    return await asyncio.wrap_future(_asked(host, port))


def _asked(host: str, port: int) -> Future[list[Address]]:
    with _lock:
        asked = _under_way.get((host, port))
        if asked is None:
            asked = _under_way[host, port] = Future()
            # It goes on whoever stops waiting.
            asked.set_running_or_notify_cancel()
            thread = threading.Thread(
                target=_look_up, args=(host, port, asked), name="mqpipe-name", daemon=True
            )
            thread.start()
        return asked


def _look_up(host: str, port: int, asked: Future[list[Address]]) -> None:
    try:
        found: list[Address] | OSError = _found(host, port, socket.AI_ADDRCONFIG)
    except OSError as error:
        found = error
    except UnicodeError:  # a label is empty or too long
        found = socket.gaierror(socket.EAI_NONAME, "not a name that can be looked up")
    with _lock:
        del _under_way[host, port]
    if isinstance(found, OSError):
        asked.set_exception(found)
    else:
        asked.set_result(found)


def _found(host: str, port: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]
