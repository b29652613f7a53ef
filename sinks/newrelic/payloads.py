"""JSON objects cut into gzipped arrays that New Relic takes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from sinks.newrelic.settings import PAYLOAD_BYTES

_LEVEL, _MEMORY = 1, 9
"""Level 1 is a quarter smaller than level 0 at the same speed; its memory is at its fastest."""
_GZIP = 31
"""zlib's word for a gzip header and the largest window."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A compressed body and which rows are in it: `start` to `stop` of what was cut."""

    start: int
    stop: int
    body: bytes


def payloads(
    rows: pa.LargeStringArray,
    max_bytes: int = PAYLOAD_BYTES,
    max_raw_bytes: int = PAYLOAD_BYTES,
) -> Iterator[Payload]:
    """Cut rows (JSON objects, each with its comma) into gzipped JSON arrays.

    A payload holds as many rows as fit into `max_raw_bytes` before and `max_bytes` after
    compression, and at least one: a single row may be larger than either.
    """
    if len(rows) == 0:
        return
    offsets = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset : rows.offset + len(rows) + 1]
    data = memoryview(rows.buffers()[2])
    start = 0
    while start < len(rows):
        # Brackets add two bytes, the last comma takes one away.
        fits = np.searchsorted(offsets, offsets[start] + max_raw_bytes - 1, side="right") - 1
        stop = max(start + 1, int(fits))
        while True:
            inside = data[offsets[start] : offsets[stop] - 1]
            body = _array(inside)
            if len(body) <= max_bytes or stop - start == 1:
                break
            fraction = 0.95 * max_bytes / len(body)
            stop = start + max(1, int((stop - start) * fraction))
        yield Payload(start, stop, body)
        start = stop


def _array(inside: memoryview) -> bytes:
    """The gzipped JSON array of what is inside its brackets, which is not copied."""
    gzip = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP, _MEMORY)
    parts = [gzip.compress(part) for part in (b"[", inside, b"]")]
    return b"".join((*parts, gzip.flush()))
