"""One cluster's merge: ticks open, results join, gaps are filled, ticks settle.

Nothing here knows Bytewax or a clock; times come in as arguments, in milliseconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.merge.coverage import Coverage, CoverageListener
from operators.merge.fill import Course
from operators.merge.filler import Filler
from operators.merge.levels import guids_of
from operators.merge.plan import CLUSTER_KIND, Plan
from operators.merge.settings import FillSettings
from operators.schema.arrow import entity_type_of
from operators.schema.ipc import decode, encode
from operators.schema.metrics import CLUSTER
from operators.ticks import Outcome, TargetKind, TickResult, Ticks

JOINED = frozenset(kind.value for kind in TargetKind)
"""The kinds whose results make a cluster's row."""

BLOCK_ROWS = 50_000
"""Rows filled in one go for ticks that were missed, about; then the worker does other things."""

REMEMBERED = 100
"""Overdue ticks kept for the sake of a late result; after that a late sample counts as filled."""

Rows = list[pa.RecordBatch]
Join = Callable[[Plan, int, Sequence[pa.RecordBatch]], pa.RecordBatch]
Report = Callable[[Plan, TickResult], pa.RecordBatch]

STATE_VERSION = 1
_NEVER = -1


@dataclass(slots=True)
class _Tick:
    """A tick of the cluster that is not over, or whose late results are still awaited."""

    tick: int
    deadline: int
    awaited: set[str]
    """Kinds that have given no result."""
    parts: Rows = field(default_factory=list)
    """What the kinds know of the cluster's row."""
    joined: bool = False
    """Whether the cluster's row was made, or it was found that there is none."""
    overdue: bool = False
    complete: set[str] = field(default_factory=set)
    """Kinds whose result names all that exists."""
    expected: int = 0
    collected: int = 0
    filled: dict[str, pa.StringArray] = field(default_factory=dict)
    """GUIDs of the filled, by entity type."""


@dataclass(slots=True)
class _Gap:
    """Ticks that nobody will collect, filled block by block from what was known before them."""

    kind: str
    filler: Filler
    ticks: list[int]


