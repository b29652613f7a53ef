"""Delivery to New Relic, from the dataflow to the stand-in."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from operators.schema.arrow import row_count
from sinks.dead_letters import dead_letter_files, read_letters
from sinks.delivery import DeadLetter
from sinks.events import DeliveryRetried, SamplesWritten
from sinks.job import JobContext
from sinks.newrelic.destination import NewRelic
from sinks.newrelic.settings import NewRelicSettings
from sinks.patience import Patience
from sinks.redeliver import Redelivery
from sinks.spool.sink import SpooledSink
from tests.captured_logs import captured_logs
from tests.newrelic.behaviour import FAULTS, Behaviour, Hang, Ok, Reset, Status, TruncatedAnswer
from tests.newrelic.payload import LICENSE_KEY
from tests.newrelic.stand_in import StandIn
from tests.samples import tick
from tests.sink_jobs import job_in

QUICK = Patience(factor=0.01, maximum=0.05)


@dataclass
class Delivery:
    """A New Relic sink that delivers to a stand-in."""

    newrelic: StandIn
    directory: Path
    patience: Patience = QUICK
    options: dict[str, Any] = field(default_factory=dict)
    grace: float = 90.0
    adopt_after: float = 30.0
    heard: list[object] = field(default_factory=list)

    def run(self, batches: list[pa.RecordBatch], linger: Callable[[], None] = lambda: None) -> None:
        """Write batches, do what `linger` does before the end, and end."""

        def last_lingers(item: tuple[str, Any]) -> bool:
            if item[1] is None:
                linger()
            return item[1] is not None

        flow = Dataflow("delivery")
        items = [(batch.column("cluster_name")[0].as_py(), batch) for batch in batches]
        stream = op.input("in", flow, TestingSource([*items, ("end", None)]))
        stream = op.filter("linger", stream, last_lingers)
        op.output("newrelic", stream, self.sink())
        run_main(flow, epoch_interval=timedelta(0))

    def redeliver(self) -> Redelivery:
        """Send dead letters and the spool again."""
        again = self.settings().sink().redeliver
        assert again is not None
        return again(replace(self.job(), patience=replace(self.patience, attempts=3)))

    def settings(self) -> NewRelicSettings:
        """What the sink is told."""
        return NewRelicSettings.model_validate(
            {
                "license_key": LICENSE_KEY,
                "shape": "events",
                "endpoint": self.newrelic.endpoint,
                "spool": {"path": self.directory / "spool"},
                **self.options,
            }
        )

    def sink(self) -> Any:
        """The sink."""
        settings = self.settings()
        destination = NewRelic(settings, 1, 30_000)
        return SpooledSink(destination, settings.spool, self.job(), self.adopt_after)

    def job(self) -> JobContext:
        """What the sink is given."""
        return job_in(
            self.directory,
            account_id=1,
            interval=30_000,
            listener=self.heard.append,
            grace_left=lambda: self.grace,
            patience=self.patience,
        )

    def written(self) -> int:
        """How many samples the spool took over."""
        return sum(
            sum(event.by_origin.values())
            for event in list(self.heard)
            if isinstance(event, SamplesWritten)
        )

    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        files = dead_letter_files(self.directory / "dead")
        return [letter for file in files for letter in read_letters(file)]


@pytest.fixture
def delivery(newrelic: StandIn, tmp_path: Path) -> Delivery:
    return Delivery(newrelic, tmp_path)


RATE_LIMIT = Status(429, retry_after=1)
"""Not among the storm's faults: it would take its seconds."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def now() -> int:
    return time.time_ns() // 1_000_000


def ticks(count: int, rows: int = 5) -> list[pa.RecordBatch]:
    start = now() - count * 1000
    return [tick(start + i * 1000, rows, cluster=f"c{i % 7}") for i in range(count)]


def keys_of(batches: list[pa.RecordBatch]) -> Counter[tuple[str, int]]:
    return Counter(
        (row["entity_guid"], round(row["timestamp"].timestamp() * 1000))
        for batch in batches
        for row in batch.select(["entity_guid", "timestamp"]).to_pylist()
    )


def keys_at(newrelic: StandIn) -> Counter[tuple[str, int]]:
    return Counter((event["entityGuid"], event["timestamp"]) for event in newrelic.events)


def test_every_sample_arrives_once_when_new_relic_behaves(delivery: Delivery) -> None:
    """A behaving New Relic gets every sample exactly once, and nothing is left or dead."""
    batches = ticks(50)

    delivery.run(batches)

    assert keys_at(delivery.newrelic) == keys_of(batches)
    assert delivery.newrelic.dropped == []
    assert delivery.dead() == []


