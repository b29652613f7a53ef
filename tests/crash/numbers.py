"""A source of numbered rows that goes on where the recovery store says, for the crash tests."""

import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.schema.metrics import BROKER, TOPIC
from tests.samples import INTERVAL, NEW_YEAR, numbered

PARTS = ["sim-eu", "sim-us"]
ROWS = 20
"""Rows of a batch."""


class _Numbers(StatefulSourcePartition[tuple[str, pa.RecordBatch], int]):
    def __init__(self, source: "NumberSource", part: str, state: int | None) -> None:
        self._source, self._part, self._next = source, part, state or 0
        self._end = None if source.more is None else self._next + source.more

    def next_batch(self) -> list[tuple[str, pa.RecordBatch]]:
        if self._next == self._end:
            sys.stderr.write(f"end {self._part} {self._next * ROWS}\n")
            raise StopIteration
        numbers = range(self._next * ROWS, (self._next + 1) * ROWS)
        entity_type = TOPIC if self._next % 3 == 0 else BROKER
        self._next += 1
        source = self._source
        batch = numbered(numbers, self._part, entity_type, source.start, source.interval)
        return [(self._part, batch)]

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + timedelta(milliseconds=2)

    def snapshot(self) -> int:
        return self._next


class NumberSource(FixedPartitionedSource[tuple[str, pa.RecordBatch], int]):
    """So many batches more in each partition, or endlessly many.

    Rows are `interval` milliseconds apart from `start`. A partition that has no more says on
    standard error how many rows it had since it was new: `end <partition> <rows>`.
    """

    def __init__(self, more: int | None, start: int = NEW_YEAR, interval: int = INTERVAL) -> None:
        self.more, self.start, self.interval = more, start, interval

    def list_parts(self) -> list[str]:
        return PARTS

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Numbers:
        return _Numbers(self, for_part, resume_state)
