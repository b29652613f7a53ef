"""Many items through a pool: `map_batch` and `stream`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from operators.pool.pool import Pool
from operators.pool.settings import Priority
from operators.pool.task import Result, Task

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741


async def map_batch(
    pool: Pool,
    items: Iterable[I] | AsyncIterable[I],
    work: Callable[[I, float], Awaitable[T]],
    *,
    key: Callable[[I], str] | None = None,
    priority: Priority = Priority.NORMAL,
    deadline: float | None = None,
) -> list[Result[T]]:
    """Run `work(item, seconds it has)` for every item; the results in the items' order.

    Waits for room rather than being refused; `deadline` is seconds from an item's entering.
    """

    def work_numbered(numbered: tuple[int, I], left: float) -> Awaitable[T]:
        return work(numbered[1], left)

    def key_numbered(numbered: tuple[int, I]) -> str | None:
        return key(numbered[1]) if key is not None else None

    results: dict[int, Result[T]] = {}
    ended = stream(
        pool,
        _numbered(items),
        work_numbered,
        key=key_numbered,
        priority=priority,
        deadline=deadline,
    )
    async for (number, _), result in ended:
        results[number] = result
    return [results[number] for number in range(len(results))]


async def stream(
    pool: Pool,
    items: Iterable[I] | AsyncIterable[I],
    work: Callable[[I, float], Awaitable[T]],
    *,
    key: Callable[[I], str | None] | None = None,
    priority: Priority = Priority.NORMAL,
    deadline: float | None = None,
) -> AsyncIterator[tuple[I, Result[T]]]:
    """As `map_batch`, but yields each item with its result as soon as it is there.

    Takes items only as fast as results are taken: at most the pool's `capacity` are between the
    two.
    """
    under_way: dict[int, Task] = {}
    ended: deque[tuple[I, Result[T]]] = deque()
    entered = left = 0
    something_ended, something_left = asyncio.Event(), asyncio.Event()

    def done(number: int, item: I, result: Result[T]) -> None:
        under_way.pop(number, None)
        ended.append((item, result))
        something_ended.set()

    async def feed() -> None:
        nonlocal entered
        async for item in _each(items):
            # Waiting for the one may have cost the other.
            while (full := not pool.has_room) or entered - left >= pool.capacity:
                if full:
                    await pool.room()
                else:
                    something_left.clear()
                    await something_left.wait()
            task = pool.offer(
                partial(work, item),
                partial(done, entered, item),
                key=None if key is None else key(item),
                priority=priority,
                deadline=deadline,
            )
            if task is not None:
                under_way[entered] = task
            entered += 1

    feeder = asyncio.create_task(feed())
    feeder.add_done_callback(lambda _: something_ended.set())
    try:
        while not feeder.done() or under_way or ended:
            await something_ended.wait()
            something_ended.clear()
            while ended:
                yield ended.popleft()
                left += 1
            something_left.set()
        await feeder  # raises what the items raised
    finally:
        feeder.cancel()
        for task in list(under_way.values()):
            pool.cancel(task)


async def _each(items: Iterable[I] | AsyncIterable[I]) -> AsyncIterator[I]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _numbered(items: Iterable[I] | AsyncIterable[I]) -> AsyncIterator[tuple[int, I]]:
    number = 0
    async for item in _each(items):
        yield number, item
        number += 1
