"""Cumulative sums: totals that grow over batches and restarts, and true starts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.schema.arrow import sample_batch
from operators.schema.ipc import decode, encode
from operators.schema.metrics import BROKER, CONSUMER_GROUP
from sinks.otlp.encode import encode as request
from sinks.otlp.totals import RunningTotals
from tests.otlp.reading import Point, points_of
from tests.samples import INTERVAL, NEW_YEAR, tick

RATE = "broker.messagesInPerSecond"
NAME = "kafka.message.count"
SECONDS = INTERVAL / 1000


def brokers(
    rows: Sequence[tuple[int, int, float | None]], origin: str = "collected"
) -> pa.RecordBatch:
    """Rows of a broker's id, a tick's number and a rate."""
    return sample_batch(
        BROKER,
        len(rows),
        {
            "timestamp": [NEW_YEAR + n * INTERVAL for _, n, _ in rows],
            "entity_guid": [f"b-{broker}" for broker, _, _ in rows],
            "cluster_name": "c",
            "provider": "kafka",
            "origin": origin,
            "broker_id": [broker for broker, _, _ in rows],
            RATE: [rate for _, _, rate in rows],
        },
    )


def sent(batches: Iterable[pa.RecordBatch], name: str = NAME) -> list[Point]:
    """The points of a counter, as they are sent after the spool."""
    samples = [decode(encode(batch)) for batch in batches]
    body = request(samples, INTERVAL, cumulative=True)
    return [point for point in points_of(body) if point.name == name]


def at(number: int) -> int:
    """The time of a tick in nanoseconds."""
    return (NEW_YEAR + number * INTERVAL) * 10**6


def test_totals_grow_from_the_start_of_the_first_interval() -> None:
    """Of each series by itself; a null has no point and counts nothing."""
    totals = RunningTotals(INTERVAL)
    first = totals.add(brokers([(1, 5, 2.0), (2, 5, 1.0)]))
    second = totals.add(brokers([(1, 6, 3.0), (2, 6, None), (3, 6, 7.0)]))
    third = totals.add(brokers([(2, 7, 4.0)]))
    points = sent([first, second, third])
    assert {p.kind for p in points} == {"cumulative"}
    reported = {(p.attributes["broker.id"], p.time): (p.start, p.value) for p in points}
    assert reported == {
        ("1", at(5)): (at(4), 2.0 * SECONDS),
        ("1", at(6)): (at(4), 5.0 * SECONDS),
        ("2", at(5)): (at(4), 1.0 * SECONDS),
        ("2", at(7)): (at(4), 5.0 * SECONDS),
        ("3", at(6)): (at(5), 7.0 * SECONDS),
    }


def test_gauges_and_counts_are_as_they_are() -> None:
    """A count stays a whole number."""
    totals = RunningTotals(INTERVAL)
    name = "consumerGroup.membershipChanges"
    rows = [tick(NEW_YEAR + n * INTERVAL, 1, CONSUMER_GROUP, "c", **{name: [n]}) for n in range(3)]
    points = sent([totals.add(batch) for batch in rows], name)
    assert [(type(p.value), p.value) for p in points] == [(int, 0), (int, 1), (int, 3)]


def test_a_sample_that_comes_late_is_counted_by_the_next() -> None:
    """A sum never goes back in time."""
    totals = RunningTotals(INTERVAL)
    batches = [brokers([(1, n, rate)]) for n, rate in ((0, 1.0), (2, 1.0), (1, 5.0), (3, 1.0))]
    points = sent([totals.add(batch) for batch in batches])
    assert [(p.time, p.value / SECONDS) for p in points] == [
        (at(0), 1.0),
        (at(2), 2.0),
        (at(3), 8.0),
    ]


def test_what_is_filled_is_a_series_of_its_own() -> None:
    """As it is for whoever reads it: the origin is an attribute."""
    totals = RunningTotals(INTERVAL)
    batches = [brokers([(1, 0, 1.0)]), brokers([(1, 1, 1.0)], "filled"), brokers([(1, 2, 1.0)])]
    points = sent([totals.add(batch) for batch in batches])
    assert [(p.start, p.value / SECONDS) for p in points] == [
        (at(-1), 1.0),
        (at(0), 1.0),
        (at(-1), 2.0),
    ]


def test_samples_without_totals_are_sent_as_deltas() -> None:
    """Those that were spooled while the temporality was another."""
    (point,) = sent([brokers([(1, 5, 2.0)])])
    assert (point.kind, point.start, point.value) == ("delta", at(4), 2.0 * SECONDS)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.integers(0, 30),
            st.one_of(st.none(), st.floats(0, 1e9), st.just(float("nan"))),
        ),
        min_size=1,
        max_size=60,
        unique_by=lambda row: row[:2],
    ),
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=6),
)
def test_batches_and_restarts_change_nothing(rows: list[Any], cuts: list[Any]) -> None:
    """However samples in order are cut into batches, and wherever the job was restarted."""
    rows.sort(key=lambda row: row[1])
    totals, batches, start = RunningTotals(INTERVAL), list[pa.RecordBatch](), 0
    for end, restarts in sorted([*cuts, (len(rows), False)]):
        if start < end:
            batches.append(totals.add(brokers(rows[start:end])))
        if restarts:
            state = totals.state()
            totals = RunningTotals(INTERVAL)
            totals.resume(state)
        start = max(start, end)
    wanted, sums, starts = [], defaultdict[int, float](float), dict[int, int]()
    for broker, number, rate in rows:
        starts.setdefault(broker, at(number - 1))
        if rate is not None and rate == rate:
            sums[broker] += rate * SECONDS
            wanted.append((str(broker), at(number), starts[broker], sums[broker]))
    got = [(p.attributes["broker.id"], p.time, p.start, p.value) for p in sent(batches)]
    assert sorted(got) == sorted(wanted)
