"""Settings of fleets, and what a fleet of them looks like."""

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from operators.schema.arrow import sample_batch
from operators.schema.metrics import CLUSTER, TOPIC, Origin
from operators.simulate.block import Block
from operators.simulate.generators import GeneratorError
from operators.simulate.settings import FleetSettings, SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec, shards
from operators.ticks import Ticks
from tests.simulated_fleets import INTERVAL, START, fleet_of, samples, spec_of


def test_a_fleet_makes_its_clusters() -> None:
    """A fleet of one cluster bears its name, one of several numbers them."""
    fleets = [{"name": "a"}, {"name": "b", "clusters": 3}]
    made = shards(SimulationSettings.model_validate({"fleets": fleets}))
    assert [spec.cluster for spec in made] == ["a", "b-1", "b-2", "b-3"]


def test_clusters_of_one_name_are_refused() -> None:
    """Two fleets that make a cluster of one name cannot be told apart."""
    fleets = [{"name": "a", "clusters": 2}, {"name": "a-1"}]
    with pytest.raises(ValueError, match="two simulated clusters are called `a-1`"):
        shards(SimulationSettings.model_validate({"fleets": fleets}))


def test_the_level_of_a_cluster_is_its_presets() -> None:
    """Ten topics or queues carry what the provider's preset says, by environment."""
    for provider, level in (("kafka", 10_000), ("sqs", 3_000), ("pubsub", 8_000)):
        for environment, scale in (("production", 1), ("staging", 0.3), ("test", 0.05)):
            fleet = {
                "name": "f",
                "provider": provider,
                "environment": environment,
                "pattern": "constant",
            }
            spec = shards(SimulationSettings.model_validate({"fleets": [fleet]}))[0]
            rate = samples(Shard(spec, 1), [1])[CLUSTER]["cluster.messagesInPerSecond"].item()
            assert rate == pytest.approx(level * scale, rel=0.2)


def test_a_topic_has_the_presets_of_its_name() -> None:
    """Names with events or logs carry most, then metrics or analytics; others least."""
    names = ["user-events", "audit-logs", "app-metrics", "orders"]
    topics = spec_of(topics=[{"name": name} for name in names], groups=[]).topology.topics
    assert [t.messages for t in topics] == [5000, 5000, 2000, 500]
    assert [t.partitions for t in topics] == [12, 12, 12, 6]


def test_skew_follows_zipfs_law() -> None:
    """With an exponent of 1 the busiest of many like topics carries twice the second's."""
    many = [{"name": f"t{n}"} for n in range(50)]
    even = spec_of(skew=0.0, topics=50, groups=0).topology.topics
    skewed = sorted(t.messages for t in spec_of(skew=1.0, topics=50, groups=0).topology.topics)
    assert len({t.messages for t in even if t.name.startswith("orders")}) == 1
    assert skewed[-1] > 3 * skewed[len(skewed) // 2]
    named = spec_of(skew=1.0, topics=many, groups=[]).topology.topics
    assert {t.messages for t in named} == {500}


def test_topics_and_groups_by_name() -> None:
    """A fleet may list its topics and groups, with their partitions, rates and readers."""
    topic = {"name": "orders", "partitions": 4, "messages_per_second": 77, "message_size": 10}
    group = {"name": "billing", "topics": ["orders"], "consumers": 2}
    topology = spec_of(brokers=[4, 2], topics=[topic], groups=[group]).topology
    assert topology.brokers == (2, 4)
    assert (topology.topics[0].messages, topology.topics[0].replication_factor) == (77, 2)
    assert (topology.groups[0].topics, topology.groups[0].consumers) == ((0,), 2)


def test_every_topic_is_read_and_every_group_reads() -> None:
    """Whatever their numbers, no topic is without a reader and no group without a topic."""
    for topics, groups in ((1, 5), (5, 1), (7, 3), (3, 7)):
        topology = spec_of(topics=topics, groups=groups).topology
        assert len(topology.groups) == groups
        assert {t for g in topology.groups for t in g.topics} == set(range(topics))


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        ({"name": "a:b"}, "should match pattern"),
        ({"name": "a", "time_zone": "Europe/Berlan"}, "no time zone `Europe/Berlan`"),
        ({"name": "a", "provider": "sqs", "brokers": 3}, "a sqs fleet has no brokers"),
        ({"name": "a", "queues": 3}, "a kafka fleet has no queues"),
        ({"name": "a", "brokers": 0}, "at least one broker"),
        ({"name": "a", "topics": -1}, "greater than or equal to 0"),
        ({"name": "a", "topics": [{"name": "t"}, {"name": "t"}]}, "named twice: t"),
        ({"name": "a", "topic": 3}, "Extra inputs are not permitted"),
        ({"name": "a", "generator": {"use": "nowhere"}}, "no generator `nowhere`"),
        ({"name": "a", "generator": {"use": f"{__name__}:START"}}, "it cannot be called"),
    ],
)
def test_fleets_that_make_no_sense_are_refused(fleet: dict[str, Any], words: str) -> None:
    """Each fault of a fleet's settings has its message."""
    with pytest.raises(ValidationError, match=words):
        FleetSettings.model_validate(fleet)


