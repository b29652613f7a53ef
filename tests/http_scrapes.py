"""Scrapes of a metrics server, as tests make them."""

import base64
import ssl
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple


class Answer(NamedTuple):
    """An answer whose body is unpacked."""

    status: int
    headers: Message
    text: str


def _one_member(packed: bytes) -> bytes:
    """What gzip packed, as clients read it that know of one member only (curl 7.88)."""
    unpacking = zlib.decompressobj(wbits=31)
    body = unpacking.decompress(packed)
    assert unpacking.eof
    assert unpacking.unused_data == b""
    return body


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    user: tuple[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """What a server answers, errors too."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    if user is not None:
        given = base64.b64encode(":".join(user).encode()).decode()
        request.add_header("Authorization", f"Basic {given}")
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            body = answer.read()
            if answer.headers.get("Content-Encoding") == "gzip":
                body = _one_member(body)
            return Answer(answer.status, answer.headers, body.decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())
