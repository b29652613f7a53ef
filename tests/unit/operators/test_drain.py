"""The drain: when sources look for it, and who hears of it."""

from datetime import UTC, datetime, timedelta

import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from operators.drain import Drain, look_for
from operators.joint_drain import EARS, drain_together


@pytest.mark.parametrize(
    ("partitions", "grace", "seconds"),
    [(1, 25, 0.2), (50, 25, 0.2), (250, 25, 1.0), (1_000, 25, 4.0), (100_000, 25, 5.0), (100_000, 2, 0.5),
     (100_000, 0, 0.2)],
)  # fmt: skip
def test_many_partitions_look_less_often(partitions: int, grace: float, seconds: float) -> None:
    """Five times a second where they are few, and some times within the grace."""
    assert look_for(partitions, grace) == seconds


def test_all_sources_look_at_the_same_instants() -> None:
    """A look is a multiple of the time between two, and comes within that time."""
    before = datetime.now(UTC)
    look = Drain(look=0.5).next_look()
    assert look.timestamp() % 0.5 == 0
    assert before < look <= datetime.now(UTC) + timedelta(seconds=0.5)


def test_a_drain_ends_once_all_workers_are_silent() -> None:
    """What another worker still emits would come to lanes that nobody waits for any more."""
    now = 0.0
    drain = Drain(grace=25.0, settle=0.3, clock=lambda: now)
    drain.open(workers=2)
    drain.hear(0)
    assert drain.requested
    now = 10.0
    assert not drain.may_end
    drain.hear(1)
    assert not drain.may_end
    now = 10.4
    drain.hear(1)
    assert drain.may_end
    drain.enter()
    assert not drain.may_end
    now = 25.0
    assert drain.may_end


def test_a_share_of_the_grace_is_over_before_it() -> None:
    """Who may take no more than a share leaves the rest to those that come after."""
    now = 100.0
    drain = Drain(grace=25.0, clock=lambda: now)
    assert (drain.grace_left_of(0.6), drain.grace_left) == (15.0, 25.0)
    drain.request()
    now = 110.0
    assert (drain.grace_left_of(0.6), drain.grace_left) == (5.0, 15.0)
    now = 120.0
    assert (drain.grace_left_of(0.6), drain.grace_left) == (0.0, 5.0)


class _HeardDrain(Drain):
    """Counts what it hears."""

    heard = 0

    def hear(self, worker: int) -> None:
        self.heard += 1
        super().hear(worker)


def test_all_hear_of_a_drain_before_the_first_look() -> None:
    """However late the first look comes, others are told before the end."""
    drain = _HeardDrain(settle=0.0, look=0.01)
    drain.request()
    flow = Dataflow("together")
    drain_together("drain", flow, drain)
    run_main(flow)
    assert drain.heard == EARS
