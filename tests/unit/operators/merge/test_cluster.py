"""What the merge does for one cluster: join, fill, mark late, settle."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operators.collect.settings import ExpectSettings
from operators.merge.fills import BLOCK_ROWS
from operators.merge.levels import times_of
from operators.merge.plan import UNFILLED
from operators.merge.settings import FillSettings
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CLUSTER, COLLECTION, TOPIC
from operators.ticks import Outcome, TickResult
from tests.merge_by_hand import INTERVAL, KINDS, Harness, T, due, kafka_plan, result, samples


def brief(rows: Iterable[dict[str, Any]]) -> set[tuple[str, str, int, bool]]:
    """Entity, origin, tick and lateness of the rows of entities."""
    return {
        (r["entity_name"], r["origin"], (r["tick"] - T) // INTERVAL, r["late"])
        for r in rows
        if r["entity_type"] not in (COLLECTION.name, CLUSTER.name)
    }


def of_type(rows: Iterable[dict[str, Any]], entity_type: Any) -> list[dict[str, Any]]:
    return [row for row in rows if row["entity_type"] == entity_type.name]


def test_collected_samples_pass_on_at_once() -> None:
    """A kind's samples do not wait for the other kinds."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    rows = h.give(result("brokers", T, (1, 2)))
    assert brief(rows) == {
        ("prod/broker-1", "collected", 0, False),
        ("prod/broker-2", "collected", 0, False),
    }


def test_cluster_row_is_joined_when_all_kinds_are_in() -> None:
    """The last of a tick's results brings one cluster row with what all of them know."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    h.give(result("brokers", T, (1, 2), cluster={"activeBrokerCount": 2}))
    h.give(result("topics", T, ("orders",), cluster={"globalTopicCount": 1}))
    assert of_type(h.rows, CLUSTER) == []
    rows = of_type(h.give(result("groups", T, ("billing",), cluster={"totalLag": 7})), CLUSTER)
    assert [
        (r["cluster.activeBrokerCount"], r["cluster.globalTopicCount"], r["cluster.totalLag"])
        for r in rows
    ] == [(2, 1, 7)]
    assert h.merge.under_way == 0


@pytest.mark.parametrize(
    ("fill", "deadline"),
    [(None, INTERVAL), (FillSettings(grace=15), 15_000), (FillSettings(grace=60), INTERVAL)],
)
def test_tick_settles_at_its_deadline(fill: FillSettings | None, deadline: int) -> None:
    """The cluster's row comes at the deadline with nulls for the kinds that are missing."""
    h = Harness(fill=fill)
    h.give(
        *(due(kind, T) for kind in KINDS),
        result("brokers", T, (1, 2), cluster={"activeBrokerCount": 2}),
    )
    assert h.merge.due == T + deadline
    assert h.wait(T + deadline - 1) == []
    (row,) = of_type(h.wait(T + deadline), CLUSTER)
    assert (row["cluster.activeBrokerCount"], row["cluster.totalLag"], row["origin"]) == (
        2,
        None,
        "collected",
    )
    assert h.merge.under_way == 0


def test_a_cluster_that_is_asked_later_settles_as_much_later() -> None:
    """What is asked some time after its tick has the whole grace from there."""
    h = Harness(fill=FillSettings(grace=15))
    h.give(*(replace(due(kind, T), delay=400) for kind in KINDS))
    assert h.merge.due == T + 15_400
    assert h.wait(T + 15_399) == []
    assert {row["tick"] for row in h.wait(T + 15_400)} == {T}


def test_each_result_gives_one_collection_row() -> None:
    """Whatever the outcome and however late, a target's tick is reported once."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS), result("topics", T, outcome=Outcome.FAILED))
    h.wait(T + INTERVAL)
    h.give(result("brokers", T, (1, 2)), result("groups", T, outcome=Outcome.OVERRUN))
    rows = of_type(h.rows, COLLECTION)
    assert [(r["target_kind"], r["collection.ok"]) for r in rows] == [
        ("topics", 0),
        ("brokers", 1),
        ("groups", 0),
    ]


def test_expected_entity_is_filled_as_soon_as_its_kind_answers_without_it() -> None:
    """A result that lacks an expected entity brings its filled row; what is there is not filled."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    rows = h.give(result("brokers", T, (1,)))
    assert brief(rows) == {
        ("prod/broker-1", "collected", 0, False),
        ("prod/broker-2", "filled", 0, False),
    }


