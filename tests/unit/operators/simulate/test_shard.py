"""A shard's samples: the same for the same seed, however they are made."""

import pickle

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    GROUP_TOPIC,
    NODE,
    QUEUE,
    TOPIC,
    Origin,
)
from operators.simulate.shard import Shard
from operators.simulate.spec import shard_of
from operators.simulate.topology import GroupShape, TopicShape, Topology
from tests.simulated_fleets import INTERVAL, KEY, START, fleet_of, samples, spec_of

TROUBLE = [
    {"kind": "spike", "rate": 40},
    {"kind": "broker_down", "rate": 20},
    {"kind": "consumer_stall", "rate": 20},
    {"kind": "disk_full", "rate": 20},
]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.booleans())
def test_samples_depend_neither_on_blocks_nor_on_restarts(counts: list[int], calm: bool) -> None:
    """In blocks of any size, each by a shard resumed from a pickled state: the same samples."""
    spec = spec_of(anomalies=[] if calm else TROUBLE)
    whole = samples(Shard(spec, 1), [sum(counts)])
    state, start = None, START
    for count in counts:
        shard = Shard(spec, 1, pickle.loads(pickle.dumps(state)))
        part = samples(shard, [count], start)
        state, start = shard.snapshot(), start + count * INTERVAL
        for kind, frame in part.items():
            expected = whole[kind].join(frame.select(KEY), on=KEY, how="semi").sort(KEY)
            assert expected.equals(frame, null_equal=True)


@pytest.mark.parametrize("provider", ["kafka", "sqs"])
def test_tick_by_tick_is_as_in_one_block(provider: str) -> None:
    """Real time and export make the same samples."""
    fleet = {"name": "sim", "provider": provider}
    shard = [Shard(shard_of(fleet_of(fleet), 3, "sim"), 1) for _ in range(2)]
    one, other = samples(shard[0], [1] * 50), samples(shard[1], [50])
    assert all(one[kind].equals(other[kind], null_equal=True) for kind in one)


def test_another_seed_gives_other_samples() -> None:
    """The seed decides the samples, and the same seed gives the same ones."""
    one, same, other = (samples(Shard(spec_of(seed), 1), [3]) for seed in (1, 1, 2))
    assert one[TOPIC].equals(same[TOPIC])
    assert not one[TOPIC].equals(other[TOPIC])


def test_clusters_of_a_fleet_differ() -> None:
    """Two clusters of one fleet are not copies of each other."""
    fleet = fleet_of({"name": "sim", "clusters": 2})
    one, other = (samples(Shard(shard_of(fleet, 1, f"sim-{n}"), 1), [3])[TOPIC] for n in (1, 2))
    assert (
        one["topic.messagesInPerSecond"].to_list() != other["topic.messagesInPerSecond"].to_list()
    )


def test_every_metric_of_a_kafka_cluster_is_filled() -> None:
    """Cluster, brokers, topics and groups have a value for every metric of the table."""
    made = samples(Shard(spec_of(), 1), [2])
    assert set(made) == {CLUSTER, BROKER, TOPIC, CONSUMER_GROUP, GROUP_TOPIC}
    empty = {m.name for kind in made for m in kind.metrics if made[kind][m.name].null_count()}
    states = ("Stable", "PreparingRebalance", "Dead")
    known = {"broker.host", *(f"cluster.numGroups{state}" for state in states)}
    of_rabbitmq = (
        *("node", "runningNode", "alarm", "partitionedNode"),
        *("queue", "connection", "channel", "consumer"),
    )
    known |= {f"cluster.{of}Count" for of in of_rabbitmq} | {"cluster.deadLetteredPerSecond"}
    tiered = {"topic.localMessages", "consumerGroup.remoteMessages"}
    assert empty == known | tiered | {"consumerGroup.marginSeconds"}


