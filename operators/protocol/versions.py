"""ApiVersions, which every connection begins with: written and read by hand.

kafka-python has it too, but to import that costs a third of a second, and what asks a plain cluster
for nothing more needs it not.
"""

import struct
from collections.abc import Mapping

HIGHEST = 3
"""The newest version that is spoken here; the first with tagged fields."""

_UNSUPPORTED_VERSION = 35
_SOFTWARE = (b"mqpipe", b"1")
"""Name and version of the client, by which brokers count connections."""


def request(version: int) -> bytes:
    """What follows the request's header."""
    if version < HIGHEST:
        return b""
    return b"".join((*(bytes([len(text) + 1]) + text for text in _SOFTWARE), b"\0"))


def served(answer: bytes, version: int) -> tuple[int, Mapping[int, tuple[int, int]]]:
    """Kafka's error code, and by API key the lowest and highest version that a broker serves.

    A broker that does not know the version answers in version 0.

    Raises:
        ValueError: that is no such answer.
    """
    try:
        (error,) = struct.unpack_from(">h", answer)
        if version < HIGHEST or error == _UNSUPPORTED_VERSION:
            (count,) = struct.unpack_from(">i", answer, 2)
            return error, dict([_read(answer, 6 + 6 * n) for n in range(count)])
        count, at = _number(answer, 2)
        found = {}
        for _ in range(count - 1):
            key, versions = _read(answer, at)
            found[key] = versions
            at = _untagged(answer, at + 6)
    except (struct.error, IndexError) as cut:
        raise ValueError("it ends too early") from cut
    return error, found


def _read(answer: bytes, at: int) -> tuple[int, tuple[int, int]]:
    key, lowest, highest = struct.unpack_from(">hhh", answer, at)
    return key, (lowest, highest)


def _number(answer: bytes, at: int) -> tuple[int, int]:
    """A number of as many bytes as it needs, and the place after it."""
    value = 0
    for shift in (0, 7, 14, 21, 28):
        byte = answer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than five bytes")


def _untagged(answer: bytes, at: int) -> int:
    """The place after tagged fields."""
    count, at = _number(answer, at)
    for _ in range(count):
        _, at = _number(answer, at)
        size, at = _number(answer, at)
        at += size
    return at
