"""Rates of RabbitMQ's counters: of dead letters, which nodes count."""

from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.samples import ClusterIdentity
from operators.derive.operator import ClusterDerivation
from operators.rabbitmq.derive import RABBIT_RULES
from operators.rabbitmq.queues import Read, queue_samples
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER
from operators.ticks import Outcome, TickResult, Ticks

INTERVAL = 30_000
Counts = Mapping[str, int | None]


def rates(*counts: Counts, every: int = INTERVAL) -> list[float | None]:
    """What ticks with these counts by node report of the cluster; an empty one was not asked for any."""
    derivation = ClusterDerivation("mq", RABBIT_RULES)
    found = []
    for number, by_node in enumerate(counts, 1):
        tick = Ticks("mq", number * every, INTERVAL, kind="queues")
        samples = queue_samples(
            ClusterIdentity("mq", "production", None, None, "rabbitmq"),
            tick.start,
            Read(dead_lettered={node: (tick.start, count) for node, count in by_node.items()}),
            [],
            tick.start,
        )
        result = TickResult(
            tick, Outcome.COMPLETED, samples.batches, samples.raw, 1, 0.1, None, None
        )
        (of_cluster,) = [
            batch for batch in derivation.derive(result).batches if entity_type_of(batch) is CLUSTER
        ]
        found.append(column(of_cluster))
    return found


def column(batch: pa.RecordBatch) -> float | None:
    """The one row's."""
    value: float | None = batch.column("cluster.deadLetteredPerSecond")[0].as_py()
    return value


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([{"a": 100}, {"a": 160}], [None, 2.0]),
        ([{"a": 100, "b": 0}, {"a": 130, "b": 60}], [None, 3.0]),
        # It restarted, and counts from 0.
        ([{"a": 100}, {"a": 30}], [None, 1.0]),
        # What one of them counted meanwhile is not known.
        ([{"a": 0, "b": 0}, {"a": 30, "b": None}, {"a": 60, "b": 60}], [None, None, 2.0]),
        ([{"a": 0}, {"a": 30, "b": 500}, {"a": 60, "b": 530}], [None, None, 2.0]),
        # One that left is not asked for.
        ([{"a": 0, "b": 0}, {"a": 30}], [None, 1.0]),
        # Of many queues it is not read in each tick.
        ([{"a": 0}, {}, {}, {"a": 90}], [None, None, None, 1.0]),
    ],
)
def test_dead_letters_in_a_second(counts: list[Counts], expected: list[float | None]) -> None:
    """The growth of all nodes' counts; null where one is not known twice."""
    assert rates(*counts) == expected


def test_counts_that_are_long_apart_are_not_compared() -> None:
    """A mean over an hour is no rate of this tick."""
    assert rates({"a": 0}, {"a": 30}, every=3_600_000) == [None, None]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 10**12))))
def test_it_is_never_negative(counts: list[Counts]) -> None:
    """Whatever nodes come, go, and restart."""
    assert all(rate is None or rate >= 0 for rate in rates(*counts))
