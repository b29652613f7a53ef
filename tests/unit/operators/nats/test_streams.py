"""Samples of streams and consumers, from what nats-server's monitoring pages report."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from operators.nats.streams import found_in, queue_samples
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, QUEUE
from operators.ticks import Collected
from tests.unit.operators.nats.three_servers import AT, IDENTITY, pages


def samples(found: Mapping[str, Any], *names: str, complete: bool = True) -> Collected:
    """What is made of the accounts of these servers."""
    queues = found_in({name: (found[name]["accounts"], AT) for name in names})
    return queue_samples(IDENTITY, 0, list(queues.values()), names, complete=complete)


def rows(collected: Collected) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The rows of streams and consumers by path, and what they give of the cluster's."""
    of = {entity_type_of(batch): batch.to_pylist() for batch in collected.batches}
    return {row["queue"]: row for row in of[QUEUE]}, of[CLUSTER][0]


def streams(found: Mapping[str, Any], name: str) -> list[Any]:
    """What a server reports of its streams."""
    found_there: list[Any] = found[name]["accounts"][0]["stream_detail"]
    return found_there


def values(row: Mapping[str, Any], *columns: str) -> list[Any]:
    """Those of some columns of queues."""
    return [row[f"queue.{column}"] for column in columns]


def test_streams_and_consumers_are_reported_by_who_leads_them() -> None:
    """Others would say that ten messages of the consumer are pending, and that replicas lag."""
    queues, cluster = rows(samples(pages(), "s1", "s2", "s3"))
    assert set(queues) == {"ORDERS", "ORDERS/billing"}
    stream, consumer = queues["ORDERS"], queues["ORDERS/billing"]
    state = ("type", "state", "leader", "members", "membersOnline")
    assert values(stream, *state) == ["stream", "running", "s2", 3, 3]
    assert values(consumer, *state) == ["consumer", "running", "s3", 3, 3]
    assert values(stream, "depth", "messageBytes", "consumers") == [10, 480, 1]
    assert values(consumer, "depth", "messagesReady", "messagesUnacknowledged") == [7, 6, 1]
    assert cluster["cluster.queueCount"] == 2
    assert cluster["cluster.consumerCount"] == 1
    assert cluster["cluster.totalLag"] == 7
    assert cluster["cluster.availability"] == 100


def test_counters_are_those_of_the_leader() -> None:
    """With them it is told since when they count: a stream that was made again begins anew."""
    totals = samples(pages(), "s1", "s2", "s3").raw["totals"].to_pylist()
    counted = {(row["entity_name"], row["column"]): row["value"] for row in totals}
    assert counted["nats/ORDERS", "queue.messagesPublished"] == 10
    assert counted["nats/ORDERS/billing", "queue.messagesDelivered"] == 4
    assert counted["nats/ORDERS/billing", "queue.acknowledgedPerSecond"] == 3


def test_what_nobody_leads_that_answers_has_no_row() -> None:
    """It may be well; the cluster's sums are null as long as not all answered."""
    queues, cluster = rows(samples(pages(), "s1", "s2", complete=False))
    assert set(queues) == {"ORDERS"}
    assert cluster["cluster.queueCount"] is None
    assert cluster["cluster.totalLag"] is None


@pytest.mark.parametrize(("answered", "state"), [(("s1", "s2"), "down"), (("s1",), "minority")])
def test_without_a_leader_it_is_down(answered: Collection[str], state: str) -> None:
    """With its type and members alone; where most of these are gone too, it cannot have one."""
    found = pages()
    for name in answered:
        for stream in streams(found, name):
            stream["cluster"]["leader"] = ""
    queues, _ = rows(samples(found, *answered))
    assert values(queues["ORDERS"], "state", "leader", "depth") == [state, None, None]
    assert values(queues["ORDERS"], "members") == [3]


