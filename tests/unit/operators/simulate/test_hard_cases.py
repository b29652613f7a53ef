"""What makes anomalies hard to find: overlaps, times of day, gaps, and the scale of difficulty."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.schema.metrics import Origin
from operators.simulate.anomalies.table import anomaly_table
from operators.simulate.settings import SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, shards
from operators.ticks import Ticks
from tests.samples import NEW_YEAR
from tests.simulated_fleets import KEY, frame

DAY = 86_400_000
MINUTE = 60_000
WEEK = (NEW_YEAR, NEW_YEAR + 7 * DAY)


def specs(anomalies: list[dict[str, Any]], difficulty: float = 0, **fleet: Any) -> list[ShardSpec]:
    """The shards of one small fleet."""
    return shards(
        SimulationSettings.model_validate(
            {
                "difficulty": difficulty,
                "fleets": [{"name": "sim", **fleet}],
                "anomalies": anomalies,
            }
        )
    )


def rows(
    *given_: Any, start: int = WEEK[0], end: int = WEEK[1], **more: Any
) -> list[dict[str, Any]]:
    """What goes wrong in a week."""
    table = anomaly_table(specs(*given_, **more), start, end)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def ms(moment: Any) -> int:
    """Milliseconds since 1970."""
    milliseconds: float = moment.timestamp() * 1000
    return round(milliseconds)


def test_each_is_overlapped_by_one_from_its_middle() -> None:
    """Where it is if the kind may start there, and as long."""
    found = rows([{"kind": "slow_drain", "rate": 0.3, "overlap": "rebalance_storm"}])
    first = {r["entity"]: r for r in found if r["kind"] == "slow_drain"}
    second = [r for r in found if r["kind"] == "rebalance_storm"]
    assert len(second) > 3
    starts = {(r["entity"], ms(r["start"]) + 450_000) for r in found if r["kind"] == "slow_drain"}
    assert {(r["entity"], ms(r["start"])) for r in second} == starts
    assert {r["entity"] for r in second} == set(first)


def test_overlap_elsewhere_is_at_an_entity_that_there_is() -> None:
    """A broker's at a topic; and what cannot be in the cluster is not."""
    found = rows([{"kind": "broker_down", "rate": 1, "overlap": "spike"}])
    spikes = {r["entity"] for r in found if r["kind"] == "spike"}
    assert len(spikes) > 3
    topics = {f"sim/{t.name}" for t in specs([])[0].topology.topics}
    assert spikes <= topics
    none = rows([{"kind": "broker_down", "rate": 1, "overlap": "node_down"}])
    assert {r["kind"] for r in none} == {"broker_down"}


def test_overlap_and_difficulty_move_no_anomaly() -> None:
    """The same ones, at the same times and places."""
    plain = rows([{"kind": "slow_drain", "rate": 0.3}])
    hard = rows([{"kind": "slow_drain", "rate": 0.3}], 0.5)
    assert [(r["entity"], r["start"]) for r in plain] == [(r["entity"], r["start"]) for r in hard]
    assert [ms(r["end"]) - ms(r["start"]) for r in hard] == [450_000] * len(hard)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("UTC", 0), ("Europe/Berlin", 23), ("America/Los_Angeles", 8), ("Pacific/Kiritimati", 10)],
)
def test_those_of_a_time_of_day_start_on_the_fleets_clock(zone: str, hour: int) -> None:
    """Each once a day and entity at most, in winter time."""
    found = rows([{"kind": "spike", "rate": 3, "at": "00:00"}], time_zone=zone)
    assert len(found) > 50
    assert {ms(r["start"]) % DAY for r in found} == {hour * 3_600_000}
    assert len({r["label"] for r in found}) == len(found)


def midnight_spikes(start: int, end: int) -> list[dict[str, Any]]:
    """What goes wrong in a fleet far from UTC whose anomalies overlap around midnight."""
    wrong = [{"kind": "spike", "rate": 0.4, "at": "00:00", "duration": "5h", "overlap": "drop"}]
    return rows(wrong, time_zone="Pacific/Kiritimati", start=start, end=end)


@pytest.fixture(scope="module")
def ten_days_of_spikes() -> list[dict[str, Any]]:
    """Of a day before and two after all that a stretch of them may lie in."""
    return midnight_spikes(NEW_YEAR - DAY, NEW_YEAR + 9 * DAY)


@given(st.integers(0, 6 * 1440), st.integers(1, 1440))
def test_any_stretch_meets_the_same_anomalies(
    ten_days_of_spikes: list[dict[str, Any]], first: int, length: int
) -> None:
    """However a time is cut, in any zone: those that are under way in it, no more and no less."""
    start, end = NEW_YEAR + first * MINUTE, NEW_YEAR + (first + length) * MINUTE
    within = midnight_spikes(start, end)
    expected = [
        r["label"] for r in ten_days_of_spikes if ms(r["start"]) < end and ms(r["end"]) >= start
    ]
    assert [r["label"] for r in within] == expected


def test_a_fleet_with_gaps_lacks_their_share_and_nothing_else() -> None:
    """Its samples are those of the fleet without; in stretches of ten minutes, whoever asks for them."""
    (plain,), (gappy,) = specs([]), specs([], gaps=0.2)
    ticks = Ticks("sim", NEW_YEAR, MINUTE, 720)
    whole = Shard(plain, 1).step(ticks)
    left = Shard(gappy, 1).step(ticks)
    share = sum(b.num_rows for b in left) / sum(b.num_rows for b in whole)
    assert 0.77 < share < 0.83
    for all_, some in zip(map(frame, whole), map(frame, left), strict=True):
        of_those = all_.join(some.select(KEY), on=KEY, how="semi")
        assert of_those.sort(KEY).equals(some.sort(KEY))
    shard, by_tick = Shard(gappy, 1), []
    for n in range(30):
        by_tick += shard.step(Ticks("sim", NEW_YEAR + n * MINUTE, MINUTE, 1))
    keys = pl.concat(frame(b).select(KEY) for b in left)
    first = keys.filter(pl.col("timestamp").cast(pl.Int64) < NEW_YEAR + 30 * MINUTE)
    named = pl.concat(frame(b).select(KEY) for b in by_tick)
    assert set(named.iter_rows()) == set(first.iter_rows())


def test_what_fills_for_others_has_no_gaps() -> None:
    """A gap of a fill would be a gap of the stream."""
    (gappy,) = specs([], gaps=0.9)
    ticks = Ticks("sim", NEW_YEAR, MINUTE, 20)
    filled = Shard(gappy, 1, origin=Origin.FILLED).step(ticks)
    assert sum(b.num_rows for b in filled) == 20 * gappy.entities


@pytest.mark.parametrize(
    ("anomaly", "said"),
    [
        ({"kind": "spike", "rate": 1, "at": "00:00Z"}, "without an offset"),
        ({"kind": "spike", "rate": 1, "overlap": "spik"}, "spike"),
        (
            {"kind": "spike", "entity": "sim/orders", "start": "2026-01-01", "at": "00:00"},
            "`rate` only",
        ),
    ],
)
def test_what_cannot_be_is_refused(anomaly: dict[str, Any], said: str) -> None:
    """With what is right."""
    with pytest.raises((ValidationError, ValueError), match=said):
        specs([anomaly])
