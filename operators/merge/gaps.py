"""Ticks of one cluster that nobody will collect, and which of them are filled."""

from collections.abc import Sequence

from operators.merge.book import NEVER, TickBook
from operators.merge.fills import Fills, filling
from operators.merge.plan import CLUSTER_KIND, Plan
from operators.schedule import at_or_after
from operators.schema.logs import Log

_log = Log("mqpipe.merge")


class Gaps:
    """Opens the gaps of a cluster's kinds, and settles their ticks in the book.

    Of ticks that were missed at a stretch, those of the last `catch_up` ms are filled; all are,
    where it is None.
    """

    def __init__(
        self, plan: Plan, book: TickBook, fills: Fills | None, catch_up: int | None
    ) -> None:
        self._cluster = plan.cluster
        self._joined_kinds = plan.joined_kinds
        self._book = book
        self._fills = fills
        self._catch_up = catch_up

    def missed(self, kind: str, missed: range) -> None:
        """A kind's ticks will never be collected; nor, then, will the cluster's row of them."""
        recent = self._recent(kind, missed)
        self._open(kind, recent)
        if kind in self._joined_kinds:
            self._open(CLUSTER_KIND, recent)

    def overtake(self, kind: str, tick: int) -> None:
        """Open the gap of a kind's ticks before `tick` of which there was no word: they are over.

        A source that is held up reports the ticks that it missed when those of other kinds
        have long gone on.
        """
        fills, settled = filling(self._fills, kind), self._book.settled(kind)
        if fills is None or settled == NEVER:
            return
        first = at_or_after(settled + 1, fills.interval)
        self._open(kind, self._recent(kind, range(first, tick, fills.interval)))

    def _recent(self, kind: str, missed: range) -> range:
        """Those of the missed ticks that are not too long ago to be filled."""
        recent = since(missed, self._catch_up)
        skipped = len(missed) - len(recent)
        if skipped and filling(self._fills, kind) and missed[-1] > self._book.settled(kind):
            _log.warning(
                "missed ticks are not filled",
                cluster=self._cluster,
                kind=kind,
                ticks=skipped,
                cause="longer ago than catch_up",
            )
        return recent

    def _open(self, kind: str, missed: Sequence[int]) -> None:
        """Leave missed ticks to be filled, but those of a kind that will be settled yet."""
        settled, will_settle = self._book.settled(kind), self._book.will_settle
        ticks = [tick for tick in missed if tick > settled and not will_settle(kind, tick)]
        if ticks:
            self._book.settle(kind, ticks[-1])
            if fills := filling(self._fills, kind):
                fills.open_gap(kind, ticks)


def since(missed: range, catch_up: int | None) -> range:
    """The last of the missed ticks: those within `catch_up` ms, at least one; None is all."""
    if catch_up is None:
        return missed
    return missed[max(0, len(missed) - max(1, catch_up // missed.step)) :]
