"""What becomes of a kind's tick: its samples are taken as all that came, and the rest is filled."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from operators.merge.book import OpenTick, TickBook
from operators.merge.coverage import CoverageReport
from operators.merge.fills import Fills, filling
from operators.merge.gaps import Gaps
from operators.merge.levels import guids_of
from operators.merge.plan import CLUSTER_KIND, ExpectedNames, Plan
from operators.schema.arrow import entity_type_of, row_count
from operators.schema.metrics import EntityType

MergedRows = list[pa.RecordBatch]

_NOBODY = pa.array([], pa.string())


class Settlement:
    """Settles the ticks of one cluster's kinds, the joined row (`CLUSTER_KIND`) among them."""

    def __init__(
        self,
        plan: Plan,
        book: TickBook,
        fills: Fills | None,
        gaps: Gaps,
        coverage: CoverageReport,
    ) -> None:
        self._plan = plan
        self._book = book
        self._fills = fills
        self._gaps = gaps
        self._coverage = coverage

    def settle(
        self, opened: OpenTick, kind: str, samples: MergedRows, complete: bool
    ) -> MergedRows:
        """Take a kind's collected samples of a tick as all that came. Returns the filled rest."""
        self._gaps.overtake(kind, opened.tick)
        self._book.settle(kind, opened.tick)
        collected = row_count(samples)
        opened.collected += collected
        fills = filling(self._fills, kind)
        if fills is None:
            opened.expected += collected + _count_missing(self._plan.expected(kind), samples)
            return []
        fills.of(kind).collected(opened.tick, samples, complete)
        rows = fills.fill(kind, opened.tick)
        opened.filled |= {entity_type_of(batch).name: guids_of(batch) for batch in rows}
        opened.expected += len(fills.of(kind))
        return rows

    def settle_earlier(self, kind: str, tick: int) -> MergedRows:
        """Settle a kind's open ticks before `tick`: their results did not come in time."""
        return [
            batch
            for earlier in self._book.unsettled(kind, tick)
            for batch in self.settle(earlier, kind, [], complete=False)
        ]

    def late(self, kind: str, tick: int, samples: MergedRows, complete: bool) -> MergedRows:
        """Samples of a settled tick: kept, and marked where they were filled."""
        self._coverage.late(row_count(samples))
        fills = filling(self._fills, kind)
        if fills is None:
            return samples
        fills.of(kind).collected(tick, samples, complete)
        opened = self._book.find(tick)
        return [
            _marked(batch, opened and opened.filled.get(entity_type_of(batch).name, _NOBODY))
            for batch in samples
        ]

    def pass_over(self, kind: str, tick: int) -> None:
        """The samples of the ticks up to `tick` are there: none of them is missing."""
        for name in (kind, CLUSTER_KIND):
            self._book.settle(name, tick)

    def go_back(self, kind: str, tick: int) -> None:
        """The clock was set back: the ticks after `tick` come again, but for those that are there."""
        for name in (kind, CLUSTER_KIND):
            if self._book.go_back(name, tick) and (fills := filling(self._fills, name)):
                fills.of(name).go_back(tick)

    def forget_servers(self, tick: int, row: pa.RecordBatch) -> None:
        """Forget the servers that are not up, if the cluster's row says that they are gone."""
        servers = self._plan.servers
        if self._fills is not None and servers is not None and servers.absent_are_gone(row):
            self._fills.of(servers.kind).forget_absent(tick)


def _count_missing(expected: Mapping[EntityType, ExpectedNames], samples: MergedRows) -> int:
    there = {entity_type_of(batch).name: guids_of(batch) for batch in samples}
    return sum(
        len(names.keys() - set(there.get(entity_type.name, _NOBODY).to_pylist()))
        for entity_type, names in expected.items()
        if names
    )


def _marked(batch: pa.RecordBatch, filled: pa.StringArray | None) -> pa.RecordBatch:
    """With `late` true where the entity was filled; where that is no longer known, everywhere."""
    late = pa.repeat(pa.scalar(True, pa.bool_()), batch.num_rows)
    if filled is not None:
        late = pc.is_in(guids_of(batch), value_set=filled)
    return batch.set_column(batch.schema.get_field_index("late"), batch.schema.field("late"), late)
