"""What a pool promises of single tasks. Time is virtual."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from time import perf_counter
from typing import Any

import pytest

from operators.events import (
    EVENTS,
    NOBODY,
    BreakerClosed,
    BreakerOpened,
    Observer,
    PoolStarted,
    PoolStopped,
    PoolStopping,
    TaskCompleted,
    TaskFailed,
    TaskQueued,
    TaskRetrying,
    TaskStarted,
    observers,
)
from operators.pool.batch import map_batch
from operators.pool.pool import Pool
from operators.pool.settings import PoolSettings, Priority
from operators.pool.task import Result
from operators.ticks import Outcome
from tests.virtual_time import run

FOREVER = 1e6


def now() -> float:
    return asyncio.get_running_loop().time()


def pool_of(observer: Observer = NOBODY, **settings: Any) -> Pool:
    return Pool("test", PoolSettings(**settings), rng=Random(1), observer=observer)


def takes(seconds: float, value: str = "done") -> Callable[[float], Coroutine[Any, Any, str]]:
    """Work that takes that long."""

    async def work(left: float) -> str:
        await asyncio.sleep(seconds)
        return value

    return work


def fails(
    *errors: BaseException, then: str = "done"
) -> Callable[[float], Coroutine[Any, Any, str]]:
    """Work that raises one error an attempt, then gives a value."""
    left_to_raise = list(errors)

    async def work(left: float) -> str:
        if left_to_raise:
            raise left_to_raise.pop(0)
        return then

    return work


def stubborn(seconds: float) -> Callable[[float], Coroutine[Any, Any, None]]:
    """Work that does not let itself be cancelled."""

    async def work(left: float) -> None:
        end = now() + seconds
        while now() < end:
            try:
                await asyncio.sleep(end - now())
            except asyncio.CancelledError:
                continue

    return work


class UnwellError(Exception):
    """An error that another attempt does not mend, and that brings its own class."""

    retryable = False
    error_class = "unwell"


def test_a_task_gives_its_value() -> None:
    """What the work returns is in the result, with its attempts and its duration."""

    async def test() -> Result[str]:
        async with pool_of() as pool:
            return await pool.submit(takes(2))

    assert run(test()) == Result(Outcome.COMPLETED, "done", attempts=1, duration=2.0)


def test_an_error_is_data() -> None:
    """Nothing that work raises comes out of the pool; not even what ends a process."""

    async def test() -> list[Result[str]]:
        async with pool_of(attempts=1) as pool:
            errors = [
                ConnectionRefusedError("port closed"),
                ConnectionResetError("gone"),
                TimeoutError(),
                ValueError("odd"),
                UnwellError("own class"),
                asyncio.CancelledError(),
                SystemExit(3),
            ]
            return [await pool.submit(fails(error)) for error in errors]

    assert [(r.outcome, r.error_class, r.error) for r in run(test())] == [
        (Outcome.FAILED, "refused", "port closed"),
        (Outcome.FAILED, "connection", "gone"),
        (Outcome.FAILED, "timeout", "TimeoutError"),
        (Outcome.FAILED, "error", "odd"),
        (Outcome.FAILED, "unwell", "own class"),
        (Outcome.FAILED, "cancelled", "CancelledError"),
        (Outcome.FAILED, "error", "3"),
    ]


def test_a_classifier_names_errors() -> None:
    """The class in a result is what the pool's own classifier says; a broken one harms nothing."""

    async def test() -> list[Result[str]]:
        settings = PoolSettings(attempts=1)
        kafka = Pool("k", settings, classify=lambda error: "broker_down")
        broken = Pool("b", settings, classify=lambda error: str(1 / 0))
        return [await pool.submit(fails(ValueError("x"))) for pool in (kafka, broken)]

    assert [result.error_class for result in run(test())] == ["broker_down", "error"]


def test_a_failed_attempt_is_repeated() -> None:
    """The second attempt's value counts; the first's error is forgotten."""

    async def test() -> tuple[Result[str], Pool]:
        async with pool_of() as pool:
            return await pool.submit(fails(ValueError("once"))), pool

    result, pool = run(test())

    assert (result.outcome, result.value, result.attempts) == (Outcome.COMPLETED, "done", 2)
    assert (pool.stats.attempts, pool.stats.retries) == (2, 1)


