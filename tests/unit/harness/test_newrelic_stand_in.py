"""The New Relic stand-in enforces the documented rules and fails as it is told to."""

import gzip
import http.client
import json
import threading
import zlib
from contextlib import closing
from typing import Any

import pytest

from tests.newrelic.behaviour import Behaviour, Hang, Ok, Reset, Status, TruncatedAnswer
from tests.newrelic.rules import Rules, Verdict
from tests.newrelic.stand_in import StandIn
from tests.ports import PortClaim
from tests.samples import NEW_YEAR

HOUR = 3_600_000
EVENTS = "/v1/accounts/1/events"
METRICS = "/metric/v1"
RULES = Rules(clock=lambda: NEW_YEAR)
EVENT = {"eventType": "KafkaBrokerSample", "timestamp": NEW_YEAR, "broker.partitionCount": 3}
POINT = {"name": "kafka.brokers", "type": "gauge", "value": 3, "timestamp": NEW_YEAR}


def _headers(body: bytes, **changes: str) -> dict[str, str]:
    """Good headers of a POST; a change to the empty string leaves a header out."""
    headers = {
        "Api-Key": RULES.license_key,
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in headers.items() if value}


def _judge(path: str, body: bytes, rules: Rules = RULES, **headers: str) -> Verdict:
    return rules.judge("POST", path, _headers(body, **headers), body)


def _judge_json(path: str, payload: Any, rules: Rules = RULES) -> Verdict:
    return _judge(path, gzip.compress(json.dumps(payload).encode()), rules)


def _dropped(path: str, payload: Any) -> list[str]:
    """Why samples were dropped, of a POST that was answered well."""
    verdict = _judge_json(path, payload)
    assert verdict.status == {EVENTS: 200, METRICS: 202}[path]
    return [dropped.reason for dropped in verdict.samples.dropped]


def _metric(point: dict[str, Any], **common: Any) -> list[dict[str, Any]]:
    return [{"common": common, "metrics": [point]}]


def test_good_events_are_kept_and_answered_with_a_uuid() -> None:
    """200 with success and a uuid; the events are as they were sent."""
    verdict = _judge_json(EVENTS, [EVENT, EVENT])
    assert (verdict.status, verdict.answer["success"]) == (200, True)
    assert len(verdict.answer["uuid"]) == 36
    assert verdict.samples.kept == [EVENT, EVENT]


def test_good_points_are_kept_with_common_merged() -> None:
    """202 with a request id; a point's own fields and attributes win over common's."""
    point = {"name": "a", "type": "count", "value": 1, "attributes": {"x": "own", "z": True}}
    common = {"timestamp": NEW_YEAR, "interval.ms": 30_000, "attributes": {"x": "common", "y": 2}}
    verdict = _judge_json(METRICS, [{"common": common, "metrics": [point, POINT]}])
    assert verdict.status == 202
    assert len(verdict.answer["requestId"]) == 36
    assert verdict.samples.kept == [
        {
            "name": "a",
            "type": "count",
            "value": 1,
            "timestamp": NEW_YEAR,
            "interval.ms": 30_000,
            "attributes": {"x": "own", "y": 2, "z": True},
        },
        {**POINT, "interval.ms": 30_000, "attributes": {"x": "common", "y": 2}},
    ]


@pytest.mark.parametrize("path", [EVENTS, METRICS])
@pytest.mark.parametrize("key", ["", "another key"])
def test_a_missing_or_wrong_key_is_forbidden(path: str, key: str) -> None:
    """403 without the right Api-Key header."""
    assert _judge(path, gzip.compress(b"[]"), Api_Key=key).status == 403


@pytest.mark.parametrize("path", [EVENTS, METRICS])
@pytest.mark.parametrize("content_type", ["", "text/plain"])
def test_another_content_type_is_unsupported(path: str, content_type: str) -> None:
    """415 unless the content type is JSON."""
    assert _judge(path, gzip.compress(b"[]"), Content_Type=content_type).status == 415


