"""A simulated RabbitMQ cluster: its laws, its anomalies, and their labels."""

import pickle
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.metrics import CLUSTER, NODE, QUEUE, EntityType, Origin
from operators.simulate.anomalies.kinds import KINDS
from operators.simulate.anomalies.table import anomaly_table
from operators.simulate.rabbitmq.queues import PREFETCH
from operators.simulate.shard import Shard
from operators.simulate.spec import ShardSpec
from tests.simulated_fleets import INTERVAL, KEY, START, samples, spec_of

TICKS = 80
SECONDS = INTERVAL / 1000
ROOTS = {QUEUE: "sim/orders", NODE: "sim/node-rabbit@node-1"}
OWN = [name for name, kind in KINDS.items() if {QUEUE, NODE} & set(kind.roots)]

anomalies = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(OWN),
            "rate": st.sampled_from([5, 30, 80]),
            "duration": st.sampled_from(["2m", "10m"]),
            "magnitude": st.sampled_from([0.5, 1.0, 2.0]),
        }
    ),
    max_size=3,
)
fleets = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 5),
        "queues": st.integers(1, 8),
        "types": st.sampled_from([(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.4, 0.4), (0.0, 1.0)]),
        "capacity": st.sampled_from([0.0, 0.9, 1.8]),
        "pattern": st.sampled_from(["constant", "business_hours", "random"]),
    }
)


def cluster_of(wrong: list[dict[str, Any]], seed: int = 42, **fleet: Any) -> ShardSpec:
    """A fleet of RabbitMQ; `types` are the shares of quorum queues and streams."""
    if "types" in fleet:
        fleet["quorum_queues"], fleet["stream_queues"] = fleet.pop("types")
    return spec_of(seed, wrong, provider="rabbitmq", **{"queues": 8, **fleet})


def once(kind: str, duration: str = "10m", **more: Any) -> dict[str, Any]:
    """An anomaly at an entity of its kind, from 10:10:10 on."""
    root = ROOTS[QUEUE if QUEUE in KINDS[kind].roots else NODE]
    start = "2026-01-01T10:10:10Z"
    return {"kind": kind, "entity": root, "start": start, "duration": duration, **more}


def run(*wrong: dict[str, Any], **fleet: Any) -> dict[EntityType, pl.DataFrame]:
    """The samples of a fleet of eight queues on three nodes."""
    return samples(Shard(cluster_of(list(wrong), **fleet), 1), [TICKS])