def test_attempts_are_bounded() -> None:
    """After the last attempt the task fails with the last error."""

    async def test() -> Result[str]:
        async with pool_of(attempts=3) as pool:
            return await pool.submit(fails(*(ValueError(f"no. {n}") for n in range(1, 9))))

    result = run(test())

    assert (result.outcome, result.attempts, result.error) == (Outcome.FAILED, 3, "no. 3")


def test_an_error_that_says_so_is_not_retried() -> None:
    """`retryable = False` of an exception ends the task at its first attempt."""

    async def test() -> Result[str]:
        async with pool_of() as pool:
            return await pool.submit(fails(UnwellError("wrong password")))

    assert run(test()).attempts == 1


def test_waits_between_attempts_are_jittered_and_grow() -> None:
    """Full jitter: each wait lies between 0 and a bound that doubles up to the largest."""
    retries: list[Any] = []

    async def test() -> None:
        backoff = {"initial": 1, "max": 5}
        heard = Observer(retries.append, frozenset({TaskRetrying}))
        async with pool_of(heard, attempts=6, backoff=backoff) as pool:
            await map_batch(pool, range(200), lambda _, left: fails(*[OSError()] * 6)(left))

    run(test())

    for attempt, bound in enumerate((1, 2, 4, 5, 5), start=1):
        delays = [retry.delay for retry in retries if retry.attempt == attempt]
        assert len(delays) == 200
        assert 0 <= min(delays) < 0.15 * bound
        assert 0.9 * bound < max(delays) <= bound


def test_a_task_that_backs_off_holds_no_slot() -> None:
    """With one slot, others run between two attempts."""
    order = []

    async def test() -> None:
        async with pool_of(size=1, backoff={"initial": 10, "max": 10}) as pool:

            async def flaky(left: float) -> None:
                order.append("flaky")
                if order.count("flaky") == 1:
                    raise OSError

            async def other(left: float) -> None:
                order.append("other")

            await asyncio.gather(pool.submit(flaky), pool.submit(other))

    run(test())

    assert order == ["flaky", "other", "flaky"]


def test_an_attempt_ends_at_its_time_out() -> None:
    """The work is told how long it has, and is cancelled then."""
    reported: list[float] = []
    cancelled_at = []

    async def work(left: float) -> None:
        reported.append(left)
        try:
            await asyncio.sleep(FOREVER)
        finally:
            cancelled_at.append(now())

    async def test() -> Result[None]:
        async with pool_of(timeout=10, attempts=1) as pool:
            return await pool.submit(work)

    result = run(test())

    assert (reported, cancelled_at) == ([10.0], [10.0])
    assert (result.outcome, result.duration, result.error) == (
        Outcome.FAILED,
        10.0,
        "no answer within 10 s",
    )


def test_one_deadline_bounds_all_attempts() -> None:
    """The last attempt has what the deadline leaves, and the task ends with it."""
    reported: list[float] = []

    async def work(left: float) -> None:
        reported.append(left)
        await asyncio.sleep(FOREVER)

    async def test() -> Result[None]:
        async with pool_of(timeout=10, attempts=9, backoff={"initial": 0, "max": 0}) as pool:
            return await pool.submit(work, deadline=25)

    result = run(test())

    assert reported == pytest.approx([10.0, 10.0, 4.8])
    assert (result.outcome, result.error_class, result.duration) == (
        Outcome.FAILED,
        "timeout",
        25.0,
    )


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """A task whose next attempt would come too late fails at once, with its own error."""

    async def test() -> Result[str]:
        async with pool_of(backoff={"initial": 1000, "max": 1000}) as pool:
            return await pool.submit(fails(ValueError("own")), deadline=5)

    assert run(test()) == Result(Outcome.FAILED, None, 1, 0.0, "error", "own")


def test_a_deadline_ends_waiting_for_a_slot() -> None:
    """A task in the queue fails when its deadline passes, not when a slot becomes free."""

    async def test() -> list[Result[str]]:
        async with pool_of(size=1, timeout=60) as pool:
            deadlines = (None, 40, 10, 0)
            tasks = [pool.submit(takes(50), deadline=deadline) for deadline in deadlines]
            return await asyncio.gather(*tasks)

    results = run(test())

    assert [(r.outcome, r.attempts, r.duration) for r in results] == [
        (Outcome.COMPLETED, 1, 50.0),
        (Outcome.FAILED, 0, 40.0),
        (Outcome.FAILED, 0, 10.0),
        (Outcome.FAILED, 0, 0.0),
    ]
    assert {r.error_class for r in results[1:]} == {"timeout"}
    waited, came_late = str(results[1].error), str(results[3].error)
    assert ("no slot was free" in waited, "this machine is busy" in came_late) == (True, True)


