"""New Relic as a destination: what is posted where, and what each answer means."""

import uuid
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from operators.schema.arrow import Only, only
from operators.schema.logs import Log
from sinks.ages import by_age
from sinks.delivery import (
    Parcel,
    Rejected,
    RetryLater,
    SampleBatches,
    TooLarge,
    merged,
    slice_of,
)
from sinks.http import HttpClient
from sinks.newrelic.encode import events, metric_blocks
from sinks.newrelic.fragments import TEXT
from sinks.newrelic.payloads import payloads
from sinks.newrelic.settings import NAME, PAYLOAD_BYTES, NewRelicSettings, Shape

EVENTS = "events"
METRICS = "metrics"

ROUTES: Mapping[Shape | None, Sequence[str]] = {
    Shape.EVENTS: (EVENTS,),
    Shape.METRICS: (METRICS,),
    Shape.BOTH: (EVENTS, METRICS),
    None: (EVENTS, METRICS),
}
"""The routes that samples of a shape take."""

_ONLY = {EVENTS: Only.EVENTS, METRICS: Only.POINTS}

_OLDEST = {EVENTS: 24, METRICS: 48}
"""Hours."""

_ANSWER_CHARACTERS = 4_096

_HINT = (
    "New Relic has taken the first samples; it checks them only after its answer, so look for "
    "faults with: SELECT count(*), latest(message) FROM NrIntegrationError "
    "FACET newRelicFeature, category SINCE 1 hour ago"
)


class NewRelic:
    """Delivers samples as events, metrics or both.

    `account_id` is part of the events' URL; `interval` is the time between two ticks in
    milliseconds, over which counts are.

    Raises:
        ValueError: the licence key cannot be read.
    """

    name = NAME

    def __init__(self, settings: NewRelicSettings, account_id: int, interval: int) -> None:
        self._settings = settings
        self._interval = interval
        self._client = HttpClient(
            {
                "Api-Key": settings.read_license_key().get_secret_value(),
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
            },
            settings.timeout,
            proxies=not settings.is_local,
        )
        self._urls = {EVENTS: settings.events_url(account_id), METRICS: settings.metrics_url()}
        self._routes = ROUTES[settings.shape]
        self._hinted = False
        self._log = Log("mqpipe.newrelic")

    def pack(self, samples: SampleBatches, route: str | None, now: int) -> Iterator[Parcel]:
        """Payloads within New Relic's limits; what is too old or too far ahead is refused."""
        together = merged(samples)
        for each in self._routes if not route else (route,):
            own = tuple(b for b in together if goes_by(each, only(b)))
            taken, refused = by_age(own, _OLDEST[each], now)
            yield from (Parcel(part, each, None, reason) for part, reason in refused)
            yield from self._packed(taken, each)

    async def start(self) -> None:
        """Open the connections."""
        await self._client.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.stop()

    async def send(self, parcel: Parcel) -> None:
        """Post one payload.

        Raises:
            RetryLater, TooLarge, Rejected: by New Relic's answer.
        """
        named = {"x-request-id": str(uuid.uuid4())}
        answer = await self._client.post(self._urls[parcel.route], parcel.body, named)
        said = answer.body[:_ANSWER_CHARACTERS].decode(errors="replace")
        judge(answer.status, answer.retry_after, said)
        if not self._hinted:
            self._hinted = True
            self._log.info(_HINT)

    def _packed(self, samples: SampleBatches, route: str) -> Iterator[Parcel]:
        rows, with_rows = self._encoded(samples, route)
        for payload in payloads(rows, PAYLOAD_BYTES, self._settings.uncompressed):
            part = slice_of(with_rows, payload.start, payload.stop)
            refused = None
            if len(payload.body) > PAYLOAD_BYTES:
                refused = f"one sample takes more than the {PAYLOAD_BYTES} bytes of a payload"
            yield Parcel(part, route, payload.body, refused)

    def _encoded(
        self, samples: SampleBatches, route: str
    ) -> tuple[pa.LargeStringArray, SampleBatches]:
        """JSON objects, and the samples that they are of: one without numbers has no metrics."""
        if route == EVENTS:
            return _concatenated([events(batch) for batch in samples]), samples
        known_only = self._settings.shape is None
        encoded = [metric_blocks(batch, self._interval, known_only=known_only) for batch in samples]
        return _concatenated([rows for rows, _ in encoded]), tuple(batch for _, batch in encoded)


def goes_by(route: str, way: Only | None) -> bool:
    """Whether what is sent in this way alone, or in each (None), takes a route."""
    return way in (None, _ONLY[route])


def judge(status: int, retry_after: float | None, answer: str) -> None:
    """Return where the answer means delivered; `retry_after` is in seconds.

    Raises:
        RetryLater: 408, 429, 5xx.
        TooLarge: 413.
        Rejected: everything else.
    """
    if 200 <= status < 300:
        return
    if status == 429:
        raise RetryLater("429: over the account's rate limit", retry_after)
    if status == 408 or status >= 500:
        raise RetryLater(f"{status}: {_REASONS.get(status, 'New Relic failed')}", retry_after)
    if status == 413:
        raise TooLarge("413: the payload is too large", status, answer)
    raise Rejected(f"{status}: {_REASONS.get(status, 'refused')}", status, answer)


_ELSEWHERE = "something between here and New Relic sends elsewhere; check `endpoint` and proxies"
_REASONS = dict.fromkeys((301, 302, 307, 308), _ELSEWHERE) | {
    400: "New Relic cannot read the payload",
    401: "the licence key is missing or wrong",
    403: "the licence key is wrong, or not of this account",
    404: "no such path; check sinks.newrelic.endpoint and region",
    408: "the request took too long",
    503: "New Relic is not available",
}


def _concatenated(rows: Sequence[pa.LargeStringArray]) -> pa.LargeStringArray:
    return pa.concat_arrays(rows) if rows else pa.array([], TEXT)
