"""The book of one cluster's ticks: which are open, whom they await, how far each kind is settled.

Nothing here knows samples' contents or how they are filled. Times are milliseconds.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from operators.merge.plan import CLUSTER_KIND
from operators.schema.ipc import decode, encode
from operators.schema.metrics import CLUSTER
from operators.ticks import Ticks

REMEMBERED = 100
"""Overdue ticks kept for the sake of a late result; after that a late sample counts as filled."""

NEVER = -1
"""The last settled tick of a kind of which none was."""


@dataclass(slots=True)
class OpenTick:
    """A tick of the cluster that is not over, or whose late results are still awaited."""

    tick: int
    deadline: int
    awaited: set[str]
    """Kinds that have given no result."""
    parts: list[pa.RecordBatch] = field(default_factory=list)
    """What the kinds know of the cluster's row."""
    joined: bool = False
    """Whether the cluster's row was made, or another stands in its place."""
    overdue: bool = False
    servers_complete: bool = False
    """Whether a result named all servers that are up (see `Servers`)."""
    expected: int = 0
    collected: int = 0
    filled: dict[str, pa.StringArray] = field(default_factory=dict)
    """GUIDs of the filled, by entity type."""

    @property
    def row_was_filled(self) -> bool:
        """Whether a filled row stands for the cluster's, as nothing had come at the deadline."""
        return self.overdue and CLUSTER.name in self.filled

    @property
    def coverage(self) -> tuple[int, int, int, int]:
        """The tick, and samples that were expected, collected and filled."""
        return self.tick, self.expected, self.collected, sum(map(len, self.filled.values()))

    def snapshot(self) -> dict[str, Any]:
        """The tick as plain values. Their names are those of states that were stored long ago."""
        return {
            "tick": self.tick,
            "deadline": self.deadline,
            "awaited": sorted(self.awaited),
            "parts": [encode(part) for part in self.parts],
            "joined": self.joined,
            "brokers_complete": self.servers_complete,
            "expected": self.expected,
            "collected": self.collected,
            "filled": {name: guids.to_pylist() for name, guids in self.filled.items()},
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "OpenTick":
        """The tick of a snapshot."""
        fields = {
            **state,
            "awaited": set(state["awaited"]),
            "parts": [decode(part) for part in state["parts"]],
            "filled": {n: pa.array(g, pa.string()) for n, g in state["filled"].items()},
        }
        return cls(servers_complete=fields.pop("brokers_complete", False), **fields)


class TickBook:
    """Which ticks of a cluster are open, and up to which tick each kind is settled.

    A tick that opens awaits `awaited`, for at most `grace` after it is asked for, and for an
    interval where that is None or longer.
    """

    def __init__(self, awaited: Collection[str], grace: int | None) -> None:
        self._awaited = awaited
        self._grace = grace
        self._ticks: dict[int, OpenTick] = {}
        self._through: dict[str, int] = {}
        """By kind: the last settled tick."""
        self._announced: dict[str, int] = {}
        """By kind: the last tick that its target announced."""

    # Open ticks

    @property
    def under_way(self) -> int:
        """Ticks that are not over."""
        return sum(not tick.overdue for tick in self._ticks.values())

    @property
    def due(self) -> int | None:
        """The next deadline of a tick; None while none is open."""
        return min((t.deadline for t in self._ticks.values() if not t.overdue), default=None)

    def find(self, tick: int) -> OpenTick | None:
        """The tick, if it is open or remembered."""
        return self._ticks.get(tick)

    def opened(self, ticks: Ticks) -> OpenTick:
        """The tick at `ticks.start`, which opens if it is not open."""
        tick = ticks.start
        if tick not in self._ticks:
            patience = min(ticks.interval, ticks.interval if self._grace is None else self._grace)
            # Its row is there already if the tick was missed by another kind.
            joined = tick <= self.settled(CLUSTER_KIND)
            deadline = tick + ticks.delay + patience
            self._ticks[tick] = OpenTick(tick, deadline, set(self._awaited), joined=joined)
        return self._ticks[tick]

    def overdue(self, now: int) -> list[OpenTick]:
        """Those whose deadline has come at `now` and that are not yet marked so, ascending."""
        return [
            opened
            for _, opened in sorted(self._ticks.items())
            if not opened.overdue and opened.deadline <= now
        ]

    def close(self, opened: OpenTick) -> None:
        """Nothing more is awaited of a tick."""
        del self._ticks[opened.tick]

    def forget_overdue(self) -> None:
        """Await nothing more of the overdue ticks but the last `REMEMBERED`."""
        overdue = sorted(tick for tick, opened in self._ticks.items() if opened.overdue)
        for tick in overdue[:-REMEMBERED]:
            del self._ticks[tick]

    # How far each kind is

    def settled(self, kind: str) -> int:
        """A kind's last settled tick."""
        return self._through.get(kind, NEVER)

    def settle(self, kind: str, tick: int) -> None:
        """A kind is settled up to `tick`."""
        self._through[kind] = max(tick, self.settled(kind))

    def unsettled(self, kind: str, before: int) -> list[OpenTick]:
        """The open ticks `before` a tick that still await a kind, ascending."""
        return [
            opened
            for tick, opened in sorted(self._ticks.items())
            if self.settled(kind) < tick < before and kind in opened.awaited
        ]

    def will_settle(self, kind: str, tick: int) -> bool:
        """Whether a tick is open that a kind, or the cluster's row, will settle yet."""
        opened = self._ticks.get(tick)
        return opened is not None and (kind == CLUSTER_KIND or kind in opened.awaited)

    def announce(self, kind: str, tick: int) -> bool:
        """Note that a target announced `tick`. Returns whether it goes back behind its last one.

        They rise unless the clock was set back. That a tick comes after its deadline says no such
        thing: a target that is held up is late.
        """
        back = tick < self._announced.get(kind, NEVER)
        self._announced[kind] = tick
        return back

    def go_back(self, kind: str, tick: int) -> bool:
        """A kind's ticks after `tick` come again. Returns whether any of them was settled."""
        back = self.settled(kind) > tick
        if back:
            self._through[kind] = tick
        return back

    # State

    def snapshot(self) -> tuple[dict[str, int], list[dict[str, Any]], dict[str, int]]:
        """By kind the last settled tick, the ticks that are not over, by kind the last announced."""
        ticks = [opened.snapshot() for opened in self._ticks.values() if not opened.overdue]
        return dict(self._through), ticks, dict(self._announced)

    def restore(
        self, through: dict[str, int], ticks: list[dict[str, Any]], announced: dict[str, int]
    ) -> None:
        """Take up a snapshot."""
        self._through = dict(through)
        self._ticks = {tick["tick"]: OpenTick.restore(tick) for tick in ticks}
        self._announced = dict(announced)