def test_the_end_of_one_task_may_end_and_begin_others() -> None:
    """What is called with a result may cancel other late tasks and offer new ones."""

    async def test() -> tuple[list[tuple[str, str | None]], Pool]:
        ended = []
        async with pool_of(size=1, queue=3, timeout=60) as pool:

            def done(key: str, result: Result[str]) -> None:
                ended.append((key, result.error_class))
                for other in ("a", "b", "c"):
                    pool.cancel(other)
                if key == "a":
                    pool.offer(takes(1), lambda result: done("next", result), key=key)

            pool.offer(takes(50), lambda _: None)
            for key in ("a", "b", "c"):
                pool.offer(takes(1), partial(done, key), key=key, deadline=10)
            await asyncio.sleep(100)
        return ended, pool

    ended, pool = run(test())

    assert sorted(ended) == [
        ("a", "timeout"),
        ("b", "cancelled"),
        ("c", "cancelled"),
        ("next", None),
    ]
    assert (pool.stats.queued, pool.stats.running) == (0, 0)


def test_work_that_ignores_its_cancelling_is_abandoned() -> None:
    """Its slot is free for others; it is counted until it ends."""

    async def test() -> list[tuple[int, int, int]]:
        seen = []
        async with pool_of(size=1, timeout=1, attempts=1) as pool:

            def look() -> None:
                stats = pool.stats
                seen.append((stats.abandoned, stats.abandoned_now, stats.running))

            stuck = await pool.submit(stubborn(100), key="a")
            after = await pool.submit(takes(0.5), key="b")
            look()
            assert (stuck.error_class, after.outcome) == ("timeout", Outcome.COMPLETED)
            assert [(b.key, b.abandoned) for b in pool.breakers()] == [("a", 1)]
            await asyncio.sleep(100)
            look()
        return seen

    assert run(test()) == [(1, 1, 0), (1, 0, 0)]


def test_a_slow_cleanup_does_not_delay_the_result() -> None:
    """The result comes at the time-out even while the cancelled work still tidies up."""
    ended = []

    async def work(left: float) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await asyncio.sleep(0.02)
            ended.append(now())

    async def test() -> tuple[float, int]:
        async with pool_of(timeout=1, attempts=1) as pool:
            result = await pool.submit(work)
            await asyncio.sleep(1)
            return result.duration, pool.stats.abandoned

    assert run(test()) == (1.0, 0)
    assert ended == [1.02]


def test_a_key_runs_once_at_a_time() -> None:
    """While its last task runs, waits or backs off, the next is an overrun; then it may run."""

    async def test() -> list[Result[str]]:
        async with pool_of(size=1) as pool:
            first = asyncio.create_task(pool.submit(takes(5), key="a"))
            waits = asyncio.create_task(pool.submit(takes(5), key="b"))
            await asyncio.sleep(1)
            early = [await pool.submit(takes(1), key=key) for key in "ab"]
            await asyncio.gather(first, waits)
            return [*early, await pool.submit(takes(1), key="a")]

    outcomes = [result.outcome for result in run(test())]

    assert outcomes == [Outcome.OVERRUN, Outcome.OVERRUN, Outcome.COMPLETED]


def test_tasks_without_a_key_never_overrun() -> None:
    """Anonymous tasks are independent of one another."""

    async def test() -> list[Result[str]]:
        async with pool_of() as pool:
            return await asyncio.gather(*(pool.submit(takes(1)) for _ in range(2)))

    assert {result.outcome for result in run(test())} == {Outcome.COMPLETED}


