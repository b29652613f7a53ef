"""Laws that hold for any tasks in any order. Time is virtual."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from operators.pool.limit import AdaptiveLimit
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings, Priority
from operators.pool.slots import CANCEL_GRACE
from operators.pool.task import Result
from operators.ticks import Outcome
from tests.virtual_time import run


@dataclass(frozen=True)
class Plan:
    """When a task comes, whose it is, and how each of its attempts goes."""

    at: float
    key: str | None
    priority: Priority
    deadline: float | None
    takes: float
    failures: int
    stubborn: bool


PLANS = st.lists(
    st.builds(
        Plan,
        at=st.floats(0, 60),
        key=st.sampled_from([None, "a", "b", "c", "d"]),
        priority=st.sampled_from(Priority),
        deadline=st.none() | st.floats(0, 40),
        takes=st.floats(0, 30),
        failures=st.integers(0, 4),
        stubborn=st.booleans(),
    ),
    max_size=40,
)

POOLS = st.builds(
    PoolSettings,
    size=st.integers(1, 4),
    queue=st.integers(0, 6),
    timeout=st.floats(0.5, 10),
    attempts=st.integers(1, 4),
    backoff=st.fixed_dictionaries({"initial": st.floats(0, 2), "max": st.floats(2, 8)}),
    breaker=st.fixed_dictionaries({"failures": st.integers(1, 3), "probe": st.floats(1, 20)}),
)


class Watch:
    """Runs planned tasks through a pool and looks at every moment that matters."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.running = 0
        self.most_running = self.most_queued = self.most_waiting = 0
        self.busy: Counter[str | None] = Counter()
        self.overlaps = 0
        self.results: list[tuple[Plan, Result[None]]] = []

    def look(self) -> None:
        """Take the measures of this moment."""
        stats = self.pool.stats
        self.most_running = max(self.most_running, self.running)
        self.most_queued = max(self.most_queued, stats.queued)
        self.most_waiting = max(self.most_waiting, stats.queued + stats.backing_off)

    async def attempt(self, plan: Plan, number: int) -> None:
        """One attempt; a stubborn one goes on after its cancelling, and counts no longer."""
        loop = asyncio.get_running_loop()
        self.running += 1
        self.busy[plan.key] += 1
        self.overlaps += plan.key is not None and self.busy[plan.key] > 1
        self.look()
        end = loop.time() + plan.takes
        counted = True
        try:
            # What is left below the clock's resolution would be slept for without time passing.
            while (left := end - loop.time()) > 1e-9:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    if not plan.stubborn:
                        raise
                    self.running -= counted
                    self.busy[plan.key] -= counted
                    counted = False
        finally:
            self.running -= counted
            self.busy[plan.key] -= counted
        if number <= plan.failures:
            raise OSError(f"failure {number}")

    async def submit(self, plan: Plan) -> None:
        """Wait for its time, then give the task to the pool."""
        await asyncio.sleep(plan.at)
        attempts = 0

        async def work(left: float) -> None:
            nonlocal attempts
            attempts += 1
            assert left > 0
            await self.attempt(plan, attempts)

        result = await self.pool.submit(
            work, key=plan.key, priority=plan.priority, deadline=plan.deadline
        )
        self.look()
        self.results.append((plan, result))


def watch(plans: list[Plan], pool_settings: PoolSettings, seed: int = 0) -> Watch:
    """Run the plans to their end."""

    async def test() -> Watch:
        watch = Watch(Pool("laws", pool_settings, rng=Random(seed)))
        await asyncio.gather(*(watch.submit(plan) for plan in plans))
        await asyncio.sleep(100)
        return watch

    return run(test())


@settings(max_examples=150, deadline=None)
@given(PLANS, POOLS, st.integers(0, 1 << 32))
def test_a_pool_is_bounded_and_answers_each_task_once(
    plans: list[Plan], pool_settings: PoolSettings, seed: int
) -> None:
    """Never more than `size` run and `queue` wait; every task has one result; nothing is left."""
    seen = watch(plans, pool_settings, seed)
    stats = seen.pool.stats

    assert seen.most_running <= pool_settings.largest
    assert seen.most_queued <= pool_settings.queue
    assert stats.queued_high <= pool_settings.queue
    assert seen.most_waiting <= pool_settings.largest + pool_settings.queue
    assert seen.overlaps == 0
    assert len(seen.results) == len(plans)
    assert sum(stats.outcomes.values()) == len(plans)
    assert (stats.running, stats.queued, stats.backing_off, stats.abandoned_now) == (0, 0, 0, 0)


@settings(max_examples=150, deadline=None)
@given(PLANS, POOLS, st.integers(0, 1 << 32))
def test_deadlines_and_attempts_hold(
    plans: list[Plan], pool_settings: PoolSettings, seed: int
) -> None:
    """No task outlives its deadline, takes more attempts than allowed, or completes unworked."""
    seen = watch(plans, pool_settings, seed)

    for plan, result in seen.results:
        if plan.deadline is not None:
            assert result.duration <= plan.deadline + 1e-6
        assert result.attempts <= pool_settings.attempts
        assert (result.outcome is Outcome.COMPLETED) == (result.error_class is None)
        if result.outcome is Outcome.COMPLETED:
            assert result.attempts == plan.failures + 1
            assert plan.takes <= pool_settings.timeout
        if result.outcome in (Outcome.REFUSED, Outcome.OVERRUN):
            assert (result.attempts, result.duration) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(Priority), min_size=1, max_size=60), st.integers(1, 3))
def test_nobody_starves(priorities: list[Priority], size: int) -> None:
    """Whatever comes later, a task waits at most for those that came before or in its grace.

    Each second brings one task of high priority a slot, as much as the pool can do; a task of
    low priority lets those pass that come in the first half of its 40 seconds.
    """

    async def test() -> list[Result[None]]:
        async def work(item: object, left: float) -> None:
            await asyncio.sleep(1)

        async with Pool("laws", PoolSettings(size=size, timeout=60, queue=10_000)) as pool:
            tasks = [
                asyncio.create_task(
                    pool.submit(lambda left: work(None, left), priority=p, deadline=40)
                )
                for p in priorities[: 10 * size]
            ]

            async def flood() -> None:
                while True:
                    for _ in range(size):
                        pool.offer(
                            lambda left: work(None, left),
                            lambda _: None,
                            priority=Priority.HIGH,
                            deadline=40,
                        )
                    await asyncio.sleep(1)

            flooding = asyncio.create_task(flood())
            results = await asyncio.gather(*tasks)
            flooding.cancel()
        return results

    assert {result.outcome for result in run(test())} == {Outcome.COMPLETED}


@settings(deadline=None)
@given(
    st.integers(1, 8),
    st.integers(0, 24),
    st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.booleans()), max_size=400),
)
def test_an_adaptive_limit_stays_within_its_bounds(
    smallest: int, more: int, attempts: list[tuple[float, bool, bool]]
) -> None:
    """Whatever is observed, the limit never leaves min..max."""
    limit = AdaptiveLimit(smallest, smallest + more)

    for latency, failed, saturated in attempts:
        now = limit.observe(latency, failed=failed, saturated=saturated)
        assert smallest <= now <= smallest + more


def test_the_grace_of_a_cancelled_attempt_is_short() -> None:
    """A slot that is taken by a hung thread is free again well within a tick's tolerance."""
    assert CANCEL_GRACE <= 0.1
