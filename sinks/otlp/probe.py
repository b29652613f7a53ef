"""Whether a receiver takes what this configuration would send it."""

import asyncio

from operators.schema.clock import wall_clock
from sinks.delivery import Rejected, RetryLater
from sinks.otlp.answers import judge
from sinks.otlp.destination import client_of, compressed
from sinks.otlp.names import VERSION
from sinks.otlp.settings import OtlpSettings
from sinks.otlp.wire import FIXED64, nested, tag

PROBE_METRIC = "mqpipe.check"
"""The name of the one point that a probe leaves behind."""


def probe(settings: OtlpSettings) -> str:
    """Send one harmless point; what the receiver said, in words.

    Raises:
        OSError: it did not take it, and why.
    """
    try:
        return asyncio.run(_sent(settings))
    except (RetryLater, Rejected) as error:
        said = error.answer if isinstance(error, Rejected) else ""
        raise OSError(f"{error.reason} ({said[:200]})" if said else error.reason) from error


async def _sent(settings: OtlpSettings) -> str:
    client = client_of(settings)
    await client.start()
    try:
        body = compressed(_request(wall_clock() * 1_000_000), settings.compression)
        partial = judge(await client.post(settings.url, body))
    finally:
        await client.stop()
    if partial is not None:
        return f"one probe sent; the receiver says: {partial.message}"
    return "one probe sent"


def _request(now: int) -> bytes:
    """A gauge of 1 at a time in nanoseconds."""
    point = tag(3, FIXED64) + now.to_bytes(8, "little")
    point += tag(6, FIXED64) + (1).to_bytes(8, "little")
    metric = nested(1, PROBE_METRIC.encode()) + nested(5, nested(1, point))
    scope = nested(1, nested(1, b"mqpipe") + nested(2, VERSION.encode()))
    inside = nested(1, b"") + nested(2, scope + nested(2, metric))
    return nested(1, inside)
