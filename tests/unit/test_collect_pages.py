"""Brokers' metrics pages: what is read of them, and what a bad one costs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from operators.collect import pages as pages_module
from operators.collect.pages import (
    BYTES_IN,
    FETCHES,
    PageReader,
    Pages,
    parse_page,
    without_password,
)

PAGE = """\
# HELP kafka_server_brokertopicmetrics_bytesin_total BytesIn
# TYPE kafka_server_brokertopicmetrics_bytesin_total counter
kafka_server_brokertopicmetrics_bytesin_total 1234.0
kafka_server_brokertopicmetrics_bytesin_total{topic="orders"} 1.2E3
kafka_server_brokertopicmetrics_totalfetchrequests_total 17.0
kafka_server_brokertopicmetrics_unheardof_total 3.0
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.985
kafka_controller_kafkacontroller_activecontrollercount 1.0
kafka_network_requestmetrics_totaltimems_mean{request="Fetch"} 12.5
kafka_network_requestmetrics_totaltimems_mean{request="Produce"} NaN
kafka_network_requestmetrics_totaltimems{quantile="0.99",request="Produce"} 40.0
kafka_network_requestmetrics_totaltimems{quantile="0.5",request="Fetch"} 1.0
kafka_log_log_size{partition="0",topic="orders"} 100.0
kafka_log_log_size{partition="1",topic="orders"} 50.0
java_lang_operatingsystem_processcpuload 0.25
jvm_memory_used_bytes{area="heap"} 2.5E7
jvm_memory_used_bytes{area="nonheap"} 9.9E9
jvm_memory_max_bytes{area="heap"} 1.0E8
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def test_a_page_gives_gauges_counters_and_sizes() -> None:
    """Shares come in percent; a topic's counters are its own; a NaN is no value."""
    page = parse_page(PAGE, 5)
    assert page is not None
    assert page.at == 5
    assert page.gauges == {
        "request.handlerIdle": 98.5,
        "broker.isController": 1,
        "request.avgTimeFetch": 12.5,
        "request.produceTime99Percentile": 40.0,
        "broker.cpuUsage": 25.0,
        "broker.memoryUsage": 25.0,
    }
    assert page.counters == {BYTES_IN: 1234.0, FETCHES: 17.0}
    assert page.topic_counters == {(BYTES_IN, "orders"): 1200.0}
    assert page.sizes == {"orders": 150}


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a port answers, parsing ends without an error."""
    parse_page(text, 0)
    parse_page(PAGE + text, 0)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A page server on a free port of loopback."""
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def _good(_: web.Request) -> web.StreamResponse:
    return web.Response(text=PAGE)


async def _garbage(_: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(range(256)) * 10)


async def _login(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>Please log in</html>")


async def _broken(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def _hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"#" * 4096 + b"\n")


async def read_with_good(handler: Handler, timeout: float) -> Pages:
    """What comes of broker 1 with this page beside broker 2 with a good one."""
    async with serving(handler) as bad, serving(_good) as good:
        reader = PageReader("prod", {1: bad, 2: good})
        try:
            return await reader.read(timeout)
        finally:
            await reader.close()


@pytest.mark.parametrize(
    ("handler", "timeout", "error_class", "says"),
    [
        (_garbage, 5.0, "page", "broker 1"),
        (_login, 5.0, "page", "has no Kafka metrics"),
        (_broken, 5.0, "page", "answers 500"),
        (_hangs, 0.2, "timeout", "no answer within 0.2 s"),
        (_endless, 20.0, "page", "bigger than"),
    ],
)
def test_a_bad_page_costs_only_its_own_metrics(
    handler: Handler,
    timeout: float,
    error_class: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that is garbage, foreign, broken, hung or huge is reported; the others are read."""
    monkeypatch.setattr(pages_module, "MAX_PAGE", 1 << 20)
    found = asyncio.run(read_with_good(handler, timeout))
    assert list(found.pages) == [2]
    (problem,) = found.problems
    assert problem.error_class == error_class
    assert says in problem.text


def test_a_page_that_is_down_is_reported() -> None:
    """Nobody listens: refused."""

    async def run() -> Pages:
        async with serving(_good) as url:
            pass
        reader = PageReader("prod", {3: url})
        try:
            return await reader.read(5.0)
        finally:
            await reader.close()

    found = asyncio.run(run())
    assert found.pages == {}
    assert [p.error_class for p in found.problems] == ["refused"]


def test_a_url_is_shown_without_its_password() -> None:
    """User and password of a page's URL stay out of messages."""
    assert without_password("http://me:secret@broker-1:7071/m") == "http://broker-1:7071/m"
