"""Churn: topics and groups come and go, and everything that counts them follows."""

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, TOPIC, EntityType
from operators.simulate.anomalies.table import anomaly_table
from operators.simulate.settings import FleetSettings
from operators.simulate.shard import Shard
from tests.simulated_fleets import KEY, START, samples, spec_of

HOUR = 3_600_000
TICKS = 24 * 60
FLEET: dict[str, Any] = {"churn": 0.5, "topics": 20, "groups": 12}


@pytest.fixture(scope="module")
def made() -> dict[EntityType, pl.DataFrame]:
    """Two months of a fleet of which half comes and goes, by the hour."""
    return samples(Shard(spec_of(**FLEET), 1), [TICKS], interval=HOUR)


def stays(frame: pl.DataFrame) -> dict[str, list[pl.DataFrame]]:
    """The stretches in which each entity is there without a gap."""
    gap = pl.col("timestamp").diff().over("entity_name") != pl.duration(hours=1)
    numbered = frame.with_columns(gap.fill_null(value=True).cum_sum().alias("stay"))
    found: dict[str, list[pl.DataFrame]] = {}
    for (name, _), stay in numbered.group_by("entity_name", "stay", maintain_order=True):
        found.setdefault(str(name), []).append(stay)
    return found


@pytest.mark.parametrize("entity_type", [TOPIC, CONSUMER_GROUP])
def test_about_half_comes_and_goes_for_weeks(
    made: dict[EntityType, pl.DataFrame], entity_type: EntityType
) -> None:
    """The share that churn says is away at times, for days; the rest is always there."""
    hours = [len(frame) for stay in stays(made[entity_type]).values() for frame in stay]
    always = hours.count(TICKS)
    entities = made[entity_type]["entity_name"].n_unique()
    assert 0.25 < always / entities < 0.75
    assert len(hours) > entities
    inner = [len(s) for stay in stays(made[entity_type]).values() for s in stay[1:-1]]
    assert all(0.3 * 28 * 24 - 1 <= h <= 0.9 * 28 * 24 + 1 for h in inner)


def test_the_cluster_counts_what_is_there(made: dict[EntityType, pl.DataFrame]) -> None:
    """Topics, partitions, groups and leaders are those of what is there at the tick."""
    cluster = made[CLUSTER]
    for entity_type, count in (
        (TOPIC, "cluster.globalTopicCount"),
        (CONSUMER_GROUP, "cluster.consumerGroupCount"),
    ):
        there = made[entity_type].group_by("timestamp").len().sort("timestamp")
        assert there["len"].to_list() == cluster[count].to_list()
    for entity_type, metric in ((BROKER, "broker.leaderCount"), (TOPIC, "topic.partitionCount")):
        total = made[entity_type].group_by("timestamp").agg(pl.sum(metric)).sort("timestamp")
        assert total[metric].to_list() == cluster["cluster.globalPartitionCount"].to_list()
    lag = made[CONSUMER_GROUP].group_by("timestamp").agg(pl.sum("consumerGroup.totalLag"))
    assert lag.sort("timestamp")["consumerGroup.totalLag"].to_list() == (
        cluster["cluster.totalLag"].to_list()
    )


def test_what_comes_back_begins_anew(made: dict[EntityType, pl.DataFrame]) -> None:
    """A topic that is made again starts at offset 0, a group that comes back without lag."""
    returns = [stay for found in stays(made[TOPIC]).values() for stay in found[1:]]
    assert returns
    for stay in returns:
        came = stay["topic.messagesInPerSecond"][0] * HOUR / 1000
        assert stay["topic.offset"][0] == pytest.approx(came)
        assert (stay["topic.offset"].diff().drop_nulls() >= 0).all()
    for found in stays(made[CONSUMER_GROUP]).values():
        for stay in found[1:]:
            assert stay["consumerGroup.lagSeconds"][0] < 60


def test_churn_depends_on_time_alone(made: dict[EntityType, pl.DataFrame]) -> None:
    """In blocks, resumed, it is the same; begun later, the same entities are there."""
    spec, state, parts, start = spec_of(**FLEET), None, [], START
    for count in (1, 400, 3, TICKS - 404):
        shard = Shard(spec, 1, state)
        parts.append(samples(shard, [count], start, HOUR))
        state, start = shard.snapshot(), start + count * HOUR
    for entity_type, frame in made.items():
        again = pl.concat(part[entity_type] for part in parts).sort(KEY)
        assert frame.equals(again, null_equal=True)
    late = samples(Shard(spec, 1), [10], START + 700 * HOUR, HOUR)[TOPIC]
    assert late.select(KEY).equals(made[TOPIC].join(late, on=KEY, how="semi").select(KEY))


def test_what_is_away_has_no_anomalies() -> None:
    """An anomaly does not start at an entity that is away, nor is there one in the table."""
    spec = spec_of(anomalies=[{"kind": "spike", "rate": 1.0}], **FLEET)
    table = anomaly_table([spec], START, START + TICKS * HOUR)
    topics = samples(Shard(spec, 1), [TICKS], interval=HOUR, only=[TOPIC])[TOPIC]
    there = set(zip(topics["entity_name"], topics["timestamp"].dt.truncate("1h"), strict=True))
    for row in table.to_pylist():
        hour = row["start"].replace(minute=0, second=0)
        assert (row["entity"], hour) in there


def test_what_is_listed_lasts() -> None:
    """Churn is of counted topics and groups, so it is refused where all are listed."""
    listed = {"topics": [{"name": "orders"}], "groups": [{"name": "g", "topics": ["orders"]}]}
    with pytest.raises(ValidationError, match="the listed ones last"):
        FleetSettings.model_validate({"name": "f", "churn": 0.5, **listed})
    spec = spec_of(churn=1.0, topics=[{"name": "orders"}], groups=3)
    assert [t.lasting for t in spec.topology.topics] == [True]
    assert [g.lasting for g in spec.topology.groups] == [False] * 3
