"""Clients of the metrics page that speak no HTTP, never read, or never end: others are served."""

import contextlib
import random
import socket
import time
import urllib.request

from tests.attack import hostile
from tests.attack.jobs import INTERVAL, job
from tests.attack.place import Found, Place, wait_until
from tests.ports import PortClaim

_GOOD = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
_ODD = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,5-\r\nAccept: */*;q=x,\x80\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xfe\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def attack(chance: random.Random, place: Place) -> str:
    """While they are there, a good client gets its page, and the job drains."""
    names = chance.choice([None, "kafka_exporter"])
    with PortClaim() as claim:
        listen = f"127.0.0.1:{claim.port}"
        metrics = {"listen": listen, "samples": True, **({"compatible": names} if names else {})}
        job(place, metrics=metrics, sinks={"parquet": {"path": "samples"}})
        process = place.start("run", "c.yaml", "--no-live")
        clients: list[socket.socket] = []
        try:
            if not wait_until(lambda: _page(listen), 40):
                raise Found(f"no page in 40 s: {place.said()}")
            count = chance.choice([1, 20, 200])
            clients.extend(_client(claim.port, chance) for _ in range(count))
            end = time.monotonic() + 2 * chance.random()
            if not wait_until(lambda: _page(listen), 20):
                raise Found(f"no page beside {len(clients)} odd clients: {place.said()}")
            wait_until(lambda: time.monotonic() > end, 5)
        finally:
            process.terminate()
            code = place.ended(process, "run")
            for client in clients:
                client.close()
    place.look_at_what_was_said(code)
    if code != 0:
        raise Found(f"the drain ends with {code}: {place.said()}")
    place.no_tick_is_missing(INTERVAL)
    place.look_outside()
    return f"{len(clients)} clients"


def _page(listen: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{listen}/metrics", timeout=5) as page:
            return b"# HELP" in page.read()
    except OSError:
        return False


def _client(port: int, chance: random.Random) -> socket.socket:
    """One that has sent something, and does not read what it gets."""
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    how = chance.randrange(4)
    data = [_GOOD * 50, _GOOD[: chance.randrange(len(_GOOD))], hostile.damage(_GOOD, chance)]
    with contextlib.suppress(OSError):  # it was refused before it had said all
        client.sendall(chance.choice(_ODD) if how == 3 else data[how])
    if chance.random() < 0.3:
        client.close()
    return client
