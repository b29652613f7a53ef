"""New Relic as a destination: what is posted where, and what each answer means."""

import uuid
from collections.abc import Iterator, Sequence

import aiohttp
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import TIMESTAMP
from operators.schema.logs import Log
from sinks.delivery import (
    Parcel,
    Rejected,
    RetryLater,
    Samples,
    TooLarge,
    merged,
    slice_of,
)
from sinks.newrelic.encode import events, metric_blocks
from sinks.newrelic.fragments import TEXT
from sinks.newrelic.payloads import payloads
from sinks.newrelic.settings import NAME, PAYLOAD_BYTES, NewRelicSettings, Shape

EVENTS = "events"
METRICS = "metrics"

_HOUR = 3_600_000
_OLDEST = {EVENTS: 24 * _HOUR, METRICS: 48 * _HOUR}
"""New Relic drops what is older (milliseconds), although it answers 200 or 202."""
_MARGIN = 60_000
"""Milliseconds that a request may take to arrive."""
_FURTHEST_AHEAD = 24 * _HOUR

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
        self._key = settings.read_license_key()
        self._urls = {EVENTS: settings.events_url(account_id), METRICS: settings.metrics_url()}
        self._routes = {
            Shape.EVENTS: (EVENTS,),
            Shape.METRICS: (METRICS,),
            Shape.BOTH: (EVENTS, METRICS),
        }[settings.shape]
        self._session: aiohttp.ClientSession | None = None
        self._hinted = False
        self._log = Log(__name__)

    def pack(self, samples: Samples, route: str | None, now: int) -> Iterator[Parcel]:
        """Payloads within New Relic's limits; what is too old or too far ahead is refused."""
        together = merged(samples)
        for each in self._routes if not route else (route,):
            taken, refused = _by_age(together, each, now)
            yield from (Parcel(part, each, None, reason) for part, reason in refused)
            yield from self._packed(taken, each)

    async def start(self) -> None:
        """Open the connections; TLS is verified.

        Proxies are taken from the environment, but none for this machine itself: by plain http
        they would read the key.
        """
        self._session = aiohttp.ClientSession(
            trust_env=not self._settings.is_local,
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            headers={
                "Api-Key": self._key.get_secret_value(),
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
            },
        )

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, parcel: Parcel) -> None:
        """Post one payload.

        Raises:
            RetryLater, TooLarge, Rejected: by New Relic's answer.
        """
        assert self._session is not None  # noqa: S101 - `start` comes first
        try:
            async with self._session.post(
                self._urls[parcel.route],
                data=parcel.body,
                headers={"x-request-id": str(uuid.uuid4())},
                allow_redirects=False,
            ) as response:
                status, headers = response.status, response.headers
                answer = "" if status < 300 else await _text(response)
        except TimeoutError as error:
            reason = f"no answer within {self._settings.timeout:g} s"
            raise RetryLater(reason) from error
        except (aiohttp.ClientError, OSError) as error:
            raise RetryLater(f"{type(error).__name__}: {error}") from error
        judge(status, headers.get("Retry-After"), answer)
        if not self._hinted:
            self._hinted = True
            self._log.info(_HINT)

    def _packed(self, samples: Samples, route: str) -> Iterator[Parcel]:
        rows, with_rows = self._encoded(samples, route)
        for payload in payloads(rows, PAYLOAD_BYTES, self._settings.uncompressed):
            part = slice_of(with_rows, payload.start, payload.stop)
            refused = None
            if len(payload.body) > PAYLOAD_BYTES:
                refused = f"one sample takes more than the {PAYLOAD_BYTES} bytes of a payload"
            yield Parcel(part, route, payload.body, refused)

    def _encoded(self, samples: Samples, route: str) -> tuple[pa.LargeStringArray, Samples]:
        """JSON objects, and the samples that they are of: one without numbers has no metrics."""
        if route == EVENTS:
            return _concatenated([events(batch) for batch in samples]), samples
        encoded = [metric_blocks(batch, self._interval) for batch in samples]
        return _concatenated([rows for rows, _ in encoded]), tuple(batch for _, batch in encoded)


def judge(status: int, retry_after: str | None, answer: str) -> None:
    """Return where the answer means delivered.

    Raises:
        RetryLater: 408, 429, 5xx.
        TooLarge: 413.
        Rejected: everything else.
    """
    if 200 <= status < 300:
        return
    if status == 429:
        raise RetryLater("429: over the account's rate limit", _seconds(retry_after))
    if status == 408 or status >= 500:
        raise RetryLater(f"{status}: {_REASONS.get(status, 'New Relic failed')}")
    if status == 413:
        raise TooLarge("413: the payload is too large", status, answer)
    raise Rejected(f"{status}: {_REASONS.get(status, 'refused')}", status, answer)


_REASONS = {
    400: "New Relic cannot read the payload",
    401: "the licence key is missing or wrong",
    403: "the licence key is wrong, or not of this account",
    404: "no such path; check sinks.newrelic.endpoint and region",
    408: "the request took too long",
    503: "New Relic is not available",
}


def _seconds(retry_after: str | None) -> float | None:
    """Whole seconds, nothing else is documented; None also for no time at all: then to back off."""
    named = (retry_after or "").strip()
    return float(named) or None if named.isdigit() else None


async def _text(response: aiohttp.ClientResponse) -> str:
    """The answer's body, as far as it came: the status is what counts."""
    try:
        body = await response.content.read(_ANSWER_CHARACTERS)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""
    return body.decode(errors="replace")


def _by_age(samples: Samples, route: str, now: int) -> tuple[Samples, list[tuple[Samples, str]]]:
    """What New Relic takes, and what it would drop in silence, with the reason."""
    oldest = pa.scalar(now - _OLDEST[route] + _MARGIN, TIMESTAMP)
    latest = pa.scalar(now + _FURTHEST_AHEAD - _MARGIN, TIMESTAMP)
    taken, old, ahead = [], [], []
    for batch in samples:
        times = batch.column("timestamp")
        bounds = pc.min_max(times)
        if bounds["min"].value >= oldest.value and bounds["max"].value <= latest.value:
            taken.append(batch)
            continue
        too_old, too_far = pc.less(times, oldest), pc.greater(times, latest)
        taken.append(batch.filter(pc.invert(pc.or_(too_old, too_far))))
        old.append(batch.filter(too_old))
        ahead.append(batch.filter(too_far))
    hours = _OLDEST[route] // _HOUR
    refused = [
        (_filled(old), f"older than {hours} h: New Relic would drop it"),
        (_filled(ahead), "more than 24 h ahead: New Relic would drop it"),
    ]
    return _filled(taken), [(part, reason) for part, reason in refused if part]


def _filled(batches: Sequence[pa.RecordBatch]) -> Samples:
    return tuple(batch for batch in batches if batch.num_rows)


def _concatenated(rows: Sequence[pa.LargeStringArray]) -> pa.LargeStringArray:
    return pa.concat_arrays(rows) if rows else pa.array([], TEXT)
