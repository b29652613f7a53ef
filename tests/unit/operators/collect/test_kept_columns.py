"""What samples of the same entities have in common: kept from tick to tick, and never what was before."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.collect.samples import ClusterIdentity, collected_batch
from operators.schema.metrics import QUEUE

IDENTITY = ClusterIdentity("jobs", "test", 7)

TICKS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.none() | st.integers(0, 3), max_size=3),
    max_size=6,
)
"""By tick: how deep each queue is that there is then."""


def queues(identity: ClusterIdentity, tick: int, depths: dict[str, int | None]) -> pa.RecordBatch:
    names = sorted(depths)
    columns: dict[str, Any] = {"queue": names, "queue.depth": [depths[name] for name in names]}
    return collected_batch(identity, tick, QUEUE, [(n,) for n in names], names, columns, "own")


@given(TICKS)
def test_samples_are_those_of_an_identity_that_has_kept_nothing(
    ticks: list[dict[str, Any]],
) -> None:
    """Whatever comes, goes, changes and stays."""
    kept = ClusterIdentity("jobs", "test", 7)
    for tick, depths in enumerate(ticks):
        fresh = queues(ClusterIdentity("jobs", "test", 7), tick, depths)
        assert queues(kept, tick, depths).equals(fresh)


def test_a_list_that_is_changed_in_place_is_another_one() -> None:
    """A custom collector may keep one list and write into it."""
    depths, parts = [1], [["mail"]]

    def made(tick: int) -> list[dict[str, Any]]:
        columns = {"queue": ["mail"], "queue.depth": depths}
        rows = collected_batch(IDENTITY, tick, QUEUE, parts, ["mail"], columns, "own").to_pylist()
        return [{name: row[name] for name in ("queue.depth", "entity_guid")} for row in rows]

    (before,) = made(0)
    depths[0] = 2
    assert made(1) == [{**before, "queue.depth": 2}]
    parts[0][0] = "post"
    assert made(2)[0]["entity_guid"] != before["entity_guid"]


def test_a_cluster_that_reports_its_id_has_it_in_all_samples() -> None:
    """It is the same entities' before and after."""
    identity = ClusterIdentity("jobs", "test", 7)
    assert queues(identity, 0, {"a": 1}).column("cluster_id").to_pylist() == [None]
    reported = replace(identity, cluster_id="x")
    assert queues(reported, 1, {"a": 1}).column("cluster_id").to_pylist() == ["x"]


def test_what_is_kept_of_single_entities_that_come_and_go_is_bounded() -> None:
    identity = ClusterIdentity("jobs", "test", 7)
    for number in range(1_000):
        queues(identity, number, {f"queue-{number}": 1})
    assert len(identity.known) < 200
