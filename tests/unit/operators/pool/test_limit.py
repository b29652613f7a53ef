"""`size: auto`: a pool that finds its size."""

import asyncio

from operators.pool.batch import stream
from operators.pool.limit import DECREASE, WINDOW, AdaptiveLimit
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings
from tests.virtual_time import run


def feed(
    limit: AdaptiveLimit, windows: int, latency: float, failed: bool = False, waiting: bool = True
) -> int:
    """Whole windows of equal attempts."""
    now = limit.limit
    for _ in range(windows):
        for _ in range(max(WINDOW, limit.limit)):
            now = limit.observe(latency, failed=failed, saturated=waiting)
    return now


def test_it_grows_by_one_a_window_while_tasks_wait() -> None:
    """Additive increase, up to the largest size."""
    limit = AdaptiveLimit(2, 8)

    assert feed(limit, 3, latency=0.1) == 5
    assert feed(limit, 10, latency=0.1) == 8


def test_it_does_not_grow_while_nothing_waits() -> None:
    """More slots are of no use to an idle pool."""
    assert feed(AdaptiveLimit(2, 8), 10, latency=0.1, waiting=False) == 2


def test_it_shrinks_by_a_share_when_answers_become_slow() -> None:
    """Multiplicative decrease when the median is far above the best."""
    limit = AdaptiveLimit(1, 16)
    feed(limit, 20, latency=0.1)

    assert feed(limit, 1, latency=0.5) == int(16 * DECREASE)


def test_it_shrinks_when_many_attempts_fail() -> None:
    """Errors count as well as latency."""
    limit = AdaptiveLimit(1, 16)
    feed(limit, 20, latency=0.1)

    assert feed(limit, 1, latency=0.1, failed=True) == int(16 * DECREASE)


def test_one_hanging_target_does_not_shrink_it() -> None:
    """A single slow and failing one in twenty leaves the others their slots."""
    limit = AdaptiveLimit(1, 16)
    feed(limit, 20, latency=0.1)

    for number in range(WINDOW * 5):
        hung = number % WINDOW == 0
        limit.observe(10.0 if hung else 0.1, failed=hung, saturated=True)

    assert limit.limit == 16


def test_it_accepts_that_a_service_became_slower() -> None:
    """The baseline drifts, so that a lasting change is the new normal and it grows again."""
    limit = AdaptiveLimit(1, 16)
    feed(limit, 20, latency=0.1)
    feed(limit, 10, latency=0.5)
    assert limit.limit == 1

    assert feed(limit, 100, latency=0.5) == 16


def test_a_pool_settles_near_what_its_service_bears() -> None:
    """A service that slows beyond eight at a time is given about that many, not thirty-two."""

    async def test() -> tuple[int, list[int]]:
        under_way = 0

        async def serve(item: int, left: float) -> None:
            nonlocal under_way
            under_way += 1
            await asyncio.sleep(0.1 * max(1.0, (under_way / 8) ** 3))
            under_way -= 1

        settings = PoolSettings(size="auto", min=1, max=32, queue=100, timeout=1000)
        async with Pool("test", settings) as pool:
            ended = stream(pool, range(5000), serve)
            limits = [pool.stats.limit async for _ in ended]
            return pool.stats.queued_high, limits

    queued_high, limits = run(test())
    settled = limits[1500:]

    assert queued_high <= 100
    assert 5 <= sum(settled) / len(settled) <= 14
    assert max(settled) < 20
