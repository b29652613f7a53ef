"""Collection from a real RabbitMQ: queues and nodes as rabbitmqctl says they are."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import flows.init_from_cluster
import operators.rabbitmq.collector
from flows.config import Config
from flows.init_from_cluster import init_from_cluster
from flows.loading import load, parse
from operators.collect.errors import CollectionError
from operators.rabbitmq.settings import RabbitSettings
from operators.rabbitmq.turns import DUE, Turn
from operators.schema.guid import entity_guid
from operators.schema.metrics import CLUSTER, NODE, QUEUE
from tests.certificates import certificate
from tests.conftest import started
from tests.mqpipe import mqpipe
from tests.ports import PortClaim
from tests.rabbitmq.collected_rows import noted, row_of, rows_of, settings_of, ticks
from tests.rabbitmq.server import PASSWORD, USER, Node, RabbitServer
from tests.rabbitmq.traffic import (
    channel,
    counted,
    declare,
    publish,
    take,
    until,
    wait_for_stats,
    wait_until,
    wait_until_counted,
)

READERS = pytest.mark.parametrize("reader", ["prometheus", "api"])
KINDS = ("classic", "quorum", "stream")

LISTED = {
    "queue.depth": "messages",
    "queue.messagesReady": "messages_ready",
    "queue.messagesUnacknowledged": "messages_unacknowledged",
    "queue.consumers": "consumers",
    "queue.messageBytes": "message_bytes",
    "queue.type": "type",
    "queue.state": "state",
}
"""By column: what `rabbitmqctl list_queues` calls it."""
STANDING = ("name", "leader", "members", *LISTED.values())
MOVING = ("name", "memory", "consumer_capacity")


def only(prefix: str, **more: Any) -> dict[str, Any]:
    """Settings by which the queues of one test are collected."""
    return {"queues": {"include": [f"^{prefix}"]}, **more}


@READERS
def test_queues_are_as_rabbitmqctl_lists_them(rabbit: RabbitServer, reader: str) -> None:
    """Every figure of queues of each type, while there are publishers and consumers."""
    node, name = rabbit.first, f"listed-{reader}"
    with channel(node) as on:
        for kind in KINDS:
            declare(on, f"{name}-{kind}", kind)
            publish(on, f"{name}-{kind}", 7)
        on.basic_qos(prefetch_count=2)
        for kind in ("classic", "quorum"):
            on.basic_consume(f"{name}-{kind}", lambda *_: None)
            take(on, f"{name}-{kind}", 1, ack=True)
        for kind, unacked in (("classic", 2), ("quorum", 2)):
            wait_for_stats(
                node, f"{name}-{kind}", messages_unacknowledged=unacked, messages=6, consumers=1
            )
        wait_for_stats(node, f"{name}-stream", messages=7)
        settings = settings_of(node, **only(name, reader=reader))
        listed = {row["name"]: row for row in node.listed(*STANDING)}
        (tick,) = ticks(settings)

        def measured_alike() -> bool:
            """What moves by itself: memory, and the capacity of a consumer that is stuck, which falls."""
            (reported,) = ticks(settings)
            # After it, so that what falls is lower here.
            moving = {row["name"]: row for row in node.listed(*MOVING)}
            pairs = [(row, moving[row["queue"]]) for row in rows_of(reported, QUEUE)]
            return all(
                row["queue.memory"] == pytest.approx(said["memory"], rel=0.25)
                and (said["consumer_capacity"] or 0) <= (row["queue.consumerCapacity"] or 0) <= 1
                for row, said in pairs
            )

        until(measured_alike)
    assert {row["queue"] for row in rows_of(tick, QUEUE)} == {f"{name}-{kind}" for kind in KINDS}
    for row in rows_of(tick, QUEUE):
        said = listed[row["queue"]]
        for column, field in LISTED.items():
            # Of bytes it knows those of classic queues alone, and says "" of others.
            if said[field] != "":
                assert row[column] == said[field], (row["queue"], column)
        assert row["queue.leader"] == (said["leader"] or node.name)
        assert row["queue.membersOnline"] == row["queue.members"]
        # The API reports a stream's members only with statistics.
        reported = {"quorum"} if reader == "prometheus" else {"quorum", "stream"}
        count = len(said["members"]) or None
        assert row["queue.members"] == (count if row["queue.type"] in reported else None)


@READERS
def test_rates_are_what_was_counted_between_two_ticks(rabbit: RabbitServer, reader: str) -> None:
    """Published, delivered, acknowledged and redelivered; null for the first tick."""
    node, name = rabbit.first, f"rates-{reader}"
    with channel(node) as on:
        declare(on, name)
        publish(on, name, 10)
        wait_until_counted(node, name, publish=10)

        def more() -> None:
            publish(on, name, 20)
            take(on, name, 6, ack=True)
            on.basic_nack(take(on, name, 1, ack=False), requeue=True)
            take(on, name, 2, ack=False)
            wait_until_counted(node, name, publish=30, ack=6, deliver_get=9, redeliver=1)

        first, second = (
            row_of(tick, QUEUE, name)
            for tick in ticks(settings_of(node, **only(name, reader=reader)), more)
        )
    assert first["queue.messagesInPerSecond"] is None
    assert first["queue.messagesPublished"] is None
    assert second["queue.messagesPublished"] == 20
    assert second["queue.messagesDelivered"] == 9
    seconds = 20 / second["queue.messagesInPerSecond"]
    assert second["queue.messagesOutPerSecond"] * seconds == pytest.approx(9)
    assert second["queue.acknowledgedPerSecond"] * seconds == pytest.approx(6)
    assert second["queue.redeliveredPerSecond"] * seconds == pytest.approx(1)
    assert second["queue.deadLetteredPerSecond"] is None


DEAD_LETTERED = 5 + 3 + 4
"""Rejected, expired, and more than fit."""


@pytest.mark.parametrize(("kind", "many"), [("classic", 1000), ("quorum", 1000), ("classic", 1)])
def test_dead_letters_are_counted_for_the_cluster(
    rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch, kind: str, many: int
) -> None:
    """What is rejected, expires or does not fit, in a second; not what goes nowhere.

    Where a node has many queues they are counted between ticks, after the second and the third.
    """
    monkeypatch.setattr(operators.rabbitmq.collector, "MANY", many)
    monkeypatch.setitem(DUE, Turn.DEAD_LETTERS, 0)
    node, name = rabbit.first, f"dead-{kind}-{many}"
    to = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
    with channel(node) as on:
        declare(on, name)
        declare(on, f"{name}-rejects", kind, **to)
        declare(on, f"{name}-expires", kind, **to, **{"x-message-ttl": 1})
        declare(on, f"{name}-fits", kind, **to, **{"x-max-length": 2})
        declare(on, f"{name}-drops", kind)

        def die() -> None:
            for queue in ("rejects", "drops"):
                publish(on, f"{name}-{queue}", 5)
                wait_for_stats(node, f"{name}-{queue}", messages=5)
                on.basic_nack(take(on, f"{name}-{queue}", 5, ack=False), True, requeue=False)
            publish(on, f"{name}-expires", 3)
            publish(on, f"{name}-fits", 6)
            wait_for_stats(node, name, messages=DEAD_LETTERED)

        settings, nothing = settings_of(node, **only(name)), lambda: None
        if many == 1:
            # Details are read after the first tick, dead letters after each that follows.
            *first, after_it, second, third = ticks(settings, nothing, die, nothing, nothing)
            first.append(after_it)
        else:
            *first, second, third = ticks(settings, die, nothing)
            after_it = second
    rates = [of_cluster(tick).get("cluster.deadLetteredPerSecond") for tick in (*first, second)]
    *nulls, rate = rates
    assert set(nulls) == {None}
    published = row_of(after_it, QUEUE, f"{name}-rejects")
    seconds = published["queue.messagesPublished"] / published["queue.messagesInPerSecond"]
    assert rate * seconds == pytest.approx(DEAD_LETTERED, rel=0.3 if many == 1 else 0.1)
    assert of_cluster(third)["cluster.deadLetteredPerSecond"] == 0


def of_cluster(tick: Any) -> dict[str, Any]:
    """What its parts know of the cluster."""
    parts = rows_of(tick, CLUSTER)
    return {name: value for part in parts for name, value in part.items() if value is not None}


@READERS
def test_rates_outlive_a_publisher(rabbit: RabbitServer, reader: str) -> None:
    """Its counters go with its channel: what others publish counts, and nothing is negative."""
    node, name = rabbit.first, f"leaves-{reader}"
    with channel(node) as on:
        declare(on, name)
        publish(on, name, 10)
        wait_until_counted(node, name, publish=10)
        settings = settings_of(node, **only(name, reader=reader))

        def leave() -> None:
            on.close()
            until(lambda: counted(node, name, "publish")["prometheus"] == 0)

        def come() -> None:
            publish(other, name, 5)
            # The API may keep what those counted that are gone.
            until(lambda: counted(node, name, "publish")[reader] in (5, 15))

        with channel(node) as other:
            rows = [row_of(t, QUEUE, name) for t in ticks(settings, leave, come, lambda: None)]
    assert [row["queue.messagesPublished"] for row in rows] == [None, 0, 5, 0]
    assert [row["queue.messagesInPerSecond"] for row in rows][1::2] == [0, 0]


@READERS
def test_what_was_not_measured_is_null(rabbit: RabbitServer, reader: str) -> None:
    """A queue that was never used has no rates; a message without a time of its own has no age."""
    node, name = rabbit.first, f"unused-{reader}"
    with channel(node) as on:
        declare(on, f"{name}-never")
        for some in ("dated", "undated"):
            declare(on, f"{name}-{some}")
        publish(on, f"{name}-dated", 1, at=int(time.time()) - 100)
        publish(on, f"{name}-undated", 1)
        for queue, messages in (("never", 0), ("dated", 1), ("undated", 1)):
            wait_for_stats(node, f"{name}-{queue}", messages=messages)
        *_, last = ticks(settings_of(node, **only(name, reader=reader)), lambda: None)
    never, dated, undated = (
        row_of(last, QUEUE, f"{name}-{some}") for some in ("never", "dated", "undated")
    )
    for column in (
        "queue.messagesInPerSecond",
        "queue.messagesOutPerSecond",
        "queue.acknowledgedPerSecond",
        "queue.redeliveredPerSecond",
        "queue.messagesPublished",
        "queue.members",
        "queue.processingTime",
        "queue.errorRate",
    ):
        assert never[column] is None, column
    assert never["queue.depth"] == 0
    assert never["queue.oldestMessageAge"] == 0
    assert 100 <= dated["queue.oldestMessageAge"] < 400
    assert undated["queue.oldestMessageAge"] is None


NAMES = ("a/b:c", "50%", 'q"uote\\d', "ünï, ,code", 'queue="x",')


@READERS
def test_names_may_hold_anything(rabbit: RabbitServer, reader: str) -> None:
    """Columns have names as they are; paths and GUIDs encode what would part them."""
    node, vhost = rabbit.first, f"shop/{reader}"
    rabbit.add_vhost(vhost)
    with channel(node, vhost) as on:
        for name in NAMES:
            declare(on, name)
            publish(on, name, 3)
        until(
            lambda: (
                {q["name"]: q.get("messages") for q in listed_in(node, vhost)}
                == dict.fromkeys(NAMES, 3)
            )
        )
        vhosts = {"include": [f"^{vhost}$"]}
        (tick,) = ticks(settings_of(node, vhosts=vhosts, reader=reader))
    rows = rows_of(tick, QUEUE)
    assert {row["queue"] for row in rows} == set(NAMES)
    assert {row["vhost"] for row in rows} == {vhost}
    assert {row["queue.depth"] for row in rows} == {3}
    assert {row["queue.type"] for row in rows} == {"classic"}
    (row,) = [row for row in rows if row["queue"] == "a/b:c"]
    encoded = f"shop%2F{reader}"
    assert row["entity_name"] == f"rabbit/{encoded}/a%2Fb%3Ac"
    assert row["entity_guid"] == entity_guid(
        None, "MESSAGE_QUEUE_QUEUE", "rabbitmq", "rabbit", encoded, "a%2Fb%3Ac"
    )


def listed_in(node: Node, vhost: str) -> list[dict[str, Any]]:
    """What the API says of the queues of a virtual host."""
    return list(node.api(f"queues/{vhost.replace('/', '%2F')}"))


def test_nodes_and_cluster_are_as_the_api_says(rabbit: RabbitServer) -> None:
    """Memory, disk, descriptors, processes; the cluster's sums, and its own id."""
    node = rabbit.first
    with channel(node) as on:
        declare(on, "counted")
        publish(on, "counted", 4)
        wait_for_stats(node, "counted", messages=4)
        wait_until(node, channels=1)
        (tick,) = ticks(settings_of(node))
        (said,) = node.api("nodes")
        listed = node.api("queues")
    row = row_of(tick, NODE, f"node-{node.name}")
    assert row["node"] == node.name
    assert row["node.running"] == 1
    for column, field in (
        ("node.memoryLimitInBytes", "mem_limit"),
        ("node.diskSpaceLimitInBytes", "disk_free_limit"),
        ("node.fileDescriptorsLimit", "fd_total"),
        ("node.fileDescriptorsTotalSockets", "sockets_total"),
        ("node.processesLimit", "proc_total"),
    ):
        assert row[column] == said[field], column
    assert row["node.totalMemoryUsedInBytes"] == pytest.approx(said["mem_used"], rel=0.5)
    assert row["node.hostMemoryAlarm"] == row["node.diskAlarm"] == row["node.partitionsSeen"] == 0
    assert 0 < row["node.uptime"] <= said["uptime"] / 1000
    cluster = of_cluster(tick)
    assert cluster["cluster.nodeCount"] == cluster["cluster.runningNodeCount"] == 1
    assert cluster["cluster.queueCount"] == len(listed)
    assert cluster["cluster.totalLag"] == sum(queue["messages"] for queue in listed)
    assert cluster["cluster.channelCount"] == 1
    assert cluster["cluster.connectionCount"] == 1
    assert cluster["cluster.availability"] == 100
    assert cluster["cluster_id"] == node.api("global-parameters/internal_cluster_id")["value"]


