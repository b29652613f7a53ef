"""Brokers by topic and groups by client: they sum to the topic's and to the group's rows."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from operators.schema.arrow import Only, entity_type_of, only
from operators.schema.metrics import (
    BROKER,
    BROKER_TOPIC,
    CONSUMER_GROUP,
    GROUP_CLIENT,
    TOPIC,
    EntityType,
)
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from operators.ticks import Ticks
from tests.simulated_fleets import INTERVAL, START, frame, spec_of

BYTES = "broker.bytesWrittenToTopicPerSecond"
EVENTS = frozenset({Only.EVENTS})


def made(spec: ShardSpec, ticks: int = 240) -> dict[EntityType, pl.DataFrame]:
    """Rows by entity type, of two blocks."""
    shard = Shard(spec, 1)
    found: dict[EntityType, list[pl.DataFrame]] = {}
    for n in range(2):
        start = START + n * ticks // 2 * INTERVAL
        for batch in shard.step(Ticks(spec.cluster, start, INTERVAL, ticks // 2)):
            batch.validate(full=True)
            kind = entity_type_of(batch)
            assert (only(batch) is Only.EVENTS) is (kind in (BROKER_TOPIC, GROUP_CLIENT))
            found.setdefault(kind, []).append(frame(batch))
    return {kind: pl.concat(frames) for kind, frames in found.items()}


def fleet(kind: str, **more: Any) -> ShardSpec:
    spec = spec_of(anomalies=[{"kind": kind, "rate": 6.0}], **more)
    return replace(spec, beside=EVENTS)


@pytest.mark.parametrize(
    "kind", ["broker_down", "partition_skew", "spike", "disk_full", "unclean_election"]
)
def test_a_topics_bytes_are_those_of_its_brokers(kind: str) -> None:
    """Whatever leads what; while a broker is dead its part of the disk is not reported."""
    rows = made(fleet(kind, skew=0.7))
    summed = (
        rows[BROKER_TOPIC]
        .group_by("timestamp", "topic")
        .agg(pl.sum(BYTES), pl.sum("topic.diskSize").alias("disk"), pl.len().alias("brokers"))
    )
    both = rows[TOPIC].join(summed, on=["timestamp", "topic"], how="inner")
    assert len(both) == len(rows[TOPIC])
    off = (both[BYTES] - both["topic.bytesInPerSecond"]).abs()
    assert (off <= 1e-6 * (1 + both["topic.bytesInPerSecond"])).all()
    whole = both.filter(pl.col("brokers") == both["brokers"].max())
    assert (whole["disk"] == whole["topic.diskSize"]).all()
    assert (both["disk"] <= both["topic.diskSize"]).all()
    assert (len(whole) < len(both)) is (kind in ("broker_down", "unclean_election"))


def test_a_brokers_bytes_are_those_of_its_topics() -> None:
    """By the broker's own row too, which counts each topic that it leads."""
    rows = made(fleet("broker_down"))
    summed = rows[BROKER_TOPIC].group_by("timestamp", "broker_id").agg(pl.sum(BYTES))
    up = rows[BROKER].filter(pl.col("broker.IOInPerSecond").is_not_null())
    both = up.join(summed, on=["timestamp", "broker_id"], how="inner")
    assert len(both) == len(up) < len(rows[BROKER])
    off = (both[BYTES] - both["broker.IOInPerSecond"]).abs()
    assert (off <= 1e-6 * (1 + both["broker.IOInPerSecond"])).all()


def test_bytes_that_moved_bear_the_label_of_what_moved_them() -> None:
    """A broker that leads in a dead one's place has more, and says why."""
    plain, troubled = (
        made(replace(spec_of(anomalies=a), beside=EVENTS))[BROKER_TOPIC]
        for a in ([], [{"kind": "broker_down", "rate": 6.0}])
    )
    key = ["timestamp", "broker_id", "topic"]
    both = troubled.join(plain.select([*key, pl.col(BYTES).alias("ordinary")]), on=key)
    changed = both.filter((pl.col(BYTES) - pl.col("ordinary")).abs() > 1e-6)
    assert len(changed)
    assert changed["anomaly"].is_not_null().all()


@pytest.mark.parametrize(
    "kind", ["consumer_stall", "rebalance_storm", "partition_skew", "slow_drain"]
)
@pytest.mark.parametrize("churn", [0.0, 0.3])
def test_a_groups_lag_is_that_of_its_clients(kind: str, churn: float) -> None:
    """As many clients as have partitions; what shaped the group shaped them."""
    rows = made(fleet(kind, churn=churn, skew=0.7))
    summed = (
        rows[GROUP_CLIENT]
        .group_by("timestamp", "consumer_group")
        .agg(pl.sum("consumer.totalLag"), pl.len().alias("clients"), pl.col("anomaly").first())
    )
    assert (rows[GROUP_CLIENT]["consumer.totalLag"] >= 0).all()
    both = rows[CONSUMER_GROUP].join(
        summed, on=["timestamp", "consumer_group"], how="left", suffix="_of_clients"
    )
    there = both.filter(pl.col("consumerGroup.activeConsumers") > 0)
    assert (there["consumer.totalLag"] == there["consumerGroup.totalLag"]).all()
    assert (there["clients"] <= there["consumerGroup.activeConsumers"]).all()
    assert there["anomaly"].eq_missing(there["anomaly_of_clients"]).all()


@pytest.mark.parametrize("most", [0, 1, 29, 1_000])
def test_there_are_no_more_rows_than_are_allowed(most: int) -> None:
    """Whole topics and whole groups, as long as there is room; 0 leaves them out."""
    spec = replace(spec_of(broker_topics=most, group_clients=most), beside=EVENTS)
    found = made(spec, 2)
    for kind, key in ((BROKER_TOPIC, "topic"), (GROUP_CLIENT, "consumer_group")):
        rows = found.get(kind)
        assert (rows is None) is (most <= 1)
        if rows is not None:
            assert (rows.group_by("timestamp").len()["len"] <= most).all()
            assert rows[key].n_unique() >= 1
