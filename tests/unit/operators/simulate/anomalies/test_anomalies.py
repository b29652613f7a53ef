"""Anomalies: they spread along cause, come and go, and label just what they shape."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.schema.metrics import (
    BROKER,
    CLUSTER,
    CONSUMER_GROUP,
    TOPIC,
    EntityType,
)
from operators.schema.settings import MisfitError
from operators.simulate.anomalies.kinds import KINDS, Effect, Kind, Lever, kind_of
from operators.simulate.anomalies.table import anomaly_table
from operators.simulate.settings import AnomalySettings, SimulationSettings
from operators.simulate.shard import Shard
from operators.simulate.spec import shards
from tests.simulated_fleets import INTERVAL, KEY, START, samples, spec_of

ONSET = datetime(2026, 1, 1, 10, 10, 10, tzinfo=UTC)
HISTORY = {
    "topic.offset",
    "topic.retainedMessages",
    "topic.diskSize",
    "consumerGroup.committedOffset",
    "consumerGroup.endOffset",
}
"""Totals of all time: an anomaly changes them for ever after."""

OF_KAFKA = sorted(
    name for name, kind in KINDS.items() if {BROKER, TOPIC, CONSUMER_GROUP} & set(kind.roots)
)

ROOTS: dict[str, str] = {
    "spike": "orders",
    "drop": "orders",
    "lull": "orders",
    "partition_skew": "user-events",
    "poison_message": "payments",
    "consumer_stall": "billing",
    "slow_drain": "billing",
    "retention_loss": "billing",
    "rebalance_storm": "billing",
}
FLEET: dict[str, Any] = {"brokers": 5, "pattern": "constant"}
Frames = dict[EntityType, pl.DataFrame]


def one(kind: str, root: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """One anomaly, twenty minutes from ONSET."""
    entity = f"sim/{root or ROOTS.get(kind, 'broker-2')}"
    return [{"kind": kind, "entity": entity, "start": ONSET, "duration": "20m", **more}]


def run(anomalies: list[dict[str, Any]], counts: tuple[int, ...] = (240,), **fleet: Any) -> Frames:
    return samples(Shard(spec_of(anomalies=anomalies, **FLEET | fleet), 1), counts)


@cache
def undisturbed(ticks: int = 240, **fleet: Any) -> Frames:
    """The samples of a fleet in which nothing goes wrong."""
    return run([], (ticks,), **fleet)


def shaped(calm: pl.DataFrame, real: pl.DataFrame) -> pl.Series:
    """Which samples differ from those of the same fleet without anomalies."""
    columns = [c for c in calm.columns if c not in HISTORY and c != "anomaly"]
    differ = [pl.col(column).ne_missing(real[column]) for column in columns]
    return calm.select(pl.any_horizontal(differ)).to_series()


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("kind", OF_KAFKA)
def test_just_the_shaped_samples_are_labelled(kind: str, replicas: int) -> None:
    """A sample has a label exactly where it differs from that of the undisturbed fleet."""
    calm = undisturbed(replication_factor=replicas)
    real = run(one(kind), replication_factor=replicas)
    for entity_type in calm:
        differ = shaped(calm[entity_type], real[entity_type])
        assert differ.equals(real[entity_type]["anomaly"].is_not_null())


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.sampled_from(OF_KAFKA), min_size=2, max_size=4, unique=True),
    st.integers(0, 99),
)
def test_every_shaped_sample_is_labelled_where_anomalies_meet(kinds: list[str], seed: int) -> None:
    """No sample that differs lacks a label when several anomalies overlap."""
    wrong = [{"kind": kind, "rate": 30, "duration": "12m"} for kind in kinds]
    calm = samples(Shard(spec_of(seed, **FLEET), 1), [120])
    real = samples(Shard(spec_of(seed, wrong, **FLEET), 1), [50, 70])
    for entity_type in calm:
        differ = shaped(calm[entity_type], real[entity_type])
        assert not (differ & real[entity_type]["anomaly"].is_null()).any()


@pytest.mark.parametrize("kind", OF_KAFKA)
def test_everything_returns_to_normal(kind: str) -> None:
    """Some time after its end nothing of an anomaly is left but history."""
    calm, real = undisturbed(960), run(one(kind), (960,))
    for entity_type, frame in real.items():
        assert frame.filter(pl.col("timestamp") > ONSET)["anomaly"].is_not_null().any() or (
            frame["anomaly"].is_null().all()
        )
        last = frame["timestamp"].max()
        columns = [c for c in frame.columns if c not in HISTORY]
        tail = [f[entity_type].filter(pl.col("timestamp") == last) for f in (calm, real)]
        assert tail[0].select(columns).equals(tail[1].select(columns), null_equal=True)


def test_a_label_says_kind_root_and_start() -> None:
    """The label is `<kind>:<root entity>:<start>`."""
    labels = set(run(one("spike"))[TOPIC]["anomaly"].drop_nulls())
    assert labels == {"spike:sim/orders:2026-01-01T10:10:10Z"}


def test_the_anomaly_that_began_last_gives_the_label() -> None:
    """Where two anomalies shape a sample it bears the later one's label while that one acts."""
    later = one("drop", start=ONSET + timedelta(minutes=5), duration="4m")
    topic = run([*one("spike"), *later])[TOPIC].filter(pl.col("topic") == "orders")
    kinds = topic["anomaly"].str.split(":").list.first()
    order = [k for k, before in zip(kinds, [None, *kinds], strict=False) if k != before]
    assert order == ["spike", "drop", "spike"] or order == ["spike", "drop", "spike", None]


