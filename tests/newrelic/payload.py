"""How a POST is read: key, content type, encoding, size, JSON. What is wrong is refused."""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_BODY = 10**6
"""Bytes of a POST's body as it is sent."""

LICENSE_KEY = "not-a-real-license-key-of-anyoneNRAL"
"""The key that a stand-in takes where it is not told another."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_MAX_UNCOMPRESSED = 1 << 28


class RefusedError(Exception):
    """A POST that is answered with `status`, and of which nothing is kept."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(status, reason, retry_after)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def check_headers(headers: Mapping[str, str], license_key: str, encodings: tuple[str, ...]) -> str:
    """The content encoding of a POST whose headers are as documented.

    Raises:
        RefusedError: 403 without the right key, 415 for another content type or encoding.
    """
    if headers.get("Api-Key") != license_key:
        raise RefusedError(403, "no Api-Key header, or a wrong key in it")
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RefusedError(415, f"Content-Type is {content_type!r}, not application/json")
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in encodings:
        raise RefusedError(415, f"Content-Encoding is {encoding!r}, not one of {encodings}")
    return encoding


def check_length(headers: Mapping[str, str]) -> None:
    """Passes a request that says how long its body is.

    Raises:
        RefusedError: 411 where it does not (a chunked one).
    """
    if "Content-Length" not in headers:
        raise RefusedError(411, "no Content-Length header")


def read_json(body: bytes, encoding: str, max_uncompressed: int | None) -> list[Any]:
    """The JSON array in a body, which has at most `MAX_BODY` bytes as sent.

    Raises:
        RefusedError: 413 where it is too big, 400 where it is no JSON array, holds NaN or an
            infinity, or is not encoded as it says.
    """
    if len(body) > MAX_BODY:
        raise RefusedError(413, f"{len(body)} bytes are over {MAX_BODY}")
    text = body if encoding == "identity" else _decompressed(body, encoding)
    if max_uncompressed is not None and len(text) > max_uncompressed:
        raise RefusedError(413, f"{len(text)} uncompressed bytes are over {max_uncompressed}")
    try:
        payload = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"not JSON: {error}") from error
    if not isinstance(payload, list) or not all(isinstance(item, dict) for item in payload):
        raise RefusedError(400, "not a JSON array of objects")
    return payload


def _decompressed(body: bytes, encoding: str) -> bytes:
    decompressor = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        text = decompressor.decompress(body, _MAX_UNCOMPRESSED)
    except zlib.error as error:
        raise RefusedError(400, f"the body is not {encoding}: {error}") from error
    if decompressor.unconsumed_tail:
        raise RefusedError(413, f"over {_MAX_UNCOMPRESSED} bytes uncompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise RefusedError(400, f"the body is not one whole {encoding} stream")
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value
