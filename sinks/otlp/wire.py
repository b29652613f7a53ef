"""Protobuf on the wire, as far as OTLP's metrics need it, for one message and for arrays of them.

Lengths that are computed together are written with the same number of bytes: a varint may have
leading zeros, and every decoder takes them. So they are written by numpy, all at once.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BYTES = pa.large_binary()

Pieces: TypeAlias = pa.LargeBinaryArray
"""Parts of messages, one a row."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""


def tag(field: int, wire_type: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | wire_type)


def varint(number: int) -> bytes:
    """A non-negative number, seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def nested(field: int, content: bytes) -> bytes:
    """A field that holds a message, a string or bytes."""
    return tag(field, LENGTH) + varint(len(content)) + content


def with_lengths(before: bytes, numbers: npt.NDArray[np.int64]) -> Pieces:
    """Some bytes and a length a row, all lengths of as many bytes as the largest needs."""
    width = len(varint(int(numbers.max(initial=0))))
    rows = np.empty((len(numbers), len(before) + width), np.uint8)
    rows[:, : len(before)] = np.frombuffer(before, np.uint8)
    lengths = rows[:, len(before) :]
    lengths[:] = (numbers[:, None] >> np.arange(width) * 7) & 0x7F
    lengths[:, :-1] |= 0x80
    return as_pieces(rows)


def fixed_rows(count: int, parts: Sequence[bytes | npt.NDArray[np.int64]]) -> npt.NDArray[np.uint8]:
    """Bytes that are alike in all rows, and numbers of 64 bits between them; shape: (count, size)."""
    template = b"".join(part if isinstance(part, bytes) else bytes(8) for part in parts)
    rows = np.empty((count, len(template)), np.uint8)
    rows[:] = np.frombuffer(template, np.uint8)
    at = 0
    for part in parts:
        if not isinstance(part, bytes):
            numbers = np.ascontiguousarray(part, "<i8")
            rows[:, at : at + 8] = numbers.view(np.uint8).reshape(count, 8)
        at += 8 if not isinstance(part, bytes) else len(part)
    return rows


def as_pieces(rows: npt.NDArray[np.uint8]) -> Pieces:
    """Pieces of one size each; shape of `rows`: (pieces, bytes). Nothing is copied."""
    count, size = rows.shape
    return pieces(np.arange(count + 1, dtype=np.int64) * size, pa.py_buffer(rows))


def pieces(offsets: npt.NDArray[np.int64], data: pa.Buffer) -> Pieces:
    """The pieces of a buffer that begin and end at these offsets; nothing is copied."""
    return pa.LargeBinaryArray.from_buffers(
        BYTES, len(offsets) - 1, [None, pa.py_buffer(offsets), data]
    )


def offsets_of(parts: Pieces) -> npt.NDArray[np.int64]:
    """Where pieces begin and end in their buffer."""
    whole = np.frombuffer(parts.buffers()[1], np.int64)
    return whole[parts.offset : parts.offset + len(parts) + 1]


def data_of(parts: Pieces) -> memoryview:
    """All pieces, one after the other; nothing is copied."""
    offsets = offsets_of(parts)
    if offsets[0] == offsets[-1]:
        return memoryview(b"")
    return memoryview(parts.buffers()[2])[offsets[0] : offsets[-1]]


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers of varints, bytes of all that has a length.

    Raises:
        ValueError: this is no message.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            number, at = _read_varint(message, at)
            yield field, number
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire_type)
        if wire_type == LENGTH:
            size, at = _read_varint(message, at)
        if size is None or not field or at + size > len(message):
            raise ValueError("not a protobuf message")
        yield field, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    raise ValueError("not a protobuf message")