def first(frame: pl.DataFrame, condition: pl.Expr) -> datetime:
    """When a condition is first met."""
    moment = frame.filter(condition)["timestamp"].min()
    assert isinstance(moment, datetime)
    return moment


def test_a_dead_broker_moves_leaders_and_loads_the_others() -> None:
    """Leaders go to the others at once, partitions are under-replicated, and all comes back."""
    calm, real = undisturbed(), run(one("broker_down"))
    dead = real[BROKER].filter(pl.col("broker_id") == 2)
    others = real[BROKER].filter(pl.col("broker_id") != 2)
    down = (pl.col("timestamp") > ONSET) & (pl.col("timestamp") < ONSET + timedelta(minutes=14))
    assert dead.filter(down)["broker.leaderCount"].sum() == 0
    assert dead.filter(down)["broker.cpuUsage"].null_count() == 28
    by_broker = others.group_by("broker_id", maintain_order=True)
    changes = [max(b["broker.leaderCount"]) - min(b["broker.leaderCount"]) for _, b in by_broker]
    assert all(changes)
    taken_over = others.filter(down)["broker.leaderCount"].sum()
    led = real[CLUSTER].filter(down)["cluster.globalPartitionCount"].sum()
    assert taken_over == led
    usual = calm[BROKER].filter(pl.col("broker_id") != 2).filter(down)
    busy = others.filter(down)["broker.cpuUsage"].to_numpy().mean()
    assert busy > usual["broker.cpuUsage"].to_numpy().mean() + 3
    cluster = real[CLUSTER].filter(down)
    assert set(cluster["cluster.activeBrokerCount"]) == {4}
    assert (cluster["cluster.underReplicatedPartitions"] > 0).all()
    elections = real[BROKER].filter(pl.col("replication.leaderElectionPerSecond") > 0)
    assert elections["broker.isController"].to_list() == [1, 1]
    caught_up = real[BROKER].filter(pl.col("replication.isrExpandsPerSecond") > 0)
    assert (caught_up["timestamp"] > ONSET + timedelta(minutes=14)).all()


def test_a_stalled_group_shows_its_cause_before_its_effects() -> None:
    """Consumption stops first, then lag grows, then it is worked off faster than usual."""
    group = run(one("consumer_stall"))[CONSUMER_GROUP].filter(pl.col("consumer_group") == "billing")
    usual = group.filter(pl.col("timestamp") < ONSET)
    rate = usual["consumerGroup.messagesConsumedPerSecond"].to_numpy().min()
    lag = usual["consumerGroup.totalLag"].to_numpy().max()
    stopped = first(group, pl.col("consumerGroup.messagesConsumedPerSecond") < rate * 0.5)
    lagging = first(group, pl.col("consumerGroup.totalLag") > lag * 5)
    peak = group.sort("consumerGroup.totalLag")["timestamp"][-1]
    faster = first(group, pl.col("consumerGroup.messagesConsumedPerSecond") > rate * 1.5)
    assert ONSET < stopped <= lagging < faster
    assert abs(peak - (ONSET + timedelta(minutes=20))) < timedelta(minutes=2)
    assert 15 * 60 < group["consumerGroup.lagSeconds"].to_numpy().max() < 21 * 60