def test_what_does_not_fit_is_refused_at_once() -> None:
    """`size` run, `queue` wait, the rest is answered immediately and counted."""

    async def test() -> tuple[list[Result[str]], Pool]:
        async with pool_of(size=2, queue=3) as pool:
            return await asyncio.gather(*(pool.submit(takes(1)) for _ in range(7))), pool

    results, pool = run(test())

    assert [r.outcome for r in results] == [Outcome.COMPLETED] * 5 + [Outcome.REFUSED] * 2
    assert {(r.error_class, r.duration) for r in results[5:]} == {("queue_full", 0.0)}
    assert pool.stats.outcomes[Outcome.REFUSED] == 2
    assert pool.stats.queued_high == 3


def test_higher_priority_goes_first() -> None:
    """Among those that wait, priority decides; within one, who came first."""
    order: list[str] = []

    async def test() -> None:
        async with pool_of(size=1) as pool:

            async def work(name: str) -> None:
                order.append(name)
                await asyncio.sleep(0.1)

            names = ["low 1", "normal 1", "high 1", "low 2", "normal 2", "high 2"]
            await asyncio.gather(
                pool.submit(takes(1)),
                *(
                    pool.submit(lambda _, n=name: work(n), priority=Priority(name.split()[0]))  # type: ignore[misc]
                    for name in names
                ),
            )

    run(test())

    assert order == ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]


def test_a_low_priority_gets_its_turn() -> None:
    """Under a flood of high priority a low one still runs, before its deadline."""

    async def test() -> tuple[Result[str], int]:
        async with pool_of(size=1) as pool:
            flood = [
                asyncio.create_task(pool.submit(takes(1), priority=Priority.HIGH, deadline=30))
                for _ in range(10)
            ]
            low = asyncio.create_task(pool.submit(takes(1), priority=Priority.LOW, deadline=30))
            while not low.done():
                flood.append(
                    asyncio.create_task(pool.submit(takes(1), priority=Priority.HIGH, deadline=30))
                )
                await asyncio.sleep(1)
            return await low, sum(task.done() for task in flood)

    result, before = run(test())

    assert result.outcome is Outcome.COMPLETED
    assert before >= 20  # it let those pass that came in the first half of its time


def test_a_breaker_opens_probes_and_closes() -> None:
    """After so many failures a target is refused, then probed once a pause, then back."""
    events: list[object] = []
    begun = []
    well_from = 100.0

    async def target(left: float) -> str:
        begun.append(now())
        if now() < well_from:
            raise OSError("down")
        return "up"

    async def test() -> list[tuple[float, Outcome]]:
        seen = []
        heard = Observer(events.append, frozenset({BreakerOpened, BreakerClosed}))
        breaker = {"failures": 3, "probe": 45}
        async with pool_of(heard, attempts=1, breaker=breaker) as pool:
            for _ in range(15):
                result = await pool.submit(target, key="a")
                seen.append((now(), result.outcome))
                other = await pool.submit(takes(0), key="b")
                assert other.outcome is Outcome.COMPLETED
                await asyncio.sleep(10)
            assert pool.breakers() == []
        return seen

    seen = run(test())

    assert begun == [0, 10, 20, 70, 120, 130, 140]
    assert [at for at, outcome in seen if outcome is Outcome.REFUSED] == [30, 40, 50, 60, 80, 90, 100, 110]  # fmt: skip
    assert events == [BreakerOpened("test", "a", 45.0), BreakerClosed("test", "a")]


def test_a_probe_has_one_attempt() -> None:
    """A target that is left alone is not hammered with retries."""

    async def test() -> list[int]:
        breaker = {"failures": 1, "probe": 10}
        async with pool_of(attempts=3, backoff={"initial": 0, "max": 0}, breaker=breaker) as pool:
            first = await pool.submit(fails(*[OSError()] * 9), key="a")
            await asyncio.sleep(10)
            return [first.attempts, (await pool.submit(fails(*[OSError()] * 9), key="a")).attempts]

    assert run(test()) == [3, 1]


def test_an_open_breaker_is_shown_with_its_next_probe() -> None:
    """What is read beside the loop says how long a target is still left alone."""

    async def test() -> list[Any]:
        async with pool_of(attempts=1, breaker={"failures": 1, "probe": 60}) as pool:
            await pool.submit(fails(OSError()), key="a")
            await asyncio.sleep(20)
            return [tuple(state) for state in pool.breakers()]

    assert run(test()) == [("a", 1, True, 40.0, 0)]