def test_a_leader_that_is_left_alone_is_a_minority() -> None:
    """It takes itself for the leader for a while; nobody can write to it."""
    found = pages()
    for stream in streams(found, "s2"):
        for peer in stream["cluster"]["replicas"]:
            peer["offline"] = True
    queues, cluster = rows(samples(found, "s2"))
    assert values(queues["ORDERS"], "state", "membersOnline") == ["minority", 1]
    assert cluster["cluster.availability"] == 0


def test_of_two_leaders_the_one_that_has_come_further_counts() -> None:
    """The one before does not know yet that another was chosen."""
    found = pages()
    for stream in streams(found, "s1"):
        stream["cluster"]["leader"] = "s1"
        stream["state"]["last_seq"] = 9
    assert rows(samples(found, "s1", "s2", "s3"))[0]["ORDERS"]["queue.leader"] == "s2"


def test_replicas_that_lag_and_consumers_that_pause_are_said() -> None:
    """Both are states in which one can be used."""
    found = pages()
    [stream] = streams(found, "s2")
    stream["cluster"]["replicas"][0]["current"] = False
    [of_consumer] = streams(found, "s3")[0]["consumer_detail"]
    of_consumer["paused"] = True
    queues, _ = rows(samples(found, "s1", "s2", "s3"))
    assert queues["ORDERS"]["queue.state"] == "lagging"
    assert queues["ORDERS/billing"]["queue.state"] == "paused"


def test_a_stream_of_work_waits_since_its_first_message() -> None:
    """Of one that keeps messages by limits nobody can say how long they wait."""
    found = pages()
    [stream] = streams(found, "s2")
    stream["config"]["retention"] = "workqueue"
    stream["state"]["first_ts"] = "2026-05-28T20:26:30Z"
    assert rows(samples(found, "s2"))[0]["ORDERS"]["queue.oldestMessageAge"] == 10.0
    stream["state"]["messages"] = 0
    assert rows(samples(found, "s2"))[0]["ORDERS"]["queue.oldestMessageAge"] == 0.0


def test_values_of_another_kind_are_null() -> None:
    """Whatever a server answers: what is no number is none, and has no rate."""
    found = pages()
    for stream in streams(found, "s2"):
        stream["state"] = {"messages": "ten", "bytes": 1e30, "consumer_count": None}
        stream["cluster"]["replicas"] = [None, {"name": 5}, {"name": "s1", "active": "now"}]
    made = samples(found, "s2")
    queues, _ = rows(made)
    assert values(queues["ORDERS"], "depth", "messageBytes", "consumers", "members") == [
        None, None, None, 2,
    ]  # fmt: skip
    assert not [
        row for row in made.raw["totals"].to_pylist() if row["entity_name"] == "nats/ORDERS"
    ]


def test_accounts_of_one_name_are_called_by_their_ids() -> None:
    """Names are what is written in accounts' tokens: two may have one."""
    found = pages()
    [first] = found["s2"]["accounts"]
    found["s2"]["accounts"] = [
        {**first, "name": "SHOP", "id": "A1"},
        {**first, "name": "SHOP", "id": "A2"},
        {**first, "name": "LAB", "id": "A3"},
    ]
    assert [queue.path[0] for queue in found_in({"s2": (found["s2"]["accounts"], AT)}).values()][
        ::2
    ] == ["A1.ORDERS", "A2.ORDERS", "LAB.ORDERS"]


@pytest.mark.parametrize(
    ("config", "push_bound", "counted"),
    [
        ({"durable_name": "billing"}, False, None),
        ({"deliver_subject": "to"}, True, 1),
        ({"deliver_subject": "to"}, False, 0),
        ({"deliver_subject": "to", "deliver_group": "all"}, True, None),
        (None, True, None),
    ],
)
def test_who_reads_is_counted_where_messages_are_pushed(
    config: Any, push_bound: bool, counted: int | None
) -> None:
    """Of those who pull, or are a group, nobody knows how many they are."""
    found = pages()
    [of_consumer] = streams(found, "s3")[0]["consumer_detail"]
    of_consumer |= {"config": config, "push_bound": push_bound}
    assert rows(samples(found, "s3"))[0]["ORDERS/billing"]["queue.consumers"] == counted
