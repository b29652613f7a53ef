"""The book of a cluster's ticks: what is open, what is awaited, how far each kind is settled."""

import pickle

import pytest

from operators.merge.book import NEVER, REMEMBERED, TickBook
from operators.merge.plan import CLUSTER_KIND
from operators.ticks import Ticks

INTERVAL = 15_000
T = 100 * INTERVAL


def at(place: int) -> Ticks:
    return Ticks("prod", T + place * INTERVAL, INTERVAL, kind="topics")


@pytest.fixture
def book() -> TickBook:
    return TickBook(("brokers", "topics"), grace=5_000)


def test_a_tick_is_due_after_its_grace_and_at_most_an_interval(book: TickBook) -> None:
    assert book.due is None
    book.opened(at(1))
    book.opened(at(0))
    assert book.due == T + 5_000
    patient = TickBook(("topics",), grace=None)
    assert patient.opened(at(0)).deadline == T + INTERVAL


def test_a_tick_opens_once_and_awaits_its_kinds(book: TickBook) -> None:
    opened = book.opened(at(0))
    opened.awaited.discard("brokers")
    assert book.opened(at(0)) is opened
    assert book.opened(at(1)).awaited == {"brokers", "topics"}
    assert book.unsettled("brokers", T + 2 * INTERVAL) == [book.opened(at(1))]


def test_a_settled_tick_is_not_unsettled_until_the_clock_goes_back(book: TickBook) -> None:
    opened = book.opened(at(0))
    assert book.settled("topics") == NEVER
    book.settle("topics", T)
    book.settle("topics", T - INTERVAL)
    assert book.settled("topics") == T
    assert book.unsettled("topics", T + INTERVAL) == []
    assert book.go_back("topics", T - INTERVAL)
    assert not book.go_back("topics", T - INTERVAL)
    assert book.unsettled("topics", T + INTERVAL) == [opened]


def test_only_a_target_that_announces_an_earlier_tick_goes_back(book: TickBook) -> None:
    announced = [book.announce(*each) for each in (("a", T), ("a", T), ("b", T - 1), ("a", T - 1))]
    assert announced == [False, False, False, True]


def test_a_tick_that_was_missed_by_another_kind_has_its_row_already(book: TickBook) -> None:
    book.settle(CLUSTER_KIND, T)
    assert book.opened(at(0)).joined
    assert not book.opened(at(1)).joined


def test_so_many_overdue_ticks_are_remembered_for_late_results(book: TickBook) -> None:
    for place in range(REMEMBERED + 2):
        book.opened(at(place)).overdue = True
    open_one = book.opened(at(-1))
    book.forget_overdue()
    assert book.find(T) is book.find(T + INTERVAL) is None
    assert book.find(T + 2 * INTERVAL) is not None
    assert book.find(open_one.tick) is open_one
    assert book.under_way == 1


def test_a_stored_tick_has_the_names_that_stored_states_have(book: TickBook) -> None:
    opened = book.opened(at(0))
    opened.servers_complete = True
    book.settle("brokers", T)
    book.announce("topics", T)
    through, ticks, announced = state = pickle.loads(pickle.dumps(book.snapshot()))
    assert (through, announced) == ({"brokers": T}, {"topics": T})
    assert ticks == [
        {
            "tick": T,
            "deadline": T + 5_000,
            "awaited": ["brokers", "topics"],
            "parts": [],
            "joined": False,
            "brokers_complete": True,
            "expected": 0,
            "collected": 0,
            "filled": {},
        }
    ]
    again = TickBook(("brokers", "topics"), grace=5_000)
    again.restore(*state)
    assert again.snapshot() == state
    assert again.opened(at(0)).servers_complete
