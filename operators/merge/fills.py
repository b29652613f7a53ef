"""All fills of one cluster: a filler for each kind, and the gaps that ticks left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from operators.merge.continuity import Course
from operators.merge.filler import Filler
from operators.merge.plan import CLUSTER_KIND, UNFILLED, Plan
from operators.schema.arrow import repeated

BLOCK_ROWS = 50_000
"""Rows of a gap that are filled in one go, about; then the worker does other things."""


@dataclass(slots=True)
class _OpenGap:
    """Ticks that nobody will collect, filled block by block from what was known before them."""

    kind: str
    filler: Filler
    ticks: list[int]


class Fills:
    """What hybrid mode knows of a cluster's entities, and the rows that stand in for them."""

    def __init__(self, plan: Plan, stale_after: int) -> None:
        self._plan = plan
        self._stale_after = stale_after
        self.cluster_id = plan.cluster_id
        """The id that the cluster gave itself, which levels of what was never seen lack."""
        self._gaps: list[_OpenGap] = []
        self._course = Course(plan.like.pattern, 1)
        self._fillers = {
            kind: Filler(plan, kind, stale_after) for kind in (*plan.joined_kinds, CLUSTER_KIND)
        }

    def of(self, kind: str) -> Filler:
        """The filler of a kind, a plug-in's among them."""
        if kind not in self._fillers:
            self._fillers[kind] = Filler(self._plan, kind, self._stale_after)
        return self._fillers[kind]

    @property
    def interval(self) -> int:
        """Milliseconds between ticks."""
        return self._course.interval

    def go_by(self, interval: int) -> None:
        """Ticks are `interval` ms apart from here on."""
        if self._course.interval != interval:
            self._course = Course(self._plan.like.pattern, interval)

    def fill(self, kind: str, tick: int) -> list[pa.RecordBatch]:
        """A kind's filled samples of `tick` (ms)."""
        return self._identified(self.of(kind).fill(np.array([tick]), self._course))

    def _identified(self, filled: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        if self.cluster_id is None:
            return filled
        return [_with_id(batch, self.cluster_id) for batch in filled]

    # Gaps

    @property
    def has_gaps(self) -> bool:
        """Whether there are gaps that are not filled to their end."""
        return bool(self._gaps)

    def open_gap(self, kind: str, ticks: Sequence[int]) -> None:
        """Leave ticks (ascending, ms) of a kind to be filled from what is known now."""
        filler = self.of(kind)
        filler.know_expected(ticks[0], self._course.interval)
        self._gaps.append(_OpenGap(kind, filler.frozen(), list(ticks)))

    def fill_block(self) -> list[tuple[int, int, list[pa.RecordBatch]]]:
        """Fill the next block of each gap.

        Returns for each the block's last tick (ms), how many samples were expected, and those
        that were filled.
        """
        blocks = []
        for gap in self._gaps:
            count = max(1, BLOCK_ROWS // max(1, len(gap.filler)))
            ticks, gap.ticks = gap.ticks[:count], gap.ticks[count:]
            rows = self._identified(gap.filler.fill(np.array(ticks), self._course))
            blocks.append((ticks[-1], len(ticks) * len(gap.filler), rows))
        self._gaps = [gap for gap in self._gaps if gap.ticks]
        return blocks

    # State

    def snapshot(self) -> tuple[Any, ...]:
        """The state; what has not changed since the last snapshot is not encoded again."""
        return (
            self._course.interval,
            {kind: filler.snapshot() for kind, filler in self._fillers.items()},
            [(gap.kind, gap.ticks, gap.filler.snapshot()) for gap in self._gaps],
        )

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take up a snapshot."""
        interval, fillers, gaps = state
        self.go_by(interval)
        for kind, levels in fillers.items():
            self.of(kind).restore(levels)
        for kind, ticks, levels in gaps:
            filler = Filler(self._plan, kind, self._stale_after)
            self._gaps.append(_OpenGap(kind, filler.restore(levels), ticks))


def filling(fills: Fills | None, kind: str) -> Fills | None:
    """What fills a kind of target; None where nothing does."""
    return None if kind in UNFILLED else fills


def _with_id(batch: pa.RecordBatch, cluster_id: str) -> pa.RecordBatch:
    place = batch.schema.get_field_index("cluster_id")
    ids = repeated(cluster_id, batch.num_rows)
    return batch.set_column(place, batch.schema.field(place), ids)
