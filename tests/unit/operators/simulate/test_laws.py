"""The laws of the physics hold on every sample, whatever the fleet and its anomalies."""

from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.metrics import BROKER, CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, QUEUE, TOPIC
from operators.simulate.anomalies.kinds import KINDS
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from tests.simulated_fleets import INTERVAL, samples, spec_of

SECONDS = INTERVAL / 1000
TICKS = 40

patterns = st.sampled_from(
    [
        "constant",
        "random",
        "random_walk",
        "business_hours",
        {"kind": "sine", "period": "20m", "amplitude": 1.0},
        {"kind": "product", "of": ["seasonal", {"kind": "bursts", "every": "10m", "factor": 8}]},
        {"kind": "clip", "of": {"kind": "sum", "of": ["random", "sine"]}, "high": 1.5},
    ]
)
anomalies = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(sorted(KINDS)),
            "rate": st.sampled_from([5, 30, 80]),
            "duration": st.sampled_from(["2m", "10m", "1h"]),
            "magnitude": st.sampled_from([0.3, 1.0, 3.0]),
        }
    ),
    max_size=4,
)
fleets = st.fixed_dictionaries(
    {
        "brokers": st.integers(1, 6),
        "topics": st.integers(1, 12),
        "groups": st.integers(0, 6),
        "replication_factor": st.integers(1, 3),
        "skew": st.sampled_from([0.0, 0.5, 2.0]),
        "capacity": st.sampled_from([0.0, 0.9, 1.8]),
        "noise": st.sampled_from([0.0, 0.2, 0.9]),
        "pattern": patterns,
    }
)


@st.composite
def kafka_specs(draw: st.DrawFn) -> ShardSpec:
    return spec_of(draw(st.integers(0, 99)), draw(anomalies), **draw(fleets))


def counts(frame: pl.DataFrame, metric: str) -> pl.Series:
    """A rate as the whole number that it was made of."""
    return (frame[metric] * SECONDS).round().cast(pl.Int64)


def summed(frame: pl.DataFrame, values: pl.Series) -> list[int]:
    """Whole numbers added up by tick."""
    by_tick = frame.select("timestamp", values.alias("v")).group_by("timestamp").agg(pl.sum("v"))
    return [int(v) for v in by_tick.sort("timestamp")["v"]]


@settings(max_examples=40, deadline=None)
@given(kafka_specs())
def test_laws_of_a_kafka_cluster(spec: ShardSpec) -> None:
    """Sums, shares, lag and offsets obey their laws at every tick."""
    made = samples(Shard(spec, 1), [7, TICKS - 7])
    cluster, brokers, topics = made[CLUSTER], made[BROKER], made[TOPIC]
    groups = made.get(CONSUMER_GROUP)

    total = counts(cluster, "cluster.messagesInPerSecond").to_list()
    assert summed(topics, counts(topics, "topic.messagesInPerSecond")) == total
    in_bytes = counts(cluster, "cluster.bytesInPerSecond").to_list()
    assert summed(topics, counts(topics, "topic.bytesInPerSecond")) == in_bytes
    for of_broker, of_cluster in (
        ("broker.messagesInPerSecond", "cluster.messagesInPerSecond"),
        ("broker.IOInPerSecond", "cluster.bytesInPerSecond"),
    ):
        by_tick = brokers.group_by("timestamp").agg(pl.sum(of_broker)).sort("timestamp")
        assert by_tick[of_broker].to_list() == pytest.approx(cluster[of_cluster].to_list())

    led = np.array(summed(brokers, brokers["broker.leaderCount"]))
    offline = np.array(summed(topics, topics["topic.offlinePartitions"]))
    assert (led + offline == cluster["cluster.globalPartitionCount"].to_numpy()).all()
    assert (offline == cluster["cluster.offlinePartitionsCount"].to_numpy()).all()

    reads = [{spec.topology.topics[i].name for i in g.topics} for g in spec.topology.groups]
    _lag_laws(cluster, topics, groups, reads)
    if groups is not None:
        _pair_laws(topics, groups, made[GROUP_TOPIC])
    _request_laws(brokers)
    _percentages(made)
    for frame in made.values():
        numbers = frame.select(pl.selectors.numeric())
        assert (
            numbers.select(pl.all().is_infinite().any() | pl.all().is_nan().any())
            .row(0)
            .count(True)
            == 0
        )
        signed = {"consumerGroup.lagTrend", "topic.retentionBytes"}
        assert [c for c in numbers.columns if c not in signed and (numbers[c] < 0).any()] == []


