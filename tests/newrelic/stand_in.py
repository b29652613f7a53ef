"""A stand-in for New Relic's Event and Metric APIs, which enforces their documented rules."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from operators.schema.metrics import EVENTS_ALONE
from tests.newrelic.behaviour import Behaviour, Hang, Ok, Reset, Status
from tests.newrelic.rules import Rules, Verdict, refusal
from tests.newrelic.samples import Dropped
from tests.newrelic.server import reset
from tests.scripted_backend import Backend


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it was answered."""

    path: str
    status: int | None
    """None where nothing was answered: it hung, or the connection was reset."""
    reason: str
    """Why it was refused, or which fault it met; empty where all went well."""
    size: int
    """Bytes of the body as sent."""
    kept: int
    """Samples that were kept."""
    dropped: int
    """Samples that were lost although the answer was a good one."""
    request_id: str | None
    """The header `x-request-id`."""


class StandIn(Backend[Request]):
    """New Relic, as far as a sender sees it.

    Args:
        rules: what it answers by; New Relic's own without it.
        keep: whether samples are kept, or only counted.
        on_request: called with each request, in the server's thread.
        port: the port to listen at; a free one without it.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        keep: bool = True,
        on_request: Callable[[Request], None] = lambda _: None,
        port: int | None = None,
    ) -> None:
        super().__init__(port)
        self.rules = rules or Rules()
        self._keep = keep
        self._on_request = on_request
        self._events: list[dict[str, Any]] = []
        self._metrics: list[dict[str, Any]] = []
        self._dropped: list[Dropped] = []
        self._kept = 0

    @property
    def license_key(self) -> str:
        """The key that it takes."""
        return self.rules.license_key

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that were kept, in the order of their arrival; `timestamp` in milliseconds."""
        with self._changed:
            return list(self._events)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The events that are rows elsewhere too."""
        alone = {entity_type.name for entity_type in EVENTS_ALONE}
        return [event for event in self.events if event.get("entityType") not in alone]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The metric points that were kept, each merged with its `common`."""
        with self._changed:
            return list(self._metrics)

    @property
    def dropped(self) -> list[Dropped]:
        """Samples that New Relic would lose although it answers 200 or 202."""
        with self._changed:
            return list(self._dropped)

    def wait_for(self, count: int, timeout: float = 30.0) -> None:
        """Returns when at least `count` samples (events and points) were kept.

        Raises:
            TimeoutError: they were not, after `timeout` seconds.
        """
        self.wait_until(lambda: self._kept >= count, timeout, f"{count} samples")

    def _came(self) -> str:
        return f"{self._kept} samples kept, {len(self._dropped)} dropped"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        behaviour = self._next()
        if isinstance(behaviour, Status):
            verdict = refusal(behaviour.status, repr(behaviour), behaviour.retry_after)
            self._record(request, body, verdict)
            return _response(verdict)
        if isinstance(behaviour, Ok):
            await asyncio.sleep(behaviour.after)
            verdict = self._judge(request, body)
            self._record(request, body, verdict)
            return _response(verdict)
        if isinstance(behaviour, Hang | Reset):
            verdict = self._judge(request, body) if behaviour.accepts else Verdict(0, {})
            self._record(request, body, verdict, fault=behaviour, answered=False)
            if isinstance(behaviour, Hang):
                await asyncio.Event().wait()
            return reset(request)
        verdict = self._judge(request, body)
        self._record(request, body, verdict, fault=behaviour)
        return await _truncated(request, verdict)

    def _judge(self, request: web.Request, body: bytes) -> Verdict:
        return self.rules.judge(request.method, request.path, request.headers, body)

    def _record(
        self,
        request: web.Request,
        body: bytes,
        verdict: Verdict,
        *,
        fault: Behaviour | None = None,
        answered: bool = True,
    ) -> None:
        samples = verdict.samples
        record = Request(
            path=request.path,
            status=verdict.status if answered else None,
            reason=verdict.reason or (repr(fault) if fault else ""),
            size=len(body),
            kept=len(samples.kept),
            dropped=len(samples.dropped),
            request_id=request.headers.get("x-request-id"),
        )
        with self._changed:
            self._requests.append(record)
            self._dropped += samples.dropped
            self._kept += len(samples.kept)
            if self._keep:
                kept = self._events if request.path.endswith("/events") else self._metrics
                kept += samples.kept
            self._changed.notify_all()
        self._on_request(record)


def _response(verdict: Verdict) -> web.Response:
    return web.json_response(verdict.answer, status=verdict.status, headers=verdict.headers)


async def _truncated(request: web.Request, verdict: Verdict) -> web.StreamResponse:
    answer = json.dumps(verdict.answer).encode()
    response = web.StreamResponse(
        status=verdict.status, headers={**verdict.headers, "Content-Type": "application/json"}
    )
    response.content_length = len(answer)
    await response.prepare(request)
    await response.write(answer[: len(answer) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
