"""Which messages a replay reads, and how much of them it holds in memory."""

import pytest

from operators.recorded.plan import AHEAD, AHEAD_OF_ALL, OffsetStretch, ReplayPlan, consumer_config
from operators.schema.kafka import KafkaConnection

AHEAD_NAME = "queued.max.messages.kbytes"


@pytest.mark.parametrize("partitions", [1, 4, 16, 17, 300, 10_000])
def test_consumers_of_many_partitions_fetch_no_more_ahead_together(partitions: int) -> None:
    """A few have all that they want, hundreds share what there is."""
    connection = KafkaConnection(bootstrap_servers="localhost:9092")
    each = consumer_config(connection, partitions)[AHEAD_NAME]
    assert each == AHEAD if partitions <= AHEAD_OF_ALL // AHEAD else each < AHEAD
    assert each * partitions <= AHEAD_OF_ALL


def test_what_is_fetched_ahead_can_be_configured() -> None:
    """`client` has the last word."""
    connection = KafkaConnection.model_validate(
        {"bootstrap_servers": "localhost:9092", "client": {AHEAD_NAME: "7"}}
    )
    assert consumer_config(connection, 300)[AHEAD_NAME] == "7"


def test_only_partitions_with_messages_to_read_count() -> None:
    """The others fetch nothing."""
    plan = ReplayPlan(
        "t", 0, 1, (OffsetStretch(0, 5, 9), OffsetStretch(1, 7, 7), OffsetStretch(2, 0, 1))
    )
    assert (plan.partitions, plan.messages) == (2, 5)
