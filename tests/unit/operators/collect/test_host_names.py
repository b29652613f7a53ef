"""Names are looked up beside everything else."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from operators.collect.host_names import AT_ONCE, Names


def test_an_address_comes_back_as_aiohttp_takes_it() -> None:
    """With the port that was asked for."""

    async def look_up() -> Any:
        names = Names()
        try:
            return await names.resolve("127.0.0.1", 8222)
        finally:
            await names.close()

    [found] = asyncio.run(look_up())
    assert (found["hostname"], found["host"], found["port"]) == ("127.0.0.1", "127.0.0.1", 8222)
    assert found["family"] == socket.AF_INET


def test_names_that_hang_hold_up_no_loop_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own threads stay free, and closing does not wait for a name server."""
    answers = threading.Event()
    asked: list[str] = []

    def hangs(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(threading.current_thread().name)
        answers.wait(20)
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)

    async def look_up() -> int:
        names = Names()
        waiting = [asyncio.ensure_future(names.resolve(f"n{n}")) for n in range(AT_ONCE + 2)]
        free = await asyncio.to_thread(lambda: 5)
        await names.close()
        answers.set()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, OSError | asyncio.CancelledError) for each in ended)
        return free

    assert asyncio.run(look_up()) == 5
    assert len(asked) <= AT_ONCE
    assert all(name.startswith("names") for name in asked)
