"""Collection from a real NATS with JetStream: servers, streams and consumers as JetStream's own API says."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nats
import nats.errors
import polars as pl
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy

import flows.init_from_cluster
from flows.config import Config
from flows.init_from_cluster import init_from_cluster
from flows.loading import load, parse
from operators.collect.errors import CollectionError
from operators.merge.like import like_fleet, preset_fleet
from operators.nats.settings import NatsSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, NODE, QUEUE
from tests.conftest import started
from tests.mqpipe import mqpipe
from tests.nats.collected_rows import by_name, rows_of, settings_of, ticks
from tests.nats.server import NatsCluster


@pytest.fixture(scope="module")
def server() -> Iterator[NatsCluster]:
    """One server for all tests here: each has streams of its own."""
    with started(NatsCluster) as cluster:
        yield cluster


@asynccontextmanager
async def jetstream(cluster: NatsCluster) -> AsyncIterator[JetStreamContext]:
    """JetStream, by a client of its own."""
    client: Client = await nats.connect(cluster.urls)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def publish(js: JetStreamContext, subject: str, count: int) -> None:
    """Publishes so many messages of ten bytes, each acknowledged."""
    for _ in range(count):
        await js.publish(subject, b"0123456789")


async def standing(
    js: JetStreamContext, stream: str, consumer: str, *, redelivered: int, unacknowledged: int
) -> None:
    """Returns once JetStream says so of a consumer."""
    while True:
        info = await js.consumer_info(stream, consumer)
        if (info.num_redelivered, info.num_ack_pending) == (redelivered, unacknowledged):
            return
        await asyncio.sleep(0.02)


def only(cluster: NatsCluster, stream: str, **more: Any) -> NatsSettings:
    """Settings by which one stream is collected."""
    return settings_of(cluster.monitors, streams={"include": [f"^{stream}$"]}, **more)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs what awaits."""

    async def ran() -> None:
        await test()

    asyncio.run(ran())


def test_streams_and_consumers_are_as_jetstream_says(server: NatsCluster) -> None:
    """Every figure, with messages pending, unacknowledged and delivered again, pulled and pushed."""

    async def test() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="SAID", subjects=["said.>"])
            await publish(js, "said.a", 20)
            await publish(js, "said.b", 5)
            pulled = await js.pull_subscribe("said.>", "pulled")
            for message in (await pulled.fetch(8))[:5]:
                await message.ack_sync()
            again = await js.pull_subscribe("said.a", "again")
            for message in await again.fetch(2):
                await message.nak()
            seen = [message for _ in range(3) for message in await again.fetch(1)]
            while sum(message.metadata.num_delivered > 1 for message in seen) < 2:
                seen += await again.fetch(1)
            unacknowledged = len({message.metadata.sequence.stream for message in seen})
            pushed = await js.subscribe("said.>", durable="pushed", manual_ack=True)
            await pushed.next_msg()
            await js.subscribe("said.>")  # One that is not durable.
            await standing(js, "SAID", "again", redelivered=2, unacknowledged=unacknowledged)
            await standing(js, "SAID", "pushed", redelivered=0, unacknowledged=25)
            stream = await js.stream_info("SAID")
            consumers = {
                name: await js.consumer_info("SAID", name) for name in ("pulled", "again", "pushed")
            }
            (tick,) = await ticks(only(server, "SAID"))
        rows = by_name(tick, QUEUE)
        assert set(rows) == {"SAID", *(f"SAID/{name}" for name in consumers)}
        row = rows["SAID"]
        assert row["queue.depth"] == row["queue.messagesReady"] == stream.state.messages == 25
        assert row["queue.messageBytes"] == stream.state.bytes
        assert row["queue.consumers"] == stream.state.consumer_count == 4
        assert (row["queue.type"], row["queue.state"], row["queue.leader"]) == (
            "stream",
            "running",
            "s1",
        )
        assert row["queue.oldestMessageAge"] is None
        for name, info in consumers.items():
            row = rows[f"SAID/{name}"]
            assert row["queue.messagesReady"] == info.num_pending, name
            assert row["queue.messagesUnacknowledged"] == info.num_ack_pending, name
            assert row["queue.depth"] == info.num_pending + info.num_ack_pending, name
            assert row["queue.messagesRedelivered"] == info.num_redelivered, name
            assert row["queue.type"] == "consumer"
            assert row["vhost"] is row["queue.messageBytes"] is None
        assert rows["SAID/pulled"]["queue.messagesUnacknowledged"] == 3
        assert rows["SAID/again"]["queue.messagesRedelivered"] == 2
        assert rows["SAID/pushed"]["queue.consumers"] == 1
        assert rows["SAID/pulled"]["queue.consumers"] is None
        (cluster,) = (r for r in rows_of(tick, CLUSTER) if r["cluster.queueCount"] is not None)
        waiting = sum(i.num_pending + i.num_ack_pending for i in consumers.values())
        assert (cluster["cluster.totalLag"], cluster["cluster.consumerCount"]) == (waiting, 3)
        assert (cluster["cluster.queueCount"], cluster["cluster.availability"]) == (4, 100)

    run(test)


