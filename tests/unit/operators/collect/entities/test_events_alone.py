"""Brokers by topic, and groups by client: what New Relic's integration of Kafka has as events."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from operators.collect.client.topology import UNKNOWN
from operators.collect.entities.broker_topics import broker_topics
from operators.collect.entities.broker_topics import left_out as brokers_left_out
from operators.collect.entities.group_clients import group_clients
from operators.collect.entities.group_clients import left_out as clients_left_out
from operators.collect.pages.dialects import BYTES_IN
from operators.collect.pages.parse import Page
from operators.collect.pages.reader import Pages
from operators.collect.reading.commits import commits_of
from operators.collect.reading.offsets import Offsets
from operators.derive.kafka import KAFKA_RULES
from operators.derive.operator import ClusterDerivation
from operators.schema.arrow import Only, entity_type_of, only
from operators.schema.metrics import BROKER_TOPIC, TOPIC
from operators.ticks import TickResult
from tests.kafka_metadata import topology
from tests.reported_groups import ReportedGroup, groups_of
from tests.tick_results import IDENTITY, ms, page, topics

BYTES, DISK = "broker.bytesWrittenToTopicPerSecond", "topic.diskSize"

Sizes = Mapping[int, Mapping[str, int]]


def tick(
    number: int, pages: Mapping[int, Page], sizes: Sizes | None = None, most: int = 100
) -> TickResult:
    """A tick of topics of two brokers, with the rows of topics on brokers."""
    cluster = topology([1, 2], {t: [(1, [1, 2], [1, 2])] for t in ("a", "b", "c")})
    found = topics(number, {"a": [1], "b": [1], "c": [1]}, pages=pages)
    rows, _ = broker_topics(
        IDENTITY, ms(number), cluster, frozenset("abc"), Pages(pages), sizes or {}, most
    )
    reported = [[broker, pages[broker].at if broker in pages else None] for broker in (1, 2)]
    which = pa.RecordBatch.from_arrays(
        [
            pa.array(column, t)
            for column, t in zip(zip(*reported, strict=True), (pa.int32(), pa.int64()), strict=True)
        ],
        schema=found.raw["pages"].schema,
    )
    return replace(found, batches=(*found.batches, rows), raw={**found.raw, "pages": which})


def derived(ticks: Iterable[TickResult]) -> list[dict[tuple[int, str], tuple[Any, Any]]]:
    """By tick, broker and topic: bytes a second, and bytes on disk."""
    derivation = ClusterDerivation("prod", KAFKA_RULES)
    found = []
    for result in map(derivation.derive, ticks):
        (rows,) = [b for b in result.batches if entity_type_of(b) is BROKER_TOPIC]
        assert only(rows) is Only.EVENTS
        found.append({(r["broker_id"], r["topic"]): (r[BYTES], r[DISK]) for r in rows.to_pylist()})
    return found


def written(number: int, own: float, **of_topics: float) -> Page:
    return page(number, {BYTES_IN: own}, {(BYTES_IN, t): n for t, n in of_topics.items()})


def test_a_brokers_bytes_of_a_topic_are_the_growth_of_its_own_counter() -> None:
    """They sum to the topic's; what the broker holds of it comes with them."""
    ticks = [
        tick(n, {1: written(n, 300 * n, a=100 * n, b=200 * n), 2: written(n, 50 * n, a=50 * n)})
        for n in range(2)
    ]
    first, second = derived(ticks)
    assert first == {}, "nothing is known of any yet"
    assert second == {(1, "a"): (10.0, None), (1, "b"): (20.0, None), (2, "a"): (5.0, None)}


def test_a_broker_that_only_follows_has_no_bytes_of_the_topic_and_some_on_disk() -> None:
    """Its page knows of every topic that it took something of, so of this one it took nothing."""
    sizes = {1: {"a": 700}, 2: {"a": 600}}
    ticks = [
        tick(n, {1: written(n, 100 * n, a=100 * n), 2: written(n, 0)}, sizes) for n in range(2)
    ]
    first, second = derived(ticks)
    assert first == {(1, "a"): (None, 700), (2, "a"): (None, 600)}
    assert second == {(1, "a"): (10.0, 700), (2, "a"): (0.0, 600)}


