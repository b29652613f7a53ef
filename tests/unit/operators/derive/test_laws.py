"""What holds of derived columns whatever happens to topics, groups and brokers."""

import math
import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.collect.pages.dialects import BYTES_IN, FAILED_PRODUCES, FETCHES, PRODUCES
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import MetricKind
from operators.ticks import TickResult
from tests.tick_results import INTERVAL, brokers, groups, ms, page, topics

Events = list[list[tuple[str, int]]]

EVENTS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["produce", "truncate", "recreate", "expand", "lose", "leaderless"]),
            st.integers(0, 1000),
        ),
        max_size=3,
    ),
    min_size=2,
    max_size=8,
)


def derived(results: list[TickResult]) -> list[TickResult]:
    cluster = ClusterDerivation("prod", KAFKA_RULES)
    found = []
    for result in results:
        found.append(cluster.derive(result))
        cluster = ClusterDerivation(
            "prod", KAFKA_RULES, pickle.loads(pickle.dumps(cluster.snapshot()))
        )
    return found


def numbers_of(result: TickResult, kinds: set[MetricKind]) -> list[tuple[str, float]]:
    """All values of columns of these kinds, with their names; nulls are left out."""
    found = []
    for batch in result.batches:
        for metric in entity_type_of(batch).numeric:
            if metric.kind in kinds:
                values = batch.column(metric.name).to_pylist()
                found += [(metric.name, value) for value in values if value is not None]
    return found


def topic_ticks(events: Events) -> list[TickResult]:
    """A topic through its events, one list a tick."""
    ends, incarnation, results = [0, 0], 0, []
    for number, of_tick in enumerate(events):
        lost, leaderless = set(), set()
        for event, amount in of_tick:
            partition = amount % len(ends)
            match event:
                case "produce":
                    ends[partition] += amount
                case "truncate":
                    ends[partition] = max(0, ends[partition] - amount)
                case "recreate":
                    ends, incarnation = [amount] * (1 + amount % 3), incarnation + 1
                case "expand":
                    ends.append(amount)
                case "lose":
                    lost.add(partition)
                case "leaderless":
                    leaderless.add(partition)
        results.append(
            topics(
                number,
                {"t": [None if p in lost | leaderless else end for p, end in enumerate(ends)]},
                ids={"t": f"id-{incarnation}"},
                leaderless=frozenset(("t", p) for p in leaderless),
                commits={"g": {"t": [end // 2 for end in ends]}},
                partial=bool(lost),
            )
        )
    return results


@given(EVENTS)
def test_no_topic_has_a_negative_or_endless_rate(events: Events) -> None:
    """Whatever happens to a topic, its rates are numbers from 0 on, or null."""
    for result in derived(topic_ticks(events)):
        for name, value in numbers_of(result, {MetricKind.RATE}):
            assert value >= 0, name
            assert math.isfinite(value), name


@given(st.lists(st.lists(st.integers(0, 10**12), min_size=3, max_size=3), min_size=2, max_size=6))
def test_rates_add_up_to_what_was_produced(amounts: list[list[int]]) -> None:
    """While nothing else happens, rates times seconds are the messages that came."""
    ends = [0, 0, 0]
    results = []
    for number, of_tick in enumerate(amounts):
        ends = [end + amount for end, amount in zip(ends, of_tick, strict=True)]
        results.append(topics(number, {"t": list(ends)}))
    rates = [
        dict(numbers_of(r, {MetricKind.RATE}))["topic.messagesInPerSecond"]
        for r in derived(results)[1:]
    ]
    produced = sum(sum(of_tick) for of_tick in amounts[1:])
    assert math.isclose(sum(rates) * INTERVAL / 1000, produced, rel_tol=1e-9, abs_tol=1e-6)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 1000), min_size=2, max_size=2),
            st.lists(st.integers(0, 1200), min_size=2, max_size=2),
            st.integers(0, 300),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_group_has_nonsense(steps: list[tuple[Any, ...]]) -> None:
    """Commits and ends in any order: no negative rate, age or change count, nothing endless."""
    results = []
    for number, (ends, commits, start, reported, answers) in enumerate(steps):
        written = {("t", c): ms(number) - 1_000 * c for c in commits} if reported else {}
        of_groups = {"g": {"t": commits}, **({"h": {"t": commits}} if answers else {})}
        results.append(
            groups(
                number,
                {"t": ends},
                of_groups,
                start=start,
                members={"g": [str(commits[0])]},
                written=written,
                partition_offsets=True,
                partial=not answers,
            )
        )
    for result in derived(results):
        for name, value in numbers_of(
            result, {MetricKind.RATE, MetricKind.COUNT, MetricKind.GAUGE}
        ):
            assert math.isfinite(value), name
            assert value >= 0 or name == "consumerGroup.lagTrend", name


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.dictionaries(
                st.sampled_from([BYTES_IN, PRODUCES, FETCHES, FAILED_PRODUCES]),
                st.floats(0, 1e15),
            ),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_broker_has_nonsense(counters: list[dict[str, float] | None]) -> None:
    """Counters that jump, vanish and come back, pages that fail: rates from 0 on, or null."""
    results = [
        brokers(n, {} if of_tick is None else {1: page(n, of_tick)})
        for n, of_tick in enumerate(counters)
    ]
    for result in derived(results):
        for name, value in numbers_of(result, {MetricKind.RATE}):
            assert value >= 0, name
            assert math.isfinite(value), name
