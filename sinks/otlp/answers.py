"""What a receiver's answers mean.

Source: the OpenTelemetry Protocol specification, "OTLP/HTTP Response". It lets a client give up
what is answered by 408 or by 5xx but 429, 502, 503 and 504; these samples wait on disk, so they
are tried again: such an answer is about the receiver, not them. One that only some samples meet
ends in dead letters all the same (`Patience`).
"""

from dataclasses import dataclass

from sinks.delivery import Rejected, RetryLater, TooLarge
from sinks.http import Answer
from sinks.otlp.wire import fields

_TEXT_CHARACTERS = 4_096

_REASONS = {
    400: "the receiver cannot read the request",
    401: "a key is missing or wrong; see sinks.otlp.headers",
    403: "the key is not allowed to do this; see sinks.otlp.headers",
    404: "no such path; see sinks.otlp.endpoint",
    405: "nothing takes metrics there; see sinks.otlp.endpoint",
    408: "the request took too long",
    415: "the receiver does not take protobuf, or not this compression; see sinks.otlp.compression",
    429: "over the receiver's rate limit",
    501: "the receiver does not take metrics",
    503: "the receiver is not available",
}

_NEVER = (501, 505)
"""Failures of a server that will not pass."""


@dataclass(frozen=True, slots=True)
class PartialSuccess:
    """What a receiver says of a request that it took: how many points it left out, and why."""

    rejected: int
    message: str


def judge(answer: Answer) -> PartialSuccess | None:
    """Return where the answer means delivered, with what else it says.

    Raises:
        RetryLater: 408, 429, 5xx; after `Retry-After` where it is there.
        TooLarge: 413.
        Rejected: everything else.
    """
    status = answer.status
    if 200 <= status < 300:
        return _partial_success(answer.body)
    reason = f"{status}: {_REASONS.get(status, _default(status))}"
    if status in (408, 429) or (status >= 500 and status not in _NEVER):
        raise RetryLater(reason, answer.retry_after)
    said = text_of(answer)
    if status == 413:
        raise TooLarge("413: the request is too large", status, said)
    raise Rejected(reason, status, said)


def _default(status: int) -> str:
    if 300 <= status < 400:
        return "the receiver is elsewhere; see sinks.otlp.endpoint"
    return "the receiver failed" if status >= 500 else "refused"


def _partial_success(body: bytes) -> PartialSuccess | None:
    """`partial_success` of an `ExportMetricsServiceResponse`; a body that is none says nothing."""
    rejected, message, there = 0, "", False
    try:
        for field, value in fields(body):
            if field == 1 and isinstance(value, bytes):
                there = True
                for inner, said in fields(value):
                    if inner == 1 and isinstance(said, int):
                        rejected = said
                    elif inner == 2 and isinstance(said, bytes):
                        message = said.decode(errors="replace")
    except ValueError:
        return None
    return PartialSuccess(rejected, message) if there and (rejected or message) else None


def text_of(answer: Answer) -> str:
    """The body in words: the message of a `google.rpc.Status`, or the text that it is."""
    if answer.content_type == "application/x-protobuf":
        try:
            messages = [v for f, v in fields(answer.body) if f == 2 and isinstance(v, bytes)]
        except ValueError:
            messages = []
        if messages:
            return messages[-1].decode(errors="replace")[:_TEXT_CHARACTERS]
    return answer.body.decode(errors="replace")[:_TEXT_CHARACTERS]