def alarm_is(node: Node, raised: bool) -> bool:
    """Whether the node has, or has not, raised its memory alarm."""
    return bool(node.api("nodes")[0]["mem_alarm"]) is raised


def test_memory_alarm_is_raised_and_cleared(rabbit: RabbitServer) -> None:
    """It shows on the node and is counted on the cluster."""
    node = rabbit.first
    found = []
    for limit, raised in ((10**6, True), (2 * 10**9, False)):
        node.limit_memory(limit)
        until(partial(alarm_is, node, raised))
        (tick,) = ticks(settings_of(node, **only("^none$")))
        row = row_of(tick, NODE, f"node-{node.name}")
        counts = [r["cluster.alarmCount"] for r in rows_of(tick, CLUSTER)]
        found.append((row["node.hostMemoryAlarm"], max(c for c in counts if c is not None)))
    assert found == [(1, 1), (0, 0)]


def failure_of(settings: RabbitSettings) -> CollectionError:
    """What a tick fails of."""
    with pytest.raises(CollectionError) as failed:
        ticks(settings)
    return failed.value


@pytest.mark.parametrize(
    ("more", "error_class", "said"),
    [
        ({"password": "wrong"}, "auth", "check `user` and `password`"),
        ({"url": "http://127.0.0.1:1"}, "refused", "check `url`"),
        ({"url": "AMQP"}, "garbage", "speaks no HTTP; check the port in `url`"),
    ],
)
def test_what_is_wrong_is_said(
    rabbit: RabbitServer, more: dict[str, str], error_class: str, said: str
) -> None:
    """The class, and what to do."""
    if more.get("url") == "AMQP":
        more = {"url": f"http://127.0.0.1:{rabbit.first.amqp}"}
    error = failure_of(settings_of(rabbit.first, **more))
    assert error.error_class == error_class
    assert said in str(error)
    assert error.retryable is (error_class != "auth")


