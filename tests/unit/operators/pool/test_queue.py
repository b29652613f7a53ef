"""Whose turn it is in a full pool."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.pool.queue import AGEING, AgeingQueue, rank
from operators.pool.settings import Priority
from operators.pool.task import Task


async def _never(timeout: float) -> None:
    raise AssertionError(timeout)


def task(
    priority: Priority, came: float, *, key: str | None = None, time_left: float = 30.0
) -> Task:
    """One that came then and has so many seconds, of a pool whose attempts take 10 s at most."""
    return Task(
        work=_never,
        done=lambda _: None,
        key=key,
        priority=priority,
        accepted=came,
        deadline=came + time_left,
        rank=rank(priority, came, time_left, 10.0),
        attempts_allowed=1,
    )


def order(*tasks: Task) -> list[str | None]:
    """The keys in the order in which they are served."""
    queue = AgeingQueue()
    for each in tasks:
        queue.push(each)
    return [found.key for found in iter(queue.pop, None)]


def test_a_low_one_lets_others_pass_for_half_of_its_time() -> None:
    """Then it is its turn, however many of high priority come."""
    low = task(Priority.LOW, 0.0, key="low")
    high = [task(Priority.HIGH, came, key=f"high {came}") for came in (1.0, 14.9, 15.1)]
    assert order(low, *high) == ["high 1.0", "high 14.9", "low", "high 15.1"]


def test_without_a_deadline_ageing_goes_by_the_time_out() -> None:
    """Else a low one would wait for ever."""
    assert rank(Priority.NORMAL, 5.0, inf, 10.0) == 5.0 + AGEING * 10.0
    assert rank(Priority.LOW, 5.0, 4.0, 10.0) == 5.0 + 2 * AGEING * 4.0


@given(st.lists(st.sampled_from(list(Priority)), max_size=20))
def test_within_a_priority_the_first_is_served_first(priorities: list[Priority]) -> None:
    """All of them, each once."""
    tasks = [task(priority, float(n), key=str(n)) for n, priority in enumerate(priorities)]
    served = [int(key or 0) for key in order(*tasks)]
    assert sorted(served) == list(range(len(tasks)))
    for one in Priority:
        of_one = [n for n in served if priorities[n] is one]
        assert of_one == sorted(of_one)


def test_those_that_are_late_are_found_and_taken_out() -> None:
    """The queue does not drop them itself: they are reported as failed."""
    queue = AgeingQueue()
    assert (queue.pop(), queue.earliest_deadline()) == (None, inf)
    late, early = task(Priority.HIGH, 0.0, time_left=5.0), task(Priority.LOW, 0.0)
    queue.push(late)
    queue.push(early)
    assert queue.earliest_deadline() == 5.0
    assert queue.late(4.9) == []
    assert queue.late(5.0) == [late]
    queue.remove(late)
    assert queue.earliest_deadline() == 30.0
    with pytest.raises(ValueError, match="not in deque"):
        queue.remove(late)
    assert queue.pop() is early