def test_waiting_in_vain_is_not_the_targets_fault() -> None:
    """A task that never got a slot does not count against its target's breaker."""

    async def test() -> list[Any]:
        async with pool_of(size=1, timeout=60, breaker={"failures": 1, "probe": 60}) as pool:
            blocker = asyncio.create_task(pool.submit(takes(50)))
            await asyncio.sleep(0)
            await pool.submit(takes(1), key="a", deadline=5)
            blocker.cancel()
            return pool.breakers()

    assert run(test()) == []


def test_abandoned_attempts_open_the_breaker() -> None:
    """At `size` of them their target is left alone, even for probes, until one has ended."""

    async def test() -> list[tuple[Outcome, str | None]]:
        breaker = {"failures": 100, "probe": 5}
        async with pool_of(size=2, timeout=1, attempts=1, breaker=breaker) as pool:
            results = []
            for wait in (1, 10, 100, 0):
                results.append(await pool.submit(stubborn(80), key="a"))
                await asyncio.sleep(wait)
            return [(result.outcome, result.error_class) for result in results]

    assert run(test()) == [
        (Outcome.FAILED, "timeout"),
        (Outcome.FAILED, "timeout"),
        (Outcome.REFUSED, "breaker_open"),
        (Outcome.FAILED, "timeout"),
    ]


def test_a_cancelled_caller_cancels_its_task() -> None:
    """What nobody waits for any more does not run on."""

    async def test() -> tuple[int, int, int]:
        async with pool_of(size=1) as pool:
            running = asyncio.create_task(pool.submit(takes(FOREVER)))
            waiting = asyncio.create_task(pool.submit(takes(1)))
            await asyncio.sleep(1)
            waiting.cancel()
            running.cancel()
            await asyncio.sleep(1)
            stats = pool.stats
            return stats.running, stats.queued, stats.error_classes["cancelled"]

    assert run(test()) == (0, 0, 2)


def test_a_task_is_cancelled_by_its_key_wherever_it_is() -> None:
    """Running, queued or backing off: it ends at once, and says that it was cancelled."""

    async def test() -> tuple[list[Result[str]], Pool]:
        async with pool_of(size=1, backoff={"initial": 500, "max": 500}) as pool:
            tasks = [
                asyncio.create_task(pool.submit(fails(OSError()), key="backs off")),
                asyncio.create_task(pool.submit(takes(FOREVER), key="runs")),
                asyncio.create_task(pool.submit(takes(1), key="waits")),
            ]
            await asyncio.sleep(0.1)
            for key in ("waits", "backs off", "runs", "unknown"):
                pool.cancel(key)
            return await asyncio.gather(*tasks), pool

    results, pool = run(test())

    assert {(r.outcome, r.error_class) for r in results} == {(Outcome.FAILED, "cancelled")}
    assert (pool.stats.running, pool.stats.queued, pool.stats.backing_off) == (0, 0, 0)
    assert pool.breakers() == []


def test_a_drain_waits_for_what_is_under_way() -> None:
    """New tasks are refused, accepted ones finish, and the pool says so."""
    events: list[object] = []

    async def test() -> tuple[list[Result[str]], float]:
        heard = Observer(events.append, frozenset({PoolStarted, PoolStopping, PoolStopped}))
        pool = pool_of(heard, size=1, queue=5)
        tasks = [asyncio.create_task(pool.submit(takes(2))) for _ in range(3)]
        await asyncio.sleep(0)
        drain = asyncio.create_task(pool.drain(60))
        await asyncio.sleep(0)
        late = await pool.submit(takes(1))
        await drain
        return [*await asyncio.gather(*tasks), late], now()

    results, ended = run(test())

    assert [r.outcome for r in results] == [Outcome.COMPLETED] * 3 + [Outcome.REFUSED]
    assert results[3].error_class == "stopping"
    assert ended == 6.0
    assert events == [
        PoolStarted("test", 1, 5),
        PoolStopping("test", 3),
        PoolStopped("test", 0),
    ]


@pytest.mark.parametrize("work", [takes(FOREVER), stubborn(FOREVER)])
def test_a_drain_cancels_when_its_time_is_over(work: Any) -> None:
    """What hangs is cancelled, or abandoned, and reported; the drain ends in time."""

    async def test() -> tuple[Result[Any], float]:
        pool = pool_of(timeout=FOREVER)
        task = asyncio.create_task(pool.submit(work, key="hung"))
        await asyncio.sleep(0)
        await pool.drain(10)
        result, ended = await task, now()
        await asyncio.sleep(2 * FOREVER)
        return result, ended

    result, ended = run(test())

    assert (result.outcome, result.error_class) == (Outcome.FAILED, "cancelled")
    assert 10 <= ended <= 10.1


