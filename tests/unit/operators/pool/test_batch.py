"""Many items through a pool: `map_batch` and `stream`. Time is virtual."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from operators.pool.batch import map_batch, stream
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.pool.task import Result
from operators.ticks import Outcome
from tests.virtual_time import run


async def takes(seconds: float, left: float) -> float:
    """Work on an item that says how long it takes."""
    await asyncio.sleep(seconds)
    return seconds


def pool_of(size: int = 2, queue: int = 2) -> Pool:
    return Pool("test", PoolSettings(size=size, queue=queue, timeout=1000))


def test_a_batch_gives_its_results_in_the_items_order() -> None:
    """However they end, results are where their items were."""

    async def test() -> list[Result[float]]:
        async with pool_of() as pool:
            return await map_batch(pool, [5, 1, 3, 2, 4], takes)

    assert [result.value for result in run(test())] == [5, 1, 3, 2, 4]


def test_a_batch_larger_than_the_queue_waits_for_room() -> None:
    """Nothing of a batch is refused for a full queue, not even beside another batch."""

    async def test() -> tuple[list[list[Result[float]]], Pool]:
        async with pool_of(size=2, queue=0) as pool:
            batches = [map_batch(pool, [1] * 50, takes) for _ in range(3)]
            return await asyncio.gather(*batches), pool

    batches, pool = run(test())

    assert [len(batch) for batch in batches] == [50, 50, 50]
    assert pool.stats.outcomes[Outcome.COMPLETED] == 150
    assert pool.stats.outcomes[Outcome.REFUSED] == 0


def test_a_stream_that_waited_for_its_consumer_waits_for_room_again() -> None:
    """Others may have taken it meanwhile."""

    async def test() -> list[Outcome]:
        async with pool_of(size=1, queue=1) as pool:
            found = []
            others = None
            async for _, result in stream(pool, [1.0] * 4, takes):
                found.append(result.outcome)
                if others is None:
                    await asyncio.sleep(10)
                    others = asyncio.create_task(map_batch(pool, [100.0] * 2, takes))
                    await asyncio.sleep(10)
            assert others is not None
            return [*found, *(result.outcome for result in await others)]

    assert run(test()) == [Outcome.COMPLETED] * 6


def test_a_batch_waits_for_room_behind_a_hanging_task_that_is_cleaned_up() -> None:
    """A slot that is given back after a time-out is found by who waits for room."""

    async def hang(seconds: float, left: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            try:
                await asyncio.sleep(end - loop.time())
            except asyncio.CancelledError:
                continue

    async def test() -> list[Outcome]:
        settings = PoolSettings(size=1, queue=0, timeout=1, attempts=1)
        async with Pool("test", settings) as pool:
            results = await map_batch(pool, [50, 50, 50], hang)
            await asyncio.sleep(1000)
            return [result.outcome for result in results]

    assert run(test()) == [Outcome.FAILED] * 3


def test_an_empty_batch_gives_nothing() -> None:
    """No items, no results, no waiting."""

    async def test() -> list[Result[float]]:
        async with pool_of() as pool:
            return await map_batch(pool, [], takes)

    assert run(test()) == []


def test_a_stream_yields_what_ends_first() -> None:
    """Each item comes with its own result, as soon as that is there."""

    async def test() -> list[tuple[float, float | None]]:
        async with pool_of(size=5) as pool:
            return [(item, result.value) async for item, result in stream(pool, [3, 1, 2], takes)]

    assert run(test()) == [(1, 1), (2, 2), (3, 3)]


def test_a_stream_takes_asynchronous_items() -> None:
    """Results come while items still arrive."""

    async def arriving() -> AsyncIterator[float]:
        for item in (1.0, 2.0, 3.0):
            yield item
            await asyncio.sleep(10)

    async def test() -> list[float]:
        async with pool_of() as pool:
            loop = asyncio.get_running_loop()
            return [loop.time() async for _ in stream(pool, arriving(), takes)]

    assert run(test()) == [1, 12, 23]


def test_a_stream_takes_items_only_as_results_are_taken() -> None:
    """A slow consumer holds the source back: what is between the two is bounded."""
    taken = 0

    def items() -> Iterator[float]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield 0.001

    async def test() -> list[int]:
        ahead = []
        async with pool_of(size=2, queue=2) as pool:
            consumed = 0
            async for _ in stream(pool, items(), takes):
                consumed += 1
                await asyncio.sleep(1)
                ahead.append(taken - consumed)
        assert consumed == 100
        return ahead

    assert max(run(test())) <= 5  # size, queue and the one in the source's hand


def test_a_stream_that_is_left_cancels_its_tasks() -> None:
    """What nobody will look at does not run on."""

    async def test() -> tuple[int, int]:
        async with pool_of(size=3, queue=10) as pool:
            ended = stream(pool, [1, 500, 500, 500, 500], takes)
            async for _ in ended:
                break
            await ended.aclose()  # type: ignore[attr-defined]
            await asyncio.sleep(1)
            return pool.stats.running, pool.stats.queued

    assert run(test()) == (0, 0)


def test_a_streams_source_may_fail() -> None:
    """Its error comes out of the stream, after the results that were under way."""

    def items() -> Iterator[float]:
        yield 1.0
        raise OSError("no more pages")

    seen = []

    async def test() -> None:
        async with pool_of() as pool:
            async for item, _ in stream(pool, items(), takes):
                seen.append(item)

    with pytest.raises(OSError, match="no more pages"):
        run(test())
    assert seen == [1.0]


def test_keys_of_items_overrun_as_those_of_tasks() -> None:
    """With a key, a second item of a target that still runs is refused with that word."""

    async def test() -> list[Outcome]:
        async with pool_of() as pool:
            results = await map_batch(pool, [1.0, 1.0], takes, key=str)
            return [result.outcome for result in results]

    assert run(test()) == [Outcome.COMPLETED, Outcome.OVERRUN]


def test_the_items_of_a_stopping_pool_are_refused() -> None:
    """A batch ends with its pool rather than waiting for ever."""

    async def test() -> list[Outcome]:
        pool = pool_of(size=1, queue=1)
        batch = asyncio.create_task(map_batch(pool, [10.0] * 5, takes))
        await asyncio.sleep(1)
        await pool.drain(3)
        return [result.outcome for result in await batch]

    assert run(test()) == [Outcome.FAILED] * 2 + [Outcome.REFUSED] * 3
