"""Several ways to one end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from operators.protocol.race import AllFailedError, first_of

Attempt = Callable[[], Coroutine[Any, Any, str]]


def after(event: asyncio.Event, result: str) -> Attempt:
    async def attempt() -> str:
        await event.wait()
        return result

    return attempt


def fails(text: str) -> Attempt:
    async def attempt() -> str:
        raise OSError(text)

    return attempt


def test_the_next_begins_at_once_after_a_failure_and_soon_beside_one_that_hangs() -> None:
    """The first that succeeds counts; the rest is cancelled."""

    async def run() -> None:
        never, now = asyncio.Event(), asyncio.Event()
        now.set()
        ways = [fails("a"), after(never, "b"), after(now, "c"), fails("never begun")]
        begun = asyncio.get_running_loop().time()
        assert await first_of(ways, 0.05) == "c"
        assert asyncio.get_running_loop().time() - begun < 5.0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_where_all_fail_all_is_reported() -> None:
    """In the order in which it came; none is no success either."""

    async def run() -> None:
        with pytest.raises(AllFailedError) as failed:
            await first_of([fails("a"), fails("b")], 10.0)
        assert [str(error) for error in failed.value.errors] == ["a", "b"]
        with pytest.raises(AllFailedError):
            await first_of([], 1.0)

    asyncio.run(run())


def test_what_comes_second_at_the_same_moment_is_given_back() -> None:
    """So that a socket that nobody uses is closed."""

    async def run() -> None:
        event = asyncio.Event()
        spare: list[str] = []
        both = asyncio.ensure_future(
            first_of([after(event, "a"), after(event, "b")], 0.0, spare.append)
        )
        while len(asyncio.all_tasks()) < 4:
            await asyncio.sleep(0)
        event.set()
        assert {await both, *spare} == {"a", "b"}

    asyncio.run(run())


def test_who_is_cancelled_cancels_the_attempts() -> None:
    """And waits for their end."""

    async def run() -> None:
        both = asyncio.ensure_future(first_of([after(asyncio.Event(), "a")] * 2, 0.0))
        while len(asyncio.all_tasks()) < 4:
            await asyncio.sleep(0)
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await both
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_what_came_is_given_back_though_who_waits_is_cancelled_twice() -> None:
    """As when a client is closed and its loop ends at once."""

    async def run() -> None:
        event = asyncio.Event()
        spare: list[str] = []
        one = asyncio.ensure_future(first_of([after(event, "a")], 0.0, spare.append))
        while len(asyncio.all_tasks()) < 3:
            await asyncio.sleep(0)
        event.set()
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        assert spare == ["a"]

    asyncio.run(run())
