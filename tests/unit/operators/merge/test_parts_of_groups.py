"""Filled rows of groups on topics sum to their groups' and to the topics', as collected ones do."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from operators.collect.settings import ExpectSettings
from operators.merge.cluster import ClusterMerge
from operators.merge.like import like_fleet, preset_fleet
from operators.merge.settings import FillSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    TOPIC,
    EntityType,
    Origin,
)
from operators.simulate.settings import FleetSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shard_of
from operators.ticks import Outcome, TickResult, Ticks
from tests.merge_by_hand import kafka_plan
from tests.samples import INTERVAL, NEW_YEAR

KINDS = {
    "brokers": [BROKER],
    "topics": [TOPIC, CLUSTER],
    "groups": [CONSUMER_GROUP, GROUP_TOPIC],
}
STALE = 4
"""Ticks of silence after which what nobody expects is filled."""
LAG = "consumerGroup.totalLag"


def merged(
    ticks: int, there: Sequence[int], expect: ExpectSettings
) -> dict[EntityType, pl.DataFrame]:
    """A cluster that goes as a fleet does, and is reached at some ticks only."""
    fleet = preset_fleet("production", "kafka")
    plan = kafka_plan(
        "prod",
        "production",
        expect=expect,
        like=like_fleet(fleet, 42, "prod", None, expect, "kafka"),
    )
    merge = ClusterMerge(plan, FillSettings(stale_after=STALE * INTERVAL / 1000))
    shard = Shard(shard_of(fleet, 42, "prod"), None, origin=Origin.COLLECTED)
    found: dict[EntityType, list[pa.RecordBatch]] = {}
    for n in range(ticks):
        tick = NEW_YEAR + n * INTERVAL
        made = shard.step(Ticks("prod", tick, INTERVAL))
        for kind, types in KINDS.items():
            due = Ticks("prod", tick, INTERVAL, kind=kind)
            given = tuple(batch for batch in made if entity_type_of(batch) in types)
            result = (
                TickResult(due, Outcome.COMPLETED, given)
                if n in there
                else TickResult(due, Outcome.FAILED)
            )
            for batch in merge.on_result(result):
                found.setdefault(entity_type_of(batch), []).append(batch)
    return {
        kind: pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches))).with_columns(
            pl.col(pl.Categorical).cast(pl.String)
        )
        for kind, batches in found.items()
    }


def sums(frame: pl.DataFrame, by: str, column: str) -> dict[Any, int]:
    """The sum of a column at each tick, by another column."""
    keys = ["timestamp", by]
    return {
        (tick, name): lag
        for tick, name, lag in frame.group_by(keys).agg(pl.sum(column)).iter_rows()
    }


def names_of(fleet: FleetSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Topics and groups of a fleet's cluster."""
    topology = shard_of(fleet, 42, "prod").topology
    return tuple(t.name for t in topology.topics), tuple(g.name for g in topology.groups)


def test_filled_rows_sum_from_the_first_tick_that_lacks() -> None:
    """The group's and the topic's lag are the sums of these rows, however long nothing comes."""
    topics, groups = names_of(preset_fleet("production", "kafka"))
    found = merged(8, range(3), ExpectSettings(topics=topics, groups=groups))
    pairs = found[GROUP_TOPIC]
    for kind, by, column in (
        (CONSUMER_GROUP, "consumer_group", LAG),
        (TOPIC, "topic", "topic.consumerLag"),
    ):
        assert set(found[kind]["origin"]) == {"collected", "filled"}
        whole = sums(found[kind], by, column)
        assert len(whole) == 8 * len(groups if kind is CONSUMER_GROUP else topics)
        of_pairs = sums(pairs, by, LAG)
        assert {key: of_pairs.get(key, 0) for key in whole} == whole
    assert sum(pairs[LAG]) > 0


def test_what_nobody_expects_is_filled_together_after_long_silence() -> None:
    """A group and its rows by topic begin at the same tick."""
    found = merged(8, range(2), ExpectSettings())
    whole, of_pairs = (sums(found[k], "consumer_group", LAG) for k in (CONSUMER_GROUP, GROUP_TOPIC))
    assert whole == of_pairs
    ticks = {tick for tick, _ in of_pairs}
    assert len(ticks) == 8 - (STALE - 1)


def test_which_topics_a_group_reads_is_not_made_up() -> None:
    """Groups that were never seen are filled, alone."""
    topics, groups = names_of(preset_fleet("production", "kafka"))
    found = merged(3, (), ExpectSettings(topics=topics, groups=groups))
    assert GROUP_TOPIC not in found
    assert len(found[CONSUMER_GROUP]) == 3 * len(groups)