@pytest.mark.parametrize(
    "behaviour",
    [
        Status(408),
        Status(429),
        Status(429, retry_after=1),
        Status(500),
        Status(502),
        Status(503),
        Status(504),
        Reset(),
        Reset(accepts=True),
        Hang(),
        TruncatedAnswer(),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(delivery: Delivery, behaviour: Behaviour) -> None:
    """After an answer that may pass every sample arrives, and none is dead."""
    delivery.options["timeout"] = 0.3
    delivery.newrelic.script([behaviour])
    batches = ticks(4)

    delivery.run(batches)

    assert set(keys_at(delivery.newrelic)) == set(keys_of(batches))
    assert delivery.dead() == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 411, 414, 415, 431, 302])
def test_what_is_refused_is_kept_with_its_reason(delivery: Delivery, status: int) -> None:
    """A refused payload is not sent again: its samples are dead letters with status and answer."""
    delivery.newrelic.script([Status(status)])
    batches = ticks(1)

    delivery.run(batches)

    [letter] = delivery.dead()
    assert keys_of(list(letter.samples)) == keys_of(batches)
    assert (letter.status, letter.attempts, letter.sink, letter.route) == (
        status,
        1,
        "newrelic",
        "events",
    )
    assert "Status" in letter.answer
    assert len(delivery.newrelic.requests) == 1


def test_a_payload_that_is_too_large_is_split(delivery: Delivery) -> None:
    """413 halves a payload until it fits; every sample arrives once."""
    delivery.newrelic.script([Status(413)] * 3)
    batches = ticks(1, rows=16)

    delivery.run(batches)

    assert keys_at(delivery.newrelic) == keys_of(batches)
    assert delivery.dead() == []


def test_one_sample_that_is_too_large_is_dead(delivery: Delivery) -> None:
    """413 on a single sample ends in dead letters, not in a loop."""
    delivery.newrelic.always(Status(413))
    batches = ticks(1, rows=3)

    delivery.run(batches)

    assert sum(row_count(letter.samples) for letter in delivery.dead()) == 3
    assert {letter.status for letter in delivery.dead()} == {413}
    assert len(delivery.newrelic.requests) == 5


@pytest.mark.parametrize("shape", ["metrics", "both"])
def test_every_point_arrives_once(delivery: Delivery, shape: str) -> None:
    """In shape metrics each number is a point; in shape both there are the events too."""
    delivery.options["shape"] = shape
    batches = ticks(10)

    delivery.run(batches)

    points = Counter((p["attributes"]["entityGuid"], p["name"]) for p in delivery.newrelic.metrics)
    numbers = Counter(
        (row["entity_guid"], "kafka.message.count")
        for batch in batches
        for row in batch.to_pylist()
    )
    assert points == numbers
    assert keys_at(delivery.newrelic) == (keys_of(batches) if shape == "both" else Counter())
    assert delivery.newrelic.dropped == []


def test_payloads_stay_under_the_limit_of_either_reading(delivery: Delivery) -> None:
    """Thousands of samples go in several payloads, each under 1 MB even before compression."""
    delivery.newrelic.rules = replace(delivery.newrelic.rules, max_uncompressed=1_000_000)
    batches = ticks(10, rows=800)

    delivery.run(batches)

    assert keys_at(delivery.newrelic) == keys_of(batches)
    assert {request.status for request in delivery.newrelic.requests} == {200}
    assert len(delivery.newrelic.requests) > 1


def test_an_outage_is_only_a_wait(delivery: Delivery) -> None:
    """While New Relic is down the dataflow runs on; once it is up again everything arrives."""
    delivery.newrelic.down()
    batches = ticks(50)
    running = threading.Thread(target=delivery.run, args=[batches])
    running.start()
    wait_until(lambda: delivery.written() == 250)
    wait_until(lambda: any(isinstance(event, DeliveryRetried) for event in delivery.heard))

    delivery.newrelic.up()
    running.join()

    assert keys_at(delivery.newrelic) == keys_of(batches)
    assert delivery.dead() == []


def test_what_cannot_be_delivered_in_time_is_sent_at_the_next_start(delivery: Delivery) -> None:
    """A drain leaves in the spool what it could not send; the next start sends it by itself."""
    delivery.newrelic.down()
    delivery.grace = 0.2
    first, second = ticks(8), ticks(1)
    delivery.run(first)

    delivery.newrelic.up()
    delivery.grace = 90.0
    delivery.adopt_after = 0.0
    spools = delivery.directory / "spool" / "newrelic"

    def until_all_is_sent() -> None:
        delivery.newrelic.wait_for(40)
        wait_until(lambda: not list(spools.glob("left-*")))

    delivery.run(second, linger=until_all_is_sent)

    assert keys_at(delivery.newrelic) == keys_of(first) + keys_of(second)


def test_a_wrong_key_is_said_once_and_nothing_is_lost(delivery: Delivery) -> None:
    """With a wrong key the run goes on; every sample is a dead letter; the log has it once."""
    delivery.options["license_key"] = "open-sesame"
    batches = ticks(30)

    with captured_logs() as logs:
        delivery.run(batches)

    assert sum((keys_of(list(x.samples)) for x in delivery.dead()), Counter()) == keys_of(batches)
    assert {letter.status for letter in delivery.dead()} == {403}
    errors = [line for line in logs if line["level"] in ("error", "critical")]
    assert [line["status"] for line in errors] == [403]
    assert "open-sesame" not in str(logs) + str(delivery.heard)