def test_silent_cluster_is_filled_at_the_deadline() -> None:
    """Without any result each expected entity and the cluster itself get one filled row."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    rows = h.wait(T + 15_000)
    assert sorted((r["entity_name"], r["origin"]) for r in rows) == [
        ("prod", "filled"),
        ("prod/billing", "filled"),
        ("prod/broker-1", "filled"),
        ("prod/broker-2", "filled"),
        ("prod/orders", "filled"),
    ]
    assert {r["entity_guid"] for r in of_type(rows, BROKER)} == set(
        samples("brokers", T, (1, 2)).column("entity_guid").to_pylist()
    )
    assert h.wait(T + INTERVAL) == []


def test_a_clock_set_back_brings_whole_ticks_again() -> None:
    """Before what is there each has its rows and its cluster's; what is there is not filled."""
    h = Harness()
    for number in range(20, 23):
        h.tick(T + number * INTERVAL)
    h.restart()
    again = [row for number in range(10, 20) for row in h.tick(T + number * INTERVAL)]
    assert {(r["origin"], r["late"]) for r in again} == {("collected", False)}
    assert [r["tick"] for r in of_type(again, CLUSTER)] == [T + n * INTERVAL for n in range(10, 20)]
    h.give(*(due(kind, T + 23 * INTERVAL, count=0) for kind in KINDS))
    h.tick(T + 23 * INTERVAL)
    h.wait(T + 24 * INTERVAL)
    keys = Counter((r["entity_guid"], r["tick"]) for r in h.rows)
    assert set(keys.values()) == {1}
    assert {r["origin"] for r in h.rows} == {"collected"}


def test_a_target_that_is_held_up_is_no_clock_that_was_set_back() -> None:
    """What others' deadlines filled of it before it reported its ticks is not filled once more."""
    h = Harness()
    h.tick(T)
    h.restart()
    for number in (1, 2):
        h.give(due("topics", T + number * INTERVAL), due("groups", T + number * INTERVAL))
        h.wait(T + number * INTERVAL + 15_000)
    h.give(due("brokers", T + INTERVAL), due("brokers", T + 3 * INTERVAL, missed=1))
    h.tick(T + 3 * INTERVAL)
    h.wait(T + 4 * INTERVAL)
    keys = Counter((r["entity_guid"], r["tick"]) for r in h.rows)
    assert set(keys.values()) == {1}
    assert {r["tick"] for r in of_type(h.rows, CLUSTER)} == {T + n * INTERVAL for n in range(4)}


def test_a_gap_after_a_clock_was_set_back_is_filled() -> None:
    """What was last seen at a later time counts as seen just now."""
    h = Harness()
    for number in range(20, 23):
        h.tick(T + number * INTERVAL)
    h.restart()
    h.tick(T)
    h.give(*(due(kind, T + INTERVAL) for kind in KINDS))
    rows = h.wait(T + INTERVAL + 15_000)
    assert {r["entity_name"] for r in rows if r["origin"] == "filled"} == {
        "prod", "prod/billing", "prod/broker-1", "prod/broker-2", "prod/orders",
    }  # fmt: skip


def test_late_sample_is_kept_and_marked_where_it_was_filled() -> None:
    """After the deadline `late` is true for what was filled, and only for that."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    h.wait(T + 15_000)
    rows = h.give(result("topics", T, ("orders", "other")))
    assert brief(rows) == {
        ("prod/orders", "collected", 0, True),
        ("prod/other", "collected", 0, False),
    }


def test_cluster_row_that_comes_after_its_fill_is_late() -> None:
    """When all kinds answer late, the joined row is kept beside the filled one, marked."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    h.wait(T + 15_000)
    h.give(*(result(kind, T) for kind in KINDS))
    assert [(r["origin"], r["late"]) for r in of_type(h.rows, CLUSTER)] == [
        ("filled", False),
        ("collected", True),
    ]


