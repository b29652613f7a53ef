"""The OTLP sink's settings, and what answers mean."""

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from pydantic import ValidationError

from operators.schema.arrow import row_count
from sinks.delivery import Rejected, RetryLater, TooLarge
from sinks.http import Answer, seconds_of
from sinks.otlp.answers import PartialSuccess, judge
from sinks.otlp.destination import Otlp
from sinks.otlp.settings import OtlpSettings
from tests.samples import INTERVAL, NEW_YEAR, numbered

PROTOBUF = "application/x-protobuf"


def settings(**given: Any) -> OtlpSettings:
    return OtlpSettings.model_validate({"endpoint": "https://otlp.example", **given})


def answer(status: int, body: bytes = b"", after: float | None = None) -> Answer:
    return Answer(status, PROTOBUF, body, after)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://otlp.nr-data.net", "https://otlp.nr-data.net/v1/metrics"),
        ("https://x.example:4318/", "https://x.example:4318/v1/metrics"),
        ("https://x.example/otlp", "https://x.example/otlp/v1/metrics"),
        ("https://x.example/v1/metrics", "https://x.example/v1/metrics"),
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
    ],
)
def test_the_path_is_added_where_it_is_not_there(endpoint: str, url: str) -> None:
    """As exporters of OpenTelemetry do it with their base URL."""
    assert settings(endpoint=endpoint).url == url


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"endpoint": "collector:4318"}, "is a URL"),
        ({"endpoint": "https://user:key@x.example"}, "keys go into `headers`"),
        ({"endpoint": "https://x.example?key=1"}, "keys go into `headers`"),
        ({"endpoint": "http://x.example", "headers": {"api-key": "k"}}, "loopback only"),
        ({"headers": {"api key": "k"}}, "a header's name"),
        ({"headers": {"Content-Type": "k"}}, "is made by mqpipe"),
        ({"headers": {"api-key": " "}}, "is empty"),
        ({"headers": {"api-key": "a\nb: c"}}, "more than one line"),
        ({"headers": {"api-key": "a", "Api-Key": "b"}}, "there twice"),
        ({"compression": "none"}, "'zstd' or 'gzip'"),
        ({"temporality": "both"}, "'delta' or 'cumulative'"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], reason: str) -> None:
    """With its reason."""
    with pytest.raises(ValidationError, match=reason):
        settings(**given)


def test_headers_are_never_shown() -> None:
    """They are keys most of the time."""
    reported = settings(headers={"api-key": "not-to-be-seen\n"})
    assert "not-to-be-seen" not in repr(reported) + str(reported) + reported.model_dump_json()
    assert reported.read_headers() == {"api-key": "not-to-be-seen"}


def test_delivered() -> None:
    """Whatever the body is, if it says nothing of points that were left out."""
    for body in (b"", b"{}", b"\xff\xff", ExportMetricsServiceResponse().SerializeToString()):
        assert judge(answer(200, body)) is None


def test_partial_success_is_delivered_and_reported() -> None:
    """It must not be sent again."""
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = 300
    response.partial_success.error_message = "too many attributes: a…"
    partial = judge(answer(200, response.SerializeToString()))
    assert partial == PartialSuccess(300, "too many attributes: a…")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """After the time that the receiver asks for."""
    with pytest.raises(RetryLater) as caught:
        judge(answer(status, after=7.0))
    assert caught.value.after == 7.0


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 415, 422, 501, 505])
def test_what_will_not_pass_is_rejected(status: int) -> None:
    """With what the receiver said: the message of a `google.rpc.Status`, or its text."""
    with pytest.raises(Rejected) as caught:
        judge(Answer(status, PROTOBUF, b"\x08\x03\x12\x05words", None))
    assert (caught.value.status, caught.value.answer) == (status, "words")
    with pytest.raises(Rejected) as caught:
        judge(Answer(status, "text/plain", b"plain words", None))
    assert caught.value.answer == "plain words"


def test_too_large_is_halved() -> None:
    """By the courier."""
    with pytest.raises(TooLarge):
        judge(answer(413))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("12", 12.0),
        ("0", None),
        ("-3", None),
        ("soon", None),
        (None, None),
        ("999999999", 3600.0),
        ("Fri, 27 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 27 Nov 2026 11:59:30 GMT", None),
        ("Friday, 27-Nov-26 12:00:30 GMT", 30.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """RFC 9110; what has passed, or cannot be read, asks for nothing."""
    assert seconds_of(header, now=1_795_780_800.0) == seconds


def test_what_new_relic_would_drop_for_its_age_is_not_sent() -> None:
    """There alone: another backend may take it."""
    now = NEW_YEAR + 100 * 3_600_000
    batch = numbered([0, 1, 2], interval=50 * 3_600_000)
    for endpoint, kept in (("https://otlp.eu01.nr-data.net", 1), ("https://x.example", 3)):
        parcels = list(Otlp(settings(endpoint=endpoint), INTERVAL).pack((batch,), None, now))
        assert sum(row_count(p.samples) for p in parcels if p.refused is None) == kept
        assert all("older than 48 h" in p.refused for p in parcels if p.refused is not None)