def test_the_first_success_reports_where_faults_show(delivery: Delivery) -> None:
    """New Relic checks after its answer: the log says once by which query to look."""
    with captured_logs() as logs:
        delivery.run(ticks(30))
    assert len([line for line in logs if "NrIntegrationError" in line["event"]]) == 1


def test_samples_that_are_too_old_are_dead_as_such(delivery: Delivery) -> None:
    """New Relic would drop them behind a good answer; the others are sent."""
    old, new = tick(now() - 25 * 3_600_000, 3), tick(now(), 2)
    ahead = tick(now() + 25 * 3_600_000, 1)

    delivery.run([old, new, ahead])

    assert keys_at(delivery.newrelic) == keys_of([new])
    assert delivery.newrelic.dropped == []
    assert {(x.reason.split(":")[0], row_count(x.samples)) for x in delivery.dead()} == {
        ("older than 24 h", 3),
        ("more than 24 h ahead", 1),
    }


def test_a_storm_of_faults_loses_nothing(delivery: Delivery) -> None:
    """Under random answers of every kind each sample arrives at least once, or is dead."""
    delivery.options["timeout"] = 1
    delivery.newrelic.faults(seed=7, rate=0.5, among=[f for f in FAULTS if f != RATE_LIMIT])
    batches = ticks(60)

    delivery.run(batches)

    dead = [batch for letter in delivery.dead() for batch in letter.samples]
    assert set(keys_at(delivery.newrelic)) | set(keys_of(dead)) == set(keys_of(batches))


def test_a_full_spool_blocks_until_there_is_room(delivery: Delivery) -> None:
    """With `block` the dataflow waits; once New Relic is back everything arrives."""
    delivery.options["spool"] = {"path": delivery.directory / "spool", "size": "1MiB"}
    delivery.newrelic.down()
    batches = ticks(400, rows=20)
    running = threading.Thread(target=delivery.run, args=[batches])
    with captured_logs() as logs:
        running.start()
        wait_until(lambda: any("spool is full" in line["event"] for line in logs))
        written = delivery.written()
        delivery.newrelic.up()
        running.join()

    assert written < 8_000
    assert set(keys_at(delivery.newrelic)) == set(keys_of(batches))
    assert delivery.dead() == []


def test_a_full_spool_gives_up_its_oldest(delivery: Delivery) -> None:
    """With `oldest_to_dead_letters` the dataflow goes on, and what had to go is kept."""
    delivery.options["spool"] = {
        "path": delivery.directory / "spool",
        "size": "1MiB",
        "full": "oldest_to_dead_letters",
    }
    delivery.newrelic.down()
    delivery.grace = 0.0
    batches = ticks(400, rows=20)

    delivery.run(batches)

    dead = delivery.dead()
    assert {letter.reason for letter in dead} == {"the spool was full and these were the oldest"}
    gone = keys_of([batch for letter in dead for batch in letter.samples])
    delivery.newrelic.up()
    assert delivery.redeliver().problem is None
    assert set(keys_at(delivery.newrelic)) == set(keys_of(batches))
    assert set(gone) < set(keys_of(batches))
    assert delivery.dead() == []


def test_redelivery_sends_dead_letters_and_keeps_what_fails(delivery: Delivery) -> None:
    """What is taken now is gone from the dead letters; what fails again counts its attempts."""
    delivery.newrelic.always(Status(400))
    batches = ticks(6)
    delivery.run(batches)
    delivery.newrelic.always(Ok())
    delivery.newrelic.script([Status(400)])

    done = delivery.redeliver()

    dead = sum((keys_of(list(x.samples)) for x in delivery.dead()), Counter())
    assert keys_at(delivery.newrelic) + dead == keys_of(batches)
    assert (done.delivered, done.dead, done.spool_bytes, done.problem) == (
        30 - dead.total(),
        dead.total(),
        0,
        None,
    )
    assert {letter.attempts for letter in delivery.dead()} == {2}


def test_redelivery_gives_up_where_new_relic_cannot_be_reached(delivery: Delivery) -> None:
    """Spool and dead letters stay as they are, and the cause is reported."""
    delivery.newrelic.script([Status(400)])
    delivery.run(ticks(1))
    delivery.newrelic.down()
    delivery.grace = 0.0
    delivery.run(ticks(2))

    done = delivery.redeliver()

    assert done.delivered == 0
    assert done.dead == 5
    assert done.spool_bytes > 0
    assert done.problem is not None
    assert "connect" in done.problem.lower()
    delivery.newrelic.up()
    assert delivery.redeliver().delivered == 15


def test_this_machine_is_never_reached_by_a_proxy(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By plain http the proxy would read the licence key."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        batches = ticks(3)
        delivery.run(batches)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert keys_at(delivery.newrelic) == keys_of(batches)