@pytest.mark.parametrize(
    ("path", "encoding", "body", "status"),
    [
        (EVENTS, "gzip", gzip.compress(b"[]", mtime=0), 200),
        (EVENTS, "deflate", zlib.compress(b"[]"), 200),
        (EVENTS, "", b"[]", 200),
        (EVENTS, "br", b"[]", 415),
        (METRICS, "gzip", gzip.compress(b"[]", mtime=0), 202),
        (METRICS, "", b"[]", 202),
        (METRICS, "deflate", zlib.compress(b"[]"), 415),
        (EVENTS, "gzip", b"[]", 400),
        (EVENTS, "gzip", zlib.compress(b"[]"), 400),
        (EVENTS, "deflate", gzip.compress(b"[]", mtime=0), 400),
        (EVENTS, "gzip", gzip.compress(b"[]", mtime=0)[:-1], 400),
        (EVENTS, "gzip", gzip.compress(b"[]", mtime=0) + b"more", 400),
    ],
)
def test_a_body_is_encoded_as_it_says(path: str, encoding: str, body: bytes, status: int) -> None:
    """gzip everywhere, deflate for events; a body of another encoding or a cut one is refused."""
    assert _judge(path, body, Content_Encoding=encoding).status == status


@pytest.mark.parametrize("path", [EVENTS, METRICS])
def test_a_body_over_a_million_bytes_is_too_large(path: str) -> None:
    """413 for 1,000,001 bytes as sent; 1,000,000 pass."""
    padding = b"[]" + b" " * (10**6 - 2)
    assert _judge(path, padding, Content_Encoding="").status in (200, 202)
    assert _judge(path, padding + b" ", Content_Encoding="").status == 413


def test_the_uncompressed_size_has_a_limit_by_configuration() -> None:
    """413 for a small body that decompresses to more than `max_uncompressed`."""
    body = gzip.compress(b"[]" + b" " * 98)
    assert _judge(EVENTS, body, Rules(max_uncompressed=100)).status == 200
    assert _judge(EVENTS, body, Rules(max_uncompressed=99)).status == 413


@pytest.mark.parametrize("path", [EVENTS, METRICS])
@pytest.mark.parametrize(
    "text",
    ["", "{}", "[", "[1]", "null", '[{"value": NaN}]', '[{"v": -Infinity}]', '[{"v": 1e999}]'],
)
def test_what_is_no_json_array_of_objects_is_refused(path: str, text: str) -> None:
    """400 for other shapes, for NaN and for infinities."""
    verdict = _judge(path, gzip.compress(text.encode()))
    assert verdict.status == 400
    assert verdict.reason


@pytest.mark.parametrize(
    "payload",
    [
        [POINT],
        [{"common": {}}],
        [{"metrics": {}}],
        [{"metrics": [1]}],
        [{"metrics": [], "more": 1}],
        [{"metrics": [], "common": []}],
        [{"metrics": [], "common": {"name": "a"}}],
        [{"metrics": [], "common": {"attributes": []}}],
        [{"metrics": [{**POINT, "attributes": 1}]}],
    ],
)
def test_a_metric_payload_of_another_shape_is_refused(payload: Any) -> None:
    """400 unless it is an array of `{"common", "metrics"}`."""
    assert _judge_json(METRICS, payload).status == 400


def test_a_metric_post_says_its_length() -> None:
    """411 without Content-Length; the Event API does without it."""
    body = gzip.compress(b"[]")
    assert _judge(METRICS, body, Content_Length="").status == 411
    assert _judge(EVENTS, body, Content_Length="").status == 200


def test_another_method_or_path_is_refused() -> None:
    """405 for a GET, 404 for a path that no API has."""
    for path in (EVENTS, METRICS):
        assert RULES.judge("GET", path, _headers(b""), b"").status == 405
    for path in ("/v1/accounts/x/events", "/v1/accounts//events", "/metric/v2", "/"):
        assert _judge(path, gzip.compress(b"[]")).status == 404


