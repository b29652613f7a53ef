"""Host names, looked up beside everything else."""

import asyncio
import socket
import threading

import pytest

from operators.protocol import names


def test_a_name_server_that_hangs_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty names hang, and another is found at once; one look-up serves all who wait for it."""
    gate, asked = threading.Event(), []

    def look_up(host: str, port: int, *_: object, **more: object) -> list[object]:
        if more["flags"] == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        asked.append(host)
        if host.startswith("hung"):
            gate.wait(20.0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def run() -> None:
        hung = [
            asyncio.ensure_future(names.addresses(f"hung-{n}", 1)) for n in range(40) for _ in "ab"
        ]
        found = await asyncio.wait_for(names.addresses("well", 9092), 5.0)
        assert found == [(socket.AF_INET, ("127.0.0.1", 9092))]
        hung[0].cancel()
        gate.set()
        assert len(await asyncio.gather(*hung[1:])) == 79
        assert sorted(asked) == sorted({*asked})

    asyncio.run(run())


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 70])
def test_a_name_that_is_none_is_an_error(host: str) -> None:
    """Unknown, and impossible."""
    with pytest.raises(OSError, match=r"."):
        asyncio.run(names.addresses(host, 1))