def test_a_user_without_the_tag_learns_which_it_takes(rabbit: RabbitServer) -> None:
    """The API answers 401 to whom it knows and does not let in."""
    rabbit.first.api("users/plain", "PUT", {"password": "guest", "tags": "management"})
    error = failure_of(settings_of(rabbit.first, user="plain"))
    assert "monitoring" in str(error)
    assert not error.retryable


def test_a_user_without_permission_on_a_virtual_host_learns_so(rabbit: RabbitServer) -> None:
    """Pages have its queues all the same; the API, which is not asked at each tick for that, hides them."""
    node = rabbit.first
    node.api("users/seer", "PUT", {"password": "guest", "tags": "monitoring"})
    nothing = dict.fromkeys(("configure", "write", "read"), "^$")
    node.api("permissions/%2F/seer", "PUT", nothing)
    rabbit.add_vhost("hidden")
    with channel(node) as on, channel(node, "hidden") as there:
        declare(on, "seen")
        declare(there, "unseen")
        publish(there, "unseen", 2)
        wait_for_stats(node, "unseen", "hidden", messages=2)
        notes, tick = noted(settings_of(node, user="seer", queues={"include": ["seen$"]}))
    rows = {row["queue"]: row for row in rows_of(tick, QUEUE)}
    assert rows["seen"]["queue.type"] == "classic"
    assert (rows["unseen"]["queue.depth"], rows["unseen"]["queue.type"]) == (2, None)
    assert [note for note in notes if "`hidden`" in note and "set_permissions" in note]