def test_every_entity_has_one_sample_a_tick() -> None:
    """A tick has one sample of each entity, with its path as its name."""
    spec = spec_of(brokers=2, topics=3, groups=2)
    made = samples(Shard(spec, 1), [4])
    names = {kind: sorted(set(frame["entity_name"])) for kind, frame in made.items()}
    assert names[BROKER] == ["sim/broker-1", "sim/broker-2"]
    assert names[TOPIC] == ["sim/orders", "sim/payments", "sim/user-events"]
    assert names[CONSUMER_GROUP] == ["sim/billing", "sim/warehouse"]
    assert names[GROUP_TOPIC] == [
        "sim/billing/orders",
        "sim/billing/payments",
        "sim/warehouse/user-events",
    ]
    assert names[CLUSTER] == ["sim"]
    assert sum(map(len, made.values())) == 4 * spec.entities


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_a_fleet_has_no_more_rows_of_groups_and_topics_than_it_may(most: int) -> None:
    """Those of the fullest topics; what else it has is the same."""
    whole, spec = spec_of(topics=3, groups=2), spec_of(topics=3, groups=2, group_topics=most)
    made, all_of_it = samples(Shard(spec, 1), [4]), samples(Shard(whole, 1), [4])
    assert sum(map(len, made.values())) == 4 * spec.entities
    kept = made.pop(GROUP_TOPIC, None)
    pairs = all_of_it.pop(GROUP_TOPIC)
    assert all(frame.equals(all_of_it[kind]) for kind, frame in made.items())
    level = {topic.name: topic.messages for topic in spec.topology.topics}
    fullest = sorted(level, key=lambda topic: -level[topic])[:most]
    expected = pairs.filter(pl.col("topic").is_in(fullest))
    assert expected.is_empty() if kept is None else kept.equals(expected)


@pytest.mark.parametrize("provider", ["rabbitmq", "sqs", "azure_service_bus", "pubsub"])
def test_queue_providers_have_queues(provider: str) -> None:
    """A fleet of queues has its cluster's row and a row of each queue, with what all have."""
    spec = shard_of(fleet_of({"name": "q", "provider": provider, "queues": 4}), 1, "q")
    made = samples(Shard(spec, 1), [5])
    nodes = {NODE: 15} if provider == "rabbitmq" else {}
    assert {kind: len(frame) for kind, frame in made.items()} == {CLUSTER: 5, QUEUE: 20} | nodes
    reported = [m.name for m in QUEUE.metrics if not made[QUEUE][m.name].null_count()]
    assert reported[:6] == [m.name for m in QUEUE.metrics[:6]]
    assert set(made[QUEUE]["vhost"]) == ({"/"} if provider == "rabbitmq" else {None})
    assert set(made[QUEUE]["provider"]) == {provider}


def test_a_changed_shape_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    """A state of another seed or shape is not used, and the log says so."""
    state = Shard(spec_of(topics=3), 1).snapshot()
    fresh, resumed = Shard(spec_of(topics=4), 1), Shard(spec_of(topics=4), 1, state)
    one, other = samples(fresh, [3]), samples(resumed, [3])
    assert one[TOPIC].equals(other[TOPIC])
    assert "starts anew" in caplog.text


def test_a_changed_pattern_keeps_the_state() -> None:
    """Offsets go on when only the pattern of a fleet changes."""
    shard = Shard(spec_of(pattern="constant"), 1)
    before = samples(shard, [3])[TOPIC]["topic.offset"].to_list()[-1]
    resumed = Shard(spec_of(pattern="sine"), 1, shard.snapshot())
    after = samples(resumed, [1], START + 3 * INTERVAL)[TOPIC]["topic.offset"].to_list()[-1]
    assert 0 < after - before < 1e6


def test_a_changed_interval_keeps_the_lag() -> None:
    """The state goes on with ticks of another interval."""
    shard = Shard(spec_of(capacity=0.1), 1)
    before = samples(shard, [100])[CLUSTER]["cluster.totalLag"].to_list()[-1]
    resumed = Shard(shard.spec, 1, shard.snapshot())
    later = samples(resumed, [1], START + 101 * INTERVAL - 20_000, 10_000)[CLUSTER]
    assert before < later["cluster.totalLag"].item() < 1.1 * before


def test_a_shard_of_given_entities_has_just_these() -> None:
    """Filling simulates entities by their names, at their levels, under another origin."""
    topology = Topology(
        brokers=(7,),
        topics=(TopicShape("orders", 3, 1, 100.0, 10),),
        groups=(GroupShape("billing", (0,), 2, 1.8),),
    )
    fleet = fleet_of({"name": "like", "pattern": "constant", "noise": 0})
    spec = shard_of(fleet, 1, "prod", topology)
    made = samples(Shard(spec, 5, origin=Origin.FILLED), [1])
    assert made[BROKER]["entity_name"].to_list() == ["prod/broker-7"]
    assert made[TOPIC]["topic.messagesInPerSecond"].item() == pytest.approx(100, abs=1)
    assert made[CLUSTER]["origin"].item() == "filled"
