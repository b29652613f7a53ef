"""Fills go on from what was collected, and end where it comes back, without a jump."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest

from operators.collect.settings import ExpectSettings
from operators.merge.cluster import ClusterMerge
from operators.merge.continuity import GROWS_BY, Course, constant, filled
from operators.merge.like import like_fleet, preset_fleet
from operators.merge.settings import FillSettings
from operators.schema.arrow import TIMESTAMP, entity_type_of, sample_batch
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    TOPIC,
    EntityType,
    Origin,
)
from operators.simulate.settings import FleetSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shard_of
from operators.ticks import Outcome, TickResult, Ticks
from tests.merge_by_hand import kafka_plan
from tests.samples import HOUR, MONDAY

INTERVAL = 30_000
MORNING = MONDAY + 19 * HOUR // 2  # half an hour before a peak sets in
TICKS = 90
GAP = slice(55, 75)
KINDS = {"brokers": [BROKER], "topics": [TOPIC, CLUSTER], "groups": [CONSUMER_GROUP]}


def with_a_gap(fleet: FleetSettings) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """A cluster that goes as the fleet does, and what the merge makes of it when GAP is missing."""
    like = like_fleet(fleet, 42, "prod", None, ExpectSettings(), "kafka")
    plan = kafka_plan(like=like)
    merge = ClusterMerge(
        plan,
        FillSettings(stale_after=0.0),
    )
    shard = Shard(shard_of(fleet, 42, "prod"), None, origin=Origin.COLLECTED)
    truth, merged = [], []
    for n in range(TICKS):
        tick = MORNING + n * INTERVAL
        there = shard.step(Ticks("prod", tick, INTERVAL))
        truth += there
        for kind, types in KINDS.items():
            due = Ticks("prod", tick, INTERVAL, kind=kind)
            given = tuple(batch for batch in there if entity_type_of(batch) in types)
            gone = GAP.start <= n < GAP.stop
            merged += merge.on_result(
                TickResult(due, Outcome.FAILED)
                if gone
                else TickResult(due, Outcome.COMPLETED, given)
            )
    return truth, merged


def series(batches: list[pa.RecordBatch], entity_type: EntityType) -> dict[str, Any]:
    """Metrics of all entities of one type over time; shape of each: (entities, ticks)."""
    mine = [batch for batch in batches if entity_type_of(batch) is entity_type]
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(mine)))
    frame = frame.sort("entity_guid", "timestamp")
    metrics = {m.name: frame[m.name].cast(pl.Float64).to_numpy() for m in entity_type.numeric}
    return {
        name: values.reshape(-1, TICKS)
        for name, values in metrics.items()
        if not np.isnan(values).all()
    }


@pytest.mark.parametrize("pattern", ["constant", "business_hours", "random", "random_walk"])
def test_no_metric_jumps_at_a_seam_by_more_than_its_own_noise(pattern: str) -> None:
    """Into, within and out of a fill no step exceeds the metric's greatest one by a quarter.

    The quarter, or 1 % of the value, is for the noise of the last sample, which the fill scales
    along with its level, and for the drift that it does not know of.
    """
    truth, merged = with_a_gap(FleetSettings.model_validate({"name": "sim", "pattern": pattern}))
    for entity_type in (CLUSTER, BROKER, TOPIC, CONSUMER_GROUP):
        real, ours = series(truth, entity_type), series(merged, entity_type)
        for name in real.keys() - GROWS_BY.keys():
            own = np.abs(np.diff(real[name])).max(axis=1)
            steps = np.abs(np.diff(ours[name]))
            seams_and_within = steps[:, GAP.start - 1 : GAP.stop].max(axis=1)
            level = np.abs(real[name]).max(axis=1)
            allowed = np.maximum(1.25 * own, 0.01 * level) + 1e-9
            assert (seams_and_within <= allowed).all(), name


def test_filled_offsets_go_on_by_the_very_rate_that_the_row_reports() -> None:
    """An offset grows by rate · interval at each filled tick, to the rounding."""
    _, merged = with_a_gap(FleetSettings(name="sim"))
    for entity_type, offset in (
        (TOPIC, "topic.offset"),
        (CONSUMER_GROUP, "consumerGroup.committedOffset"),
    ):
        ours = series(merged, entity_type)
        growth = np.diff(ours[offset])[:, GAP.start - 1 : GAP.stop - 1]
        rate = ours[GROWS_BY[offset]][:, GAP]
        assert (np.abs(growth - rate * INTERVAL / 1000) <= 1).all()


def rows(ticks: list[int], rate: float = 100.0, offset: int = 1_000) -> pa.RecordBatch:
    """Collected rows of one topic."""
    count = len(ticks)
    return sample_batch(
        TOPIC,
        count,
        {
            "timestamp": pa.array(ticks, TIMESTAMP),
            "entity_guid": [f"topic-{n}" for n in range(count)],
            "origin": "collected",
            "topic.messagesInPerSecond": [rate] * count,
            "topic.offset": [offset] * count,
            "topic.partitionCount": [6] * count,
        },
    )


def rising(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A factor of 1 at the start, and 1 more with each interval."""
    return 1 + times / INTERVAL