def test_figures_hold_while_traffic_runs(server: NatsCluster) -> None:
    """What a tick reports lies between what JetStream says before and after it."""

    async def test() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="BUSY", subjects=["busy"])
            reads = await js.pull_subscribe("busy", "reads")
            await publish(js, "busy", 10)

            # Not cancelled: before Python 3.12 a wait that has just come to its end forgets that.
            enough = asyncio.Event()

            async def publishes() -> None:
                while not enough.is_set():
                    await js.publish("busy", b"0123456789")

            async def consumes() -> None:
                while not enough.is_set():
                    with suppress(nats.errors.TimeoutError):
                        for message in await reads.fetch(1, timeout=1):
                            await message.ack()

            traffic = [asyncio.create_task(publishes()), asyncio.create_task(consumes())]
            counted = []

            async def count() -> None:
                stream, consumer = await asyncio.gather(
                    js.stream_info("BUSY"), js.consumer_info("BUSY", "reads")
                )
                floor = consumer.ack_floor.consumer_seq if consumer.ack_floor else 0
                assert consumer.delivered is not None
                counted.append((stream.state.last_seq, consumer.delivered.consumer_seq, floor))

            async def goes_on() -> None:
                await count()
                before = counted[-1]
                while not all(
                    now > then + 20 for now, then in zip(counted[-1], before, strict=True)
                ):
                    await asyncio.sleep(0.02)
                    await count()

            await count()
            found = await ticks(only(server, "BUSY"), goes_on)
            await count()
            enough.set()
            await asyncio.gather(*traffic)
        rows = by_name(found[1], QUEUE)
        stream, consumer = rows["BUSY"], rows["BUSY/reads"]
        seconds = stream["queue.messagesPublished"] / stream["queue.messagesInPerSecond"]
        grown = (
            stream["queue.messagesPublished"],
            consumer["queue.messagesDelivered"],
            consumer["queue.acknowledgedPerSecond"] * seconds,
        )
        first, last = counted[0], counted[-1]
        for what, before, after in zip(grown, first, last, strict=True):
            assert 20 < what <= after - before + 1e-6

    run(test)


def test_rates_are_what_was_counted_between_two_ticks(server: NatsCluster) -> None:
    """Published, delivered, acknowledged; null for the first tick, 0 of what stands still."""

    async def test() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="RATES", subjects=["rates"])
            reads = await js.pull_subscribe("rates", "reads")
            await publish(js, "rates", 10)

            async def more() -> None:
                await publish(js, "rates", 20)
                for message in (await reads.fetch(9))[:6]:
                    await message.ack_sync()

            async def nothing() -> None:
                pass

            first, second, third = (
                by_name(t, QUEUE) for t in await ticks(only(server, "RATES"), more, nothing)
            )
        assert first["RATES"]["queue.messagesInPerSecond"] is None
        assert first["RATES/reads"]["queue.messagesDelivered"] is None
        stream, consumer = second["RATES"], second["RATES/reads"]
        assert (stream["queue.messagesPublished"], consumer["queue.messagesDelivered"]) == (20, 9)
        seconds = 9 / consumer["queue.messagesOutPerSecond"]
        assert consumer["queue.acknowledgedPerSecond"] * seconds == pytest.approx(6)
        assert stream["queue.messagesOutPerSecond"] is None
        assert consumer["queue.messagesInPerSecond"] is None
        assert third["RATES"]["queue.messagesInPerSecond"] == 0
        assert third["RATES/reads"]["queue.acknowledgedPerSecond"] == 0

    run(test)