def test_a_group_reads_topics_that_are_there() -> None:
    """A group that reads an unknown topic is refused when the shards are made."""
    group = {"name": "g", "topics": ["order"]}
    with pytest.raises(ValueError, match="`g` reads the topic `order`"):
        spec_of(topics=[{"name": "orders"}], groups=[group])


class Counter:
    """A custom generator: one topic whose offset counts ticks."""

    def __init__(self, spec: ShardSpec, account_id: int | None, origin: Origin, step: int) -> None:
        self._spec, self._step, self._count = spec, step, 0

    def step(self, block: Block) -> list[pa.RecordBatch]:
        counts = [self._count + self._step * (i + 1) for i in range(block.ticks)]
        self._count = counts[-1]
        columns = {
            "timestamp": pa.array(block.times, pa.int64()),
            "entity_name": f"{self._spec.cluster}/only",
            "topic.offset": pa.array(counts),
        }
        return [sample_batch(TOPIC, block.ticks, columns)]

    def state(self) -> int:
        return self._count

    def restore(self, state: int) -> None:
        self._count = state


class Careless(Counter):
    """A generator that leaves out a column."""

    def step(self, block: Block) -> list[pa.RecordBatch]:
        return [super().step(block)[0].drop_columns(["late"])]


def custom(name: str) -> ShardSpec:
    """A shard of a fleet with a generator of this module."""
    use = {"use": f"{__name__}:{name}", "options": {"step": 10}}
    return spec_of(generator=use)


def test_a_custom_generator() -> None:
    """A generator that is named as module:name makes the samples and keeps its state."""
    shard = Shard(custom("Counter"), 1)
    assert samples(shard, [2])[TOPIC]["topic.offset"].to_list() == [10, 20]
    resumed = Shard(shard.spec, 1, shard.snapshot())
    assert samples(resumed, [1])[TOPIC]["topic.offset"].to_list() == [30]


def test_a_generator_must_keep_to_the_schema() -> None:
    """A batch of other columns is refused with the generator's name."""
    with pytest.raises(GeneratorError, match=r"generator `.*Careless` of cluster `sim`"):
        Shard(custom("Careless"), 1).step(Ticks("sim", START, INTERVAL))


def test_a_digest_tells_patterns_and_anomalies_apart() -> None:
    """The state outlives a change of pattern, a resumed export does not."""
    one, other = spec_of(), spec_of(pattern="constant")
    wrong = spec_of(anomalies=[{"kind": "spike", "rate": 1}])
    assert one.fingerprint == other.fingerprint == wrong.fingerprint
    assert len({one.digest, other.digest, wrong.digest}) == 3
    assert fleet_of({"name": "sim"}).generator is None
