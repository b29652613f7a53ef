"""What was served: the same as a set of ticks, in little memory."""

from hypothesis import given
from hypothesis import strategies as st

from operators.served import MOST_STRETCHES, Served

stretches = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(stretches, max_size=12))
def test_it_is_a_set_of_times(added: list[tuple[int, int]]) -> None:
    """However stretches come and overlap: rising, apart, and of the same times."""
    served = Served(added)
    times = {time for start, until in added for time in range(start, until)}
    assert {t for start, until in served.stretches for t in range(start, until)} == times
    ends = [end for stretch in served.stretches for end in stretch]
    assert ends == sorted(set(ends))


@given(st.lists(stretches, max_size=8), st.integers(0, 70), st.sampled_from([1, 5]))
def test_the_next_tick_is_the_first_that_was_not_served(
    added: list[tuple[int, int]], after: int, interval: int
) -> None:
    """And between it and the next stretch all are free."""
    served = Served(added)
    times = {time for start, until in added for time in range(start, until)}
    tick = -(-after // interval) * interval
    free = served.next_after(tick, interval)
    assert free == next(t for t in range(tick, 200, interval) if t not in times)
    until = served.free_until(free)
    assert until == min((t for t in times if t > free), default=None)


@given(st.lists(st.integers(0, 10_000), min_size=30, max_size=60, unique=True))
def test_many_stretches_become_few_and_no_tick_is_forgotten(ticks: list[int]) -> None:
    """What lies between close ones counts as served: none comes twice, some never."""
    served = Served((tick, tick + 1) for tick in ticks)
    assert len(served.stretches) <= MOST_STRETCHES
    assert all(any(a <= tick < b for a, b in served.stretches) for tick in ticks)