def test_fill_ends_at_the_tick_of_the_return() -> None:
    """The tick that brings the real entity back has no filled row of it."""
    h = Harness()
    h.tick(T)
    h.tick(T + INTERVAL, topics=())
    rows = h.tick(T + 2 * INTERVAL)
    assert "filled" not in {r["origin"] for r in rows}


def test_seen_entity_is_filled_once_it_was_silent_for_stale_after() -> None:
    """What is not expected is filled from `stale_after` on, not before."""
    h = Harness(ExpectSettings(), FillSettings(stale_after=60))
    h.tick(T)
    for n in (1, 2, 3):
        h.give(*(due(kind, T + n * INTERVAL) for kind in KINDS))
        h.give(*(result(kind, T + n * INTERVAL, outcome=Outcome.FAILED) for kind in KINDS))
    assert {(name, n) for name, origin, n, _ in brief(h.rows) if origin == "filled"} == {
        (name, n)
        for name in ("prod/broker-1", "prod/broker-2", "prod/orders", "prod/billing")
        for n in (2, 3)
    }


def test_deleted_topic_ends_its_fill() -> None:
    """A complete result that no longer names a topic ends its fill; a partial one does not."""
    h = Harness(ExpectSettings(), FillSettings(stale_after=0))
    h.tick(T, topics=("orders", "gone"))
    h.give(
        due("topics", T + INTERVAL), result("topics", T + INTERVAL, ("orders",), error="timeout")
    )
    assert ("prod/gone", "filled", 1, False) in brief(h.rows)
    h.give(due("topics", T + 2 * INTERVAL), result("topics", T + 2 * INTERVAL, ("orders",)))
    h.give(
        due("topics", T + 3 * INTERVAL), result("topics", T + 3 * INTERVAL, outcome=Outcome.FAILED)
    )
    assert {(name, n) for name, origin, n, _ in brief(h.rows) if origin == "filled"} == {
        ("prod/gone", 1),
        ("prod/orders", 3),
    }


def test_expected_topic_is_filled_although_metadata_does_not_name_it() -> None:
    """`expect` outweighs a complete result."""
    h = Harness(ExpectSettings(topics=("orders",)))
    h.tick(T)
    h.tick(T + INTERVAL, topics=())
    assert ("prod/orders", "filled", 1, False) in brief(h.rows)


@pytest.mark.parametrize(
    ("under_replicated", "offline", "filled"), [(3, 0, True), (0, 1, True), (0, 0, False)]
)
def test_broker_is_down_while_a_partition_misses_it(
    under_replicated: int, offline: int, filled: bool
) -> None:
    """A broker that is not named is filled while partitions miss it, and forgotten after that."""
    h = Harness(ExpectSettings(), FillSettings(stale_after=60))
    h.tick(T)
    known = {
        "underReplicatedPartitions": under_replicated,
        "offlinePartitionsCount": offline,
    }
    for n in (1, 2, 3):
        tick = T + n * INTERVAL
        h.give(*(due(kind, tick) for kind in KINDS))
        h.give(
            result("brokers", tick, (1,), cluster=known),
            result("topics", tick, ("orders",)),
            result("groups", tick, ("billing",)),
        )
    assert (("prod/broker-2", "filled", 3, False) in brief(h.rows)) is filled


def test_missed_ticks_are_filled_at_once_after_a_restart() -> None:
    """Ticks that passed while nothing ran: one filled row for each expected entity and tick."""
    h = Harness()
    h.tick(T)
    h.restart()
    start = T + 4 * INTERVAL
    h.give(*(due(kind, start, missed=3, count=0) for kind in KINDS))
    h.give(*(result(kind, start - INTERVAL, outcome=Outcome.MISSED, missed=2) for kind in KINDS))
    rows = h.wait(start - 1)
    names = ("prod", "prod/broker-1", "prod/broker-2", "prod/orders", "prod/billing")
    assert sorted((r["entity_name"], r["tick"], r["origin"]) for r in rows) == sorted(
        (name, T + n * INTERVAL, "filled") for name in names for n in (1, 2, 3)
    )
    assert [r["collection.missed"] for r in of_type(h.rows, COLLECTION)][3:] == [3, 3, 3]
    assert "filled" not in {r["origin"] for r in h.tick(start)}
    assert h.merge.under_way == 0


