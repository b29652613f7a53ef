"""A backend that is gone for a while at a high rate: all arrives, and other sinks keep their ticks."""

import pytest

from tests.benchmarks.bench_outage import TICK, measure

pytestmark = pytest.mark.slow

GROWTH = 100.0
"""Megabytes that memory may grow by during an outage, at most."""


@pytest.mark.parametrize("sink", ["otlp", "newrelic"])
@pytest.mark.parametrize(
    ("rate", "up", "down"),
    [
        pytest.param(500, 2.0, 4.0, marks=pytest.mark.timeout(120), id="seconds"),
        pytest.param(
            20_000,
            15.0,
            600.0,
            marks=[
                pytest.mark.long("is down for ten minutes at 20,000 samples a second"),
                # The backlog is judged by one thread, sample by sample: minutes, and more of a busy machine.
                pytest.mark.timeout(3600),
            ],
            id="ten minutes",
        ),
    ],
)
def test_an_outage_loses_nothing_and_holds_no_other_sink_up(
    sink: str, rate: int, up: float, down: float
) -> None:
    """Every sample comes once at least and none is a dead letter; the other sink gets each of its ticks."""
    seen = measure(sink, rate, up, down)
    assert seen["arrived"] >= seen["written"] > 0
    assert seen["dead_letter_files"] == 0
    # From the first one on, whenever the job had begun; its end is a sum of tenths.
    assert seen["missing_ticks"] == 0
    assert seen["ticks"] >= round((2 * up + down) / TICK) - 1
    assert seen["memory_during_mb"] - seen["memory_before_mb"] < GROWTH
    # A tick that waited for the backend would be as late as the outage is long.
    assert seen["late_during_median_ms"] < 1000 * down / 4
