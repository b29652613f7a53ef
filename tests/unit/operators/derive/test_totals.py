"""Counters of entities become rates and counts, whatever happens to them."""

import math
import pickle

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.samples import ClusterIdentity, cluster_part, collected_batch
from operators.derive.operator import ClusterDerivation
from operators.derive.totals import totals_batch
from operators.schema.metrics import QUEUE
from operators.ticks import Outcome, TickResult, Ticks

INTERVAL = 30_000
NAMES = ("a", "b", "c")
IDENTITY = ClusterIdentity("shop", "production", None, provider="nats")

Reading = tuple[int, int]
"""When a counter began, and what it counted."""

READINGS = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.integers(0, 2), st.integers(0, 2**62)), max_size=3
)


def tick(number: int, readings: dict[str, Reading], error: str | None = None) -> TickResult:
    """A tick at which so many counters of queues were read."""
    names = sorted(readings)
    rows = collected_batch(
        IDENTITY, number * INTERVAL, QUEUE, [(n,) for n in names], names, {"queue": names}
    )
    totals = totals_batch(
        (f"shop/{name}", column, str(born), value, number * INTERVAL)
        for name, (born, value) in readings.items()
        for column in ("queue.messagesInPerSecond", "queue.messagesPublished")
    )
    batches: tuple[pa.RecordBatch, ...] = (rows, cluster_part(IDENTITY, number * INTERVAL, {}))
    ticks = Ticks("shop", number * INTERVAL, INTERVAL, kind="queues")
    return TickResult(ticks, Outcome.COMPLETED, batches, {"totals": totals}, 1, 0.1, error, error)


def derived(*results: TickResult) -> list[dict[str, dict[str, float | None]]]:
    """By tick and queue: its columns, with a restart between any two ticks."""
    cluster, found = ClusterDerivation("shop", {}), []
    for result in results:
        rows = cluster.derive(result).batches[0].to_pylist()
        found.append({row["queue"]: row for row in rows})
        cluster = ClusterDerivation("shop", {}, pickle.loads(pickle.dumps(cluster.snapshot())))
    return found


@given(st.lists(READINGS, min_size=2, max_size=6))
def test_no_rate_is_negative_and_counts_add_up(ticks: list[dict[str, Reading]]) -> None:
    """Null at a first reading and where a counter started over or went back; else what it grew by."""
    found = derived(*(tick(number, readings) for number, readings in enumerate(ticks)))
    for number, readings in enumerate(ticks):
        before = ticks[number - 1] if number else {}
        for name, (born, value) in readings.items():
            row, last = found[number][name], before.get(name)
            if last is None or last[0] != born or last[1] > value:
                assert row["queue.messagesPublished"] is row["queue.messagesInPerSecond"] is None
            else:
                grown, rate = row["queue.messagesPublished"], row["queue.messagesInPerSecond"]
                assert grown is not None
                assert rate is not None
                assert math.isclose(grown, value - last[1], rel_tol=1e-9)
                assert math.isclose(rate, grown / 30, rel_tol=1e-9)


def test_one_that_was_not_read_is_compared_with_its_last_reading() -> None:
    """Where a tick lacked a part; where it named all, what is not there is gone."""
    first, last = tick(0, {"a": (0, 10), "b": (0, 10)}), tick(2, {"a": (0, 40), "b": (0, 70)})
    for error, published in (("timeout", 60), (None, None)):
        *_, found = derived(first, tick(1, {"a": (0, 20)}, error), last)
        assert found["a"]["queue.messagesPublished"] == 20
        assert found["b"]["queue.messagesPublished"] == published
        if published is not None:
            assert found["b"]["queue.messagesInPerSecond"] == published / 60


def test_the_cluster_has_the_sum_of_its_queues() -> None:
    """Of those whose rate is known."""
    cluster = ClusterDerivation("shop", {})
    cluster.derive(tick(0, {"a": (0, 0), "b": (0, 0)}))
    _, row = cluster.derive(tick(1, {"a": (0, 30), "b": (0, 60), "c": (0, 5)})).batches
    assert row.column("cluster.messagesInPerSecond").to_pylist() == [3.0]


def test_a_name_that_another_provider_had_starts_over() -> None:
    """State of the same kind with other measures is not compared, and no error."""
    cluster = ClusterDerivation("shop", {}, (2, "shop", {"queues": (-INTERVAL, {})}))
    found = cluster.derive(tick(0, {"a": (0, 3)})).batches[0]
    assert found.column("queue.messagesPublished").to_pylist() == [None]
