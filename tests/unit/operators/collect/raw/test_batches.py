"""What is measured and is no column, as the derivation gets it."""

from typing import Any

import numpy as np
import pyarrow as pa

from operators.collect.pages.parse import Page
from operators.collect.pages.reader import Pages
from operators.collect.raw.batches import (
    broker_measures,
    commits_batch,
    consumption_batch,
    epochs_batch,
    layout_batch,
    members_batch,
    offsets_batch,
    pages_batch,
    places_of,
    topic_measures,
)
from operators.collect.raw.schemas import COMMITS, COUNTERS, LAYOUT, OFFSETS, PAGES
from operators.collect.reading.commits import commits_of
from operators.collect.reading.offsets import Offsets
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of
from tests.samples import NEW_YEAR

# Broker 2 is down: `single` is offline, and `orders` is under-replicated.
CLUSTER = topology(
    [1],
    {"orders": [(1, [1, 2], [1]), (1, [2, 1], [1])], "single": [(-1, [2], [2])]},
    ids={"orders": "first"},
)
_EPOCH = np.zeros(3, np.int64)
READ = Offsets(np.array([0, 5, -1]), np.array([10, 50, -1]), _EPOCH, _EPOCH + NEW_YEAR, problems=())
GROUPS = groups_of(
    ReportedGroup(
        "billing",
        "Stable",
        "classic",
        ("b", "a"),
        commits=(("orders", 1, 40), ("gone", 0, 7), ("single", 0, 3)),
        at=NEW_YEAR + 1,
    ),
    ReportedGroup("share", "Stable", "share", (), commits=(("orders", 0, 2),), lags=(6,)),
)
COMMITTED = commits_of(GROUPS, CLUSTER)


def columns(batch: pa.RecordBatch, *names: str) -> list[list[Any]]:
    """The values of some columns."""
    return [batch.column(name).to_pylist() for name in names]


def test_offsets_are_of_the_chosen_rows_with_nulls_for_what_nobody_knows() -> None:
    """A topic without an id, and a partition without a leader, have none."""
    batch = offsets_batch(places_of(CLUSTER, np.array([1, 2])), READ)
    assert batch.schema == OFFSETS
    assert columns(batch, "topic", "partition", "start", "end", "led") == [
        ["orders", "single"], [1, 0], [5, None], [50, None], [True, False],
    ]  # fmt: skip
    [first, none] = batch.column("topic_id").to_pylist()
    assert first
    assert none is None
    # Arrow joins no dictionaries that have a null.
    assert batch.column("topic_id").dictionary.null_count == 0


def test_the_layout_has_leaders_and_replicas() -> None:
    """The preferred leader is the first replica, whether it is up or not."""
    batch = layout_batch(CLUSTER, places_of(CLUSTER, np.arange(3)))
    assert batch.schema == LAYOUT
    assert columns(batch, "leader", "preferred", "replicas", "in_sync") == [
        [1, 1, None], [1, 2, 2], [2, 2, 1], [1, 1, 1],
    ]  # fmt: skip


def test_commits_are_of_partitions_that_are_there() -> None:
    """The topic that is gone has no row; a share group's lag is its coordinator's, others' is null."""
    never = np.full(4, -1, np.int64)
    batch = commits_batch(COMMITTED, READ, never)
    assert batch.schema == COMMITS
    assert columns(batch, "group", "topic", "partition", "committed", "end", "lag") == [
        ["billing", "billing", "share"], ["orders", "single", "orders"], [1, 0, 0],
        [40, 3, 2], [50, None, 10], [None, None, 6],
    ]  # fmt: skip
    assert columns(batch, "at", "message_at", "pace") == [
        [NEW_YEAR + 1, NEW_YEAR + 1, 0], [None] * 3, [None] * 3,
    ]  # fmt: skip


def test_members_are_in_order_and_a_group_without_any_has_a_row() -> None:
    """By that it is known that it was described."""
    silent = commits_of(groups_of(ReportedGroup("silent", "Stable", "classic")), CLUSTER)
    assert columns(members_batch(COMMITTED), "group", "member") == [
        ["billing", "billing", "share"], ["a", "b", None],
    ]  # fmt: skip
    assert members_batch(silent).num_rows == 0


def test_consumption_sums_commits_of_a_group_on_the_topics_that_are_asked_for() -> None:
    """Also those of one that the cluster has no more, where it is asked for."""
    found = columns(
        consumption_batch(COMMITTED, frozenset({"orders", "gone"})), "group", "topic", "committed"
    )
    assert sorted(zip(*found, strict=True)) == [
        ("billing", "gone", 7), ("billing", "orders", 40), ("share", "orders", 2),
    ]  # fmt: skip
    assert consumption_batch(COMMITTED, frozenset()).num_rows == 0


def test_epochs_are_a_row_a_topic() -> None:
    """With the time at which they came."""
    assert columns(epochs_batch(CLUSTER, NEW_YEAR), "topic", "epochs", "at") == [
        ["orders", "single"], [0, 0], [NEW_YEAR, NEW_YEAR],
    ]  # fmt: skip


def test_counters_of_brokers_and_topics_are_told_apart() -> None:
    """The brokers' own go with those of topics too: by them a restart shows."""
    page = Page(
        gauges={},
        counters={"in": 5.0},
        topic_counters={("in", "orders"): 3.0, ("in", "other"): 2.0},
        rates={("out", None): 1.5, ("out", "orders"): 0.5},
        at=NEW_YEAR,
    )
    pages = Pages({1: page})
    of_brokers = broker_measures(pages)
    assert of_brokers["counters"].to_pylist() == [
        {"broker": 1, "topic": None, "name": "in", "value": 5.0}
    ]
    assert columns(of_brokers["rates"], "topic", "value") == [[None], [1.5]]
    of_topics = topic_measures(pages, {"orders"})
    assert columns(of_topics["counters"], "topic", "value") == [[None, "orders"], [5.0, 3.0]]
    assert columns(of_topics["rates"], "topic", "value") == [["orders"], [0.5]]
    assert columns(pages_batch(CLUSTER, pages), "broker", "at") == [[1], [NEW_YEAR]]


def test_without_pages_there_are_no_counters_and_no_times() -> None:
    """The shapes stay."""
    none = Pages({})
    assert {batch.schema for batch in broker_measures(none).values()} == {COUNTERS}
    assert all(not batch.num_rows for batch in topic_measures(none, {"orders"}).values())
    batch = pages_batch(CLUSTER, none)
    assert batch.schema == PAGES
    assert columns(batch, "broker", "at") == [[1], [None]]