def at(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """One entity's samples."""
    return frame.filter(pl.col("entity_name") == name)


def whole(frame: pl.DataFrame, rate: str) -> pl.Series:
    """A rate as the whole number that it was made of."""
    return (frame[rate] * SECONDS).round().cast(pl.Int64)


@settings(max_examples=40, deadline=None)
@given(anomalies, fleets, st.integers(0, 99))
def test_laws_of_queues_nodes_and_cluster(
    wrong: list[dict[str, Any]], fleet: dict[str, Any], seed: int
) -> None:
    """What is published is acknowledged, unacknowledged or ready; sums are sums; nothing is negative."""
    made = samples(Shard(cluster_of(wrong, seed, **fleet), 1), [7, 40])
    for frame in made.values():
        numbers = frame.select(pl.selectors.numeric())
        assert [c for c in numbers.columns if (numbers[c] < 0).any()] == []
        assert not numbers.select(pl.selectors.float().is_nan().any()).row(0).count(True)
    queues, nodes, cluster = made[QUEUE], made[NODE], made[CLUSTER]
    by_tick = queues.group_by("timestamp").agg(
        pl.sum(
            "queue.depth",
            "queue.consumers",
            "queue.messagesInPerSecond",
            "queue.deadLetteredPerSecond",
        ),
        pl.col("queue.state").eq("running").sum().alias("running"),
    )
    joined = cluster.join(by_tick, "timestamp")
    assert joined["cluster.totalLag"].to_list() == joined["queue.depth"].to_list()
    assert joined["cluster.consumerCount"].to_list() == joined["queue.consumers"].to_list()
    assert joined["cluster.messagesInPerSecond"].to_list() == pytest.approx(
        joined["queue.messagesInPerSecond"].to_list()
    )
    assert joined["cluster.deadLetteredPerSecond"].to_list() == pytest.approx(
        joined["queue.deadLetteredPerSecond"].to_list()
    )
    share = 100 * joined["running"] / joined["cluster.queueCount"]
    assert joined["cluster.availability"].to_list() == pytest.approx(share.to_list())
    running = nodes.group_by("timestamp").agg(pl.sum("node.running")).sort("timestamp")
    assert running["node.running"].to_list() == cluster["cluster.runningNodeCount"].to_list()
    for (name,), queue in queues.group_by("entity_name", maintain_order=True):
        others = queues.filter(pl.lit(name) == pl.col("entity_name") + "-dead-letter")
        came = pl.Series([0] * len(queue))
        if len(others):
            came = whole(others, "queue.deadLetteredPerSecond").fill_null(0)
        _laws_of_a_queue(queue, came)
    live = nodes.filter(pl.col("node.running") == 1)
    assert live["node.hostMemoryAlarm"].to_list() == [
        int(used > limit)
        for used, limit in live.select(
            "node.totalMemoryUsedInBytes", "node.memoryLimitInBytes"
        ).iter_rows()
    ]
    assert live["node.diskAlarm"].to_list() == [
        int(free < limit)
        for free, limit in live.select(
            "node.diskSpaceFreeInBytes", "node.diskSpaceLimitInBytes"
        ).iter_rows()
    ]
    reported = nodes.filter(pl.col("node.running") == 0)
    assert reported["node.totalMemoryUsedInBytes"].is_null().all()


def _laws_of_a_stream(queue: pl.DataFrame) -> None:
    depth = queue["queue.depth"]
    assert queue["queue.messagesReady"].equals(depth, check_names=False)
    assert set(queue["queue.messagesUnacknowledged"].drop_nulls()) <= {0}
    assert queue["queue.acknowledgedPerSecond"].equals(
        queue["queue.messagesOutPerSecond"], check_names=False
    )
    gone = whole(queue, "queue.messagesInPerSecond") - depth.diff()
    assert (gone.drop_nulls() >= 0).all()
    untold = queue.select("queue.oldestMessageAge", "queue.consumerCapacity", "queue.messageBytes")
    assert untold.null_count().row(0) == (len(queue),) * 3
    assert depth.is_null().to_list() == (queue["queue.state"] != "running").to_list()


def _laws_of_a_queue(queue: pl.DataFrame, came: pl.Series) -> None:
    """`came` are dead letters of other queues."""
    if queue["queue.type"][0] == "stream":
        _laws_of_a_stream(queue)
        return
    depth, unacknowledged = queue["queue.depth"], queue["queue.messagesUnacknowledged"]
    assert (queue["queue.messagesReady"] + unacknowledged).equals(depth)
    assert (unacknowledged <= queue["queue.consumers"] * PREFETCH).all()
    published, acknowledged = (
        whole(queue, f"queue.{of}PerSecond") for of in ("messagesIn", "acknowledged")
    )
    delivered, again = (
        whole(queue, f"queue.{of}PerSecond") for of in ("messagesOut", "redelivered")
    )
    known = depth.is_not_null() & depth.shift(1).is_not_null()
    dead = whole(queue, "queue.deadLetteredPerSecond")
    grown = depth.diff() - published + acknowledged + dead - came
    assert grown.filter(known).to_list() == [0] * int(known.sum())
    assert (again <= delivered).all()
    requeued = delivered - acknowledged - dead - unacknowledged.diff()
    assert (requeued.filter(known) >= 0).all()
    down = queue["queue.state"] != "running"
    assert depth.is_null().to_list() == down.to_list()


@settings(max_examples=20, deadline=None)
@given(anomalies, st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_samples_depend_neither_on_blocks_nor_on_restarts(
    wrong: list[dict[str, Any]], counts: list[int]
) -> None:
    """In blocks of any size, each by a shard resumed from a pickled state: the same samples."""
    spec = cluster_of(wrong)
    all_of_it = samples(Shard(spec, 1), [sum(counts)])
    state, start = None, START
    for count in counts:
        shard = Shard(spec, 1, pickle.loads(pickle.dumps(state)))
        part = samples(shard, [count], start)
        state, start = shard.snapshot(), start + count * INTERVAL
        for kind, frame in part.items():
            expected = all_of_it[kind].join(frame.select(KEY), on=KEY, how="semi").sort(KEY)
            assert expected.equals(frame, null_equal=True)


@pytest.mark.parametrize("kind", OWN)
def test_just_the_shaped_samples_are_labelled(kind: str) -> None:
    """A sample has a label exactly where it differs from that of the undisturbed fleet."""
    calm, real = run(), run(once(kind))
    labelled = 0
    for entity_type, frame in real.items():
        names = [m.name for m in entity_type.metrics if m.name != "node.uptime"]
        differ = pl.Series(
            [
                one != other
                for one, other in zip(
                    calm[entity_type].select(names).iter_rows(),
                    frame.select(names).iter_rows(),
                    strict=True,
                )
            ]
        )
        assert frame["anomaly"].is_not_null().to_list() == differ.to_list()
        assert set(frame["anomaly"].drop_nulls()) <= {
            f"{kind}:{once(kind)['entity']}:2026-01-01T10:10:10Z"
        }
        labelled += int(differ.sum())
    assert labelled > 10


@pytest.mark.parametrize("kind", OWN)
def test_every_labelled_entity_is_in_the_table(kind: str) -> None:
    """The anomaly's row names all whose samples bear its label."""
    spec = cluster_of([once(kind)])
    made = samples(Shard(spec, 1), [TICKS])
    (row,) = anomaly_table([spec], START, START + TICKS * INTERVAL).to_pylist()
    labelled = {
        name
        for frame in made.values()
        for name in frame.filter(pl.col("anomaly") == row["label"])["entity_name"]
    }
    assert row["entity"] in labelled
    assert labelled <= set(row["entities"])


def test_a_dead_node_takes_its_classic_queues_and_leaders_move() -> None:
    """Classic queues are down with their node, quorum queues and streams are led by another member."""
    made = run(once("node_down"), types=(0.4, 0.4))
    assert {"classic", "quorum", "stream"} == set(made[QUEUE]["queue.type"])
    node = "rabbit@node-1"
    dead = at(made[NODE], f"sim/node-{node}").filter(pl.col("node.running") == 0)["timestamp"]
    assert len(dead) > 5
    during = made[QUEUE].filter(pl.col("timestamp").is_in(dead.implode()))
    before = made[QUEUE].filter(pl.col("timestamp") < dead[0])
    mine = set(before.filter(pl.col("queue.leader") == node)["entity_name"])
    assert mine
    for _, queue in during.filter(pl.col("entity_name").is_in(list(mine))).group_by("entity_name"):
        if queue["queue.type"][0] == "classic":
            assert set(queue["queue.state"]) == {"down"}
            assert set(queue["queue.leader"]) == {node}
        else:
            assert set(queue["queue.state"]) == {"running"}
            assert node not in set(queue["queue.leader"])
            assert set(queue["queue.membersOnline"]) == {2}
    others = during.filter(~pl.col("entity_name").is_in(list(mine)))
    assert set(others["queue.state"]) == {"running"}


def test_a_quorum_that_is_lost_stops_its_queues() -> None:
    """With two of three nodes gone no quorum queue is usable, and the cluster says so."""
    made = run(once("quorum_lost"), types=(1.0, 0.0))
    lost = made[CLUSTER].filter(pl.col("cluster.runningNodeCount") == 1)
    assert len(lost) > 5
    assert set(lost["cluster.availability"]) == {0.0}
    assert (lost["cluster.healthScore"] < 50).all()
    states = made[QUEUE].filter(pl.col("timestamp").is_in(lost["timestamp"].implode()))
    assert set(states["queue.state"]) == {"minority"}


@pytest.mark.parametrize(
    ("kind", "alarm"), [("memory_alarm", "node.hostMemoryAlarm"), ("disk_alarm", "node.diskAlarm")]
)
def test_an_alarm_blocks_all_publishers_and_queues_drain(kind: str, alarm: str) -> None:
    """From the tick after the alarm nothing is published anywhere; consumers go on."""
    made = run(once(kind))
    node = at(made[NODE], ROOTS[NODE])
    raised = node.filter(pl.col(alarm) == 1)["timestamp"]
    assert len(raised) > 5
    assert made[CLUSTER].filter(pl.col("timestamp") == raised[0])["cluster.alarmCount"].item() == 1
    blocked = made[QUEUE].filter(pl.col("timestamp").is_in(raised[1:].implode()))
    assert set(blocked["queue.messagesPublished"]) == {0}
    last = blocked.filter(pl.col("timestamp") == raised[-1])
    assert at(last, "sim/orders")["queue.depth"].item() == 0
    after = made[CLUSTER].filter(pl.col("timestamp") > raised[-1])["cluster.messagesInPerSecond"]
    assert after[1] > 0


def test_a_stalled_queue_holds_its_prefetch_and_the_rest_is_ready() -> None:
    """Consumers stay, hold as many as they may, and acknowledge nothing."""
    queue = at(run(once("consumer_stall"))[QUEUE], "sim/orders")
    stalled = queue.filter(pl.col("queue.acknowledgedPerSecond") == 0)
    assert len(stalled) > 5
    most = stalled["queue.consumers"] * PREFETCH
    assert stalled["queue.messagesUnacknowledged"][1:].to_list() == most[1:].to_list()
    assert (stalled["queue.messagesReady"].diff()[1:] > 0).all()


STREAM = {
    "queues": [
        {"name": "orders", "type": "stream", "messages_per_second": 20.0, "message_size": 5_000_000}
    ],
    "pattern": "constant",
    "stream_max_bytes": 1_000_000_000,
}
"""A stream with segments of a hundred messages, that keeps two of them."""


def test_a_stream_keeps_what_fits_and_drops_whole_segments() -> None:
    """Whatever is read: the oldest segment goes when a full one more is there than is kept."""
    queue = at(run(**STREAM)[QUEUE], "sim/orders")
    gone = (whole(queue, "queue.messagesInPerSecond") - queue["queue.depth"].diff())[1:]
    assert set(gone % 100) == {0}
    assert gone.sum() > 1_000
    assert queue["queue.depth"].is_between(100, 300).all()
    assert (queue["queue.messagesOutPerSecond"] > 0).all()


def test_consumers_of_a_stream_that_stand_still_leave_it_as_it_is() -> None:
    """They go on by their offsets, and what was removed meanwhile they never read."""
    calm, queue = (
        at(run(*w, **STREAM)[QUEUE], "sim/orders") for w in ((), (once("consumer_stall"),))
    )
    assert queue["queue.depth"].equals(calm["queue.depth"])
    stalled = queue["queue.messagesOutPerSecond"] == 0
    assert stalled.sum() > 5
    assert set(queue.filter(stalled)["anomaly"].is_null()) == {False}
    read, unstalled = (whole(of, "queue.messagesOutPerSecond").to_list() for of in (queue, calm))
    lost = sum(unstalled) - sum(read)
    assert lost > 300
    assert queue["anomaly"][-1] is None


def test_a_surge_shapes_what_is_published_to_a_stream_and_not_what_it_holds() -> None:
    """What it holds only shifts by when a segment is full: no label for that, and one that ends."""
    queue = at(run(once("spike"), **STREAM)[QUEUE], "sim/orders")
    labelled = queue["anomaly"].is_not_null()
    assert 5 < labelled.sum() < TICKS
    assert not labelled[-1]


def test_shares_of_types_are_at_most_all() -> None:
    """Quorum queues and streams together."""
    with pytest.raises(ValueError, match="at most 1 together"):
        cluster_of([], types=(0.6, 0.5))


def test_what_fails_is_delivered_again() -> None:
    """Half of the messages are, at the peak; on an ordinary day hardly any."""
    queue = at(run(once("redelivery_storm"))[QUEUE], "sim/orders")
    share = queue["queue.redeliveredPerSecond"] / queue["queue.messagesOutPerSecond"]
    ratios = share.to_list()
    assert max(ratios[:15]) < 0.01
    assert max(ratios) > 0.3


DEAD = "orders-dead-letter"
QUIET = {"messages_per_second": 20.0}


def test_what_fails_again_goes_to_the_dead_letter_queue() -> None:
    """Half of the messages fail, and a quarter twice; on an ordinary day none."""
    listed = [{"name": "orders", **QUIET}, {"name": DEAD, **QUIET}, {"name": "images", **QUIET}]
    made = run(once("redelivery_storm"), queues=listed, pattern="constant", types=(0.0, 0.0))
    orders, dead = at(made[QUEUE], "sim/orders"), at(made[QUEUE], f"sim/{DEAD}")
    rate = orders["queue.deadLetteredPerSecond"]
    assert set(rate[:15]) == {0}
    assert 0.2 < rate.max() / 20 < 0.35  # type: ignore[operator]
    assert rate[-1] == 0
    grown = dead["queue.depth"].diff() - whole(dead, "queue.messagesInPerSecond")
    came = grown + whole(dead, "queue.acknowledgedPerSecond")
    assert came[1:].to_list() == whole(orders, "queue.deadLetteredPerSecond")[1:].to_list()
    assert dead.filter(pl.col("anomaly").is_not_null()).height > 5
    others = at(made[QUEUE], "sim/images")["queue.deadLetteredPerSecond"]
    assert set(others) == {0}


def test_what_waits_too_long_or_is_too_much_is_dead_lettered() -> None:
    """Consumers stand still: what waits stays within its bounds, and the rest goes where it is said."""
    listed = [
        {"name": "orders", **QUIET, "max_length": 500, "dead_letters_to": "attic"},
        {"name": "emails", **QUIET, "message_ttl": "2m", "dead_letters_to": "attic"},
        {"name": "images", **QUIET, "max_length": 500},
        {"name": "attic", **QUIET},
    ]
    stalls = [
        {**once("consumer_stall"), "entity": f"sim/{name}"}
        for name in ("orders", "emails", "images")
    ]
    made = run(*stalls, queues=listed, pattern="constant", types=(0.0, 0.0))[QUEUE]
    orders, emails, images, attic = (
        at(made, f"sim/{name}") for name in ("orders", "emails", "images", "attic")
    )
    waits = 20 * SECONDS
    assert 500 <= orders["queue.depth"].max() < 500 + waits  # type: ignore[operator]
    assert emails["queue.oldestMessageAge"].max() < 120 + SECONDS  # type: ignore[operator]
    assert 2_000 < emails["queue.depth"].max() < 3_000  # type: ignore[operator]
    assert images["queue.depth"].max() == pytest.approx(500, abs=waits)
    assert set(images["queue.deadLetteredPerSecond"]) == {0}
    sent = whole(orders, "queue.deadLetteredPerSecond") + whole(
        emails, "queue.deadLetteredPerSecond"
    )
    assert sent.sum() > 10_000
    came = (
        attic["queue.depth"].diff()
        - whole(attic, "queue.messagesInPerSecond")
        + whole(attic, "queue.acknowledgedPerSecond")
    )
    assert came[1:].to_list() == sent[1:].to_list()


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        ([{"name": "a", "dead_letters_to": "bb"}, {"name": "b"}], "no queue `bb`; did you mean"),
        ([{"name": "a", "dead_letters_to": "a"}], "`a` must have no dead letters of its own"),
        (
            [{"name": "a", "dead_letters_to": "b"}, {"name": "b", "dead_letters_to": "a"}],
            "must have no dead letters of its own",
        ),
        ([{"name": "a", "type": "stream", "max_length": 5}], "of a stream nothing is taken out"),
        (
            [{"name": "a", "dead_letters_to": "b"}, {"name": "b", "type": "stream"}],
            "`b` is a stream",
        ),
    ],
)
def test_where_dead_letters_cannot_go_is_said(queues: list[dict[str, Any]], said: str) -> None:
    """With the queue, and what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        cluster_of([], queues=queues)


def test_a_node_that_is_cut_off_is_down_for_the_others_and_sees_none_of_them() -> None:
    """Once the network is back both sides report it, until it is restarted."""
    made = run(once("network_partition"), types=(1.0, 0.0))
    nodes, cluster = made[NODE], made[CLUSTER]
    cut = at(nodes, ROOTS[NODE])
    others = nodes.filter(pl.col("entity_name") != ROOTS[NODE])
    parted = cluster.filter(pl.col("cluster.partitionedNodeCount") > 0)["timestamp"]
    assert len(parted) > 5
    during = cut.filter(pl.col("timestamp").is_in(parted.implode()))
    assert during.select("node.running", "node.partitionsSeen").unique().row(0) == (0, 2)
    assert during["node.totalMemoryUsedInBytes"].is_null().all()
    seen = others.filter(pl.col("timestamp").is_in(parted.implode()))["node.partitionsSeen"]
    assert set(seen) == {1}
    assert set(cluster["cluster.partitionedNodeCount"]) == {0, 3}
    # First it is only silent, and at last it is one of them again.
    silent = cut.filter(pl.col("node.running") == 0, pl.col("node.partitionsSeen").is_null())
    assert len(silent) > 2
    assert cut.row(-1, named=True)["node.partitionsSeen"] == 0
    assert cluster["cluster.runningNodeCount"].to_list()[-1] == 3


def test_what_is_filled_reports_no_leader() -> None:
    """Type, leader and members of a real queue are not known from a fleet."""
    made = samples(Shard(cluster_of([], types=(0.0, 1.0)), 1, origin=Origin.FILLED), [2])
    assert made[QUEUE]["queue.messageBytes"].null_count() == 0
    words = ["queue.type", "queue.leader", "queue.members", "queue.membersOnline", "queue.state"]
    assert made[QUEUE].select(pl.col(words).is_null().all()).row(0) == (True,) * 5


def test_a_cluster_of_other_nodes_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    """The state of three nodes is of no use to five."""
    shard = Shard(cluster_of([]), 1)
    samples(shard, [5])
    samples(Shard(cluster_of([], nodes=5), 1, shard.snapshot()), [1], START + 5 * INTERVAL)
    assert "starts anew" in caplog.text


def test_listed_queues_have_their_names_types_and_levels() -> None:
    """What is left out is by the fleet."""
    listed = [
        {"name": "a", "type": "quorum", "messages_per_second": 100.0, "message_size": 7},
        {"name": "b", "type": "classic"},
    ]
    made = samples(Shard(spec_of(provider="rabbitmq", queues=listed, pattern="constant"), 1), [20])
    types = {q: set(of["queue.type"]) for (q,), of in made[QUEUE].group_by("queue")}
    assert types == {"a": {"quorum"}, "b": {"classic"}}
    first = at(made[QUEUE], "sim/a")
    assert first["queue.messagesInPerSecond"].mean() == pytest.approx(100, rel=0.2)
    assert (first["queue.messageBytes"] == first["queue.depth"] * 7).all()
