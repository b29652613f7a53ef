"""What an OTLP receiver answers by the specification, and New Relic's by its documented limits."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from tests.otlp.reading import Point, points_of

PATH = "/v1/metrics"
MAX_BODY = 10**6
"""Bytes of a body as it is sent."""
MAX_RAW = 20 * 2**20
"""Bytes of a body before compression: the Collector's default."""
MAX_NAME, MAX_VALUE, MAX_ATTRIBUTES = 255, 4_095, 128
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request, and the points that were kept."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    reason: str = ""


def refusal(status: int, reason: str, retry_after: str | None = None) -> Verdict:
    """An answer that keeps nothing: its body is a `google.rpc.Status`."""
    message = reason.encode()
    status_message = b"\x12" + bytes([len(message)]) + message if len(message) < 128 else b""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Verdict(status, status_message, headers, reason=reason)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is taken."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that a request must have."""
    encodings: tuple[str, ...] = ("gzip", "zstd")
    rejects: str | None = None
    """The name of a metric whose points are left out, by partial success."""

    def judge(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """The answer to a request."""
        if path != PATH:
            return refusal(404, f"nothing is at {path}")
        if method != "POST":
            return refusal(405, f"{method} is not POST")
        if any(headers.get(name) != value for name, value in self.headers.items()):
            return refusal(403, "the api-key is wrong")
        if headers.get("Content-Type") != PROTOBUF:
            return refusal(415, "not binary protobuf")
        if headers.get("Content-Encoding") not in self.encodings:
            return refusal(415, "no such encoding")
        if len(body) > MAX_BODY:
            return refusal(413, f"{len(body)} bytes are over {MAX_BODY}")
        try:
            raw = _decompressed(body, headers["Content-Encoding"])
            points = list(points_of(raw))
        except (zlib.error, OSError, DecodeError, AssertionError) as error:
            return refusal(400, f"cannot be read: {error}"[:100])
        if len(raw) > MAX_RAW:
            return refusal(413, f"{len(raw)} bytes are over {MAX_RAW}")
        if bad := next((reason for point in points if (reason := _fault(point))), None):
            return refusal(400, bad[:100])
        kept = [point for point in points if point.name != self.rejects]
        response = ExportMetricsServiceResponse()
        if len(kept) < len(points):
            response.partial_success.rejected_data_points = len(points) - len(kept)
            response.partial_success.error_message = f"{self.rejects} is not wanted"
        return Verdict(200, response.SerializeToString(), points=kept)


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return zlib.decompress(body, zlib.MAX_WBITS | 16)
    return bytes(pa.CompressedInputStream(pa.BufferReader(body), "zstd").read())


def _fault(point: Point) -> str | None:
    attributes = {**point.attributes, **point.resource}
    if not 0 < len(point.name) <= MAX_NAME or len(attributes) > MAX_ATTRIBUTES:
        return f"{point.name}: too long a name, or too many attributes"
    if any(not name or len(name) > MAX_NAME for name in attributes):
        return f"{point.name}: too long an attribute's name"
    if any(isinstance(v, str) and len(v) > MAX_VALUE for v in attributes.values()):
        return f"{point.name}: too long an attribute's value"
    if not point.time:
        return f"{point.name}: without a time"
    if point.kind != "gauge" and not 0 < point.start < point.time:
        return f"{point.name}: a sum that starts at {point.start}"
    return None
