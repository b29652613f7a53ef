"""A pool's events are made where they are heard, and nowhere else."""

from typing import Any

import pytest

from operators.events import EVENTS, BreakerOpened, Observer, PoolEvent, TaskFailed
from operators.pool.announce import Announcer
from operators.pool.settings import Priority
from operators.pool.task import Result
from operators.ticks import Outcome
from tests.unit.operators.pool.test_queue import task


def all_of(announcer: Announcer) -> None:
    """Everything that can happen in a pool, once."""
    failed: Result[Any] = Result(Outcome.FAILED, None, 2, 0.5, "timeout", "no answer")
    one = task(Priority.HIGH, 0.0, key="prod")
    announcer.started(4, 100)
    announcer.queued(one, 1)
    announcer.begun(one)
    announcer.retrying(one, 0.2, "timeout", "no answer")
    announcer.completed("prod", Result(Outcome.COMPLETED, 1, 1, 0.1))
    announcer.failed("prod", failed)
    announcer.breaker_opened("prod", 30.0)
    announcer.breaker_closed("prod")
    announcer.stopping(1)
    announcer.stopped(0)


def test_all_events_are_heard_by_who_wants_all() -> None:
    """Each names its pool."""
    heard: list[Any] = []
    all_of(Announcer("brokers", Observer(heard.append, frozenset(EVENTS))))
    assert {type(event) for event in heard} == set(EVENTS)
    assert len(heard) == len(EVENTS)
    assert {event.pool for event in heard} == {"brokers"}


@pytest.mark.parametrize("wanted", EVENTS)
def test_only_those_are_made_that_are_wanted(wanted: type[PoolEvent]) -> None:
    """Three come with every task: making them for nobody would cost."""
    heard: list[object] = []
    all_of(Announcer("brokers", Observer(heard.append, frozenset({wanted}))))
    assert [type(event) for event in heard] == [wanted]


def test_events_have_what_happened() -> None:
    """A failure has its class and cause, an open breaker when it is probed."""
    heard: list[object] = []
    wanted = frozenset({TaskFailed, BreakerOpened})
    all_of(Announcer("brokers", Observer(heard.append, wanted)))
    assert heard == [
        TaskFailed("brokers", "prod", Outcome.FAILED, 2, 0.5, "timeout", "no answer"),
        BreakerOpened("brokers", "prod", 30.0),
    ]


def test_an_observer_that_raises_disturbs_no_pool() -> None:
    """It is logged, and the pool goes on."""

    def refuse(event: object) -> None:
        raise RuntimeError(event)

    all_of(Announcer("brokers", Observer(refuse, frozenset(EVENTS))))
