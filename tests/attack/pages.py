"""Brokers' pages that lead elsewhere, never end, or are bombs."""

import asyncio
import gzip
import random
import resource
from collections.abc import Awaitable, Callable
from functools import cache

from aiohttp import web

from operators.collect.pages.reader import PageReader, Pages
from operators.collect.pages.settings import PagesSettings
from tests.attack import hostile
from tests.attack.place import Found, Place, within

GOOD = "kafka_server_brokertopicmetrics_messagesin_total 1.0\n"
MOST_MEMORY = 1500
"""MiB that a reader may come to take."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def attack(chance: random.Random, place: Place) -> str:
    """Whatever a page is, the others are read, and it is reported in time."""
    kind = chance.choice(
        ["redirect", "endless", "bomb", "garbage", "labels", "hangs", "cut", "status"]
    )
    handler = _handler(kind, chance)
    with within(60, f"reading pages ({kind})"):
        found = asyncio.run(_read(handler))
    if 2 not in found.pages:
        raise Found(f"{kind}: a good page is not read beside it: {found.problems}")
    if 1 not in found.pages and not found.problems:
        raise Found(f"{kind}: nothing is said of the page")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if memory > MOST_MEMORY:
        raise Found(f"{kind}: {memory} MiB of memory")
    return kind


async def _read(handler: Handler) -> Pages:
    async def good(_: web.Request) -> web.StreamResponse:
        return web.Response(text=GOOD)

    app = web.Application()
    app.router.add_get("/bad", handler)
    app.router.add_get("/good", good)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    reader = PageReader("prod", PagesSettings(urls={1: f"{base}/bad", 2: f"{base}/good"}))
    try:
        return await reader.read(10)
    finally:
        await reader.close()
        await runner.cleanup()


@cache
def _bomb() -> bytes:
    """A quarter of a GiB of zeros, which takes a second to make."""
    return gzip.compress(bytes(256 << 20))


def _handler(kind: str, chance: random.Random) -> Handler:
    target = chance.choice(
        ["http://localhost/", "//[::1]/", "/bad", "?x", "http://[", "ftp://x/", "javascript:0",
         "http://u:p@169.254.169.254/", "\r\nX: y", "/good", "http://127.0.0.1:1/", "é", ""]
    )  # fmt: skip
    garbage = hostile.damage((GOOD * 50).encode(), chance)

    async def handler(request: web.Request) -> web.StreamResponse:
        if kind == "redirect":
            return web.Response(status=302, headers={"Location": target.replace("\r\n", "")})
        if kind == "status":
            return web.Response(status=chance.choice([204, 304, 401, 404, 500, 599]), text=GOOD)
        if kind == "garbage":
            return web.Response(body=garbage)
        if kind == "bomb":
            return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"})
        if kind == "labels":
            label = "".join(
                chance.choice(['"', "\\", "{", "}", ",", "=", "a", "\n"]) for _ in range(9999)
            )
            return web.Response(text=GOOD + f'kafka_log_log_size{{topic="{label}"}} 1\n' * 200)
        response = web.StreamResponse()
        await response.prepare(request)
        if kind == "cut":
            await response.write(GOOD.encode())
            assert request.transport is not None
            request.transport.close()
            return response
        while True:
            if kind == "endless":
                await response.write(GOOD.encode() * 1000)
            else:
                await asyncio.sleep(1)
                await response.write(b" ")

    return handler