def test_posts_over_the_rate_are_too_many_until_the_next_minute() -> None:
    """429 over the rate, with Retry-After to the minute's end from the Metric API alone."""
    now = NEW_YEAR
    rules = Rules(clock=lambda: now, posts_per_minute=2)
    body = gzip.compress(b"[]")
    assert [_judge(METRICS, body, rules).status for _ in range(3)] == [202, 202, 429]
    assert [_judge(EVENTS, body, rules).status for _ in range(3)] == [200, 200, 429]
    now += 58_500
    assert _judge(METRICS, body, rules).headers == {"Retry-After": "2"}
    assert _judge(EVENTS, body, rules).headers == {}
    now += 1_500
    assert _judge(METRICS, body, rules).status == 202


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"eventType": None}, "eventType"),
        ({"eventType": "a-b"}, "eventType"),
        ({"eventType": ""}, "eventType"),
        ({"x": True}, "`x` is of a type"),
        ({"x": None}, "`x` is of a type"),
        ({"x": [1]}, "`x` is of a type"),
        ({"x": {"y": 1}}, "`x` is of a type"),
        ({"n" * 256: 1}, "256 characters, over 255"),
        ({"x": "v" * 4097}, "4097 characters, over 4096"),
        ({f"a{i}": i for i in range(252)}, "255 attributes are over 254"),
        ({"appId": "1"}, "appId"),
        ({"appId": 1.5}, "appId"),
        ({"entity.guid": "g"}, "undefined"),
        ({"entity.name": "n"}, "undefined"),
        ({"entity.type": "t"}, "undefined"),
        ({"timestamp": "now"}, "not a whole number"),
        ({"timestamp": NEW_YEAR - 24 * HOUR - 1}, "24 hours"),
        ({"timestamp": NEW_YEAR + 1}, "24 hours"),
    ],
)
def test_an_event_over_a_limit_is_dropped_without_a_word(
    changes: dict[str, Any], reason: str
) -> None:
    """The answer is 200 and the event is lost; the others of its payload are kept."""
    verdict = _judge_json(EVENTS, [EVENT, {**EVENT, **changes}])
    assert verdict.status == 200
    assert verdict.samples.kept == [EVENT]
    (dropped,) = verdict.samples.dropped
    assert dropped.sample == {**EVENT, **changes}
    assert reason in dropped.reason


def test_an_event_at_its_limits_is_kept() -> None:
    """254 attributes, 255 characters of a name, 4,096 of a value, 24 hours of age."""
    event: dict[str, Any] = {
        "eventType": "A_b:9",
        "timestamp": NEW_YEAR - 24 * HOUR,
        "n" * 255: "v" * 4096,
        "appId": 7,
        **{f"a{i}": 0.5 for i in range(250)},
    }
    assert len(event) == 254
    assert _judge_json(EVENTS, [event]).samples.kept == [event]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"timestamp": NEW_YEAR // 1000 - 5}, {"timestamp": NEW_YEAR - 5000}),
        ({"timestamp": NEW_YEAR - 0.5}, {"timestamp": NEW_YEAR}),
        ({}, {"timestamp": NEW_YEAR}),
        ({"timestamp": NEW_YEAR, "accountId": 9}, {"timestamp": NEW_YEAR}),
    ],
)
def test_what_new_relic_changes_in_an_event(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    """Seconds become milliseconds, a decimal the time of arrival; `accountId` goes."""
    verdict = _judge_json(EVENTS, [{"eventType": "A", **sent}])
    assert verdict.samples.kept == [{"eventType": "A", **kept}]


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 255}, "name"),
        ({"type": "rate"}, "type"),
        ({"value": "1"}, "number"),
        ({"value": True}, "number"),
        ({"value": None}, "number"),
        ({"type": "count"}, "interval.ms"),
        ({"type": "summary", "value": 1, "interval.ms": 1}, "summary"),
        (
            {"type": "summary", "value": {"count": 1, "sum": 1, "min": 1}, "interval.ms": 1},
            "summary",
        ),
        (
            {"type": "summary", "value": {"count": 1, "sum": 1, "min": 1, "max": None}},
            "numbers",
        ),
        ({"type": "summary", "value": {"count": 1, "sum": 1, "min": 1, "max": 1}}, "interval.ms"),
        ({"more": 1}, "no fields ['more']"),
        ({"attributes": {f"a{i}": i for i in range(101)}}, "101 attributes are over 100"),
        ({"attributes": {"k" * 256: 1}}, "256 characters"),
        ({"attributes": {"k": "v" * 4097}}, "4097 characters"),
        ({"attributes": {"k": [1]}}, "type that is not allowed"),
        ({"attributes": {"kafka.brokers": 1}}, "may not be called ['kafka.brokers']"),
        ({"timestamp": NEW_YEAR - 48 * HOUR - 1}, "48 hours"),
        ({"timestamp": NEW_YEAR + 24 * HOUR + 1}, "48 hours"),
        ({"timestamp": 1.5}, "whole number"),
    ],
)
def test_a_point_over_a_limit_is_dropped_without_a_word(point: dict[str, Any], reason: str) -> None:
    """The answer is 202 and the point is lost."""
    (dropped,) = _dropped(METRICS, _metric({**POINT, **point}))
    assert reason in dropped