def test_slots_show_what_they_work_on() -> None:
    """Each slot's target and the attempt's time so far; free ones say so."""

    async def test() -> list[Any]:
        async with pool_of(size=3) as pool:
            tasks = [
                asyncio.create_task(pool.submit(takes(9), key="a")),
                asyncio.create_task(pool.submit(takes(9))),
            ]
            await asyncio.sleep(4)
            states = [tuple(state) for state in pool.slots()]
            await asyncio.gather(*tasks)
            return states

    assert run(test()) == [(0, "a", 4.0), (1, "", 4.0), (2, None, 0.0)]


def test_durations_are_counted_in_buckets() -> None:
    """Completed and failed tasks are in the histogram, refused ones are not."""

    async def test() -> Pool:
        async with pool_of(size=1, queue=0, timeout=20, attempts=1) as pool:
            for seconds in (0.0005, 0.7, 0.7, 15, 25):
                await pool.submit(takes(seconds))
            await asyncio.gather(pool.submit(takes(1)), pool.submit(takes(1)))
            return pool

    stats = run(test()).stats

    assert stats.durations == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0]
    assert stats.duration_sum == pytest.approx(0.0005 + 0.7 + 0.7 + 15 + 20 + 1)
    assert stats.outcomes[Outcome.REFUSED] == 1


def test_a_tasks_way_is_reported_in_events() -> None:
    """Queued, started, retrying, completed and failed, in order and with their facts."""
    events: list[object] = []

    async def test() -> None:
        async with pool_of(
            Observer(events.append, frozenset(EVENTS)), size=1, backoff={"initial": 0, "max": 0}
        ) as pool:
            await pool.submit(fails(OSError("once")), key="a", priority=Priority.HIGH)
            await pool.submit(fails(UnwellError("bad")), key="b")

    run(test())

    assert events == [
        PoolStarted("test", 1, 1000),
        TaskQueued("test", "a", 1, "high", 1),
        TaskStarted("test", "a", 1),
        TaskRetrying("test", "a", 1, 0.1, "error", "once"),
        TaskQueued("test", "a", 2, "high", 1),
        TaskStarted("test", "a", 2),
        TaskCompleted("test", "a", 2, 0.1),
        TaskQueued("test", "b", 1, "normal", 1),
        TaskStarted("test", "b", 1),
        TaskFailed("test", "b", Outcome.FAILED, 1, 0.0, "unwell", "bad"),
        PoolStopping("test", 0),
        PoolStopped("test", 0),
    ]


def test_an_observer_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Other observers hear the event, the task completes, and the log says so."""
    heard: list[object] = []

    def bad(event: object) -> None:
        raise ValueError("bad observer")

    async def test() -> Result[str]:
        wanted = frozenset({TaskCompleted})
        both = observers(Observer(bad, wanted), Observer(heard.append, wanted))
        async with pool_of(both) as pool:
            return await pool.submit(takes(1))

    assert run(test()).outcome is Outcome.COMPLETED
    assert len(heard) == 1
    assert "an observer of TaskCompleted raised" in caplog.text


def test_a_done_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The slot goes on to the next task."""

    def bad(result: Result[str]) -> None:
        raise ValueError("bad callback")

    async def test() -> Result[str]:
        async with pool_of(size=1) as pool:
            pool.offer(takes(1), bad)
            return await pool.submit(takes(1))

    assert run(test()).outcome is Outcome.COMPLETED
    assert "a task's `done` raised" in caplog.text


def test_work_that_never_waits_lets_the_loop_breathe() -> None:
    """A backlog of instant tasks does not keep timers and I/O from their turn."""

    async def test() -> int:
        turns = 0

        async def busy(item: int, left: float) -> None:
            end = perf_counter() + 0.001
            while perf_counter() < end:
                pass

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with pool_of(size=1) as pool:
            task = asyncio.create_task(other())
            await map_batch(pool, range(100), busy)
            task.cancel()
        return turns

    assert asyncio.run(test()) >= 10
