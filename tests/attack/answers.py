"""Receivers that answer as no receiver should: nothing is lost, and no drain hangs."""

import asyncio
import json
import random
import signal
import time
import zlib
from typing import Any

from aiohttp import web

from tests.attack import hostile
from tests.attack.jobs import INTERVAL, job
from tests.attack.place import Found, Place, wait_until
from tests.newrelic.server import ServerThread, reset
from tests.ports import PortClaim

_SENDERS = {"newrelic": "/v1/accounts/7/events", "otlp": "/v1/metrics"}
_STATUS = [100, 102, 200, 201, 202, 204, 206, 301, 304, 307, 308, 400, 401, 403, 404, 408, 413, 415,
           418, 422, 429, 431, 500, 501, 502, 503, 504, 507, 520, 599, 999]  # fmt: skip
_PAUSES = ["0", "1", "-1", "9e9", "9" * 400, "soon", "", "Fri, 31 Dec 9999 23:59:59 GMT", "nan"]
_WAIT = 60.0
"""Seconds in which all that waits has been sent once the receiver is well."""


class Receiver:
    """Takes events and points; hostile until it is told to be `well`."""

    def __init__(self, chance: random.Random) -> None:
        self.well = False
        self.keys: set[tuple[str, int]] = set()
        """Of events: the entity's GUID and the timestamp."""
        self._chance = chance

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take what comes, or answer with what the chance says."""
        body = await request.read()
        how = 0 if self.well else self._chance.randrange(6)
        if how == 0:
            self._take(request, body)
            return web.Response(status=202 if "accounts" in request.path else 200)
        if how == 1:
            return reset(request)
        if how == 2:
            await asyncio.sleep(self._chance.choice([0.1, 3.0]))
            return web.Response(status=503)
        status = self._chance.choice(_STATUS)
        if 200 <= status < 300:
            self._take(request, body)
        headers = {"Retry-After": self._chance.choice(_PAUSES), "Location": "/elsewhere"}
        garbage = hostile.damage(b'{"success": true, "uuid": "x"}' * 9, self._chance)
        if how == 3:
            headers["Content-Encoding"] = self._chance.choice(["gzip", "zstd", "br", "x"])
        elif how == 4:
            headers["Content-Type"] = "application/x-protobuf"
        return web.Response(status=status, body=garbage, headers=headers)

    def _take(self, request: web.Request, body: bytes) -> None:
        if "accounts" not in request.path:
            return
        events: list[dict[str, Any]] = json.loads(zlib.decompress(body, 47))
        self.keys |= {
            (event["entityGuid"], event["timestamp"]) for event in events if "entityGuid" in event
        }


def attack(chance: random.Random, place: Place) -> str:
    """A job sends to it, is ended, and sends the rest once the receiver is well."""
    receiver = Receiver(chance)
    with PortClaim() as claim:
        server = ServerThread(receiver.handle, claim.port)
        try:
            server.up()
            return _against(receiver, f"http://127.0.0.1:{claim.port}", chance, place)
        finally:
            server.close()


def _against(receiver: Receiver, endpoint: str, chance: random.Random, place: Place) -> str:
    name = chance.choice(sorted(_SENDERS))
    newrelic = {"license_key": "0123456789", "endpoint": endpoint, "shape": "events"}
    otlp = {"endpoint": endpoint, "compression": chance.choice(["zstd", "gzip"])}
    sinks = {
        "parquet": {"path": "samples", "roll": {"every": "1s"}},
        name: {"timeout": "1s", **(newrelic if name == "newrelic" else otlp)},
    }
    job(place, sinks=sinks)
    process = place.start("run", "c.yaml", "--no-live")
    published = wait_until(lambda: list(place.work.glob("samples/type=*/*/*.parquet")), 40)
    time.sleep(4 * chance.random())
    process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
    place.look_at_what_was_said(max(0, place.ended(process, "run")))
    if not published:
        raise Found(f"published nothing in 40 s: {place.said()}")
    receiver.well = True
    for arguments in (("run", "c.yaml", "--no-live", "--for", "3s"), ("redeliver", "c.yaml")):
        if place.run(*arguments, timeout=_WAIT) != 0:
            raise Found(
                f"{name}: `{arguments[0]}` fails with a receiver that is well: {place.said()}"
            )
    place.no_tick_is_missing(INTERVAL)
    if name == "newrelic":
        there = {
            (guid, int(moment.timestamp() * 1000))
            for frame in place.keys().values()
            for guid, moment in frame.select("entity_guid", "timestamp").iter_rows()
        }
        if lost := there - receiver.keys:
            raise Found(f"{len(lost)} of {len(there)} samples never came to New Relic")
    place.look_outside()
    return name