def _lag_laws(
    cluster: pl.DataFrame,
    topics: pl.DataFrame,
    groups: pl.DataFrame | None,
    reads: list[set[str]],
) -> None:
    total = cluster["cluster.totalLag"].to_list()
    assert summed(topics, topics["topic.consumerLag"]) == total
    left = [0] * (len(total) - 1)
    for _, topic in topics.group_by("entity_name", maintain_order=True):
        grown = topic["topic.offset"].diff().drop_nulls()
        assert (grown == counts(topic, "topic.messagesInPerSecond")[1:]).all()
        assert (topic["topic.retainedMessages"] <= topic["topic.offset"]).all()
        came, out = (counts(topic, f"topic.messages{way}PerSecond")[1:] for way in ("In", "Out"))
        readers = sum(topic["topic"][0] in group for group in reads)
        grown = topic["topic.consumerLag"].diff().drop_nulls()
        gone = readers * came - out - grown
        assert (gone >= 0).all()
        left = [a + b for a, b in zip(left, gone.to_list(), strict=True)]
    if groups is None:
        assert not any(left)
        return
    lost = summed(groups, groups["consumerGroup.lostMessages"])[1:]
    for before, passed in zip(accumulate(lost), accumulate(left), strict=True):
        assert passed <= before, "only what was lost before is passed over"
    assert summed(groups, groups["consumerGroup.totalLag"]) == total
    assert (groups["consumerGroup.maxLag"] <= groups["consumerGroup.totalLag"]).all()
    for _, group in groups.group_by("entity_name", maintain_order=True):
        committed = group["consumerGroup.committedOffset"].diff().drop_nulls()
        assert (committed >= 0).all()
        skipped = committed - counts(group, "consumerGroup.messagesConsumedPerSecond")[1:]
        assert (skipped >= 0).all(), "read, or passed over"
        assert (skipped.cum_sum() <= group["consumerGroup.lostMessages"][1:].cum_sum()).all()
        trend = counts(group, "consumerGroup.lagTrend")[1:]
        assert (group["consumerGroup.totalLag"].diff().drop_nulls() == trend).all()


def _pair_laws(topics: pl.DataFrame, groups: pl.DataFrame, pairs: pl.DataFrame) -> None:
    """Rows of a group and topic sum to the group's and to the topic's."""
    lag, key = "consumerGroup.totalLag", ["timestamp", "consumer_group"]
    of_groups = pairs.group_by(key).agg(
        pl.sum(lag, "consumerGroup.committedOffset"),
        pl.max("consumerGroup.maxLag", "consumerGroup.lagSeconds"),
    )
    columns = [*key, *of_groups.columns[2:]]
    assert of_groups.select(columns).sort(key).equals(groups.select(columns).sort(key))
    by_topic = pairs.group_by("timestamp", "topic").agg(pl.sum(lag).alias("topic.consumerLag"))
    joined = topics.join(by_topic, ["timestamp", "topic"], suffix=".of_pairs")
    assert joined["topic.consumerLag"].equals(joined["topic.consumerLag.of_pairs"])
    assert (pairs["consumerGroup.endOffset"] - pairs["consumerGroup.committedOffset"]).equals(
        pairs[lag]
    )
    ends = pairs.join(topics, ["timestamp", "topic"])
    assert ends["consumerGroup.endOffset"].equals(ends["topic.offset"])


def _request_laws(brokers: pl.DataFrame) -> None:
    """Fetches are consumers' and followers'; the heap is as full as the memory."""
    kinds = ("fetchConsumer", "fetchFollower", "fetch")
    consumer, follower, fetch = (brokers[f"request.{k}RequestsPerSecond"] for k in kinds)
    assert (consumer + follower).to_list() == fetch.to_list()
    share = 100 * brokers["broker.heapUsed"] / brokers["broker.heapMax"]
    assert share.drop_nulls().to_list() == pytest.approx(
        brokers["broker.memoryUsage"].drop_nulls().to_list(), abs=1e-6
    )


def _percentages(made: dict[Any, pl.DataFrame]) -> None:
    for kind, frame in made.items():
        shares = [m.name for m in kind.metrics if m.unit in ("%", "0-100")]
        outside = frame.select(pl.col(shares).is_between(0, 100).all())
        assert [name for name in shares if outside[name].item() is False] == []


@settings(max_examples=20, deadline=None)
@given(fleets.map(lambda fleet: fleet | {"groups": 0}), st.integers(0, 9))
def test_bytes_are_messages_times_their_size(fleet: dict[str, Any], seed: int) -> None:
    """On an ordinary day a topic's bytes are its messages, each of the topic's size."""
    spec = spec_of(seed, **fleet)
    topics = samples(Shard(spec, 1), [5])[TOPIC]
    for shape in spec.topology.topics:
        topic = topics.filter(pl.col("topic") == shape.name)
        messages = counts(topic, "topic.messagesInPerSecond")
        assert (counts(topic, "topic.bytesInPerSecond") == messages * shape.message_size).all()
        copies = topic["topic.retainedMessages"] * shape.message_size * shape.replication_factor
        assert (topic["topic.diskSize"] == copies).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.9, 1.8]), patterns, anomalies)
def test_laws_of_queues(
    seed: int, capacity: float, pattern: Any, wrong: list[dict[str, Any]]
) -> None:
    """A queue's depth grows by what came less what was done, and the cluster's is the sum."""
    at_queues = [a for a in wrong if QUEUE in KINDS[a["kind"]].roots]
    spec = spec_of(
        seed,
        at_queues,
        provider="sqs",
        queues=6,
        capacity=capacity,
        pattern=pattern,
    )
    made = samples(Shard(spec, 1), [11, TICKS - 11])
    queues, cluster = made[QUEUE], made[CLUSTER]
    assert summed(queues, queues["queue.depth"]) == cluster["cluster.totalLag"].to_list()
    for _, queue in queues.group_by("entity_name", maintain_order=True):
        came, out = (counts(queue, f"queue.messages{way}PerSecond")[1:] for way in ("In", "Out"))
        assert (queue["queue.depth"].diff().drop_nulls() == came - out).all()
        assert (out >= 0).all()
        assert (queue["queue.depth"] >= 0).all()
    _percentages(made)