def test_ticks_of_a_kind_that_is_held_up_are_filled_when_others_have_gone_on() -> None:
    """A kind's deadline passes before it reports what it missed: each tick is filled once."""
    h = Harness()
    h.tick(T)
    now = T + 4 * INTERVAL
    for kind in ("brokers", "groups"):
        h.give(due(kind, now, missed=3), result(kind, now, outcome=Outcome.FAILED))
    h.wait(now + INTERVAL)
    h.give(due("topics", now + INTERVAL, missed=4, count=0))
    h.wait(now + 2 * INTERVAL)
    names = ("prod", "prod/broker-1", "prod/broker-2", "prod/orders", "prod/billing")
    filled = [(r["entity_name"], r["tick"]) for r in h.rows if r["origin"] == "filled"]
    assert sorted(filled) == sorted((name, T + n * INTERVAL) for name in names for n in range(1, 5))


def test_missed_ticks_are_filled_as_far_back_as_catch_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a long absence all ticks are reported, the latest are filled, and the log says so."""
    h = Harness(catch_up=2 * INTERVAL + 1)
    h.tick(T)
    h.restart()
    start = T + 6 * INTERVAL
    h.give(*(due(kind, start, missed=5, count=0) for kind in KINDS))
    h.give(*(result(kind, start - INTERVAL, outcome=Outcome.MISSED, missed=4) for kind in KINDS))
    rows = h.wait(start - 1)
    assert {(r["tick"] - T) // INTERVAL for r in rows} == {4, 5}
    assert len(rows) == 2 * 5
    assert [r["collection.missed"] for r in of_type(h.rows, COLLECTION)][3:] == [5, 5, 5]
    assert caplog.text.count("missed ticks are not filled") == len(KINDS)
    assert "filled" not in {r["origin"] for r in h.tick(start)}


@pytest.mark.parametrize("kind", sorted(UNFILLED))
def test_a_measure_of_the_moment_is_not_filled(kind: str) -> None:
    """A probe, and what is simulated anyway: where its ticks fail or were missed, that is said."""
    h = Harness()
    h.tick(T)
    rows = samples("topics", T, ("probed",))
    h.give(due(kind, T), TickResult(due(kind, T), Outcome.COMPLETED, (rows,)))
    failed = TickResult(due(kind, T + INTERVAL), Outcome.FAILED, error_class="timeout")
    found = h.give(due(kind, T + INTERVAL), failed)
    h.restart()
    found += h.give(due(kind, T + 4 * INTERVAL, missed=2, count=0))
    found += h.wait(T + 4 * INTERVAL)
    assert "prod/probed" in {row["entity_name"] for row in h.rows}
    assert "prod/probed" not in {row["entity_name"] for row in found}
    assert len(of_type(found, COLLECTION)) == 1


def test_missed_ticks_are_only_reported_without_fill() -> None:
    """In infrastructure mode nothing stands in for a missed tick but its collection row."""
    h = Harness(fill=None)
    h.tick(T)
    h.give(*(due(kind, T + 4 * INTERVAL, missed=3, count=0) for kind in KINDS))
    rows = h.give(
        *(result(kind, T + 3 * INTERVAL, outcome=Outcome.MISSED, missed=2) for kind in KINDS)
    )
    assert [r["entity_type"] for r in rows] == [COLLECTION.name] * 3
    assert h.merge.under_way == 0


def test_tick_in_flight_at_a_crash_is_filled_and_joined() -> None:
    """What was collected before the crash is joined with the fill of what was under way."""
    h = Harness()
    h.give(
        due("brokers", T),
        due("topics", T),
        result("brokers", T, (1, 2), cluster={"activeBrokerCount": 2}),
    )
    h.restart()
    h.give(due("groups", T + INTERVAL, missed=1, count=0))
    h.give(result("topics", T, outcome=Outcome.MISSED))
    h.wait(T)
    assert ("prod/orders", "filled", 0, False) in brief(h.rows)
    assert ("prod/billing", "filled", 0, False) in brief(h.rows)
    (row,) = of_type(h.rows, CLUSTER)
    assert (row["cluster.activeBrokerCount"], row["origin"]) == (2, "collected")


def test_gap_is_filled_from_what_was_known_before_it() -> None:
    """Rows of missed ticks go on from the levels before them, whatever was collected since."""
    h = Harness(ExpectSettings(topics=("orders",)))
    h.give(due("topics", T), result("topics", T, ("orders",), rate=10.0))
    h.give(due("topics", T + 3 * INTERVAL, missed=2))
    h.give(result("topics", T + 3 * INTERVAL, ("orders",), rate=99.0))
    h.restart()
    rows = of_type(h.wait(T + 3 * INTERVAL), TOPIC)
    assert [(r["topic.messagesInPerSecond"], r["topic.offset"] - 10 * T // 1000) for r in rows] == [
        (10.0, 300),
        (10.0, 600),
    ]


def test_long_gap_is_filled_block_by_block_through_a_restart() -> None:
    """No block is much larger than `BLOCK_ROWS`, and after a restart the next block follows."""
    missed = 2 * BLOCK_ROWS + 10
    h = Harness(ExpectSettings(topics=("orders",)))
    h.merge.on_ticks(due("topics", T + missed * INTERVAL, missed=missed, count=0))
    blocks = []
    while h.merge.has_gaps:
        blocks.append([b for b in h.merge.on_time(0) if entity_type_of(b) is TOPIC])
        h.restart()
    sizes = [sum(batch.num_rows for batch in block) for block in blocks]
    assert sizes == [BLOCK_ROWS, BLOCK_ROWS, 10]
    ticks = np.concatenate([times_of(batch) for block in blocks for batch in block])
    assert np.array_equal(ticks, T + INTERVAL * np.arange(missed))


def test_coverage_counts_each_sample_once() -> None:
    """Expected, collected, filled and late add up over a full, a partial and a silent tick."""
    h = Harness()
    h.tick(T)
    h.tick(T + INTERVAL, topics=())
    h.give(*(due(kind, T + 2 * INTERVAL) for kind in KINDS))
    h.wait(T + 2 * INTERVAL + 15_000)
    h.give(result("topics", T + 2 * INTERVAL, ("orders",)))
    h.tick(T + 3 * INTERVAL)
    assert [(c.expected, c.collected, c.filled, c.late) for c in h.coverage] == [
        (5, 5, 0, 0),
        (5, 4, 1, 0),
        (5, 0, 5, 0),
        (5, 5, 0, 1),
    ]
    assert all(c.collected + c.filled == c.expected for c in h.coverage)


def test_coverage_without_fill_reports_what_is_missing() -> None:
    """In infrastructure mode what `expect` names and nobody gave lowers the coverage."""
    h = Harness(fill=None)
    h.tick(T, topics=(), groups=("billing", "other"))
    assert [(c.expected, c.collected, c.filled) for c in h.coverage] == [(6, 5, 0)]


def test_snapshot_encodes_only_what_changed() -> None:
    """A second snapshot without samples in between hands out the very same bytes."""
    h = Harness()
    h.tick(T)
    first, second = h.merge.snapshot()[5][1], h.merge.snapshot()[5][1]
    assert all(a is b for kind in first for a, b in zip(first[kind], second[kind], strict=True))


def test_state_of_another_account_is_set_aside() -> None:
    """GUIDs hold the account: with another one, what was known is of other entities."""
    h = Harness(ExpectSettings(), FillSettings(stale_after=0))
    h.tick(T)
    h.plan = kafka_plan(account_id=7)
    h.restart()
    h.give(*(due(kind, T + INTERVAL) for kind in KINDS))
    assert [r["entity_guid"].split("|")[0] for r in h.wait(T + INTERVAL + 15_000)] == ["7"]


def test_what_is_no_longer_expected_and_was_never_seen_is_forgotten() -> None:
    """`expect` may change between two runs: what it no longer names is not filled."""
    h = Harness()
    h.give(*(due(kind, T) for kind in KINDS))
    h.wait(T + 15_000)
    h.plan = kafka_plan(expect=ExpectSettings(topics=("new",)))
    h.restart()
    h.give(*(due(kind, T + INTERVAL) for kind in KINDS))
    assert brief(h.wait(T + INTERVAL + 15_000)) == {("prod/new", "filled", 1, False)}