def test_without_the_plugin_the_api_is_read_and_that_is_said(rabbit: RabbitServer) -> None:
    """The page's port is closed: rows come all the same."""
    node = rabbit.first
    settings = settings_of(
        node, prometheus={node.name: "http://127.0.0.1:1"}, **only("without-plugin")
    )
    with channel(node) as on:
        declare(on, "without-plugin")
        publish(on, "without-plugin", 2)
        wait_for_stats(node, "without-plugin", messages=2)
        notes, tick = noted(settings)
    assert row_of(tick, QUEUE, "without-plugin")["queue.depth"] == 2
    assert [note for note in notes if "queues are read by the API" in note]
    assert tick["queues"].error is None


def test_a_page_is_asked_for_where_the_api_says_it_is(rabbit: RabbitServer) -> None:
    """Nothing is configured, and nothing noted: the plugin was read."""
    notes, _ = noted(settings_of(rabbit.first))
    assert notes == ()


@pytest.fixture(scope="module")
def unmeasured(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RabbitServer, dict[str, Any]]]:
    """A RabbitMQ that keeps no statistics, and settings by which its API is asked by TLS."""
    own = certificate(tmp_path_factory.mktemp("rabbitmq") / "tls")
    with PortClaim() as claim:
        more = f"""\
management.ssl.ip = 127.0.0.1
management.ssl.port = {claim.port}
management.ssl.cacertfile = {own.cert}
management.ssl.certfile = {own.cert}
management.ssl.keyfile = {own.key}
management.disable_stats = true
management_agent.disable_metrics_collector = true
"""
        with started(lambda: RabbitServer(more=more)) as server:
            secure = {"url": f"https://127.0.0.1:{claim.port}", "tls": {"ca": str(own.cert)}}
            yield server, secure


