"""Metrics and health: what a scrape and a probe of a job answer."""

import json
import pickle
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from flows.observe.health import not_live, not_ready
from flows.observe.picture import Picture
from flows.observe.server import ListenError, served
from flows.observe.settings import MetricsSettings
from tests import job_pictures as p
from tests.ports import PortClaim

ANY_PORT = MetricsSettings(listen="127.0.0.1:0")

FULL = p.picture(
    pools=(p.pool("brokers", "prod/brokers", tripped="prod/topics"),),
    sinks=(p.sink("parquet", spooled=False), p.sink("newrelic", spooled=True, unsent=5000, dead=3)),
    clusters=(p.cluster("prod"),),
    anomalies=("spike",),
)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scraped(picture: Picture) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with served(ANY_PORT, lambda: picture) as url:
        status, text = get(f"{url}/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def scrape() -> Callable[..., float | None]:
    samples = scraped(FULL)

    def value(name: str, **labels: str) -> float | None:
        return samples.get((f"mqpipe_{name}", frozenset(labels.items())))

    return value


def test_a_pool_counts_its_tasks_by_outcome(scrape: Callable[..., float | None]) -> None:
    """Completed, failed, overrun and refused are told apart, and the share that went well."""
    outcomes = {
        outcome: scrape("pool_tasks_total", pool="brokers", outcome=outcome)
        for outcome in ("completed", "failed", "overrun", "refused", "missed")
    }
    assert outcomes == {
        "completed": 3, "failed": 1, "overrun": 1, "refused": 0, "missed": None,
    }  # fmt: skip
    assert scrape("pool_success_ratio", pool="brokers") == 3 / 5
    assert scrape("pool_task_errors_total", pool="brokers", error_class="timeout") == 1


def test_a_pools_durations_are_a_histogram(scrape: Callable[..., float | None]) -> None:
    """Buckets are cumulated; the sum is that of completed and failed tasks."""

    def bucket(le: str) -> float | None:
        return scrape("pool_task_duration_seconds_bucket", pool="brokers", le=le)

    assert [bucket(le) for le in ("0.1", "0.25", "5.0", "10.0", "+Inf")] == [0, 3, 3, 4, 4]
    assert scrape("pool_task_duration_seconds_sum", pool="brokers") == pytest.approx(7.6)
    assert scrape("pool_task_duration_seconds_count", pool="brokers") == 4


def test_a_pool_shows_its_queue_slots_and_breakers(scrape: Callable[..., float | None]) -> None:
    """Depth, high-water mark, each slot's state and each breaker's."""
    assert scrape("pool_queue_depth", pool="brokers") == 4
    assert scrape("pool_queue_depth_high", pool="brokers") == 9
    assert scrape("pool_queue_limit", pool="brokers") == 1000
    assert (scrape("pool_slots", pool="brokers"), scrape("pool_slots_busy", pool="brokers")) == (
        2,
        1,
    )
    slots = [scrape("pool_slot_busy_seconds", pool="brokers", slot=slot) for slot in "01"]
    assert slots == [2.5, 0]
    assert scrape("breaker_open", pool="brokers", target="prod/topics") == 1
    assert scrape("breaker_failures", pool="brokers", target="prod/topics") == 5


def test_a_target_shows_whether_it_is_up(scrape: Callable[..., float | None]) -> None:
    """Up, last success and ticks so far; one that never succeeded has no last success."""
    assert scrape("target_up", target="prod/brokers") == 1
    assert scrape("target_up", target="prod/topics") == 0
    assert scrape("target_last_success_timestamp_seconds", target="prod/brokers") == p.NOW - 4
    assert scrape("target_last_success_timestamp_seconds", target="prod/topics") is None
    assert scrape("target_ticks_total", target="prod/topics", outcome="failed") == 3


def test_a_sink_counts_samples_by_origin(scrape: Callable[..., float | None]) -> None:
    """Written, delivered and dead; the spool's depth; only a spooled sink has one."""
    assert scrape("samples_written_total", sink="parquet", origin="filled") == 30
    delivered = {"sink": "newrelic", "route": "events", "origin": "collected"}
    assert scrape("samples_delivered_total", **delivered) == 1190
    assert scrape("samples_dead_total", **delivered) == 3
    assert scrape("delivery_retries_total", sink="newrelic") == 2
    assert scrape("points_rejected_total", sink="newrelic") == 3
    assert scrape("spool_unsent_bytes", sink="newrelic") == 5000
    assert scrape("spool_limit_bytes", sink="newrelic") == 1_000_000
    assert scrape("spool_unsent_bytes", sink="parquet") is None
    assert scrape("dead_letters_dropped_total") == 7


def test_watermark_and_delay_are_by_sink_and_origin(scrape: Callable[..., float | None]) -> None:
    """The latest tick that arrived, and how long samples took from their due tick."""
    labels = {"sink": "newrelic", "origin": "collected"}
    assert scrape("watermark_timestamp_seconds", **labels) == p.NOW - 5
    assert scrape("sample_delay_seconds_bucket", le="0.5", **labels) == 1100
    assert scrape("sample_delay_seconds_count", **labels) == 1200
    assert scrape("sample_delay_seconds_sum", **labels) == 900


def test_coverage_is_counted_by_cluster(scrape: Callable[..., float | None]) -> None:
    """What was expected, and what of it was collected, filled or late."""
    states = ("expected", "collected", "filled", "late")
    counts = [scrape("coverage_samples_total", cluster="prod", state=state) for state in states]
    assert counts == [1000, 970, 20, 3]
    assert scrape("anomalies_active") == 1


def test_a_job_that_did_nothing_yet_can_be_scraped() -> None:
    """No division by zero, no family that breaks the page; the process's own metrics are there."""
    samples = scraped(p.picture(targets=(), pools=(), sinks=(), silence=None, up=1.0))
    assert samples["mqpipe_ready", frozenset()] == 0
    assert samples["mqpipe_not_ready_cause", frozenset({("cause", "starting")})] == 1
    assert any(name == "python_info" for name, _ in samples)


def codes(picture: Picture) -> tuple[list[str], list[str]]:
    return [c.code for c in not_ready(picture)], [c.code for c in not_live(picture)]


@pytest.mark.parametrize(
    ("picture", "ready", "live"),
    [
        (p.picture(), [], []),
        (p.picture(silence=None, up=60.0), ["starting"], []),
        (p.picture(silence=None, up=91.0), ["stalled"], []),
        (p.picture(silence=90.0), [], []),
        (p.picture(silence=91.0), ["stalled"], []),
        (p.picture(silence=301.0), ["stalled"], ["stalled"]),
        (p.picture(silence=301.0, draining=True), ["draining"], []),
        (p.picture(silence=301.0, there_until=p.NOW + 60), ["clock_set_back"], []),
        (p.picture(silence=5.0, there_until=p.NOW + 60), [], []),
        (
            p.picture(silence=301.0, sinks=(p.sink("newrelic", spooled=True, unsent=990_000),)),
            ["stalled", "spool_full"],
            [],
        ),
        (p.picture(targets=(p.bad("a/topics"), p.bad("b/topics"))), ["targets_failing"], []),
        (p.picture(targets=(p.bad("a/topics"), p.good("b/topics"))), [], []),
    ],
)
def test_health_names_its_causes(picture: Picture, ready: list[str], live: list[str]) -> None:
    """Not ready says why; not live only where nothing but a restart can help."""
    assert codes(picture) == (ready, live)


def test_probes_get_status_and_causes() -> None:
    """200 or 503, with JSON that a person can act on; other pages say where to look."""
    picture = p.picture(silence=301.0)
    with served(ANY_PORT, lambda: picture) as url:
        for page, status in (("live", 503), ("ready", 503)):
            code, body = get(f"{url}/health/{page}")
            assert code == status
            (cause,) = json.loads(body)["causes"]
            assert cause["code"] == "stalled"
        picture = FULL
        code, body = get(f"{url}/health")
        assert (code, json.loads(body)["ok"]) == (200, True)
        assert json.loads(body)["watermarks"] == {"collected": int(p.NOW * 1000) - 5_000}
        code, body = get(f"{url}/")
        assert code == 404
        assert "/metrics" in body


def test_a_port_in_use_is_a_clear_error() -> None:
    """The error names the setting, the address and the way out, and pickles."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ListenError) as caught,
            served(MetricsSettings(listen=address), p.picture),
        ):
            pass
    error = caught.value
    assert str(error).startswith(f"metrics.listen: cannot serve on {address}: Address already in")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_processes_of_a_cluster_have_ports_of_their_own() -> None:
    """The process id is added to the port."""
    with PortClaim() as claim:
        settings = MetricsSettings(listen=f"127.0.0.1:{claim.port - 3}")
        with served(settings, p.picture, process_id=3) as url:
            assert url == f"http://127.0.0.1:{claim.port}"


def test_nothing_is_served_where_the_config_says_so() -> None:
    """`listen: null` opens no port and starts no thread."""
    before = set(threading.enumerate())  # of which some may be ending
    with served(MetricsSettings(listen=None), p.picture) as url:
        assert url is None
        assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("listen", ["9464", ":9464", "localhost", "localhost:http", "a:99999"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValidationError, match=r"write it like 127\.0\.0\.1:9464"):
        MetricsSettings(listen=listen)