def test_no_rate_is_negative_over_a_purge_or_a_new_stream(server: NatsCluster) -> None:
    """A purge publishes nothing; what was recreated has no rate until its second tick."""

    async def test() -> None:
        async with jetstream(server) as js:

            async def make() -> None:
                await js.add_stream(name="ANEW", subjects=["anew"])
                await js.add_consumer("ANEW", ConsumerConfig(durable_name="reads"))

            await make()
            await publish(js, "anew", 30)

            async def purge() -> None:
                await js.purge_stream("ANEW")

            async def recreate() -> None:
                await js.delete_stream("ANEW")
                await make()
                await publish(js, "anew", 7)

            async def more() -> None:
                await publish(js, "anew", 4)

            found = [
                by_name(t, QUEUE) for t in await ticks(only(server, "ANEW"), purge, recreate, more)
            ]
        found_of = [(t["ANEW"]["queue.depth"], t["ANEW"]["queue.messagesPublished"]) for t in found]
        assert found_of == [(30, None), (0, 0), (7, None), (11, 4)]
        assert found[1]["ANEW"]["queue.oldestMessageAge"] == 0
        assert found[1]["ANEW/reads"]["queue.depth"] == 0

    run(test)


def test_the_first_message_of_a_work_queue_waits(server: NatsCluster) -> None:
    """Where messages go once they are acknowledged, the age of the first is known."""

    async def test() -> None:
        async with jetstream(server) as js:
            await js.add_stream(
                name="WORK", subjects=["work"], retention=RetentionPolicy.WORK_QUEUE
            )
            began = time.time()
            await publish(js, "work", 2)
            (tick,) = await ticks(only(server, "WORK"))
            took = time.time() - began
        assert 0 <= by_name(tick, QUEUE)["WORK"]["queue.oldestMessageAge"] <= took

    run(test)


def test_selections_and_ephemeral_consumers(server: NatsCluster) -> None:
    """Consumers that are not durable are reported where that is asked for; others can be left out."""

    async def test() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="SOME", subjects=["some"])
            for name in ("kept", "left"):
                await js.add_consumer("SOME", ConsumerConfig(durable_name=name))
            await js.subscribe("some")
            (plain,) = await ticks(only(server, "SOME", consumers={"exclude": ["^left$"]}))
            (all_,) = await ticks(only(server, "SOME", ephemeral=True))
        assert set(by_name(plain, QUEUE)) == {"SOME", "SOME/kept"}
        assert len(by_name(all_, QUEUE)) == 4

    run(test)


def test_a_server_is_as_it_says(server: NatsCluster) -> None:
    """Memory, clients, JetStream's stores and limits; rates from the second tick on."""

    async def test() -> None:
        async with jetstream(server) as js:

            async def refused() -> None:
                before = server.first.get("varz")["in_msgs"]
                with pytest.raises(nats.js.errors.NotFoundError):
                    await js.stream_info("NONE")
                # A server counts a message once it has done what came with it.
                while server.first.get("varz")["in_msgs"] == before:
                    await asyncio.sleep(0.02)

            first, second = await ticks(only(server, "NONE"), refused)
            said = server.first.get("varz")
        row = by_name(second, NODE)["node-s1"]
        assert (row["node"], row["node.running"], row["node.isHealthy"]) == ("s1", 1, 1)
        assert row["node.connections"] == said["connections"]
        assert row["node.connectionsLimit"] == said["max_connections"]
        assert row["node.fileStoreLimitInBytes"] == said["jetstream"]["config"]["max_storage"]
        assert row["node.memoryStoreLimitInBytes"] == said["jetstream"]["config"]["max_memory"]
        assert row["node.totalMemoryUsedInBytes"] > 1_000_000
        assert row["node.uptime"] > 0
        assert row["node.isLeader"] is None
        assert row["node.diskAlarm"] is row["node.processesUsed"] is None
        assert row["node.messagesInPerSecond"] > 0
        assert row["node.apiErrors"] == 1
        assert row["node.slowConsumers"] == 0
        assert by_name(first, NODE)["node-s1"]["node.messagesInPerSecond"] is None
        (cluster,) = (r for r in rows_of(second, CLUSTER) if r["cluster.nodeCount"] is not None)
        assert (cluster["cluster.nodeCount"], cluster["cluster.runningNodeCount"]) == (1, 1)

    run(test)


def failure_of(settings: NatsSettings) -> CollectionError:
    """What a tick fails of."""
    with pytest.raises(CollectionError) as failed:
        asyncio.run(ticks(settings))
    return failed.value


def test_accounts_are_told_apart() -> None:
    """The same stream in two accounts; one account can be left out."""
    users = 'accounts { SHOP { jetstream: enabled, users: [{user: a, password: a}] }, "eu:west" { jetstream: enabled, users: [{user: b, password: b}] } }'

    async def test(cluster: NatsCluster) -> None:
        for user, count in (("a", 3), ("b", 4)):
            client = await nats.connect(cluster.urls, user=user, password=user)
            js = client.jetstream()
            await js.add_stream(name="ORDERS", subjects=["orders"])
            await js.add_consumer("ORDERS", ConsumerConfig(durable_name="reads"))
            await publish(js, "orders", count)
            await client.close()
        (both,) = await ticks(settings_of(cluster.monitors))
        (one,) = await ticks(settings_of(cluster.monitors, accounts={"include": ["SHOP"]}))
        depths = {name: row["queue.depth"] for name, row in by_name(both, QUEUE).items()}
        assert depths == {
            "SHOP.ORDERS": 3,
            "SHOP.ORDERS/reads": 3,
            "eu%3Awest.ORDERS": 4,
            "eu%3Awest.ORDERS/reads": 4,
        }
        assert set(by_name(one, QUEUE)) == {"SHOP.ORDERS", "SHOP.ORDERS/reads"}

    with started(partial(NatsCluster, more=users)) as cluster:
        asyncio.run(test(cluster))


def test_a_server_without_jetstream_has_no_streams_and_that_is_said() -> None:
    """Its row has all but JetStream's figures; the queues' target says what to do."""
    with started(partial(NatsCluster, jetstream="")) as cluster:
        error = failure_of(settings_of(cluster.monitors))
        assert error.error_class == "unsupported"
        assert "JetStream is off" in str(error)


@contextmanager
def pretender(answers: Mapping[str, tuple[int, bytes]]) -> Iterator[str]:
    """A server that gives these statuses and bodies by page; a context manager for its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path.strip("/").partition("?")[0], (404, b"no"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


VARZ = b'{"server_name": "s", "start": "2026-01-01T00:00:00Z", "now": "2026-01-01T00:01:00Z"}'


@pytest.mark.parametrize(
    ("answers", "error_class", "said"),
    [
        ({"varz": (200, b"<html>")}, "garbage", "is `url` the monitoring port of a NATS server?"),
        ({"varz": (200, b"[]")}, "garbage", "monitoring port"),
        ({"varz": (200, b"[" * 100_000)}, "garbage", "monitoring port"),
        ({"varz": (401, b"")}, "auth", "check `basic_auth`"),
        ({}, "unsupported", "answers 404"),
        ({"varz": (503, b"not now")}, "unavailable", "answers 503: not now"),
        ({"varz": (200, VARZ), "jsz": (200, b'{"account_details": [1]}')}, "garbage", "/jsz"),
        (
            {
                "varz": (200, VARZ),
                "jsz": (200, b'{"account_details": [{"name": "a", "stream_detail": [{}]}]}'),
            },
            "garbage",
            "/jsz",
        ),
        ({"varz": (200, b'{"a": "' + b"x" * 70_000 + b'"}')}, "page", "is bigger than"),
    ],
)
def test_what_is_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch,
    answers: Mapping[str, tuple[int, bytes]],
    error_class: str,
    said: str,
) -> None:
    """The class, and what to do; a page of any size is read up to a bound."""
    monkeypatch.setattr(
        "operators.collect.http.MAX_ANSWER", 1 << (16 if error_class == "page" else 20)
    )
    with pretender(answers) as url:
        error = failure_of(settings_of(url))
    assert error.error_class == error_class
    assert said in str(error)


def test_nobody_listens() -> None:
    """The port is closed: the target fails and names the setting."""
    error = failure_of(settings_of("http://127.0.0.1:1"))
    assert (error.error_class, error.retryable) == ("refused", True)
    assert "check `url`" in str(error)


def test_check_reaches_it_and_init_writes_a_fleet_like_it(
    server: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is expected and not there is named with the nearest; the fleet has its streams and consumers."""
    monkeypatch.setattr(flows.init_from_cluster, "_MEASURED", 0.1)

    async def made() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="LIKE", subjects=["like"])
            await js.add_consumer("LIKE", ConsumerConfig(durable_name="billing"))
            await publish(js, "like", 2)

    asyncio.run(made())
    text = f"""
mode: infrastructure
clusters:
  - name: events
    provider: nats
    url: {server.first.monitor}
    streams: {{include: ["^LIKE$"]}}
    expect: {{nodes: [s2], queues: [LIKE, LIKE/biling]}}
"""
    (tmp_path / "c.yaml").write_text(text)
    checked = mqpipe(tmp_path, "check", "c.yaml", "--connect")
    assert checked.code == 1, checked.out
    assert "cluster events: 4 entities (1 cluster, 1 node, 2 queue)" in checked.out
    assert "there is no queue `LIKE/biling`; did you mean `LIKE/billing`?" in checked.out
    assert "there is no node `s2`; there are s1" in checked.out
    file = tmp_path / "sim.yaml"
    assert init_from_cluster(file, parse(Config, text, "c", {}), "events") == 0
    (fleet,) = load(Config, file).simulation.fleets
    assert (fleet.name, fleet.provider) == ("sim-events", "nats")
    assert not isinstance(fleet.queues, int)
    assert [queue.name for queue in fleet.queues] == ["LIKE", "LIKE-billing"]


def test_what_never_came_is_filled_under_the_name_that_it_would_have(server: NatsCluster) -> None:
    """A fill of a simulated fleet and a collected sample of one stream and consumer have one GUID."""

    async def collected() -> set[str]:
        async with jetstream(server) as js:
            await js.add_stream(name="FILL", subjects=["fill"])
            await js.add_consumer("FILL", ConsumerConfig(durable_name="reads"))
            (tick,) = await ticks(only(server, "FILL"))
        return {row["entity_guid"] for row in rows_of(tick, QUEUE)}

    settings = only(server, "FILL", expect={"queues": ["FILL", "FILL/reads"]})
    fleet = preset_fleet("production", "nats")
    like = like_fleet(fleet, 1, "nats", None, settings.expect, "nats")
    (levels,) = (b for b in like.levels(0, 30_000) if entity_type_of(b) is QUEUE)
    assert set(levels.column("entity_guid").to_pylist()) == asyncio.run(collected())
    assert levels.column("queue.messagesInPerSecond").null_count == 0


def test_a_run_writes_what_it_collects(server: NatsCluster, tmp_path: Path) -> None:
    """By configuration to Parquet, with rates in the second tick."""

    async def made() -> None:
        async with jetstream(server) as js:
            await js.add_stream(name="RUN", subjects=["run"])
            await publish(js, "run", 3)

    asyncio.run(made())
    (tmp_path / "c.yaml").write_text(f"""
mode: infrastructure
interval: 1s
clusters:
  - {{name: events, provider: nats, url: "{server.first.monitor}", streams: {{include: ["^RUN$"]}}}}
sinks: {{parquet: {{path: ./samples}}}}
metrics: {{listen: null}}
""")
    ended = mqpipe(tmp_path, "run", "c.yaml", "--once")
    assert ended.code == 0, ended.out
    rows = pl.read_parquet(tmp_path / "samples/type=queue/**/*.parquet")
    assert rows["queue.depth"].to_list() == [3]
    assert rows["provider"].unique().to_list() == ["nats"]