def test_without_statistics_queues_are_reported_by_the_plugin(
    unmeasured: tuple[RabbitServer, dict[str, Any]],
) -> None:
    """All figures of queues and nodes by TLS and pages; what nobody reports is null, and that is noted."""
    server, secure = unmeasured
    node = server.first
    settings = settings_of(
        node, **secure, prometheus={node.name: node.prometheus_url}, **only("plain")
    )
    with channel(node) as on:
        declare(on, "plain")
        publish(on, "plain", 5)
        _, tick = ticks(settings, lambda: publish(on, "plain", 2))
        until(lambda: row_of(ticks(settings)[0], QUEUE, "plain")["queue.depth"] == 7)
        *_, last = ticks(settings, lambda: None)
    row = row_of(last, QUEUE, "plain")
    assert (row["queue.depth"], row["queue.messagesReady"], row["queue.consumers"]) == (7, 7, 0)
    assert row["queue.messageBytes"] == 70
    assert row["queue.messagesInPerSecond"] == 0
    assert tick["queues"].error is None
    of_node = row_of(last, NODE, f"node-{node.name}")
    assert (of_node["node.running"], of_node["node.memoryLimitInBytes"]) == (1, 2_000_000_000)
    assert 0 < of_node["node.totalMemoryUsedInBytes"] < 2_000_000_000
    assert (of_node["node.hostMemoryAlarm"], of_node["node.partitionsSeen"]) == (0, None)
    sums = {name for part in rows_of(last, CLUSTER) for name, v in part.items() if v is not None}
    assert {"cluster.nodeCount", "cluster.totalLag", "cluster.consumerCount"} <= sums
    assert {"cluster.alarmCount", "cluster.connectionCount"} <= sums
    assert not {"cluster.channelCount", "cluster.partitionedNodeCount"} & sums
    notes, _ = noted(settings)
    assert [note for note in notes if "RabbitMQ keeps no statistics" in note]


