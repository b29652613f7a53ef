"""Events of pools in New Relic: what the config asks for, and what becomes of them in trouble."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from flows.config import Config
from flows.pool_events import pool_events
from flows.sinks import sinks_of
from operators.events import EVENTS, Observer
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from sinks.newrelic.poster import NewRelicPoster
from sinks.patience import Patience
from tests.mqpipe import mqpipe
from tests.newrelic.behaviour import Status
from tests.newrelic.stand_in import StandIn

LIFE = {"PoolStarted", "PoolStopping", "PoolStopped"}


def config(newrelic: StandIn, folder: Path, wanted: str | None) -> Config:
    sink = {
        "license_key": newrelic.license_key,
        "shape": "events",
        "endpoint": newrelic.endpoint,
        "spool": {"path": folder / "spool"},
        "pool_events": wanted,
    }
    fleets = [{"name": "sim"}]
    return Config.model_validate(
        {"account_id": 7, "simulation": {"fleets": fleets}, "sinks": {"newrelic": sink}}
    )


def heard_by(settings: Config) -> AbstractContextManager[Observer]:
    """What the sinks of a configuration take of pools' events."""
    return pool_events(sinks_of(settings), settings.account_id, process_id=3)


async def work(observer: Observer) -> None:
    """One task that completes, and one that fails at its second attempt and opens its breaker."""

    async def fails(left: float) -> None:
        raise ConnectionRefusedError("nobody listens")

    async def works(left: float) -> None:
        return

    settings = PoolSettings.model_validate(
        {"attempts": 2, "backoff": {"initial": 0, "max": 0}, "breaker": {"failures": 1}}
    )
    async with Pool("topics", settings, observer=observer) as pool:
        await pool.submit(works, key="prod/topics")
        await pool.submit(fails, key="test/topics")


def sent(newrelic: StandIn) -> list[dict[str, Any]]:
    return [event for event in newrelic.events if event["eventType"] == "MqpipePoolEvent"]


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        ("all", {event.__name__ for event in EVENTS} - {"BreakerClosed"}),
        ("failures", {*LIFE, "TaskFailed", "TaskRetrying", "BreakerOpened"}),
        (None, set()),
    ],
)
def test_events_are_those_that_the_config_asks_for(
    newrelic: StandIn, tmp_path: Path, wanted: str | None, events: set[str]
) -> None:
    """All of them, what is not as usual, or none; up to the end of the pool."""
    with heard_by(config(newrelic, tmp_path, wanted)) as observer:
        asyncio.run(work(observer))
    assert {event["event"] for event in sent(newrelic)} == events
    assert newrelic.dropped == []


def test_an_event_says_what_it_knows(newrelic: StandIn, tmp_path: Path) -> None:
    """A failed task: its pool and target, its attempts and its cause."""
    with heard_by(config(newrelic, tmp_path, "failures")) as observer:
        asyncio.run(work(observer))
    (failed,) = (event for event in sent(newrelic) if event["event"] == "TaskFailed")
    assert failed["duration"] >= 0
    assert {**failed, "duration": 0, "timestamp": 0} == {
        "eventType": "MqpipePoolEvent",
        "timestamp": 0,
        "event": "TaskFailed",
        "pool": "topics",
        "target": "test/topics",
        "outcome": "failed",
        "attempts": 2,
        "duration": 0,
        "errorClass": "refused",
        "error": "nobody listens",
        "processId": 3,
    }


def post(
    newrelic: StandIn, folder: Path, events: Iterable[dict[str, Any]], until: Callable[[], bool]
) -> None:
    """A poster's life, with room for ten of the events; it is told to end when `until` holds."""
    settings = config(newrelic, folder, "all").sinks.newrelic
    assert settings is not None

    async def run() -> None:
        poster = NewRelicPoster(settings, 7, 10, every=0.01, patience=Patience(0.01, 0.02))
        for event in events:
            poster.put({"eventType": "MqpipePoolEvent", **event})
        closing = asyncio.Event()
        running = asyncio.create_task(poster.run(closing))
        await asyncio.to_thread(newrelic.wait_until, until)
        closing.set()
        await running

    asyncio.run(run())


def test_an_outage_holds_up_nothing(newrelic: StandIn, tmp_path: Path) -> None:
    """What waits is bounded: the oldest events give way, the rest arrives when it is over."""
    newrelic.script([Status(503), Status(429), Status(500)])
    numbers = ({"number": number} for number in range(12))
    post(newrelic, tmp_path, numbers, lambda: bool(newrelic.events))
    assert [event["number"] for event in sent(newrelic)] == list(range(2, 12))


def test_what_is_refused_is_dropped_and_said(
    newrelic: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong key: no retry without end."""
    newrelic.always(Status(403))
    post(newrelic, tmp_path, [{}], lambda: bool(newrelic.requests))
    assert sent(newrelic) == []
    assert "events of pools are refused" in caplog.text


def test_a_run_sends_them_beside_its_samples(newrelic: StandIn, tmp_path: Path) -> None:
    """From the first pool's start to the last one's end."""
    (tmp_path / "c.yaml").write_text(
        f"""
interval: 500ms
account_id: 7
simulation: {{fleets: [{{name: sim}}]}}
sinks:
  newrelic:
    license_key: {newrelic.license_key}
    shape: events
    endpoint: {newrelic.endpoint}
    spool: {{path: spool}}
    pool_events: failures
metrics: {{listen: null}}
"""
    )
    ended = mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--for", "1s")
    assert ended.code == 0, ended.err
    reported = {(event["pool"], event["event"]) for event in sent(newrelic)}
    assert reported == {(pool, event) for pool in ("brokers", "topics", "groups") for event in LIFE}
    assert len(newrelic.events) > len(reported)
