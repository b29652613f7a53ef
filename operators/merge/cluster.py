"""One cluster's merge: ticks open, results join, gaps are filled, ticks settle.

Nothing here knows Bytewax or a clock; times come in as arguments, in milliseconds.
"""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from operators.merge.book import OpenTick, TickBook
from operators.merge.coverage import CoverageReport
from operators.merge.fills import Fills
from operators.merge.gaps import Gaps
from operators.merge.plan import CLUSTER_KIND, Plan
from operators.merge.report import collection_row
from operators.merge.row import cluster_row
from operators.merge.settings import FillSettings
from operators.merge.settlement import MergedRows, Settlement
from operators.merge.state import MergeState, Stored, stored_in
from operators.schema.arrow import entity_type_of, row_count
from operators.schema.events import Listener, nobody
from operators.schema.metrics import CLUSTER
from operators.ticks import Outcome, TickResult, Ticks


class ClusterMerge:
    """Joins and fills one cluster.

    A kind's tick is settled by its result, at the tick's deadline, or as missed: whatever comes
    afterwards is late. Without `fill` settings nothing is filled and no entity is remembered.
    `catch_up` is that of `Gaps`.
    """

    def __init__(
        self,
        plan: Plan,
        fill: FillSettings | None,
        listener: Listener = nobody,
        catch_up: int | None = None,
    ) -> None:
        self._plan = plan
        self._fills = None if fill is None else Fills(plan, round(fill.stale_after * 1000))
        self._book = TickBook(
            plan.joined_kinds,
            None if fill is None else round(fill.grace * 1000),
        )
        self._coverage = CoverageReport(plan.cluster, listener)
        self._gaps = Gaps(plan, self._book, self._fills, catch_up)
        self._kinds = Settlement(plan, self._book, self._fills, self._gaps, self._coverage)

    @property
    def under_way(self) -> int:
        """Ticks that are not over. Gaps are not among them: they can go on after a restart."""
        return self._book.under_way

    @property
    def has_gaps(self) -> bool:
        """Whether `on_time` has blocks of missed ticks to fill, whatever the time is."""
        return self._fills is not None and self._fills.has_gaps

    @property
    def due(self) -> int | None:
        """The next deadline (ms) of a tick; None while none is open."""
        return self._book.due

    def on_ticks(self, ticks: Ticks) -> MergedRows:
        """A target's tick is due; or some were missed, and are left to be filled."""
        kind, before = str(ticks.kind), ticks.start - ticks.interval
        rows: MergedRows = []
        if self._fills is not None:
            self._fills.go_by(ticks.interval)
        if self._book.announce(kind, ticks.start):
            self._kinds.go_back(kind, before)
        if ticks.missed:
            rows += self._missed(kind, before, ticks.missed, ticks.interval)
        elif not ticks.count:
            self._kinds.pass_over(kind, before)
        if ticks.count and ticks.start > self._book.settled(kind):
            self._book.opened(ticks).awaited.add(kind)
        return rows

    def on_result(self, result: TickResult) -> MergedRows:
        """A target's tick ended: its samples pass on, and what it lacks is filled.

        A MISSED result stands for its tick and the `missed` ones before it.
        """
        kind, tick = str(result.tick.kind), result.tick.start
        if self._fills is not None:
            self._fills.go_by(result.tick.interval)
        self._learn_id(result.batches)
        rows = [collection_row(self._plan, result, known=self._plan.knows(kind))]
        if result.outcome is Outcome.MISSED:
            return rows + self._missed(kind, tick, result.missed, result.tick.interval)
        samples = [b for b in result.batches if entity_type_of(b) is not CLUSTER and b.num_rows]
        complete = result.outcome is Outcome.COMPLETED and result.error_class is None
        if tick > self._book.settled(kind):
            opened = self._book.opened(result.tick)
            rows += self._kinds.settle_earlier(kind, tick)
            rows += samples
            rows += self._kinds.settle(opened, kind, samples, complete)
            opened.servers_complete |= complete and self._plan.names_servers(kind)
        else:
            rows += self._kinds.late(kind, tick, samples, complete)
        if awaiting := self._book.find(tick):
            awaiting.parts += [b for b in result.batches if entity_type_of(b) is CLUSTER]
            rows += self._answered(awaiting, kind)
        return rows

    def on_time(self, now: int) -> MergedRows:
        """Settle what is overdue at `now` (ms), and fill one block of each gap."""
        rows: MergedRows = []
        for opened in self._book.overdue(now):
            for kind in sorted(opened.awaited):
                rows += self._kinds.settle_earlier(kind, opened.tick + 1)
            rows += self._join_row(opened)
            opened.overdue = True
            self._coverage.report(*opened.coverage)
        for tick, expected, filled in [] if self._fills is None else self._fills.fill_block():
            rows += filled
            self._coverage.report(tick, expected, 0, row_count(filled))
        self._book.forget_overdue()
        return rows

    def _learn_id(self, batches: Sequence[pa.RecordBatch]) -> None:
        """The cluster's own id: one that was recreated under its name has another."""
        for batch in batches:
            if entity_type_of(batch) is CLUSTER and batch.num_rows:
                found = batch.column("cluster_id")[0].as_py()
                if found is not None and found != self._plan.cluster_id:
                    self._identify(found)

    def _identify(self, cluster_id: str | None) -> None:
        self._plan = replace(self._plan, cluster_id=cluster_id)
        if self._fills is not None:
            self._fills.cluster_id = cluster_id

    def _missed(self, kind: str, last: int, count: int, interval: int) -> MergedRows:
        """So many ticks up to `last` will never be collected."""
        missed = range(last - (count - 1) * interval, last + interval, interval)
        rows = self._kinds.settle_earlier(kind, last + 1)
        self._gaps.missed(kind, missed)
        for tick in missed:
            if opened := self._book.find(tick):
                rows += self._answered(opened, kind)
        return rows

    def _answered(self, opened: OpenTick, kind: str) -> MergedRows:
        """A kind has given its result, or will give none: join if it was the last."""
        opened.awaited.discard(kind)
        joins = not opened.awaited.intersection(self._plan.joined_kinds)
        rows = self._join_row(opened) if joins else []
        if not opened.awaited:
            self._book.close(opened)
            if not opened.overdue:
                self._coverage.report(*opened.coverage)
        return rows

    def _join_row(self, opened: OpenTick) -> MergedRows:
        """The cluster's row of what is in; a filled one where nothing is."""
        row = [cluster_row(self._plan, opened.tick, opened.parts)] if opened.parts else []
        if opened.joined:
            if not opened.row_was_filled:
                return []
            return self._kinds.late(CLUSTER_KIND, opened.tick, row, complete=False)
        opened.joined = True
        if row and opened.servers_complete:
            self._kinds.forget_servers(opened.tick, row[0])
        return row + self._kinds.settle(opened, CLUSTER_KIND, row, complete=False)

    def snapshot(self) -> MergeState:
        """The state; what did not change since the last one is not encoded again."""
        through, ticks, announced = self._book.snapshot()
        fills = None if self._fills is None else self._fills.snapshot()
        return Stored(through, ticks, announced, fills, self._plan.cluster_id).state_of(self._plan)

    def restore(self, state: MergeState) -> None:
        """Take up a snapshot. That of another version or account is of no use: start over."""
        stored = stored_in(state, self._plan)
        if stored is None:
            return
        self._identify(stored.cluster_id)
        self._book.restore(stored.through, stored.ticks, stored.announced)
        if self._fills is not None and stored.fills is not None:
            self._fills.restore(stored.fills)