def test_without_statistics_the_api_reports_no_figures(
    unmeasured: tuple[RabbitServer, dict[str, Any]],
) -> None:
    """What is not reported is null, of the cluster too, and never 0."""
    server, secure = unmeasured
    with channel(server.first) as on:
        declare(on, "bare")
        publish(on, "bare", 3)
        (tick,) = ticks(settings_of(server.first, **secure, reader="api", **only("bare")))
    row = row_of(tick, QUEUE, "bare")
    assert (row["queue.type"], row["queue.state"]) == ("classic", "running")
    assert row["queue.depth"] is None
    known = {name for part in rows_of(tick, CLUSTER) for name, v in part.items() if v is not None}
    assert not {"cluster.totalLag", "cluster.consumerCount"} & known


def test_a_certificate_that_is_not_trusted_is_said(
    unmeasured: tuple[RabbitServer, dict[str, Any]],
) -> None:
    """And that https was asked of a port that does not speak it."""
    server, secure = unmeasured
    for url in (secure["url"], f"https://127.0.0.1:{server.first.management}"):
        error = failure_of(settings_of(server.first, url=url))
        assert error.error_class == "tls"
        assert "check `tls`" in str(error)


def test_check_reaches_it_and_init_writes_a_fleet_like_it(
    rabbit: RabbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found, and what `expect` names in vain; then a configuration with its queues."""
    monkeypatch.setattr(flows.init_from_cluster, "_MEASURED", 0.1)
    node = rabbit.first
    with channel(node) as on:
        for kind in ("classic", "quorum"):
            declare(on, f"like-{kind}", kind)
            publish(on, f"like-{kind}", 2)
            wait_for_stats(node, f"like-{kind}", messages=2)
        declare(on, "like-unused")
        wait_for_stats(node, "like-unused", messages=0)
    text = f"""
mode: infrastructure
clusters:
  - name: shop
    provider: rabbitmq
    url: {node.url}
    user: {USER}
    password: {PASSWORD}
    queues: {{include: ["^like-"]}}
    expect: {{queues: [like-clasic], nodes: [{node.name}x]}}
"""
    (tmp_path / "c.yaml").write_text(text)
    checked = mqpipe(tmp_path, "check", "c.yaml", "--connect")
    assert checked.code == 1, checked.out
    assert "cluster shop: 5 entities (1 cluster, 1 node, 3 queue)" in checked.out
    assert "there is no queue `like-clasic`; did you mean `like-classic`?" in checked.out
    assert f"there is no node `{node.name}x`; did you mean `{node.name}`?" in checked.out
    file = tmp_path / "sim.yaml"
    assert init_from_cluster(file, parse(Config, text, "c", {}), "shop") == 0
    (fleet,) = load(Config, file).simulation.fleets
    assert (fleet.name, fleet.provider, fleet.nodes) == ("sim-shop", "rabbitmq", 1)
    assert not isinstance(fleet.queues, int)
    types = {queue.name: (queue.type, queue.message_size) for queue in fleet.queues}
    assert types == {
        "like-classic": ("classic", 10),
        "like-quorum": ("quorum", 10),
        "like-unused": ("classic", None),
    }
    # What was never used has the level of that, and not its name's preset.
    assert {queue.messages_per_second for queue in fleet.queues} == {0}


@pytest.mark.parametrize("many", [1, 1000])
def test_details_of_many_queues_are_kept_for_a_while(
    rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Depth and consumers are as they are; bytes as they were, but of what was emptied, or is new.

    Of many they are read after the first tick, which lists the queues.
    """
    monkeypatch.setattr(operators.rabbitmq.collector, "MANY", many)
    node, name = rabbit.first, f"details-{many}"
    with channel(node) as on:
        for queue, count in (("grows", 2), ("drains", 3)):
            declare(on, f"{name}-{queue}")
            publish(on, f"{name}-{queue}", count)
            wait_for_stats(node, f"{name}-{queue}", messages=count)

        def move() -> None:
            publish(on, f"{name}-grows", 4)
            take(on, f"{name}-drains", 3, ack=True)
            declare(on, f"{name}-new")
            publish(on, f"{name}-new", 1)
            for queue, count in (("grows", 6), ("drains", 0), ("new", 1)):
                wait_for_stats(node, f"{name}-{queue}", messages=count)

        settings = settings_of(node, **only(name, reader="prometheus"))
        first, _, last = ticks(settings, lambda: None, move)
    began = {row["queue"].removeprefix(f"{name}-"): row for row in rows_of(first, QUEUE)}
    rows = {row["queue"].removeprefix(f"{name}-"): row for row in rows_of(last, QUEUE)}
    reported = {queue: (of["queue.depth"], of["queue.messageBytes"]) for queue, of in rows.items()}
    kept = many == 1
    assert began["grows"]["queue.messageBytes"] == (None if kept else 20)
    assert reported == {
        "grows": (6, 20 if kept else 60),
        "drains": (0, 0),
        "new": (1, None if kept else 10),
    }
    assert {row["queue.consumers"] for row in rows.values()} == {0}


def test_the_compose_files_configuration_runs(rabbit: RabbitServer, tmp_path: Path) -> None:
    """With the hosts and places of this test in place of the containers': what it expects is collected."""
    node = rabbit.first
    rabbit.first.api("users/mqpipe", "PUT", {"password": "secret", "tags": "monitoring"})
    nothing = dict.fromkeys(("configure", "write", "read"), "^$")
    rabbit.first.api("permissions/%2F/mqpipe", "PUT", nothing)
    with channel(node) as on:
        for queue, kind in (("orders", "quorum"), ("payments", "classic")):
            declare(on, queue, kind)
            publish(on, queue, 2)
            wait_for_stats(node, queue, messages=2)
    text = (Path(__file__).parents[2] / "docker/rabbitmq/mqpipe.yaml").read_text(encoding="utf-8")
    with PortClaim() as claim:
        for container, here in (
            ("http://rabbitmq:15672", node.url),
            ("http://rabbitmq:15692", node.prometheus_url),
            ("rabbit@rabbitmq", node.name),
            ("/var/lib/mqpipe", str(tmp_path)),
            ("0.0.0.0:9464", f"127.0.0.1:{claim.port}"),
        ):
            assert container in text
            text = text.replace(container, here)
        (tmp_path / "c.yaml").write_text(text)
        environment = {"RABBITMQ_PASSWORD": "secret"}
        ended = mqpipe(tmp_path, "run", "c.yaml", "--no-live", "--once", env=environment)
    assert ended.code == 0, ended.err
    queues = pl.read_parquet(tmp_path / "samples/type=queue/**/*.parquet")
    mine = queues.filter(cluster_name="shop", origin="collected").filter(
        pl.col("queue").cast(pl.String).is_in(["orders", "payments"])
    )
    assert dict(mine.select("queue", "queue.depth").iter_rows()) == {"orders": 2, "payments": 2}
    nodes = pl.read_parquet(tmp_path / "samples/type=node/**/*.parquet")
    assert nodes.filter(cluster_name="shop", origin="collected")["node"].to_list() == [node.name]