def test_a_spike_reaches_brokers_and_groups() -> None:
    """More messages of a topic are more work for its leaders and more lag for its readers."""
    calm, real = undisturbed(), run(one("spike", magnitude=3.0))
    during = (pl.col("timestamp") > ONSET + timedelta(minutes=6)) & (
        pl.col("timestamp") < ONSET + timedelta(minutes=12)
    )
    for entity_type, metric in (
        (TOPIC, "topic.messagesInPerSecond"),
        (BROKER, "broker.cpuUsage"),
        (BROKER, "request.avgTimeProduceRequest"),
        (CONSUMER_GROUP, "consumerGroup.totalLag"),
        (CLUSTER, "cluster.bytesInPerSecond"),
    ):
        before, after = (f[entity_type].filter(during)[metric].to_numpy() for f in (calm, real))
        assert after.mean() > 1.05 * before.mean()


def test_a_skewed_topic_slows_its_readers_on_that_topic_alone() -> None:
    """A hot partition holds up its own topic; what the same group reads beside it comes on time."""
    topics = [{"name": name, "messages_per_second": 100} for name in ("hot", "cold")]
    both = [{"name": "both", "topics": ["hot", "cold"]}]
    fleet: dict[str, Any] = {"topics": topics, "groups": both}
    calm, real = run([], **fleet), run(one("partition_skew", "hot", magnitude=1.5), **fleet)
    during = pl.col("timestamp").is_between(ONSET, ONSET + timedelta(minutes=20))
    out = {
        name: (
            calm[TOPIC].filter(during, pl.col("topic") == name)["topic.bytesOutPerSecond"],
            real[TOPIC].filter(during, pl.col("topic") == name)["topic.bytesOutPerSecond"],
        )
        for name in ("hot", "cold")
    }
    assert out["cold"][0].equals(out["cold"][1])
    assert out["hot"][1].to_numpy().mean() < 0.8 * out["hot"][0].to_numpy().mean()


def test_onset_plateau_and_recovery() -> None:
    """An effect rises, stays at its peak, and falls."""
    broker = run(one("cpu_spike", onset=0.25, recovery=0.5), noise=0)[BROKER]
    calm = run([], noise=0)[BROKER]
    more = (broker["broker.cpuUsage"] - calm["broker.cpuUsage"]).filter(broker["broker_id"] == 2)
    by_minute = [more[minute * 2] for minute in (10, 11, 14, 16, 18, 20, 25, 29, 31)]
    assert by_minute == pytest.approx([0, 5, 23, 30, 30, 30, 15.5, 3.5, 0])


def test_anomalies_at_a_rate_are_as_many_as_the_rate_says() -> None:
    """The number of drawn anomalies is that of the rate, and the same in every run."""
    spec = spec_of(anomalies=[{"kind": "latency_spike", "rate": 2.0}], brokers=50)
    days = 20
    table = anomaly_table([spec], START, START + days * 86_400_000)
    assert table.num_rows == pytest.approx(2 * 50 * days, rel=0.1)
    assert table.equals(anomaly_table([spec], START, START + days * 86_400_000))
    assert len(set(table["entity"].to_pylist())) == 50


@pytest.mark.parametrize("kind", OF_KAFKA)
def test_the_table_of_anomalies_names_all_that_is_touched(kind: str) -> None:
    """Every labelled entity is in the table, with the times of the anomaly."""
    spec = spec_of(anomalies=one(kind), **FLEET)
    table = anomaly_table([spec], START, START + 3_600_000).to_pylist()
    assert len(table) == 1
    row = table[0]
    made = samples(Shard(spec, 1), [240])
    labelled = pl.concat(
        frame.filter(pl.col("anomaly") == row["label"]).select(KEY) for frame in made.values()
    )
    assert set(labelled["entity_name"]) <= set(row["entities"])
    assert row["entities"][0] == row["entity"]
    assert row["start"] == ONSET <= row["peak"] <= row["end"] == ONSET + timedelta(minutes=20)


