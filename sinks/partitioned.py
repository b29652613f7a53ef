"""Sinks with a partition for each cluster."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink


class PartitionedSink(FixedPartitionedSink[pa.RecordBatch, Any]):
    """The partitions of a sink. An item's key is its partition's name.

    `parts` are the names of the shards and clusters, and those that earlier runs on the same
    state had and this one has not: their state must still find its partition.
    """

    def __init__(self, parts: Iterable[str]) -> None:
        self._parts = sorted(set(parts))
        self._index = {part: index for index, part in enumerate(self._parts)}

    def list_parts(self) -> list[str]:
        """The same on all workers."""
        return self._parts

    def part_fn(self, item_key: str) -> int:
        """The partition's place in the sorted list of all.

        Raises:
            ValueError: the key names no partition.
        """
        try:
            return self._index[item_key]
        except KeyError:
            raise ValueError(
                f"no partition `{item_key}`; there are {', '.join(self._parts)}"
            ) from None
