"""Transactions that are not ended: of which partitions it is asked, and how often."""

import asyncio
from typing import Any

from operators.collect.budget import Budget
from operators.collect.client.kafka_client import KafkaClient
from operators.collect.pages.reader import PageReader
from operators.collect.pages.settings import PagesSettings
from operators.collect.reading.open_transactions import OpenTransactions
from operators.collect.reading.tick import Reading
from operators.collect.settings import Selected, SelectionSettings
from tests.fake_client import FakeClient

COMMITTED = 1
"""The isolation level of who asks for last stable offsets."""


class Brokers(FakeClient):
    """One broker that leads topic `a`; its last stable offset is `stable`."""

    def __init__(self) -> None:
        super().__init__([1], {"a": [(1, [1], [1])]}, {"g": [("a", 0, 4)]}, {"a": 10})
        self.stable = 10
        self.asked_stable = 0

    def _ListOffsets(self, asked: Any, broker: int, answer: Any) -> dict[str, Any]:  # noqa: N802
        if asked.isolation_level != COMMITTED:
            return super()._ListOffsets(asked, broker, answer)
        self.asked_stable += 1
        ends, self.ends = self.ends, {"a": self.stable}
        try:
            return super()._ListOffsets(asked, broker, answer)
        finally:
            self.ends = ends


async def tick(brokers: Brokers, transactions: OpenTransactions) -> list[bool] | None:
    """What is found at one tick of which nothing is known but by `transactions`."""
    client, everything = KafkaClient("fake", brokers), Selected(SelectionSettings())  # type: ignore[arg-type]
    reading = Reading(client, PageReader("fake", PagesSettings()), everything, everything)
    topology = await reading.topology(Budget(60.0))
    commits, offsets = await reading.commits(Budget(60.0)), await reading.offsets(Budget(60.0))
    found = await transactions.of(client, topology, commits, offsets, 60.0)
    return None if found is None else found.tolist()


def test_a_transaction_that_is_not_ended_is_seen_until_it_is() -> None:
    """A group waits before it while nothing moves; each tick asks whether it has ended."""

    async def check() -> None:
        brokers, transactions = Brokers(), OpenTransactions()
        brokers.stable = 7
        assert await tick(brokers, transactions) is None
        assert await tick(brokers, transactions) == [True]
        assert await tick(brokers, transactions) == [True]
        brokers.stable = 10
        assert await tick(brokers, transactions) == [False]
        assert brokers.asked_stable == 3

    asyncio.run(check())


def test_where_none_is_open_it_is_not_asked_again_before_the_end_moves() -> None:
    """A group that stands still, of a topic that does, costs one question and no more."""

    async def check() -> None:
        brokers, transactions = Brokers(), OpenTransactions()
        for expected in (None, [False], [False], [False]):
            assert await tick(brokers, transactions) == expected
        assert brokers.asked_stable == 1
        # One begins: it has written.
        brokers.ends, brokers.stable = {"a": 11}, 10
        for expected in ([False], [True]):
            assert await tick(brokers, transactions) == expected
        assert brokers.asked_stable == 2

    asyncio.run(check())
