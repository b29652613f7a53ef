"""What New Relic's ingest answers to a request by its documentation, faults aside."""

import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from time import time_ns
from typing import Any

from tests.newrelic.payload import LICENSE_KEY, RefusedError, check_headers, check_length, read_json
from tests.newrelic.samples import Sorted, sort_events, sort_points

_EVENTS_PATH = re.compile(r"/v1/accounts/\d+/events")
_METRICS_PATH = "/metric/v1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request: HTTP status, JSON body, headers; and what became of its samples."""

    status: int
    answer: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    samples: Sorted = field(default_factory=lambda: Sorted([], []))

    @property
    def reason(self) -> str:
        """Why the request was refused; empty where it was not."""
        return str(self.answer.get("error", ""))


def refusal(status: int, reason: str, retry_after: int | None = None) -> Verdict:
    """An answer that keeps nothing, with `Retry-After` in seconds where it is given."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Verdict(status, {"error": reason}, headers)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of both APIs, and what of them a test may set."""

    license_key: str = LICENSE_KEY
    """The key that is taken."""
    clock: Callable[[], int] = lambda: time_ns() // 1_000_000
    """The time in milliseconds."""
    windows: bool = True
    """Whether samples that are too old, or of the future, are dropped."""
    max_uncompressed: int | None = None
    """Bytes of a decompressed body; New Relic does not say whether there is such a limit."""
    posts_per_minute: int = 100_000
    """Requests to one path in a minute of `clock`."""
    _posts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def judge(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """The answer to a request, which counts as one of its minute."""
        now = self.clock()
        try:
            if _EVENTS_PATH.fullmatch(path):
                self._check_method_and_rate(method, path, now)
                encoding = check_headers(headers, self.license_key, ("gzip", "deflate", "identity"))
                payload = read_json(body, encoding, self.max_uncompressed)
                events = sort_events(payload, now, windows=self.windows)
                return Verdict(200, {"success": True, "uuid": str(uuid.uuid4())}, samples=events)
            if path == _METRICS_PATH:
                self._check_method_and_rate(method, path, now)
                check_length(headers)
                encoding = check_headers(headers, self.license_key, ("gzip", "identity"))
                payload = read_json(body, encoding, self.max_uncompressed)
                points = sort_points(payload, now, windows=self.windows)
                return Verdict(202, {"requestId": str(uuid.uuid4())}, samples=points)
        except RefusedError as error:
            return refusal(error.status, error.reason, error.retry_after)
        return refusal(404, f"nothing is at {path}")

    def _check_method_and_rate(self, method: str, path: str, now: int) -> None:
        if method != "POST":
            raise RefusedError(405, f"{method} is not POST")
        minute, elapsed = divmod(now, 60_000)
        self._posts[path, minute] += 1
        if self._posts[path, minute] > self.posts_per_minute:
            reason = f"over {self.posts_per_minute} requests a minute"
            # Only the Metric API's documentation promises the header.
            retry_after = ceil((60_000 - elapsed) / 1000) if path == _METRICS_PATH else None
            raise RefusedError(429, reason, retry_after)
