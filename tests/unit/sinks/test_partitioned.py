"""Sinks with a partition for each cluster."""

import pytest

from sinks.partitioned import PartitionedSink


class Named(PartitionedSink):
    """One whose partitions are never built."""

    def build_part(self, step_id: str, for_part: str, resume_state: object) -> object:  # type: ignore[override]
        raise AssertionError


def test_partitions_are_the_same_whatever_order_they_come_in() -> None:
    """Workers list them each for itself, and Bytewax takes their places."""
    one, other = Named(["b", "a", "b"]), Named({"a", "b"})
    assert one.list_parts() == other.list_parts() == ["a", "b"]
    assert [one.list_parts()[one.part_fn(key)] for key in ("a", "b")] == ["a", "b"]


def test_a_key_without_a_partition_is_refused() -> None:
    """Rows never go to another's partition."""
    with pytest.raises(ValueError, match="no partition `c`; there are a, b"):
        Named(["a", "b"]).part_fn("c")
