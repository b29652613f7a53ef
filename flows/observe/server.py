"""The page for machines that watch a job: `/metrics` and `/health`, on `metrics.listen`."""

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from flows.addresses import parse_address
from flows.observe.access import Tls, allowed
from flows.observe.health import Cause, not_live, not_ready
from flows.observe.metrics_page import MetricsPage
from flows.observe.picture import Picture
from flows.observe.samples.page import ClusterPage
from flows.observe.settings import MetricsSettings
from operators.schema.logs import Log

log = Log("mqpipe.metrics")

_REQUEST_SECONDS = 10.0


class ListenError(OSError):
    """The address of `metrics.listen` cannot be used."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(address, reason)

    def __str__(self) -> str:
        return (
            f"metrics.listen: cannot serve on {self.address}: {self.reason}; stop what uses it "
            "(another mqpipe?), or give metrics.listen another port, or null to serve none"
        )


class CertificateError(ListenError):
    """The files of `metrics.tls` cannot be used."""

    def __str__(self) -> str:
        return (
            f"metrics.tls: cannot use {self.address}: {self.reason}; give a certificate and its "
            "key in PEM that this user may read"
        )


@contextmanager
def served(
    settings: MetricsSettings,
    picture: Callable[[], Picture],
    process_id: int = 0,
    clusters: ClusterPage | None = None,
) -> Iterator[str | None]:
    """Serve until the block ends; yields the page's URL, or None where nothing is served.

    `/metrics` is for Prometheus; `/health/live` and `/health/ready` answer 200 or 503 for
    probes, `/health` says both; all three are JSON with the causes. Port 0 takes a free one.
    `clusters` are on `/metrics` too.

    Raises:
        ListenError: the address is in use, not of this machine, or not allowed; or the files of
            `metrics.tls` cannot be used.
    """
    if settings.listen is None:
        yield None
        return
    host, port = parse_address(settings.listen)
    port = port and port + process_id
    try:
        tls = None if settings.tls is None else Tls(settings.tls)
    except OSError as error:
        raise CertificateError(str(settings.tls and settings.tls.cert), str(error)) from error
    try:
        server = _MetricsServer((host, port), _QuietHandler, tls)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ListenError(f"{host}:{port}", reason) from error
    server.set_app(_pages(settings, picture, MetricsPage(picture, clusters)))
    name = f"[{host}]" if ":" in host else host
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://{name}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="mqpipe-metrics", daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pages(
    settings: MetricsSettings, picture: Callable[[], Picture], metrics: MetricsPage
) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].rstrip("/")
        known = allowed(settings.basic_auth, environ)
        if path in ("/health/live", "/health/ready") or (path == "/health" and known):
            now = picture()
            causes = not_live(now) if path == "/health/live" else not_ready(now)
            status = "503 Service Unavailable" if causes else "200 OK"
            start_response(
                status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
            )
            return [
                json.dumps(_health(now, causes) if known else {"ok": not causes}, indent=1).encode()
            ]
        if not known:
            challenge = ("WWW-Authenticate", 'Basic realm="mqpipe", charset="UTF-8"')
            start_response("401 Unauthorized", [("Content-Type", "text/plain"), challenge])
            return [b"user and password of metrics.basic_auth are needed\n"]
        if path == "/metrics":
            return metrics.answer(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health, /health/live and /health/ready are here\n"]

    return app


def _health(picture: Picture, causes: list[Cause]) -> dict[str, Any]:
    return {
        "ok": not causes,
        "causes": [{"code": cause.code, "message": cause.message} for cause in causes],
        "live": not not_live(picture),
        "ready": not not_ready(picture),
        "job": picture.job.name,
        "up_seconds": round(picture.now - picture.started, 1),
        "watermarks": dict(picture.watermarks),
    }


class _MetricsServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    # Of the library's five the sixth who comes at the same time, a probe maybe, waits a second and more.
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[WSGIRequestHandler], tls: Tls | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._tls = tls
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        return (connection if self._tls is None else self._tls.wrap(connection)), client

    def server_bind(self) -> None:
        # As in HTTPServer and WSGIServer, but without asking DNS for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("request failed", client=str(client_address), exc_info=True)


class _QuietHandler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass
