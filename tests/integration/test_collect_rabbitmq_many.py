"""Many queues on three nodes, and queues that move: every figure is as rabbitmqctl lists it."""

import threading
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest

from operators.schema.metrics import QUEUE
from tests.rabbitmq.collected_rows import rows_of, settings_of, ticks
from tests.rabbitmq.server import Node, RabbitServer
from tests.rabbitmq.traffic import channel, declare, publish, until, wait_for_stats

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

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


@pytest.mark.parametrize(
    "count",
    [90, pytest.param(10_000, marks=pytest.mark.long("makes 10,000 queues, which takes minutes"))],
)
def test_each_of_many_queues_on_three_nodes_is_as_listed(rabbit3: RabbitServer, count: int) -> None:
    """A third of them is on each node; every one is there once, with every figure."""
    server = rabbit3
    names = [f"many-{number:05d}" for number in range(count)]
    for place, node in enumerate(server.nodes):
        made = [
            {"name": name, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
            for name in names[place::3]
        ]
        node.api("definitions", "POST", {"queues": made})
    first = server.first
    with channel(first) as on:
        for number, name in enumerate(names):
            publish(on, name, 1 + number % 3)
        until(lambda: messages_in(first, names) == sum(1 + n % 3 for n in range(count)), 300)
        # Where there are thousands, their bytes are read after the first.
        _, tick = ticks(settings_for(server), lambda: None)
        listed = {row["name"]: row for row in first.listed("name", *LISTED.values())}
        for name in names:
            on.queue_delete(name)
    rows = rows_of(tick, QUEUE)
    assert tick["queues"].error is None
    assert Counter(row["queue"] for row in rows) == Counter(names)
    leaders = Counter(row["queue.leader"] for row in rows)
    assert leaders == {node.name: count // 3 + (place < count % 3) for place, node in at(server)}
    said = {row["queue"]: {field: row[column] for column, field in LISTED.items()} for row in rows}
    assert said == {
        name: {field: of[field] for field in LISTED.values()} for name, of in listed.items()
    }


def at(server: RabbitServer) -> list[tuple[int, Node]]:
    """Nodes with their places."""
    return list(enumerate(server.nodes))


def settings_for(server: RabbitServer) -> Any:
    """Settings of the three nodes, whose names are no hosts."""
    pages = {node.name: node.prometheus_url for node in server.nodes}
    return settings_of(server.first, reader="prometheus", prometheus=pages)


def messages_in(node: Node, names: Collection[str]) -> int:
    """What the API counts in queues of these names."""
    there = node.api("queues?columns=name,messages")
    return sum(queue.get("messages") or 0 for queue in there if queue["name"] in names)


@pytest.mark.parametrize("reader", ["prometheus", "api"])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_that_moves_is_between_two_listings(
    rabbit: RabbitServer, reader: str, kind: str
) -> None:
    """Publishers and a consumer run; what is reported is no less than was listed, and no more than is."""
    node, name = rabbit.first, f"moves-{reader}-{kind}"
    # Of bytes rabbitmqctl knows those of classic queues alone, and says "" of others.
    grow = ("messages", "message_bytes") if kind == "classic" else ("messages",)
    ended = threading.Event()

    def flow() -> None:
        with channel(node) as on:
            while not ended.wait(0.01):
                publish(on, name, 3)

    with channel(node) as on:
        declare(on, name, kind)
        publish(on, name, 20)
        on.basic_qos(prefetch_count=5)
        on.basic_consume(name, lambda *_: None)
        wait_for_stats(node, name, messages_unacknowledged=5)
        publisher = threading.Thread(target=flow)
        publisher.start()
        try:
            before = listing(node, name)
            settings = settings_of(node, reader=reader, queues={"include": [f"^{name}$"]})
            reported: dict[str, Any] = {}

            def reached() -> bool:
                # What RabbitMQ measures by itself is as old as its statistics.
                (tick,) = ticks(settings)
                (row,) = rows_of(tick, QUEUE)
                reported.update({field: row[column] for column, field in LISTED.items()})
                return all((reported[field] or 0) >= before[field] for field in grow)

            until(reached)
            after: dict[str, Any] = {}

            def goes_on() -> bool:
                after.update(listing(node, name))
                return bool(after["messages"] > before["messages"])

            until(goes_on)
        finally:
            ended.set()
            publisher.join()
    for field in (*grow, "messages_ready", "messages_unacknowledged", "consumers"):
        assert before[field] <= reported[field] <= after[field], field
    assert (reported["type"], reported["state"]) == (kind, "running")


def listing(node: Node, name: str) -> dict[str, Any]:
    """What rabbitmqctl says of one queue now."""
    (row,) = [row for row in node.listed("name", *LISTED.values()) if row["name"] == name]
    return row
