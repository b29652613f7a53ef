"""`/metrics`: the job's own metrics, and clusters' where they are asked for."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from prometheus_client.exposition import choose_encoder, gzip_accepted

from flows.observe.metrics import metrics_registry
from flows.observe.picture import Picture
from flows.observe.samples.page import END, ClusterPage

_FRESH = 0.25
"""Seconds in which the job's own metrics are not made again."""


class MetricsPage:
    """Answers scrapes in the format that is asked for: text or OpenMetrics, compressed or not."""

    def __init__(self, picture: Callable[[], Picture], clusters: ClusterPage | None) -> None:
        self._registry = metrics_registry(picture)
        self._clusters = clusters
        self._lock = threading.Lock()
        self._own: dict[str, tuple[float, bytes]] = {}

    def answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """A WSGI application; `?name[]=` chooses metrics by name."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]", [])
        encode, content_type = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        openmetrics = content_type.startswith("application/openmetrics-text")
        packed = gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))
        if names:
            own = encode(self._registry.restricted_registry(names))
        else:
            own = self._made(content_type, encode)
        parts = [own]
        if self._clusters is not None:
            own = own.removesuffix(END) if openmetrics else own
            page = self._clusters.text(openmetrics=openmetrics, names=names)
            parts = [own, page, END if openmetrics else b""]
        headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
        if packed:
            headers.append(("Content-Encoding", "gzip"))
            # One member: curl 7.88 reads no further than the first.
            parts = [gzip.compress(b"".join(parts), 1)]
        headers.append(("Content-Length", str(sum(map(len, parts)))))
        start_response("200 OK", headers)
        return parts if environ["REQUEST_METHOD"] == "GET" else [b""]

    def _made(self, content_type: str, encode: Callable[[Any], bytes]) -> bytes:
        with self._lock:
            at, text = self._own.get(content_type, (-_FRESH, b""))
            now = time.monotonic()
            if now >= at + _FRESH:
                text = encode(self._registry)
                if len(self._own) > 8:  # whoever asks says which format and escaping
                    self._own.clear()
                self._own[content_type] = time.monotonic(), text
            return text