def test_traffic_follows_the_pattern_and_topology_holds() -> None:
    """Rate: value · f(t) / f(s). Offset: the rates' sum. Counts of things stay. Null stays null."""
    ticks = np.array([INTERVAL, 2 * INTERVAL])
    batch = filled(rows([0, 0]), ticks, Course(rising, INTERVAL), "staging")
    assert batch.column("topic.messagesInPerSecond").to_pylist() == [200.0, 300.0]
    assert batch.column("topic.offset").to_pylist() == [1_000 + 200 * 30, 1_000 + 500 * 30]
    assert batch.column("topic.partitionCount").to_pylist() == [6, 6]
    assert batch.column("topic.diskSize").null_count == 2
    assert batch.column("environment").to_pylist() == ["staging"] * 2
    assert batch.column("origin").to_pylist() == ["filled"] * 2


def test_rows_of_different_ages_each_go_on_from_their_own_tick() -> None:
    """The pattern is taken from each row's own timestamp, in whatever order they are asked for."""
    course = Course(rising, INTERVAL)
    last = np.array([4 * INTERVAL, 4 * INTERVAL])
    for since in ([2 * INTERVAL, 3 * INTERVAL], [0, 3 * INTERVAL]):
        batch = filled(rows(since), last, course, "test")
        expected = [
            1_000
            + round(3_000 * sum(1 + k for k in range(s // INTERVAL + 1, 5)) / (1 + s // INTERVAL))
            for s in since
        ]
        assert batch.column("topic.offset").to_pylist() == expected


def test_pattern_that_was_zero_holds_the_level() -> None:
    """Nothing can be multiplied up from a factor of 0: the last value is held."""

    def off_and_on(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return (times > 0).astype(np.float64)

    batch = filled(rows([0]), np.array([INTERVAL]), Course(off_and_on, INTERVAL), "test")
    assert batch.column("topic.messagesInPerSecond").to_pylist() == [100.0]
    assert batch.column("topic.offset").to_pylist() == [1_000 + 3_000]


def test_long_silence_costs_no_more_than_its_ticks() -> None:
    """The sum over a pattern is extended seldom, not once a tick."""
    asked = []

    def counted(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        asked.append(len(times))
        return constant(times)

    course = Course(counted, INTERVAL)
    for n in range(1, 2_001):
        course.seconds(np.array([0]), np.array([n * INTERVAL]))
    assert sum(asked) < 5 * 2_000


def test_processor_follows_traffic_down_to_its_rest() -> None:
    """Of the processor's use, what lies above 10 % moves with traffic; it stays within 100 %."""
    batch = sample_batch(
        BROKER,
        3,
        {
            "timestamp": pa.array([0] * 3, TIMESTAMP),
            "broker.cpuUsage": [30.0, 5.0, 80.0],
            "request.handlerIdle": [81.0, None, 40.0],
        },
    )
    after = filled(batch, np.array([INTERVAL] * 3), Course(rising, INTERVAL), "test")
    assert after.column("broker.cpuUsage").to_pylist() == [50.0, 5.0, 100.0]
    assert after.column("request.handlerIdle").to_pylist() == [71.0, None, 0.0]


def test_never_seen_entities_have_the_levels_of_the_fleet() -> None:
    """What is expected and was never seen is filled with the preset's figures, under its name."""
    expect = ExpectSettings(brokers=(7,), topics=("app-events", "orders"), groups=("a:b/c",))
    like = like_fleet(preset_fleet("production", "kafka"), 42, "prod", 1, expect, "kafka")
    merge = ClusterMerge(
        kafka_plan("prod", "production", 1, expect, like),
        FillSettings(),
    )
    for kind in KINDS:
        merge.on_ticks(Ticks("prod", MORNING, INTERVAL, kind=kind))
    out = {
        row["entity_name"]: row for b in merge.on_time(MORNING + INTERVAL) for row in b.to_pylist()
    }
    assert set(out) == {"prod", "prod/broker-7", "prod/app-events", "prod/orders", "prod/a:b/c"}
    assert {row["origin"] for row in out.values()} == {"filled"}
    assert 4_000 < out["prod/app-events"]["topic.messagesInPerSecond"] < 6_000
    assert 400 < out["prod/orders"]["topic.messagesInPerSecond"] < 600
    assert out["prod/broker-7"]["broker.IOInPerSecond"] > 1_000_000
    assert out["prod/a:b/c"]["consumerGroup.messagesConsumedPerSecond"] > 0
    assert out["prod"]["cluster.activeBrokerCount"] == 1


def test_cluster_is_not_like_a_fleet_of_queues() -> None:
    """A fleet of another provider has no levels for Kafka's entities: it is refused."""
    fleet = FleetSettings(name="queues", provider="sqs")
    with pytest.raises(ValueError, match=r"cannot be like the sqs fleet `queues`"):
        like_fleet(fleet, 1, "prod", None, ExpectSettings(), "kafka")