@pytest.mark.parametrize(
    "key",
    ["interval.ms", "timestamp", "value", "common", "min", "max", "count", "sum", "metrics"],
)
def test_forbidden_attribute_keys_drop_a_point(key: str) -> None:
    """Each of the keys that the Metric API forbids, also where common brings it."""
    (dropped,) = _dropped(METRICS, _metric(POINT, attributes={key: 1}))
    assert key in dropped


@pytest.mark.parametrize(
    "point",
    [
        {"timestamp": NEW_YEAR - 48 * HOUR},
        {"timestamp": NEW_YEAR + 24 * HOUR},
        {"timestamp": NEW_YEAR // 1000},
        {"name": "n" * 254},
        {"attributes": {f"a{i}": "v" * 4096 for i in range(100)}},
        {"attributes": {"k" * 255: True}},
        {
            "type": "summary",
            "value": {"count": 1, "sum": 1.5, "min": 1, "max": 1},
            "interval.ms": 9,
        },
    ],
)
def test_a_point_at_its_limits_is_kept(point: dict[str, Any]) -> None:
    """The last value that each limit allows."""
    assert _dropped(METRICS, _metric({**POINT, **point})) == []


def test_old_samples_are_kept_without_windows() -> None:
    """A test of old ranges switches the windows off."""
    rules = Rules(clock=lambda: NEW_YEAR, windows=False)
    old = 1_500_000_000_000
    events = _judge_json(EVENTS, [{**EVENT, "timestamp": old}], rules).samples
    points = _judge_json(METRICS, _metric({**POINT, "timestamp": old}), rules).samples
    assert [s["timestamp"] for s in (*events.kept, *points.kept)] == [old, old]


def _send(connection: http.client.HTTPConnection, events: int = 1) -> None:
    """Posts events. Raises as http.client does."""
    body = gzip.compress(json.dumps([{"eventType": "A"}] * events).encode())
    connection.request("POST", EVENTS, body, _headers(body))


def _ask(connection: http.client.HTTPConnection, events: int = 1) -> tuple[int, str | None]:
    """Posts events; the answer's status and Retry-After. Raises as http.client does."""
    _send(connection, events)
    response = connection.getresponse()
    json.loads(response.read())
    return response.status, response.getheader("Retry-After")


def _post(stand_in: StandIn, events: int = 1) -> tuple[int, str | None]:
    """Posts events over a connection of their own."""
    with closing(http.client.HTTPConnection("127.0.0.1", stand_in.port, timeout=30)) as connection:
        return _ask(connection, events)


def test_a_server_keeps_what_it_accepted(newrelic: StandIn) -> None:
    """Events, and a record of each request, are there when the answer is."""
    assert _post(newrelic, events=3) == (200, None)
    newrelic.wait_for(3)
    assert [event["eventType"] for event in newrelic.events] == ["A"] * 3
    (request,) = newrelic.requests
    assert (request.path, request.status, request.kept, request.dropped) == (EVENTS, 200, 3, 0)
    assert request.size > 0


def test_the_script_is_followed_one_behaviour_a_request(newrelic: StandIn) -> None:
    """After its end the usual behaviour is back, and what was refused was not kept."""
    newrelic.script([Status(429, retry_after=7), Status(413), Ok(after=0.001), Status(500)])
    answers = [_post(newrelic) for _ in range(5)]
    assert answers == [(429, "7"), (413, None), (200, None), (500, None), (200, None)]
    assert len(newrelic.events) == 2


def test_always_changes_the_usual_behaviour(newrelic: StandIn) -> None:
    """Every request meets it until it is changed again."""
    newrelic.always(Status(503))
    assert [_post(newrelic)[0] for _ in range(3)] == [503] * 3
    newrelic.always(Ok())
    assert _post(newrelic)[0] == 200


@pytest.mark.parametrize(
    ("behaviour", "kept"),
    [(Reset(), 0), (Reset(accepts=True), 1), (TruncatedAnswer(), 1)],
)
def test_a_broken_answer(newrelic: StandIn, behaviour: Behaviour, kept: int) -> None:
    """A reset or a cut answer, whether or not the samples were kept."""
    newrelic.script([behaviour])
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)) as error:
        _post(newrelic)
    assert isinstance(error.value, ConnectionResetError) == isinstance(behaviour, Reset)
    assert len(newrelic.events) == kept
    assert newrelic.requests[0].reason == repr(behaviour)