def test_a_missing_page_costs_the_other_broker_nothing() -> None:
    """The topic's own bytes are not known then; those on the broker that answered are."""
    pages = [
        {1: written(n, 100 * n, a=100 * n), **({2: written(n, 0, a=0)} if n < 1 else {})}
        for n in range(2)
    ]
    _, second = derived(tick(n, p) for n, p in enumerate(pages))
    assert second == {(1, "a"): (10.0, None)}


def test_of_too_many_the_topics_with_the_most_traffic_have_rows() -> None:
    """Each with all its brokers, so that they sum to the topic's."""
    pages = {1: written(1, 9, a=1, b=5, c=3), 2: written(1, 9, a=1, b=5, c=3)}
    for most, named in ((0, set()), (1, set()), (2, {"b"}), (3, {"b"}), (4, {"b", "c"})):
        result = tick(1, pages, most=most)
        (rows,) = [b for b in result.batches if entity_type_of(b) is BROKER_TOPIC]
        assert set(rows.column("topic").to_pylist()) == named
        assert rows.num_rows == 2 * len(named)
    assert any(entity_type_of(b) is TOPIC and b.num_rows == 3 for b in result.batches)


def clients(
    *reported: ReportedGroup, ends: Mapping[str, list[int]], most: int = 100
) -> dict[Any, Any]:
    """By group and client: the lag."""
    cluster = topology([1], {t: [(1, [1], [1])] * len(of) for t, of in ends.items()})
    end = np.array([e for topic in cluster.topics for e in ends[topic]], np.int64)
    start = np.zeros(len(end), np.int64)
    offsets = Offsets(start, end, start, np.full(len(end), ms(0)), ())
    commits = commits_of(groups_of(*reported), cluster)
    rows, _ = group_clients(IDENTITY, ms(0), commits, offsets, most)
    assert only(rows) is Only.EVENTS
    return {(r["consumer_group"], r["client_id"]): r["consumer.totalLag"] for r in rows.to_pylist()}


def reading(group: str, **more: Any) -> ReportedGroup:
    """A group whose first member has partitions 0 and 1 of `a`, and nobody has 2."""
    return ReportedGroup(
        group,
        "Stable",
        "classic",
        ("m",),
        (("a", 0), ("a", 1)),
        (("a", 0, 10), ("a", 1, 20), ("a", 2, 30)),
        **more,
    )


def test_a_clients_lag_is_that_of_the_partitions_that_it_has() -> None:
    """What no member has is the group's, and no client's."""
    assert clients(reading("g"), ends={"a": [15, 21, 99]}) == {("g", "client of m"): 6}


def test_a_client_of_which_a_part_is_not_known_has_no_row() -> None:
    """Nor have members of share groups, or groups without members."""
    assert clients(reading("g"), ends={"a": [15, UNKNOWN, 99]}) == {}
    assert clients(replace(reading("g"), members=()), ends={"a": [15, 21, 99]}) == {}
    share = replace(reading("g"), type="share", lags=(1, 2, 3))
    assert clients(share, ends={"a": [15, 21, 99]}) == {}


def test_of_too_many_those_with_the_largest_lags_have_rows() -> None:
    """Ties by name, so that they stay the same ones."""
    reported = [reading(f"g{n}") for n in range(3)]
    behind = replace(reading("z"), commits=(("a", 0, 0),))
    found = clients(*reported, behind, ends={"a": [15, 21, 99]}, most=2)
    assert found == {("g0", "client of m"): 6, ("z", "client of m"): 15}


@pytest.mark.parametrize(("most", "without"), [(4, 2), (3, 4), (5, 2), (6, 0), (100, 0)])
def test_how_many_topics_on_brokers_have_no_room_is_known(most: int, without: int) -> None:
    """Three topics on two brokers each: whole ones, and no smaller one in the place of a larger."""
    pages = {1: written(1, 9, a=1, b=5, c=3), 2: written(1, 9, a=1, b=5, c=3)}
    cluster = topology([1, 2], {t: [(1, [1, 2], [1, 2])] for t in ("a", "b", "c")})
    _, left = broker_topics(IDENTITY, ms(0), cluster, frozenset("abc"), Pages(pages), {}, most)
    assert left == without


def test_what_has_no_room_is_said_in_numbers() -> None:
    """How many are allowed, and how many have none."""
    assert "allows for 1,000 events" in brokers_left_out(2_345, 1_000)
    assert "2,345" in brokers_left_out(2_345, 1_000)
    assert "allows for 1,000 events" in clients_left_out(2_345, 1_000)
    assert "the 2,345 with the least lag" in clients_left_out(2_345, 1_000)
