"""One cluster's merge: ticks open, results join, gaps are filled, ticks settle.

Nothing here knows Bytewax or a clock; times come in as arguments, in milliseconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.merge.book import NEVER, OpenTick, TickBook
from operators.merge.coverage import Coverage
from operators.merge.fills import Fills
from operators.merge.levels import guids_of
from operators.merge.plan import CLUSTER_KIND, UNFILLED, Plan
from operators.merge.report import collection_row
from operators.merge.row import cluster_row
from operators.merge.settings import FillSettings
from operators.schedule import at_or_after
from operators.schema.arrow import entity_type_of, repeated
from operators.schema.logs import Log
from operators.schema.metrics import CLUSTER
from operators.ticks import Outcome, TickResult, Ticks

MergedRows = list[pa.RecordBatch]

_log = Log("mqpipe.merge")

STATE_VERSION = 1
_NOBODY = pa.array([], pa.string())


class ClusterMerge:
    """Joins and fills one cluster.

    A kind's tick is settled by its result, at the tick's deadline, or as missed: whatever comes
    afterwards is late. Without `fill` settings nothing is filled and no entity is remembered.
    Of ticks that were missed together, those of the last `catch_up` ms are filled; all are, where
    it is None.
    """

    def __init__(
        self,
        plan: Plan,
        fill: FillSettings | None,
        listener: Callable[[Coverage], None] | None = None,
        catch_up: int | None = None,
    ) -> None:
        self._plan = plan
        self._catch_up = catch_up
        self._fills = None if fill is None else Fills(plan, round(fill.stale_after * 1000))
        self._listener = listener
        self._book = TickBook(
            plan.joined_kinds if plan.joined else (),
            None if fill is None else round(fill.grace * 1000),
        )
        self._late = 0

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
        kind = str(ticks.kind)
        rows: MergedRows = []
        if self._fills is not None:
            self._fills.go_by(ticks.interval)
        if self._book.announce(kind, ticks.start):
            self._go_back(kind, ticks.start - ticks.interval)
        if ticks.missed:
            rows += self._missed(kind, ticks.start - ticks.interval, ticks.missed, ticks.interval)
        elif not ticks.count:
            self._pass_over(kind, ticks.start - ticks.interval)
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
            rows += self._settle_earlier(kind, tick)
            rows += samples
            rows += self._settle(opened, kind, samples, complete)
            opened.servers_complete |= complete and self._plan.names_servers(kind)
        else:
            rows += self._late_samples(kind, tick, samples, complete)
        if awaiting := self._book.find(tick):
            awaiting.parts += [b for b in result.batches if entity_type_of(b) is CLUSTER]
            rows += self._answered(awaiting, kind)
        return rows

    def _learn_id(self, batches: Sequence[pa.RecordBatch]) -> None:
        """The cluster's own id: one that was recreated under its name has another."""
        for batch in batches:
            if entity_type_of(batch) is CLUSTER and batch.num_rows:
                found = batch.column("cluster_id")[0].as_py()
                if found is not None and found != self._plan.cluster_id:
                    self._plan = replace(self._plan, cluster_id=found)

    def on_time(self, now: int) -> MergedRows:
        """Settle what is overdue at `now` (ms), and fill one block of each gap."""
        rows: MergedRows = []
        for opened in self._book.overdue(now):
            for kind in sorted(opened.awaited):
                rows += self._settle_earlier(kind, opened.tick + 1)
            rows += self._join_row(opened)
            opened.overdue = True
            self._report(opened)
        for tick, expected, filled in [] if self._fills is None else self._fills.fill_block():
            rows += self._identified(filled)
            self._cover(tick, expected, 0, sum(batch.num_rows for batch in filled))
        self._book.forget_overdue()
        return rows

    # A clock that was set back

    def _go_back(self, kind: str, tick: int) -> None:
        """The clock was set back: the ticks after `tick` come again, but for those that are there."""
        for name in (kind, CLUSTER_KIND):
            if self._book.go_back(name, tick) and (fills := self._fills_of(name)):
                fills.of(name).go_back(tick)

    def _pass_over(self, kind: str, tick: int) -> None:
        """The samples of the ticks up to `tick` are there: none of them is missing."""
        for name in (kind, CLUSTER_KIND):
            self._book.settle(name, tick)

    # A kind's tick

    def _settle(
        self, opened: OpenTick, kind: str, samples: MergedRows, complete: bool
    ) -> MergedRows:
        """Take a kind's collected samples of a tick as all that came; fill the rest."""
        self._overtake(kind, opened.tick)
        self._book.settle(kind, opened.tick)
        collected = sum(batch.num_rows for batch in samples)
        opened.collected += collected
        fills = self._fills_of(kind)
        if fills is None:
            opened.expected += collected + self._count_missing(kind, samples)
            return []
        fills.of(kind).collected(opened.tick, samples, complete)
        rows = self._identified(fills.fill(kind, opened.tick))
        opened.filled |= {entity_type_of(batch).name: guids_of(batch) for batch in rows}
        opened.expected += len(fills.of(kind))
        return rows

    def _settle_earlier(self, kind: str, tick: int) -> MergedRows:
        """Settle a kind's open ticks before `tick`: their results did not come in time."""
        return [
            batch
            for earlier in self._book.unsettled(kind, tick)
            for batch in self._settle(earlier, kind, [], complete=False)
        ]

    def _late_samples(
        self, kind: str, tick: int, samples: MergedRows, complete: bool
    ) -> MergedRows:
        """Samples of a settled tick: kept, and marked where they were filled."""
        self._late += sum(batch.num_rows for batch in samples)
        fills = self._fills_of(kind)
        if fills is None:
            return samples
        fills.of(kind).collected(tick, samples, complete)
        opened = self._book.find(tick)
        return [
            _marked(batch, opened and opened.filled.get(entity_type_of(batch).name, _NOBODY))
            for batch in samples
        ]

    def _missed(self, kind: str, last: int, count: int, interval: int) -> MergedRows:
        """So many ticks up to `last` will never be collected: settle them, open their gaps."""
        missed = range(last - (count - 1) * interval, last + interval, interval)
        rows = self._settle_earlier(kind, last + 1)
        recent = self._recent(kind, missed)
        self._open_gap(kind, recent)
        if kind in self._plan.joined_kinds:
            self._open_gap(CLUSTER_KIND, recent)
        for tick in missed:
            if opened := self._book.find(tick):
                rows += self._answered(opened, kind)
        return rows

    def _recent(self, kind: str, missed: range) -> range:
        """Those of the missed ticks that are not too long ago to be filled."""
        if self._catch_up is None:
            return missed
        skipped = max(0, len(missed) - max(1, self._catch_up // missed.step))
        if skipped and self._fills_of(kind) and missed[-1] > self._book.settled(kind):
            _log.warning(
                "missed ticks are not filled",
                cluster=self._plan.cluster,
                kind=kind,
                ticks=skipped,
                cause="longer ago than catch_up",
            )
        return missed[skipped:]

    def _overtake(self, kind: str, tick: int) -> None:
        """Open the gap of a kind's ticks before `tick` of which there was no word: they are over.

        A source that is held up reports the ticks that it missed when those of other kinds
        have long gone on.
        """
        fills, settled = self._fills_of(kind), self._book.settled(kind)
        if fills is None or settled == NEVER:
            return
        first = at_or_after(settled + 1, fills.interval)
        self._open_gap(kind, self._recent(kind, range(first, tick, fills.interval)))

    def _open_gap(self, kind: str, missed: Sequence[int]) -> None:
        """Leave missed ticks to be filled, but those of a kind that will be settled yet."""
        settled, will_settle = self._book.settled(kind), self._book.will_settle
        ticks = [tick for tick in missed if tick > settled and not will_settle(kind, tick)]
        if ticks:
            self._book.settle(kind, ticks[-1])
            if fills := self._fills_of(kind):
                fills.open_gap(kind, ticks)

    def _fills_of(self, kind: str) -> Fills | None:
        """What fills a kind; None where it is not filled."""
        return None if kind in UNFILLED else self._fills

    def _identified(self, filled: MergedRows) -> MergedRows:
        """Filled rows with the cluster's own id, which those of what was never seen lack."""
        if self._plan.cluster_id is None:
            return filled
        return [_with_id(batch, self._plan.cluster_id) for batch in filled]

    def _count_missing(self, kind: str, samples: MergedRows) -> int:
        there = {entity_type_of(batch).name: guids_of(batch) for batch in samples}
        return sum(
            len(names.keys() - set(there.get(entity_type.name, _NOBODY).to_pylist()))
            for entity_type, names in self._plan.expected(kind).items()
            if names
        )

    # The cluster's tick

    def _answered(self, opened: OpenTick, kind: str) -> MergedRows:
        """A kind has given its result, or will give none: join if it was the last."""
        opened.awaited.discard(kind)
        rows = (
            [] if opened.awaited.intersection(self._plan.joined_kinds) else self._join_row(opened)
        )
        if not opened.awaited:
            self._book.close(opened)
            if not opened.overdue:
                self._report(opened)
        return rows

    def _join_row(self, opened: OpenTick) -> MergedRows:
        """The cluster's row of what is in; a filled one where nothing is."""
        row = [cluster_row(self._plan, opened.tick, opened.parts)] if opened.parts else []
        if opened.joined:
            replaced = opened.overdue and CLUSTER.name in opened.filled
            if not replaced:
                return []
            return self._late_samples(CLUSTER_KIND, opened.tick, row, complete=False)
        opened.joined = True
        if row and opened.servers_complete:
            self._forget_servers(opened.tick, row[0])
        return row + self._settle(opened, CLUSTER_KIND, row, complete=False)

    def _forget_servers(self, tick: int, row: pa.RecordBatch) -> None:
        """Forget the servers that are not up, if the cluster's row says that they are gone."""
        servers = self._plan.servers
        if self._fills is not None and servers is not None and servers.absent_are_gone(row):
            self._fills.of(servers.kind).forget_absent(tick)

    # Coverage

    def _report(self, opened: OpenTick) -> None:
        filled = sum(map(len, opened.filled.values()))
        self._cover(opened.tick, opened.expected, opened.collected, filled)

    def _cover(self, tick: int, expected: int, collected: int, filled: int) -> None:
        late, self._late = self._late, 0
        if self._listener is not None:
            self._listener(Coverage(self._plan.cluster, tick, expected, collected, filled, late))

    # State

    def snapshot(self) -> tuple[Any, ...]:
        """The state as plain tuples, dicts and bytes; what did not change is not encoded again.

        Its parts: version, cluster, the cluster's GUID, the last settled tick of each kind, the
        ticks that are not over, the fills, the cluster's own id, and the last tick that each kind's
        target announced.
        """
        through, ticks, announced = self._book.snapshot()
        return (
            STATE_VERSION,
            self._plan.cluster,
            self._plan.guid,
            through,
            ticks,
            None if self._fills is None else self._fills.snapshot(),
            self._plan.cluster_id,
            announced,
        )

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take up a snapshot. That of another version or account is of no use: start over."""
        if state[0] != STATE_VERSION or state[2] != self._plan.guid:
            _log.warning(
                "merge starts anew: its state is of another version or account",
                cluster=self._plan.cluster,
                version=state[0],
                guid=state[2],
            )
            return
        # Earlier versions kept neither the cluster's own id nor the last ticks of targets.
        _, _, _, through, ticks, fills, *since = state
        self._plan = replace(self._plan, cluster_id=since[0] if since else None)
        self._book.restore(through, ticks, since[1] if len(since) > 1 else through)
        if self._fills is not None and fills is not None:
            self._fills.restore(fills)


def _with_id(batch: pa.RecordBatch, cluster_id: str) -> pa.RecordBatch:
    place = batch.schema.get_field_index("cluster_id")
    ids = repeated(cluster_id, batch.num_rows)
    return batch.set_column(place, batch.schema.field(place), ids)


def _marked(batch: pa.RecordBatch, filled: pa.StringArray | None) -> pa.RecordBatch:
    """With `late` true where the entity was filled; where that is no longer known, everywhere."""
    late = pa.repeat(pa.scalar(True, pa.bool_()), batch.num_rows)
    if filled is not None:
        late = pc.is_in(guids_of(batch), value_set=filled)
    return batch.set_column(batch.schema.get_field_index("late"), batch.schema.field("late"), late)
