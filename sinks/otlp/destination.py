"""An OTLP receiver as a destination."""

import zlib
from collections.abc import Iterator

import pyarrow as pa

from operators.schema.arrow import entity_type_of, row_count
from operators.schema.events import Listener, nobody
from operators.schema.logs import Log
from sinks.ages import by_age
from sinks.delivery import Parcel, SampleBatches, halve, merged
from sinks.events import PointsRejected
from sinks.http import HttpClient
from sinks.otlp.answers import judge
from sinks.otlp.encode import encode
from sinks.otlp.settings import NAME, PAYLOAD_BYTES, OtlpSettings

ROUTE = "metrics"

MOST_POINTS = 50_000
"""Points of a request, about: 4 MB before compression, a tenth of `PAYLOAD_BYTES` and more after."""

_NEWRELIC_HOURS = 48
"""How old a point may be at New Relic."""

_ZSTD_LEVEL = 3
_GZIP_LEVEL, _GZIP = 1, 31
"""zlib's word for a gzip header and the largest window."""


class Otlp:
    """Delivers samples as points of OpenTelemetry's metrics.

    `interval` is the time between two ticks in milliseconds, over which counts are.
    """

    name = NAME

    def __init__(self, settings: OtlpSettings, interval: int, listener: Listener = nobody) -> None:
        self._settings = settings
        self._interval = interval
        self._listener = listener
        self._reported: set[str] = set()
        self._log = Log("mqpipe.otlp")
        self._client = client_of(settings)

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        """Requests of at most `PAYLOAD_BYTES`; a single sample that takes more is refused.

        So is at New Relic what it would drop for its age.
        """
        taken = merged(samples)
        if self._settings.is_newrelic:
            taken, refused = by_age(taken, _NEWRELIC_HOURS, now)
            yield from (Parcel(part, ROUTE, b"", reason) for part, reason in refused)
        for part in _parts(taken):
            yield from self._packed(part)

    async def start(self) -> None:
        """Open the connections."""
        await self._client.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.stop()

    async def send(self, parcel: Parcel) -> None:
        """Post one request.

        Raises:
            RetryLater, TooLarge, Rejected: by the receiver's answer.
        """
        if not parcel.body:
            # Samples without any number have no points.
            return
        partial = judge(await self._client.post(self._settings.url, parcel.body))
        if partial is not None and partial.rejected:
            self._listener(PointsRejected(self.name, ROUTE, partial.rejected, partial.message))
        elif partial is not None and partial.message not in self._reported:
            self._reported.add(partial.message)
            self._log.warning("the receiver took samples and says", message=partial.message[:500])

    def _packed(self, part: SampleBatches) -> Iterator[Parcel]:
        cumulative = self._settings.temporality == "cumulative"
        body = self._compressed(encode(part, self._interval, cumulative=cumulative))
        if len(body) > PAYLOAD_BYTES:
            for half in halve(part):
                yield from self._packed(half)
            if row_count(part) > 1:
                return
            refused = f"one sample takes more than the {PAYLOAD_BYTES} bytes of a request"
            yield Parcel(part, ROUTE, body, refused)
            return
        yield Parcel(part, ROUTE, body)

    def _compressed(self, request: bytes) -> bytes:
        return compressed(request, self._settings.compression) if request else b""


def client_of(settings: OtlpSettings) -> HttpClient:
    """What posts requests as the settings say."""
    headers = {
        **settings.read_headers(),
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": settings.compression,
    }
    return HttpClient(headers, settings.timeout, proxies=not settings.is_local)


def compressed(request: bytes, compression: str) -> bytes:
    """A request as it is sent."""
    if compression == "gzip":
        gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        return gzip.compress(request) + gzip.flush()
    body: bytes = pa.Codec("zstd", compression_level=_ZSTD_LEVEL).compress(request, asbytes=True)
    return body


def _parts(samples: SampleBatches) -> Iterator[SampleBatches]:
    """Samples in parts of about `MOST_POINTS`."""
    part: list[pa.RecordBatch] = []
    points = 0
    for batch in samples:
        metrics = entity_type_of(batch).metrics
        width = max(1, sum(batch.column(m.name).null_count < len(batch) for m in metrics))
        start = 0
        while start < len(batch):
            piece = batch.slice(start, max(1, (MOST_POINTS - points) // width))
            part.append(piece)
            points += len(piece) * width
            start += len(piece)
            if points >= MOST_POINTS:
                yield tuple(part)
                part, points = [], 0
    if part:
        yield tuple(part)
