"""Delivery to New Relic, from the dataflow to the stand-in."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from sinks.dead_letters import DeadLetters, DeadLetterSettings, dead_letter_files, read_letters
from sinks.delivery import DeadLetter, Patience, rows_of
from sinks.newrelic import NewRelicSettings, newrelic_sink
from tests.newrelic.behaviour import Behaviour, Hang, Reset, Status, TruncatedAnswer
from tests.newrelic.payload import LICENSE_KEY
from tests.newrelic.stand_in import StandIn
from tests.samples import tick

QUICK = Patience(factor=0.01, maximum=0.05)


@dataclass
class Delivery:
    """A New Relic sink that delivers to a stand-in."""

    newrelic: StandIn
    directory: Path
    patience: Patience = QUICK
    options: dict[str, Any] = field(default_factory=dict)
    grace: float = 30.0
    heard: list[object] = field(default_factory=list)

    def run(self, batches: list[pa.RecordBatch]) -> None:
        """Write batches and end."""
        flow = Dataflow("delivery")
        items = [(batch.column("cluster_name")[0].as_py(), batch) for batch in batches]
        op.output("newrelic", op.input("in", flow, TestingSource(items)), self.sink())
        run_main(flow, epoch_interval=timedelta(0))

    def sink(self) -> Any:
        """The sink."""
        settings = NewRelicSettings.model_validate(
            {
                "license_key": LICENSE_KEY,
                "endpoint": self.newrelic.endpoint,
                "spool": {"path": self.directory / "spool"},
                **self.options,
            }
        )
        letters = DeadLetters(DeadLetterSettings(path=self.directory / "dead"))
        return newrelic_sink(
            settings, 1, 30_000, letters, self.heard.append, lambda: self.grace, self.patience
        )

    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        files = dead_letter_files(self.directory / "dead")
        return [letter for file in files for letter in read_letters(file)]


@pytest.fixture
def delivery(newrelic: StandIn, tmp_path: Path) -> Delivery:
    return Delivery(newrelic, tmp_path)


def now() -> int:
    return time.time_ns() // 1_000_000


def ticks(count: int, rows: int = 5) -> list[pa.RecordBatch]:
    start = now() - count * 1000
    return [tick(start + i * 1000, rows, cluster=f"c{i % 7}") for i in range(count)]


def keys_of(batches: list[pa.RecordBatch]) -> Counter[tuple[str, int]]:
    return Counter(
        (row["entity_guid"], round(row["timestamp"].timestamp() * 1000))
        for batch in batches
        for row in batch.to_pylist()
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

    assert sum(rows_of(letter.samples) for letter in delivery.dead()) == 3
    assert {letter.status for letter in delivery.dead()} == {413}
    assert len(delivery.newrelic.requests) == 5