@pytest.mark.parametrize("kind", ["drop", "poison_message"])
def test_a_topics_place_is_never_taken_for_a_groups(kind: str) -> None:
    """Of groups, just those that read the topic are touched, also where groups are few."""
    shape: dict[str, Any] = {"brokers": 3, "topics": 40, "groups": 2}
    topology = spec_of(**shape).topology
    last = len(topology.topics) - 1
    sick = spec_of(anomalies=one(kind, topology.topics[last].name), **shape)
    (row,) = anomaly_table([sick], START, START + 3_600_000).to_pylist()
    groups = {f"sim/{group.name}": last in group.topics for group in topology.groups}
    touched = set(row["entities"]) & groups.keys()
    assert touched <= {path for path, reads in groups.items() if reads}


def test_the_table_holds_what_is_under_way_in_its_range() -> None:
    """An anomaly is in the table when some of it lies in the range."""
    spec = spec_of(anomalies=one("spike"))
    begin = round(ONSET.timestamp() * 1000)
    end = begin + 20 * 60_000
    assert anomaly_table([spec], end - 1, end + 1).num_rows == 1
    assert anomaly_table([spec], begin - INTERVAL, begin).num_rows == 0


HEAT = Kind((BROKER,), lambda case: [Effect(Lever.CPU, case.itself, 50 * case.magnitude)])
"""A custom kind, as a plug-in would have it."""


def test_a_custom_kind() -> None:
    """A kind that is named as module:name works as a built-in one does."""
    kind = "tests.unit.operators.simulate.anomalies.test_anomalies:HEAT"
    hot = run(one(kind))[BROKER].filter(pl.col("anomaly").is_not_null())
    assert set(hot["broker_id"]) == {2}
    assert hot["broker.cpuUsage"].max() == 100


def test_long_names_of_kinds_say_the_same() -> None:
    """`traffic_spike` and `traffic_drop` are the kinds `spike` and `drop`."""
    assert kind_of("traffic_spike") is KINDS["spike"]
    assert kind_of("traffic_drop") is KINDS["drop"]


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"kind": "spoke", "rate": 1}, "did you mean `spike`?"),
        ({"kind": "tests.simulated_fleets:START", "rate": 1}, "it is no Kind but int"),
        ({"kind": "no.such.module:kind", "rate": 1}, "is its folder in PYTHONPATH"),
        ({"kind": "spike"}, "give `entity` and `start`, or a `rate`"),
        ({"kind": "spike", "rate": 1, "entity": "sim/orders"}, "not both"),
        ({"kind": "spike", "rate": 1, "onset": 0.7, "recovery": 0.7}, "together are at most 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_: dict[str, Any], words: str) -> None:
    """Each fault of an anomaly's settings has its message."""
    with pytest.raises(ValidationError, match=words):
        AnomalySettings.model_validate(settings_)


@pytest.mark.parametrize(
    ("entity", "hint"),
    [
        ("sim/order", "did you mean `sim/orders`?"),
        ("sim/broker-2", "it starts at a topic or queue, such as `sim/orders`"),
        ("x/y", "no cluster `x`; there are sim"),
        ("sin/a", "no cluster `sin`; did you mean `sim`?"),
    ],
)
def test_an_anomaly_starts_at_an_entity_that_is_there(entity: str, hint: str) -> None:
    """An unknown entity, or one of the wrong type, is refused with the nearest right name."""
    with pytest.raises(MisfitError) as caught:
        spec_of(anomalies=one("spike", entity=entity, root="x"))
    [(place, message)] = caught.value.misfits
    assert place == ("anomalies", 0, "entity")
    assert message.endswith(f"that it can start at; {hint}")


def test_an_anomaly_at_a_rate_names_a_fleet_that_is_there() -> None:
    """An unknown fleet is refused."""
    wrong = {"anomalies": [{"kind": "spike", "rate": 1, "fleet": "x"}], "fleets": [{"name": "a"}]}
    with pytest.raises(ValueError, match="no fleet `x`; there are a"):
        shards(SimulationSettings.model_validate(wrong))
