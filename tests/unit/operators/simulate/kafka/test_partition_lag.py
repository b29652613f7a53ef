"""Lag by partition: it sums to the lag of the group on the topic, and bears what shaped that."""

from dataclasses import replace

import polars as pl
import pytest

from operators.schema.arrow import Only, entity_type_of, only
from operators.schema.metrics import GROUP_TOPIC, PARTITION_OFFSET, EntityType
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from operators.ticks import Ticks
from tests.simulated_fleets import INTERVAL, START, frame, spec_of

KEY = ["timestamp", "consumer_group", "topic"]


def made(spec: ShardSpec, ticks: int = 240) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of groups on topics, and of their partitions."""
    shard = Shard(spec, 1)
    found: dict[EntityType, list[pl.DataFrame]] = {GROUP_TOPIC: [], PARTITION_OFFSET: []}
    for n in range(2):
        start = START + n * ticks // 2 * INTERVAL
        for batch in shard.step(Ticks(spec.cluster, start, INTERVAL, ticks // 2)):
            batch.validate(full=True)
            assert (only(batch) is Only.POINTS) is (entity_type_of(batch) is PARTITION_OFFSET)
            if entity_type_of(batch) in found:
                found[entity_type_of(batch)].append(frame(batch))
    pairs, partitions = (pl.concat(frames) for frames in found.values())
    return pairs, partitions


@pytest.mark.parametrize("skew", [0.0, 0.7, 2.0])
def test_partitions_sum_to_the_groups_lag_on_the_topic(skew: float) -> None:
    """The largest is the largest, and an anomaly of the one is the others', whatever happens."""
    anomalies = [{"kind": kind, "rate": 6.0} for kind in ("partition_skew", "slow_drain", "spike")]
    spec = spec_of(anomalies=anomalies, skew=skew, churn=0.2)
    pairs, partitions = made(replace(spec, beside=frozenset({Only.POINTS})))
    summed = partitions.group_by(KEY).agg(
        pl.sum("consumer.lag").alias("consumerGroup.totalLag"),
        pl.max("consumer.lag").alias("consumerGroup.maxLag"),
        pl.col("anomaly").first(),
        pl.col("partition").n_unique(),
    )
    assert (partitions["consumer.lag"] >= 0).all()
    columns = [*KEY, "consumerGroup.totalLag", "consumerGroup.maxLag", "anomaly"]
    assert summed.select(columns).sort(KEY).equals(pairs.select(columns).sort(KEY))
    assert pairs["anomaly"].is_not_null().any()
    counts = {t.name: t.partitions for t in spec.topology.topics}
    assert all(counts[row["topic"]] == row["partition"] for row in summed.to_dicts())


def test_there_are_no_more_than_rows_of_groups_on_topics() -> None:
    """Whole topics have their partitions, as long as there is room; none where there are no rows."""
    for most in (0, 1, 20, 50):
        spec = replace(spec_of(group_topics=most), beside=frozenset({Only.POINTS}))
        shard = Shard(spec, 1)
        batches = shard.step(Ticks(spec.cluster, START, INTERVAL))
        rows = [b.num_rows for b in batches if entity_type_of(b) is PARTITION_OFFSET]
        assert sum(rows) <= most
        assert bool(rows) is (most >= 20)