@pytest.mark.parametrize("accepts", [False, True])
def test_a_hanging_request_is_never_answered(newrelic: StandIn, accepts: bool) -> None:
    """The client's time-out ends it; other requests are answered meanwhile."""
    newrelic.script([Hang(accepts=accepts)])
    with closing(http.client.HTTPConnection("127.0.0.1", newrelic.port, timeout=30)) as hung:
        _send(hung)
        newrelic.wait_until(lambda: bool(newrelic.requests))
        assert newrelic.requests[0].status is None
        assert len(newrelic.events) == int(accepts)
        assert _post(newrelic)[0] == 200
        hung.sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            hung.getresponse()


def test_down_refuses_connections_until_up(newrelic: StandIn) -> None:
    """The listening socket is closed and open connections end; it comes back at its port."""
    port = newrelic.port
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as kept_alive:
        assert _ask(kept_alive)[0] == 200
        newrelic.down()
        assert kept_alive.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        _post(newrelic)
    newrelic.up()
    assert _post(newrelic)[0] == 200
    assert newrelic.port == port


def test_down_ends_a_request_that_hangs() -> None:
    """A hanging request does not keep the server from going down."""
    with StandIn() as stand_in:
        stand_in.always(Hang())
        failures: list[Exception] = []

        def post() -> None:
            try:
                _post(stand_in)
            except (OSError, http.client.HTTPException) as error:
                failures.append(error)

        client = threading.Thread(target=post)
        client.start()
        stand_in.wait_until(lambda: bool(stand_in.requests))
        stand_in.down()
        client.join(30)
        assert len(failures) == 1


def test_random_faults_are_the_same_with_the_same_seed() -> None:
    """Two stand-ins of one seed give the same answers, of which some are faults."""

    def statuses() -> list[int]:
        with StandIn() as stand_in:
            stand_in.faults(seed=7, rate=0.5, among=(Status(500), Status(429)))
            return [_post(stand_in)[0] for _ in range(40)]

    first = statuses()
    assert set(first) == {200, 429, 500}
    assert statuses() == first


def test_waiting_in_vain_says_what_came(newrelic: StandIn) -> None:
    """A time-out names the number of samples and the last requests."""
    _post(newrelic)
    with pytest.raises(TimeoutError, match=r"no 2 samples within 0\.01 s: 1 samples kept"):
        newrelic.wait_for(2, timeout=0.01)


def test_a_port_and_a_listener_may_be_chosen() -> None:
    """`on_request` is called with each request; without `keep` samples are counted only."""
    seen: list[int | None] = []
    with StandIn(keep=False, on_request=lambda request: seen.append(request.status)) as first:
        _post(first, events=2)
        first.wait_for(2)
        assert first.events == []
    assert seen == [200]
    with PortClaim() as claim, StandIn(port=claim.port) as second:
        assert second.endpoint == f"http://127.0.0.1:{claim.port}"
        assert _post(second)[0] == 200


def test_a_status_that_accepts_is_no_fault() -> None:
    """`Status(200)` would look like an answer by the rules and is refused."""
    with pytest.raises(ValueError, match="200 does not refuse"):
        Status(200)
