"""Who is asked with a password, and what is made of answers that no server here gives."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

from aiohttp import web

from operators.rabbitmq.api import Api
from operators.rabbitmq.settings import RabbitSettings

LOGIN = "Basic " + base64.b64encode(b"mqpipe:secret").decode()


def settings(url: str) -> RabbitSettings:
    """Of a cluster whose API is there."""
    return RabbitSettings.model_validate(
        {"name": "mq", "provider": "rabbitmq", "url": url, "user": "mqpipe", "password": "secret"}
    )


def asked_by(api_url: str) -> list[str | None]:
    """With which credentials a page by http is asked for, where the API is at `api_url`."""
    seen: list[str | None] = []

    async def page(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(text="# EOF\n")

    asyncio.run(_serving(page, lambda url: _page(Api(settings(api_url)), url)))
    return seen


async def _page(api: Api, url: str) -> None:
    try:
        await api.page(f"{url}/metrics", 10, "rabbit@a")
    finally:
        await api.close()


async def _serving(
    handler: Callable[[web.Request], Awaitable[web.Response]],
    ask: Callable[[str], Awaitable[None]],
) -> None:
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        await ask(f"http://{host}:{port}")
    finally:
        await runner.cleanup()


def test_a_page_learns_who_asks() -> None:
    """From RabbitMQ 3.13 on it may be that nobody else is let in (`prometheus.authentication.enabled`)."""
    assert asked_by("http://127.0.0.1:15672") == [LOGIN]


def test_a_password_for_https_never_goes_in_the_clear() -> None:
    """The page is by http, the API is not."""
    assert asked_by("https://127.0.0.1:15671") == [None]
