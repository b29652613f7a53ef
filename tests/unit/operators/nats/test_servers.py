"""Samples of servers, from what nats-server's monitoring pages report."""

from collections.abc import Mapping
from typing import Any

import pytest

from operators.nats.monitor import Report
from operators.nats.servers import NatsServer, heard, members_of, node_samples
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, NODE
from operators.ticks import Collected
from tests.unit.operators.nats.three_servers import AT, IDENTITY, pages


def servers(found: Mapping[str, Any], *names: str) -> list[NatsServer]:
    """What these servers report."""
    return [
        NatsServer(Report(name, found[name]["varz"], AT), found[name]["jsz"], healthy=True)
        for name in names
    ]


def rows(collected: Collected) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The servers' rows by name, and what they give of the cluster's."""
    of = {entity_type_of(batch): batch.to_pylist() for batch in collected.batches}
    return {row["node"]: row for row in of[NODE]}, of[CLUSTER][0]


def test_each_server_has_a_row_with_what_it_reports() -> None:
    """The meta leader is the controller; a limit that is none is null."""
    found = pages()
    found["s1"]["jsz"]["config"]["max_memory"] = -1
    nodes, cluster = rows(
        node_samples(IDENTITY, 0, servers(found, "s1", "s2", "s3"), complete=True)
    )
    assert {name: row["node.isLeader"] for name, row in nodes.items()} == {
        "s1": 0,
        "s2": 0,
        "s3": 1,
    }
    assert nodes["s2"]["node.totalMemoryUsedInBytes"] == found["s2"]["varz"]["mem"]
    assert nodes["s2"]["node.connectionsLimit"] == 65_536
    assert nodes["s2"]["node.fileStoreUsedInBytes"] == 480
    assert nodes["s2"]["node.uptime"] == pytest.approx(1.543, abs=0.001)
    limits = [nodes[name]["node.memoryStoreLimitInBytes"] for name in ("s1", "s2")]
    assert limits == [None, 64 << 20]
    assert cluster["cluster.nodeCount"] == cluster["cluster.runningNodeCount"] == 3
    assert cluster["cluster.activeControllerCount"] == 1


def test_a_server_that_its_leader_hears_nothing_of_is_down() -> None:
    """Its row says so and no more; that of one which the leader hears, and we do not, is left out."""
    found = pages()
    s1, s2 = found["s3"]["jsz"]["meta_cluster"]["replicas"]
    s1["offline"] = True
    nodes, cluster = rows(node_samples(IDENTITY, 0, servers(found, "s3"), complete=False))
    assert {name: row["node.running"] for name, row in nodes.items()} == {"s1": 0, "s3": 1}
    assert nodes["s1"]["node.cpuUsage"] is None
    assert cluster["cluster.nodeCount"] == 3
    s2["active"] = 11_000_000_000
    assert members_of(servers(found, "s3")).up == {"s1": False, "s2": False, "s3": True}


def test_without_the_leader_nobody_knows_who_is_down() -> None:
    """What a follower says of another is not believed: that one is neither up nor down."""
    found = pages()
    followers = servers(found, "s1", "s2")
    assert members_of(followers).leader is None
    found["s1"]["jsz"]["meta_cluster"]["replicas"] = [{"name": "s3", "active": 0}]
    nodes, cluster = rows(node_samples(IDENTITY, 0, followers, complete=False))
    assert set(nodes) == {"s1", "s2"}
    assert cluster["cluster.nodeCount"] == 3
    assert cluster["cluster.runningNodeCount"] is None
    assert cluster["cluster.activeControllerCount"] is None


@pytest.mark.parametrize(
    ("peer", "up"),
    [
        ({"current": True, "active": 0}, True),
        ({"current": False, "active": 0}, False),
        ({"current": False, "active": 9_999_999_999}, True),
        ({"current": True, "active": 10_000_000_000}, False),
        ({"current": True, "active": 1, "offline": True}, False),
        ({"active": "long ago"}, False),
        ("s1", False),
    ],
)
def test_whom_a_leader_has_heard_of(peer: Any, up: bool) -> None:
    """One that is silent for ten seconds is down, as one that was never heard."""
    assert heard(peer) is up


def test_a_server_alone_leads_nobody() -> None:
    """It makes no cluster: whether it leads is null, as is the count of controllers."""
    found = pages()
    del found["s1"]["jsz"]["meta_cluster"]
    nodes, cluster = rows(node_samples(IDENTITY, 0, servers(found, "s1"), complete=True))
    assert nodes["s1"]["node.isLeader"] is None
    assert cluster["cluster.activeControllerCount"] is None
    assert cluster["cluster.nodeCount"] == 1


@pytest.mark.parametrize("jetstream", [None, {"disabled": True}, {"meta_cluster": "s1"}])
def test_what_jetstream_does_not_report_is_null(jetstream: Any) -> None:
    """Off, not read, or of another shape: the server's own figures stay."""
    page = pages()["s1"]["varz"]
    alone = NatsServer(Report("s1", page, AT), jetstream, healthy=None)
    nodes, _ = rows(node_samples(IDENTITY, 0, [alone], complete=True))
    assert nodes["s1"]["node.fileStoreUsedInBytes"] is None
    assert nodes["s1"]["node.isHealthy"] is None
    assert nodes["s1"]["node.connections"] == 0


def test_values_of_another_kind_are_null_and_are_no_counters() -> None:
    """A page may say anything; of what is no number there is no rate either."""
    found = pages()
    found["s1"]["varz"] |= {"mem": "14 MB", "cpu": True, "in_msgs": None, "now": "soon"}
    made = node_samples(IDENTITY, 0, servers(found, "s1"), complete=True)
    row = rows(made)[0]["s1"]
    columns = ("node.totalMemoryUsedInBytes", "node.cpuUsage", "node.uptime")
    assert [row[name] for name in columns] == [None, None, None]
    counted = {each["column"]: each for each in made.raw["totals"].to_pylist()}
    assert "node.messagesInPerSecond" not in counted
    assert counted["node.messagesOutPerSecond"]["entity_name"] == "nats/node-s1"
