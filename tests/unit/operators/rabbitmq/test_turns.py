"""What is read between ticks: whose turn it is, one at a time, and what goes wrong with it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from operators.collect.errors import Problem
from operators.rabbitmq.turns import DUE, BetweenTicks, Turn


def run(work: Callable[[BetweenTicks, list[Turn]], Awaitable[None]]) -> list[Turn]:
    """What was read, in its order."""
    read: list[Turn] = []

    async def all_of_it() -> None:
        turns = BetweenTicks()
        await work(turns, read)
        await turns.close()

    asyncio.run(all_of_it())
    return read


def test_each_has_its_turn_and_then_none_is_due() -> None:
    """What was read by another way is due no sooner than the others."""

    async def work(turns: BetweenTicks, read: list[Turn]) -> None:
        async def reads(turn: Turn) -> list[Problem]:
            read.append(turn)
            return []

        turns.came(Turn.LIST)
        for _ in range(5):
            turns.begin(reads)
            await turns.settled()
            assert turns.ended() == []

    assert run(work) == [Turn.DETAILS, Turn.DEAD_LETTERS]


def test_nothing_begins_while_something_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs keeps no tick waiting, and ends with the collector."""
    monkeypatch.setattr("operators.rabbitmq.turns.DUE", dict.fromkeys(DUE, 0.0))
    cancelled = []

    async def work(turns: BetweenTicks, read: list[Turn]) -> None:
        async def hangs(turn: Turn) -> list[Problem]:
            read.append(turn)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(turn)
                raise
            return []

        for _ in range(3):
            turns.begin(hangs)
            await asyncio.sleep(0)
            assert turns.ended() == []

    assert run(work) == cancelled
    assert len(cancelled) == 1


def test_what_goes_wrong_is_reported_once_and_what_is_raised_is_raised() -> None:
    """By the tick after it."""
    problem = Problem("timeout", "no answer")

    async def work(turns: BetweenTicks, _: list[Turn]) -> None:
        async def fails(turn: Turn) -> list[Problem]:
            if turn is Turn.DETAILS:
                raise ZeroDivisionError
            return [problem]

        turns.begin(fails)
        await turns.settled()
        assert turns.ended() == [problem]
        assert turns.ended() == []
        turns.begin(fails)
        await turns.settled()
        with pytest.raises(ZeroDivisionError):
            turns.ended()

    run(work)
