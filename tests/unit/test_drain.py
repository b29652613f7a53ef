"""The drain: when sources look for it, and who hears of it."""

from datetime import UTC, datetime, timedelta

import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from operators.drain import Drain, look_for
from operators.together import EARS, drain_together


@pytest.mark.parametrize(
    ("partitions", "seconds"), [(1, 0.2), (200, 0.2), (1_000, 1.0), (100_000, 5.0)]
)
def test_many_partitions_look_less_often(partitions: int, seconds: float) -> None:
    """Five times a second where they are few, and at least every five seconds."""
    assert look_for(partitions) == seconds


def test_all_sources_look_at_the_same_instants() -> None:
    """A look is a multiple of the time between two, and comes within that time."""
    before = datetime.now(UTC)
    look = Drain(look=0.5).next_look()
    assert look.timestamp() % 0.5 == 0
    assert before < look <= datetime.now(UTC) + timedelta(seconds=0.5)


class _HeardDrain(Drain):
    """Counts how often the end was asked for."""

    heard = 0

    def request(self) -> None:
        self.heard += 1
        super().request()


def test_all_hear_of_a_drain_that_may_end_at_the_first_look() -> None:
    """Where the look comes after the settling, others are told all the same before the end."""
    drain = _HeardDrain(settle=0.0, look=0.01)
    drain.request()
    flow = Dataflow("together")
    drain_together("drain", flow, drain)
    run_main(flow)
    assert drain.heard == 1 + EARS
