"""What costs much of many queues is read between ticks: no tick waits for it, and what fails of it is reported."""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Any

import pytest

import operators.rabbitmq.collector
from operators.collect.errors import CollectionError, Problem
from operators.rabbitmq.api import Alarms
from operators.rabbitmq.collector import RabbitCollector
from operators.rabbitmq.settings import RabbitSettings
from operators.rabbitmq.turns import Turn
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import QUEUE
from operators.ticks import Collected, Ticks

NODE = "rabbit@a"
IDENTITY = (
    f'\n# TYPE rabbitmq_identity_info untyped\nrabbitmq_identity_info{{rabbitmq_node="{NODE}",rabbitmq_cluster="c",'
    'rabbitmq_cluster_permanent_id="id"} 1\n'
)
DEPTHS = '\nrabbitmq_detailed_queue_messages{vhost="/",queue="orders"} 3'
BYTES = '\nrabbitmq_detailed_queue_messages_bytes{vhost="/",queue="orders"} 30'


class Server:
    """In place of a cluster of one node and its one queue; `details` answers when its turn comes."""

    def __init__(self, details: Sequence[str | Problem | None]) -> None:
        self.details = list(details)

    async def ask(self, path: str, timeout: float, **_: str | int) -> Any:
        """What the API answers."""
        listed = {"name": "orders", "vhost": "/", "type": "classic", "node": NODE}
        answers: dict[str, Any] = {
            "nodes": [{"name": NODE, "running": True}],
            "overview": {"listeners": []},
            "queues": [listed],
            "global-parameters/internal_cluster_id": {"value": "id"},
        }
        return answers[path]

    async def page(self, url: str, timeout: float, node: str) -> str:
        """What the plugin does; of details None hangs."""
        if "family=queue_metrics" not in url:
            return DEPTHS + IDENTITY
        answer = self.details.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Problem):
            raise CollectionError(answer)
        return f"{answer}{IDENTITY}"

    async def alarms(self, timeout: float) -> Alarms:
        """None."""
        return frozenset()

    async def close(self) -> None:
        """Nothing is open."""


def ticks(
    monkeypatch: pytest.MonkeyPatch, count: int, *details: str | Problem | None, settle: bool = True
) -> list[Collected]:
    """What so many ticks give, while details are due after each."""
    server = Server(details)
    module = operators.rabbitmq.collector
    monkeypatch.setattr(module, "Api", lambda _: server)
    monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr("operators.rabbitmq.turns.DUE", {Turn.LIST: inf, Turn.DETAILS: 0.0})
    settings = RabbitSettings.model_validate(
        {
            "name": "shop",
            "provider": "rabbitmq",
            "url": "http://a:15672",
            "user": "u",
            "password": "p",
            "prometheus": {NODE: "http://a:15692"},
        }
    )

    async def run() -> list[Collected]:
        collector, found = RabbitCollector(settings), []
        for number in range(count):
            tick = Ticks("shop", number * 1000, 1000, kind="queues")
            found.append(await asyncio.wait_for(collector.collect(tick, 60), 20))
            if settle:
                await collector.settled()
        await collector.close()
        return found

    return asyncio.run(run())


def bytes_in(found: Collected) -> int | None:
    """Of the one queue."""
    (queues,) = [batch for batch in found.batches if entity_type_of(batch) is QUEUE]
    (row,) = queues.to_pylist()
    assert row["queue.depth"] == 3
    value: int | None = row["queue.messageBytes"]
    return value


def test_the_tick_that_follows_has_the_details(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has none."""
    first, second = ticks(monkeypatch, 2, BYTES, BYTES)
    assert (bytes_in(first), bytes_in(second)) == (None, 30)
    assert (first.error, second.error) == (None, None)


def test_no_tick_waits_for_details_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for once at a time."""
    found = ticks(monkeypatch, 3, None, settle=False)
    assert [bytes_in(each) for each in found] == [None] * 3
    assert [each.error for each in found] == [None] * 3


def test_details_that_fail_are_reported_by_the_next_tick_and_no_longer_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read before is older than it should be."""
    problem = Problem("timeout", "shop: no answer")
    found = ticks(monkeypatch, 4, BYTES, problem, BYTES, BYTES)
    assert [bytes_in(each) for each in found] == [None, 30, None, 30]
    assert [each.error for each in found] == [None, None, "shop: no answer", None]