class ClusterMerge:
    """Joins and fills one cluster.

    A kind's tick is settled by its result, at the tick's deadline, or as missed: whatever comes
    afterwards is late. Without `fill` settings nothing is filled and no entity is remembered.
    """

    def __init__(
        self,
        plan: Plan,
        fill: FillSettings | None,
        join: Join,
        report: Report,
        on_coverage: CoverageListener | None = None,
    ) -> None:
        self._plan = plan
        self._fill = fill
        self._join = join
        self._report = report
        self._on_coverage = on_coverage
        self._ticks: dict[int, _Tick] = {}
        self._gaps: list[_Gap] = []
        self._fillers: dict[str, Filler] = {}
        self._through: dict[str, int] = {}
        """By kind: the last settled tick."""
        self._course = Course(plan.like.pattern, 1)
        self._late = 0
        self._stale_after = 0
        if fill is not None:
            self._stale_after = round(fill.stale_after * 1000)
            for kind in (*sorted(JOINED), CLUSTER_KIND):
                self._filler(kind)

    @property
    def under_way(self) -> int:
        """Ticks that are not over, and gaps that are not filled."""
        return sum(not tick.overdue for tick in self._ticks.values()) + len(self._gaps)

    @property
    def due(self) -> int | None:
        """When (ms) `on_time` has something to do; None while it has nothing."""
        if self._gaps:
            return 0
        return min((t.deadline for t in self._ticks.values() if not t.overdue), default=None)

    def on_ticks(self, ticks: Ticks) -> Rows:
        """A target's tick is due; or some were missed, and are left to be filled."""
        kind = str(ticks.kind)
        self._go_by(ticks.interval)
        rows: Rows = []
        if ticks.missed:
            rows += self._missed(kind, ticks.start - ticks.interval, ticks.missed, ticks.interval)
        if ticks.count and ticks.start > self._settled(kind):
            self._opened(ticks).awaited.add(kind)
        return rows

    def on_result(self, result: TickResult) -> Rows:
        """A target's tick ended: its samples pass on, and what it lacks is filled.

        A MISSED result stands for its tick and the `missed` ones before it.
        """
        kind, tick = str(result.tick.kind), result.tick.start
        self._go_by(result.tick.interval)
        samples = [b for b in result.batches if entity_type_of(b) is not CLUSTER and b.num_rows]
        complete = result.outcome is Outcome.COMPLETED and result.error_class is None
        rows = [self._report(self._plan, result)]
        if result.outcome is Outcome.MISSED:
            return rows + self._missed(kind, tick, result.tick.missed + 1, result.tick.interval)
        if tick > self._settled(kind):
            opened = self._opened(result.tick)
            opened.complete |= {kind} if complete else set()
            rows += self._settle_earlier(kind, tick)
            rows += samples
            rows += self._settle(opened, kind, samples, complete)
        else:
            rows += self._late_samples(kind, tick, samples, complete)
        if tick in self._ticks:
            opened = self._ticks[tick]
            opened.parts += [b for b in result.batches if entity_type_of(b) is CLUSTER]
            rows += self._answered(opened, kind)
        return rows

    def on_time(self, now: int) -> Rows:
        """Settle what is overdue at `now` (ms), and fill one block of each gap."""
        rows: Rows = []
        for tick in sorted(self._ticks):
            opened = self._ticks[tick]
            if not opened.overdue and opened.deadline <= now:
                for kind in sorted(opened.awaited):
                    if tick > self._settled(kind):
                        rows += self._settle(opened, kind, [], complete=False)
                rows += self._join_row(opened)
                opened.overdue = True
                self._tell(opened)
        for gap in self._gaps:
            rows += self._fill_block(gap)
        self._gaps = [gap for gap in self._gaps if gap.ticks]
        self._forget_overdue()
        return rows

    # One kind

    def _settle(self, opened: _Tick, kind: str, samples: Rows, complete: bool) -> Rows:
        """Take a kind's collected samples of a tick as all that came; fill the rest."""
        self._through[kind] = opened.tick
        collected = sum(batch.num_rows for batch in samples)
        opened.collected += collected
        if self._fill is None:
            opened.expected += collected + self._count_missing(kind, samples)
            return []
        filler = self._filler(kind)
        filler.collected(opened.tick, samples, complete)
        rows = filler.fill(np.array([opened.tick]), self._course)
        opened.filled |= {entity_type_of(batch).name: guids_of(batch) for batch in rows}
        opened.expected += len(filler)
        return rows

    def _settle_earlier(self, kind: str, tick: int) -> Rows:
        """Settle a kind's open ticks before `tick`: their results did not come in time."""
        return [
            batch
            for earlier in sorted(self._ticks)
            if self._settled(kind) < earlier < tick and kind in self._ticks[earlier].awaited
            for batch in self._settle(self._ticks[earlier], kind, [], complete=False)
        ]

    def _late_samples(self, kind: str, tick: int, samples: Rows, complete: bool) -> Rows:
        """Samples of a settled tick: kept, and marked where they were filled."""
        self._late += sum(batch.num_rows for batch in samples)
        if self._fill is None:
            return samples
        self._filler(kind).collected(tick, samples, complete)
        opened = self._ticks.get(tick)
        return [
            _marked(
                batch,
                None if opened is None else opened.filled.get(entity_type_of(batch).name, _NOBODY),
            )
            for batch in samples
        ]

    def _missed(self, kind: str, last: int, count: int, interval: int) -> Rows:
        """So many ticks up to `last` will never be collected: settle them, open their gaps."""
        missed = range(last - (count - 1) * interval, last + interval, interval)
        rows = self._settle_earlier(kind, last + 1)
        self._open_gap(kind, missed)
        if kind in JOINED:
            self._open_gap(CLUSTER_KIND, [tick for tick in missed if tick not in self._ticks])
        for tick in missed:
            if tick in self._ticks:
                rows += self._answered(self._ticks[tick], kind)
        return rows

    def _open_gap(self, kind: str, missed: Sequence[int]) -> None:
        ticks = [tick for tick in missed if tick > self._settled(kind)]
        if not ticks:
            return
        self._through[kind] = ticks[-1]
        if self._fill is not None:
            filler = self._filler(kind)
            filler.know_expected(ticks[0], self._course.interval)
            self._gaps.append(_Gap(kind, filler.frozen(), ticks))

    def _fill_block(self, gap: _Gap) -> Rows:
        count = max(1, BLOCK_ROWS // max(1, len(gap.filler)))
        ticks, gap.ticks = gap.ticks[:count], gap.ticks[count:]
        rows = gap.filler.fill(np.array(ticks), self._course)
        filled = sum(batch.num_rows for batch in rows)
        self._cover(ticks[-1], len(ticks) * len(gap.filler), 0, filled)
        return rows

    # The cluster's row

    def _answered(self, opened: _Tick, kind: str) -> Rows:
        """A kind's result is in, or it will give none: join if it was the last."""
        opened.awaited.discard(kind)
        rows = [] if opened.awaited & JOINED else self._join_row(opened)
        if not opened.awaited:
            del self._ticks[opened.tick]
            if not opened.overdue:
                self._tell(opened)
        return rows

    def _join_row(self, opened: _Tick) -> Rows:
        """The cluster's row of what is in; a filled one where nothing is."""
        filled_before = CLUSTER.name in opened.filled
        if opened.joined and not (filled_before and opened.parts):
            return []
        row = [self._join(self._plan, opened.tick, opened.parts)] if opened.parts else []
        if opened.joined:
            return self._late_samples(CLUSTER_KIND, opened.tick, row, complete=False)
        opened.joined = True
        if opened.tick <= self._settled(CLUSTER_KIND):
            return []
        if self._fill is not None and row and "brokers" in opened.complete:
            under_replicated = row[0].column("cluster.underReplicatedPartitions")[0].as_py()
            if under_replicated == 0:
                self._filler("brokers").forget_absent(opened.tick)
        return row + self._settle(opened, CLUSTER_KIND, row, complete=False)

    # What lies beneath

    def _opened(self, ticks: Ticks) -> _Tick:
        tick = ticks.start
        if tick not in self._ticks:
            patience = ticks.interval
            if self._fill is not None:
                patience = min(patience, round(self._fill.grace * 1000))
            self._ticks[tick] = _Tick(tick, tick + patience, set(JOINED))
        return self._ticks[tick]

    def _settled(self, kind: str) -> int:
        return self._through.get(kind, _NEVER)

    def _go_by(self, interval: int) -> None:
        if self._course.interval != interval:
            self._course = Course(self._plan.like.pattern, interval)

    def _filler(self, kind: str) -> Filler:
        if kind not in self._fillers:
            self._fillers[kind] = Filler(self._plan, kind, self._stale_after)
        return self._fillers[kind]

    def _count_missing(self, kind: str, samples: Rows) -> int:
        there = {entity_type_of(batch).name: guids_of(batch) for batch in samples}
        return sum(
            len(names.keys() - set(there.get(entity_type.name, _NOBODY).to_pylist()))
            for entity_type, names in self._plan.expected(kind).items()
            if names
        )

    def _forget_overdue(self) -> None:
        overdue = sorted(tick for tick, opened in self._ticks.items() if opened.overdue)
        for tick in overdue[:-REMEMBERED]:
            del self._ticks[tick]

    def _tell(self, opened: _Tick) -> None:
        filled = sum(map(len, opened.filled.values()))
        self._cover(opened.tick, opened.expected, opened.collected, filled)

    def _cover(self, tick: int, expected: int, collected: int, filled: int) -> None:
        late, self._late = self._late, 0
        if self._on_coverage is not None:
            self._on_coverage(Coverage(self._plan.cluster, tick, expected, collected, filled, late))

    # State

    def snapshot(self) -> tuple[Any, ...]:
        """The state as plain tuples, dicts and bytes; what did not change costs nothing."""
        return (
            STATE_VERSION,
            self._plan.cluster,
            self._plan.guid,
            self._course.interval,
            dict(self._through),
            [
                (
                    t.tick,
                    t.deadline,
                    sorted(t.awaited),
                    [encode(part) for part in t.parts],
                    t.joined,
                    sorted(t.complete),
                    t.expected,
                    t.collected,
                    {name: guids.to_pylist() for name, guids in t.filled.items()},
                )
                for t in self._ticks.values()
                if not t.overdue
            ],
            {kind: filler.snapshot() for kind, filler in self._fillers.items()},
            [(gap.kind, list(gap.ticks), gap.filler.snapshot()) for gap in self._gaps],
        )

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take up a snapshot; that of another account or version is set aside."""
        if state[0] != STATE_VERSION or state[2] != self._plan.guid:
            return
        _, _, _, interval, through, ticks, fillers, gaps = state
        self._go_by(interval)
        self._through = dict(through)
        for tick, deadline, awaited, parts, joined, complete, expected, collected, filled in ticks:
            self._ticks[tick] = _Tick(
                tick,
                deadline,
                set(awaited),
                [decode(part) for part in parts],
                joined,
                False,
                set(complete),
                expected,
                collected,
                {name: pa.array(guids, pa.string()) for name, guids in filled.items()},
            )
        if self._fill is not None:
            for kind, levels in fillers.items():
                self._filler(kind).restore(levels)
            self._gaps = [
                _Gap(kind, self._filler(kind).frozen().restore(levels), list(left))
                for kind, left, levels in gaps
            ]


_NOBODY = pa.array([], pa.string())


def _marked(batch: pa.RecordBatch, filled: pa.StringArray | None) -> pa.RecordBatch:
    """With `late` true where the entity was filled; where that is no longer known, everywhere."""
    late = pa.repeat(True, batch.num_rows)
    if filled is not None:
        late = pc.is_in(guids_of(batch), value_set=filled)
    return batch.set_column(batch.schema.get_field_index("late"), batch.schema.field("late"), late)
