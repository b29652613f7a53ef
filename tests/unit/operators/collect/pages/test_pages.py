"""Brokers' metrics pages: what is read of them, and what a bad one costs."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.pages import session as pages_module
from operators.collect.pages.dialects import BYTES_IN, FETCHES
from operators.collect.pages.parse import parse_page
from operators.collect.pages.reader import PageReader, Pages
from operators.collect.pages.session import PageSession
from operators.collect.pages.settings import PagesSettings
from operators.schema.logs import FIELDS
from tests.certificates import certificate as self_signed_files
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
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A page server on a free port of loopback."""
    app = web.Application()
    app.router.add_get("/metrics", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/metrics"
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
    reader = PageReader("prod", PagesSettings(urls=dict(enumerate(urls, start=1))))
    try:
        return await reader.read(timeout)
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (_garbage, "broker 1"),
        (_login, "has no metrics of a Kafka broker"),
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


def test_ticks_that_begin_together_share_one_session() -> None:
    """Each had opened one, and the one that nobody closed was reported when it was forgotten."""

    async def test() -> int:
        async with serving(_good) as url:
            pages = PageSession(PagesSettings(urls={1: url}))
            opened = await asyncio.gather(*(pages._opened() for _ in range(4)))
            await pages.close()
            return len({id(session) for session in opened})

    assert asyncio.run(test()) == 1


def test_a_page_that_is_down_is_reported() -> None:
    """Nobody listens: refused."""
    with PortClaim() as claim:
        found = asyncio.run(read(f"http://127.0.0.1:{claim.port}/metrics"))
    assert found.pages == {}
    assert [p.error_class for p in found.problems] == ["refused"]


def redirecting(steps: Mapping[int, str]) -> Handler:
    """Redirects by `?step=`; the last step's place has the page."""

    async def handler(request: web.Request) -> web.StreamResponse:
        step = int(request.query.get("step", 0))
        if step not in steps:
            return web.Response(text=PAGE)
        return web.Response(status=302, headers={"Location": steps[step]})

    return handler


def read_redirected(steps: Mapping[int, str], user: str = "") -> tuple[Pages, list[str | None]]:
    """What comes of a page that redirects so, and the Authorization of each request of it."""
    shown: list[str | None] = []

    async def run() -> Pages:
        handler = redirecting(steps)

        async def noted(request: web.Request) -> web.StreamResponse:
            shown.append(request.headers.get("Authorization"))
            return await handler(request)

        async with serving(noted) as url:
            return await read(url.replace("http://", f"http://{user}"))

    return asyncio.run(run()), shown


def test_a_redirect_on_the_same_host_is_followed() -> None:
    """With the user and password that the page is asked with."""
    pages, shown = read_redirected({0: "/metrics?step=1", 1: "?step=2"}, "me:secret@")
    assert pages.problems == ()
    assert list(pages.pages) == [1]
    assert len(set(shown)) == 1
    assert shown[0] is not None


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://user:pass@169.254.169.254/latest", "another host (http://169.254.169.254/latest)"),
        ("//localhost/metrics", "redirects to another host"),
        ("ftp://127.0.0.1/metrics", "redirects to another host"),
        ("file:///etc/passwd", "redirects to another host"),
        ("/metrics", "redirects more than 5 times"),
        ("http://[", "what is no URL"),
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(target: str, says: str) -> None:
    """A page may not send mqpipe to other machines, nor round and round."""
    pages, _ = read_redirected({0: target})
    assert pages.pages == {}
    (problem,) = pages.problems
    assert says in problem.text


# Where pages are, and how they are asked


async def read_by(settings: PagesSettings, brokers: Mapping[int, str] | None = None) -> Pages:
    """What comes by these settings; `brokers` are the live ones' addresses by id."""
    reader = PageReader("prod", settings)
    try:
        return await reader.read(60, brokers)
    finally:
        await reader.close()


def test_pages_are_found_at_the_hosts_of_the_live_brokers() -> None:
    """By port and path; IPv6 too."""
    settings = PagesSettings(port=11001, path="/m")
    assert settings.urls_of({2: "[::1]:9092", 1: "broker-1:9092"}) == {
        1: "http://broker-1:11001/m",
        2: "http://[::1]:11001/m",
    }

    async def run() -> Pages:
        async with serving(_good) as url:
            port = int(url.rpartition(":")[2].partition("/")[0])
            return await read_by(PagesSettings(port=port), {7: "127.0.0.1:9092"})

    assert list(asyncio.run(run()).pages) == [7]


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"basic_auth": {"username": "mé", "password": "s:1"}}, "Basic bcOpOnM6MQ=="),
        ({"basic_auth": {"username": "me", "password_file": "secret"}}, "Basic bWU6ZnJvbSBmaWxl"),
        ({"bearer_token": "abc"}, "Bearer abc"),
        ({"bearer_token_file": "secret"}, "Bearer from file"),
        ({}, None),
    ],
)
def test_pages_are_asked_with_what_the_settings_say(
    settings: dict[str, Any], shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Basic auth or a bearer token, written down or from a file."""
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("from file\n")
    seen: list[str | None] = []

    async def notes(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return await _good(request)

    async def run() -> Pages:
        async with serving(notes) as url:
            return await read_by(PagesSettings.model_validate({"urls": {1: url}, **settings}))

    assert list(asyncio.run(run()).pages) == [1]
    assert seen == [shown]


def test_a_token_that_is_renewed_is_shown_from_then_on(tmp_path: Path) -> None:
    """Its file is read at every tick."""
    file = tmp_path / "token"
    seen: list[str | None] = []

    async def notes(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return await _good(request)

    async def run() -> None:
        async with serving(notes) as url:
            reader = PageReader("prod", PagesSettings(urls={1: url}, bearer_token_file=file))
            for token in ("old", "new"):
                file.write_text(token)
                await reader.read(60)
            await reader.close()

    asyncio.run(run())
    assert seen == ["Bearer old", "Bearer new"]


def test_secrets_that_cannot_be_read_are_reported_and_no_page_is_asked(tmp_path: Path) -> None:
    """With the file's name and without what is in it."""
    settings = PagesSettings(urls={1: "http://127.0.0.1:1/"}, bearer_token_file=tmp_path / "none")
    (problem,) = asyncio.run(read_by(settings)).problems
    assert problem.error_class == "config"
    assert f"{tmp_path / 'none'}: No such file or directory" in problem.text
    (tmp_path / "none").write_text("two\nlines")
    (problem,) = asyncio.run(read_by(settings)).problems
    assert "does not hold a secret of one line" in problem.text
    assert "two" not in problem.text


@pytest.mark.parametrize("status", [401, 403])
def test_a_page_that_lets_nobody_in_says_what_to_check(status: int) -> None:
    """Its class is that of a wrong password."""

    async def refuses(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async def run() -> Pages:
        async with serving(refuses) as url:
            return await read(url)

    (problem,) = asyncio.run(run()).problems
    assert problem.error_class == "auth"
    assert "check basic_auth, or the bearer token" in problem.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, that signed itself; in one file."""
    made = self_signed_files(tmp_path_factory.mktemp("tls") / "page")
    file = made.cert.with_name("page.pem")
    file.write_bytes(made.key.read_bytes() + made.cert.read_bytes())
    return file


def read_by_tls(certificate: Path, tls: dict[str, Any], *, client: bool = False) -> Pages:
    """What comes of a page by https; `client` asks mqpipe for its certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if client:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED

    async def run() -> Pages:
        async with serving(_good, context) as url:
            return await read_by(PagesSettings.model_validate({"urls": {1: url}, "tls": tls}))

    return asyncio.run(run())


def test_pages_by_https_are_trusted_by_the_authority_that_is_named(certificate: Path) -> None:
    """By the system's they are not; one may do without."""
    (problem,) = read_by_tls(certificate, {}).problems
    assert problem.error_class == "tls"
    assert "certificate" in problem.text
    assert list(read_by_tls(certificate, {"ca": certificate}).pages) == [1]
    assert list(read_by_tls(certificate, {"verify": False}).pages) == [1]


def test_pages_that_ask_for_a_certificate_get_one(certificate: Path) -> None:
    """Mutual TLS, the key in a file of its own or in the certificate's."""
    tls = {"ca": certificate, "certificate": certificate}
    assert read_by_tls(certificate, {"ca": certificate}, client=True).pages == {}
    assert list(read_by_tls(certificate, tls, client=True).pages) == [1]
    assert list(read_by_tls(certificate, {**tls, "key": certificate}, client=True).pages) == [1]


def test_a_certificate_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """With the file's name, at every tick."""
    settings = PagesSettings.model_validate(
        {"urls": {1: "https://127.0.0.1:1/"}, "tls": {"ca": tmp_path / "ca.pem"}}
    )
    (problem,) = asyncio.run(read_by(settings)).problems
    assert str(tmp_path / "ca.pem") in problem.text


def test_what_pages_lack_is_reported_once_with_what_would_bring_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Brokers that lack the same in one sentence; not again at the next tick."""

    async def run() -> list[str]:
        async with serving(_good) as url:
            reader = PageReader("prod", PagesSettings(urls={1: url, 2: url}))
            for _ in range(2):
                await reader.read(60)
            await reader.close()
            return reader.notes

    (note,) = asyncio.run(run())
    assert note.startswith("the metrics pages of brokers 1, 2 ")
    assert "broker.logFlushPerSecond (kafka.log:type=LogFlushStats" in note
    assert "request.avgTimeFetch," not in note
    reported = [record for record in caplog.records if record.name == "mqpipe.collect"]
    assert [record.__dict__[FIELDS] for record in reported] == [{"cluster": "prod", "note": note}]
