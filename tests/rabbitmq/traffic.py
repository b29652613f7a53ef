"""Publishers and consumers of a RabbitMQ, by pika, and what the tests wait for."""

import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from tests.rabbitmq.server import Node

PAUSE = 0.1


@contextmanager
def channel(node: Node, vhost: str = "/") -> Iterator[BlockingChannel]:
    """A channel of a connection of its own."""
    parameters = pika.ConnectionParameters("127.0.0.1", node.amqp, vhost)
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        # Its node may be dead by now.
        with suppress(pika.exceptions.AMQPConnectionError):
            if connection.is_open:
                connection.close()


def declare(on: BlockingChannel, queue: str, kind: str = "classic", **arguments: Any) -> None:
    """Makes a durable queue of this type."""
    on.queue_declare(queue, durable=True, arguments={"x-queue-type": kind, **arguments})


def publish(on: BlockingChannel, queue: str, count: int, at: int | None = None) -> None:
    """Publishes so many messages of ten bytes, each with a time (s) of its own where `at` says so."""
    properties = pika.BasicProperties(delivery_mode=2, timestamp=at)
    for _ in range(count):
        on.basic_publish("", queue, b"0123456789", properties)


def take(on: BlockingChannel, queue: str, count: int, *, ack: bool) -> int:
    """Fetches so many messages, and acknowledges them or not; the last one's delivery tag."""
    tag = 0
    for _ in range(count):
        method, _, _ = on.basic_get(queue)
        assert method is not None, f"no message in {queue}"
        tag = method.delivery_tag
        if ack:
            on.basic_ack(tag)
    return tag


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns when `what` holds.

    Raises:
        AssertionError: it does not, after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(PAUSE)


def wait_for_stats(node: Node, queue: str, vhost: str = "/", **fields: int) -> Mapping[str, Any]:
    """What the API says of a queue once it says all of this."""
    path = f"queues/{vhost.replace('/', '%2F')}/{queue}"
    said: dict[str, Any] = {}

    def there() -> bool:
        said.update(node.api(path))
        stats = said.get("message_stats") or {}
        return all({**said, **stats}.get(name) == value for name, value in fields.items())

    until(there)
    return said


SERIES = {
    "publish": ("queue_messages_published_total",),
    "ack": ("channel_messages_acked_total",),
    "deliver_get": ("channel_get_ack_total", "channel_get_total"),
    "redeliver": ("channel_messages_redelivered_total",),
}
"""The plugin's counters by what the API calls them."""


def counted(node: Node, queue: str, name: str) -> Mapping[str, int]:
    """What a counter of a queue is on the plugin's page and by the API."""
    families = "family=channel_queue_metrics&family=channel_queue_exchange_metrics"
    with urllib.request.urlopen(
        f"{node.prometheus_url}/metrics/detailed?{families}", timeout=30
    ) as answer:
        lines = answer.read().decode().splitlines()
    on_page = sum(
        int(line.rpartition(" ")[2])
        for line in lines
        for metric in SERIES[name]
        if line.startswith(f"rabbitmq_detailed_{metric}{{") and f',queue="{queue}"' in line
    )
    stats = node.api(f"queues/%2F/{queue}").get("message_stats") or {}
    return {"prometheus": on_page, "api": stats.get(name, 0)}


def wait_until_counted(node: Node, queue: str, **counters: int) -> None:
    """Returns when the plugin and the API have counted all of this."""
    until(
        lambda: all(
            set(counted(node, queue, name).values()) == {count} for name, count in counters.items()
        )
    )


def wait_until(node: Node, **totals: int) -> None:
    """Returns when the API counts so many channels, connections and so on."""

    def there() -> bool:
        said = node.api("overview")["object_totals"]
        return all(said[name] == count for name, count in totals.items())

    until(there)
