"""Targets that keep failing are left alone, and probed now and then."""

import pytest

from operators.pool.breaker import Breakers
from operators.pool.settings import BreakerSettings

SIZE, PROBE = 2, 30.0


@pytest.fixture
def breakers() -> Breakers:
    """They open after three failures, or two attempts that go on after their time-out."""
    return Breakers(BreakerSettings(failures=3, probe=PROBE), SIZE)


def opened(breakers: Breakers, now: float = 0.0) -> None:
    """Has `a` fail until its breaker opens."""
    assert [breakers.failed("a", now) for _ in range(3)] == [False, False, True]


def test_a_breaker_opens_after_so_many_failures_in_a_row(breakers: Breakers) -> None:
    """One that succeeds begins the count anew; other targets are no concern of it."""
    assert not breakers.failed("a", 0.0)
    assert not breakers.failed("a", 0.0)
    assert not breakers.completed("a")
    opened(breakers)
    assert breakers.allows("a", 1.0, 4) == 0
    assert breakers.allows("b", 1.0, 4) == 4


def test_open_it_lets_one_attempt_through_at_each_probe(breakers: Breakers) -> None:
    """One that fails leaves it open, and the next comes a probe later."""
    opened(breakers)
    assert breakers.allows("a", PROBE - 0.1, 4) == 0
    assert breakers.allows("a", PROBE, 4) == 1
    assert not breakers.failed("a", PROBE)
    assert breakers.allows("a", PROBE + 1, 4) == 0
    assert breakers.allows("a", 2 * PROBE, 4) == 1


def test_a_task_that_completes_closes_it(breakers: Breakers) -> None:
    """Nothing is kept of a target that is well."""
    opened(breakers)
    assert breakers.completed("a")
    assert breakers.allows("a", 1.0, 4) == 4
    assert breakers.states(1.0) == []


def test_attempts_that_never_end_open_it_and_bar_its_probes(breakers: Breakers) -> None:
    """They hold threads: no more than the pool's size of them for one target."""
    assert not breakers.abandoned("a", 0.0)
    assert breakers.abandoned("a", 0.0)
    assert breakers.allows("a", PROBE, 4) == 0
    breakers.returned("a")
    assert breakers.allows("a", PROBE, 4) == 1


def test_what_is_reported_of_a_target_in_trouble(breakers: Breakers) -> None:
    """Failures in a row, and the seconds until its probe."""
    breakers.failed("b", 0.0)
    opened(breakers)
    a, b = sorted(breakers.states(10.0), key=lambda state: state.key)
    assert (a.key, a.failures, a.open, a.probe_in) == ("a", 3, True, 20.0)
    assert (b.key, b.failures, b.open, b.probe_in) == ("b", 1, False, 0.0)
