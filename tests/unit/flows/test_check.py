"""What `mqpipe check` says of a plan."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flows.check import check
from flows.config import Config, SinksSettings
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range
from operators.schema.arrow import Only
from operators.simulate.spec import by_cluster

NEW_RELIC = SinksSettings.model_validate(
    {"newrelic": {"license_key": "a" * 36 + "NRAL", "region": "US"}}
)


def simulating(**fleet: Any) -> Config:
    """A configuration of one fleet whose groups read four topics each."""
    groups = [{"name": f"g{n}", "topics": ["t1", "t2", "t3", "t4"]} for n in range(2)]
    shape = {"name": "fleet", "topics": [{"name": f"t{n}"} for n in range(1, 5)], "groups": groups}
    return Config.model_validate(
        {"mode": "simulation", "simulation": {"fleets": [{**shape, **fleet}]}}
    )


@pytest.mark.parametrize(("allowed", "says"), [(5, True), (8, False), (0, False)])
def test_rows_of_a_fleet_that_are_left_out_are_reported(
    allowed: int,
    says: bool,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By check and once in the log of a job; not where all have rows, nor where none is wanted."""
    config = simulating(group_topics=allowed)
    assert check(config, connect=False) == 0
    printed = capsys.readouterr().out
    FleetSource(by_cluster(config.simulation), 30_000, Range(0, 30_000), Drain(1.0))
    logged = [r.getMessage() for r in caplog.records]
    assert logged == ["too many groups and topics"] * says
    assert ("allows for 5 rows" in printed) is says
    assert check(config, connect=False, as_json=True) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert list(notes) == ["fleet"] * says
    assert all("allows for 5 rows" in note for note in notes.values())


@pytest.mark.parametrize(
    ("topics_allowed", "clients_allowed", "events"),
    [
        (11, 5, ["too many topics on brokers", "too many clients of groups"]),
        (12, 6, []),
        (0, 0, []),
    ],
)
def test_events_of_a_fleet_that_are_left_out_are_reported(
    topics_allowed: int,
    clients_allowed: int,
    events: list[str],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Four topics on three brokers, two groups of three: by check and once in the log, where events are sent."""
    topics = [{"name": f"t{n}", "partitions": 3, "replication_factor": 2} for n in range(1, 5)]
    config = simulating(
        brokers=3, topics=topics, groups=[{"name": f"g{n}", "topics": ["t1"], "consumers": 3} for n in range(2)],
        broker_topics=topics_allowed, group_clients=clients_allowed,
    )  # fmt: skip
    with_events = config.model_copy(update={"sinks": NEW_RELIC})
    assert check(with_events, connect=False) == 0
    printed = capsys.readouterr().out
    assert ("`broker_topics` allows for 11 events" in printed) is bool(events)
    assert ("`group_clients` allows for 5 events" in printed) is bool(events)
    assert check(with_events, connect=False, as_json=True) == 0
    assert list(json.loads(capsys.readouterr().out)["notes"]) == ["fleet"] * bool(events)
    assert check(config, connect=False) == 0
    assert "allows for" not in capsys.readouterr().out, "nothing takes them"
    shards = by_cluster(config.simulation)
    beside = {name: replace(s, beside=frozenset({Only.EVENTS})) for name, s in shards.items()}
    FleetSource(beside, 30_000, Range(0, 30_000), Drain(1.0))
    assert [r.getMessage() for r in caplog.records] == events
