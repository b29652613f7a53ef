"""What `mqpipe check` says of a plan."""

import json
from typing import Any

import pytest

from flows.check import check
from flows.config import Config
from operators.drain import Drain
from operators.fleets import FleetSource
from operators.schedule import Range
from operators.simulate.spec import by_cluster


def simulating(**fleet: Any) -> Config:
    """A configuration of one fleet whose groups read four topics each."""
    groups = [{"name": f"g{n}", "topics": ["t1", "t2", "t3", "t4"]} for n in range(2)]
    shape = {"name": "fleet", "topics": [{"name": f"t{n}"} for n in range(1, 5)], "groups": groups}
    return Config.model_validate(
        {"mode": "simulation", "simulation": {"fleets": [{**shape, **fleet}]}}
    )


@pytest.mark.parametrize(("allowed", "says"), [(5, True), (8, False), (0, False)])
def test_rows_of_a_fleet_that_are_left_out_are_told(
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
