"""The loop in a background thread, and threads that work for it."""

import asyncio
import inspect
import threading
from collections.abc import Iterator

import pytest

from operators.background import Background
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from operators.pool.task import Result
from operators.pool.thread import in_thread
from operators.ticks import Outcome


@pytest.fixture
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


async def thread_name() -> str:
    return threading.current_thread().name


def test_a_coroutine_runs_on_the_background_thread(background: Background) -> None:
    """The caller waits; the loop's thread works."""
    assert background.run(thread_name()) == "mqpipe-loop"


def test_waiting_may_end_before_the_coroutine(background: Background) -> None:
    """At its time-out the caller goes on and the coroutine is cancelled, begun or not."""

    async def until_alone() -> None:
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    hanging = asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        background.run(hanging, timeout=0.01)
    background.run(until_alone(), timeout=60)
    assert inspect.getcoroutinestate(hanging) == inspect.CORO_CLOSED


def test_closing_cancels_what_is_left_and_may_be_repeated() -> None:
    """Nothing runs on after the end."""
    background = Background()
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def start() -> None:
        tasks.append(asyncio.create_task(hang()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    background.run(start())
    background.close()
    background.close()

    assert ended.is_set()
    assert background.loop.is_closed()


def test_blocking_work_runs_in_its_own_thread(background: Background) -> None:
    """Its value and its errors are those of a coroutine; the loop is free meanwhile."""
    gate = threading.Event()

    def wait_for_the_loop() -> str:
        assert gate.wait(60)
        return threading.current_thread().name

    def fail() -> None:
        raise OSError("no route")

    def stop() -> None:
        raise StopIteration("odd")

    async def test() -> str:
        waiting = asyncio.create_task(in_thread(wait_for_the_loop))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(OSError, match="no route"):
            await in_thread(fail)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await in_thread(stop)
        return await waiting

    assert background.run(test()) == "mqpipe-work"


def test_a_hung_thread_is_abandoned_and_its_slot_freed(background: Background) -> None:
    """At `size` abandoned ones the target is left alone; when they end the counts go back."""
    gate = threading.Event()

    async def test() -> tuple[list[Result[bool]], Result[str], int, int]:
        settings = PoolSettings(size=2, timeout=60, attempts=1)
        async with Pool("plugins", settings) as pool:

            async def hang(left: float) -> bool:
                return await in_thread(gate.wait)

            async def well(left: float) -> str:
                return await in_thread(lambda: "well")

            hung = [await pool.submit(hang, key="hung", deadline=0.05) for _ in range(2)]
            while pool.stats.abandoned_now < 2:
                await asyncio.sleep(0.001)
            hung.append(await pool.submit(hang, key="hung"))
            other = await pool.submit(well, key="other", deadline=60)
            abandoned = pool.stats.abandoned_now
            gate.set()
            while pool.stats.abandoned_now:
                await asyncio.sleep(0.001)
            return hung, other, abandoned, pool.stats.abandoned

    hung, other, abandoned_now, abandoned = background.run(test(), timeout=60)

    assert [result.error_class for result in hung] == ["timeout", "timeout", "breaker_open"]
    assert (other.outcome, other.value) == (Outcome.COMPLETED, "well")
    assert (abandoned_now, abandoned) == (2, 2)
