"""The drain: when sources look for it."""

from datetime import UTC, datetime, timedelta

import pytest

from operators.drain import Drain, look_for


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
