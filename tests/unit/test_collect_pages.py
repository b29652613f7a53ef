"""Brokers' metrics pages: what is read of them, and what a bad one costs."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from operators.collect import pages as pages_module
from operators.collect.dialects import BYTES_IN, FETCHES
from operators.collect.page import parse_page
from operators.collect.pages import PageReader, Pages, without_password
from tests.ports import PortClaim

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
        "broker.heapUsed": 25_000_000,
        "broker.heapMax": 100_000_000,
    }
    assert page.counters == {BYTES_IN: 1234.0, FETCHES: 17.0}
    assert page.topic_counters == {(BYTES_IN, "orders"): 1200.0}
    assert page.sizes == {"orders": 150}


@pytest.mark.parametrize("value", ["+Inf", "-Inf", "NaN", "1e999"])
def test_what_is_no_number_is_no_value(value: str) -> None:
    """It is left out, whatever it stands for."""
    lines = [line.rpartition(" ")[0] for line in PAGE.splitlines() if not line.startswith("#")]
    page = parse_page(PAGE + "".join(f"{line} {value}\n" for line in lines), 5)
    assert page == parse_page(PAGE, 5)


def test_a_processor_load_that_the_virtual_machine_does_not_know_is_null() -> None:
    """It says -1 then."""
    page = parse_page(PAGE.replace("processcpuload 0.25", "processcpuload -1.0"), 5)
    assert page is not None
    assert "broker.cpuUsage" not in page.gauges


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


async def read(*urls: str, timeout: float = 60.0) -> Pages:
    """What comes of brokers 1, 2, ... that have these pages."""
    reader = PageReader("prod", dict(enumerate(urls, start=1)))
    try:
        return await reader.read(timeout)
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (_garbage, "broker 1"),
        (_login, "has no Kafka metrics"),
        (_broken, "answers 500"),
        (_endless, "bigger than"),
    ],
)
def test_a_bad_page_costs_only_its_own_metrics(
    handler: Handler, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is garbage, foreign, broken or huge is reported; the others are read."""
    monkeypatch.setattr(pages_module, "MAX_PAGE", 1 << 20)

    async def run() -> Pages:
        async with serving(handler) as bad, serving(_good) as good:
            return await read(bad, good)

    found = asyncio.run(run())
    assert list(found.pages) == [2]
    (problem,) = found.problems
    assert problem.error_class == "page"
    assert says in problem.text


def test_a_page_that_hangs_is_reported() -> None:
    """It costs no more than its time."""

    async def run() -> Pages:
        async with serving(_hangs) as url:
            return await read(url, timeout=0.2)

    (problem,) = asyncio.run(run()).problems
    assert problem.error_class == "timeout"
    assert "no answer within 0.2 s" in problem.text


def test_no_page_waits_for_another() -> None:
    """Each of them answers only once all were asked."""

    async def run() -> Pages:
        all_asked = asyncio.Barrier(2)

        async def waits(request: web.Request) -> web.StreamResponse:
            await all_asked.wait()
            return await _good(request)

        async with serving(waits) as one, serving(waits) as other:
            return await read(one, other)

    assert list(asyncio.run(run()).pages) == [1, 2]


def test_a_page_is_found_by_its_hosts_name() -> None:
    """Whatever addresses the name has, one of them answers."""

    async def run() -> Pages:
        async with serving(_good) as url:
            return await read(url.replace("127.0.0.1", "localhost"))

    assert list(asyncio.run(run()).pages) == [1]


def test_a_host_that_nobody_knows_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that cannot be reached, with what the name server said."""

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (problem,) = asyncio.run(read("http://broker-1:7071/metrics")).problems
    assert problem.error_class == "refused"
    assert "Name or service not known" in problem.text


def test_a_name_server_that_hangs_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own threads are free for others while names are looked up."""
    answered = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered")

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def run() -> Pages:
        try:
            found = await read(*(f"http://broker-{n}:7071/metrics" for n in range(99)), timeout=0.2)
            async with asyncio.timeout(30):
                await asyncio.to_thread(lambda: None)
        finally:
            answered.set()
        return found

    assert {problem.error_class for problem in asyncio.run(run()).problems} == {"timeout"}


def test_a_page_that_is_down_is_reported() -> None:
    """Nobody listens: refused."""
    with PortClaim() as claim:
        found = asyncio.run(read(f"http://127.0.0.1:{claim.port}/metrics"))
    assert found.pages == {}
    assert [p.error_class for p in found.problems] == ["refused"]


def test_a_url_is_shown_without_its_password() -> None:
    """User and password of a page's URL stay out of messages."""
    assert without_password("http://me:secret@broker-1:7071/m") == "http://broker-1:7071/m"
