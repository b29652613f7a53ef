"""Rows of a group and topic: they sum to the group's and to the topic's, whatever is known."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.entities.group_topics import left_out
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.arrow import Only, entity_type_of, only
from operators.schema.metrics import CONSUMER_GROUP, GROUP_TOPIC, TOPIC, EntityType
from operators.ticks import TickResult
from tests.tick_results import groups, lag_by_partition, ms, topics

LAG, OLDEST = "consumerGroup.totalLag", "consumerGroup.lagSeconds"
COMMITTED, END = "consumerGroup.committedOffset", "consumerGroup.endOffset"

TOPICS = ["a", "b", "c"]
OFFSETS = st.lists(st.integers(0, 100), min_size=2, max_size=2)
ENDS = st.fixed_dictionaries(
    {t: st.lists(st.none() | st.integers(0, 100), min_size=2, max_size=2) for t in TOPICS}
)
COMMITS = st.dictionaries(
    st.sampled_from(["g", "h"]), st.dictionaries(st.sampled_from([*TOPICS, "gone"]), OFFSETS)
)

Rows = list[dict[str, Any]]


def rows_of(result: TickResult, entity_type: EntityType) -> Rows:
    batches = [b for b in result.batches if entity_type_of(b) is entity_type]
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def collected(
    ends: Mapping[str, Sequence[int | None]],
    commits: Mapping[str, Mapping[str, Sequence[int]]],
    most: int = 100,
    **more: Any,
) -> TickResult:
    """A tick of groups with its derived columns; a message came a second before the next."""
    written = {(t, o): ms(0) - 1000 * (200 - o) for t in TOPICS for o in range(101)}
    result = groups(0, ends, commits, written=written, group_topics=most, **more)
    return ClusterDerivation("prod", KAFKA_RULES).derive(result)


@given(ENDS, COMMITS)
def test_rows_sum_to_the_groups_and_to_the_topics(
    ends: Mapping[str, Sequence[int | None]], commits: Mapping[str, Mapping[str, Sequence[int]]]
) -> None:
    """Lag and commits are sums, the largest lag and the oldest age are maxima; a null is no 0."""
    result = collected(ends, commits)
    pairs = rows_of(result, GROUP_TOPIC)
    there = {(g, t) for g, of in commits.items() for t in of if t in ends}
    assert {(row["consumer_group"], row["topic"]) for row in pairs} == there
    for group in rows_of(result, CONSUMER_GROUP):
        of_group = [row for row in pairs if row["consumer_group"] == group["consumer_group"]]
        if "gone" not in commits[group["consumer_group"]] and of_group:
            assert group[COMMITTED] == sum(row[COMMITTED] for row in of_group)
        if group[LAG] is None:
            assert not of_group or any(row[LAG] is None for row in of_group)
            continue
        assert group[LAG] == sum(row[LAG] for row in of_group)
        assert group["consumerGroup.maxLag"] == max(r["consumerGroup.maxLag"] for r in of_group)
        assert group[OLDEST] == max(row[OLDEST] for row in of_group)
    for topic in rows_of(topics(0, ends, commits=commits), TOPIC):
        lags = [row[LAG] for row in pairs if row["topic"] == topic["topic"]]
        if lags and None not in lags:
            assert topic["topic.consumerLag"] == sum(lags)


@given(ENDS, COMMITS)
def test_a_row_is_null_just_where_a_leader_did_not_answer(
    ends: Mapping[str, Sequence[int | None]], commits: Mapping[str, Mapping[str, Sequence[int]]]
) -> None:
    """End offset, lag and age are known together; end minus commits is the lag, if none is ahead."""
    for row in rows_of(collected(ends, commits), GROUP_TOPIC):
        known = None not in ends[row["topic"]]
        assert [row[name] is not None for name in (LAG, END, OLDEST)] == [known] * 3
        behind = commits[row["consumer_group"]][row["topic"]]
        if known and all(c <= (e or 0) for c, e in zip(behind, ends[row["topic"]], strict=True)):
            assert row[END] - row[COMMITTED] == row[LAG]


def test_the_largest_lags_have_rows_where_not_all_may() -> None:
    """A row whose lag is not known comes last; none at all where there is no room."""
    ends: dict[str, list[int | None]] = {"a": [10], "b": [20], "c": [None]}
    commits = {"g": {"a": [0], "b": [0], "c": [0]}, "h": {"a": [9], "b": [5]}}
    whole = collected(ends, commits)
    for most, expected in ((0, []), (3, ["g/a", "g/b", "h/b"]), (4, ["g/a", "g/b", "h/a", "h/b"])):
        made = rows_of(collected(ends, commits, most), GROUP_TOPIC)
        assert [f"{r['consumer_group']}/{r['topic']}" for r in made] == expected
        of_groups = [rows_of(r, CONSUMER_GROUP) for r in (whole, collected(ends, commits, most))]
        assert of_groups[0] == of_groups[1]


@given(ENDS, COMMITS)
def test_lag_by_partition_sums_to_the_rows_of_groups_on_topics(
    ends: Mapping[str, Sequence[int | None]], commits: Mapping[str, Mapping[str, Sequence[int]]]
) -> None:
    """Where all of a topic's partitions are known; the samples are data points and no rows."""
    batch = lag_by_partition(0, ends, commits, 100)
    assert only(batch) is Only.POINTS
    sums: Counter[tuple[str, str]] = Counter()
    for row in batch.to_pylist():
        sums[row["consumer_group"], row["topic"]] += row["consumer.lag"]
    for row in rows_of(collected(ends, commits), GROUP_TOPIC):
        if row[LAG] is not None:
            assert sums[row["consumer_group"], row["topic"]] == row[LAG]
    fewer = lag_by_partition(0, ends, commits, 3).column("consumer.lag").to_pylist()
    assert sorted(fewer) == sorted(batch.column("consumer.lag").to_pylist())[-3:]


def test_what_is_left_out_is_said_in_numbers() -> None:
    """How many pairs there are, how many have rows, and what to do."""
    assert "12,345" in left_out(12_345, 10_000)
    assert "the 2,345 with the least lag have none" in left_out(12_345, 10_000)
