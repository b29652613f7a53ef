"""The latest batches of every cluster, kept for the page and nothing else."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.clock import wall_seconds

INTERVALS = 3
"""How many intervals an entity stays without a new sample."""
_LEAST = 5.0
"""Seconds that it stays at the least: intervals can be shorter than a tick's way to here."""
OLDEST = 300.0
"""Seconds behind the clock from which on a sample says nothing of now: it was caught up on."""


class KeptBatch(NamedTuple):
    """A batch, and when it came (seconds of a clock that nobody sets)."""

    at: float
    batch: pa.RecordBatch


class Latest:
    """Keeps what came in the last three intervals, by cluster and by what it is of.

    `came` only puts a batch into a list, so it costs the stream next to nothing. Any thread may
    call any method. What an entity's last sample is, is found when a page is made.
    """

    def __init__(
        self,
        interval: float,
        now: Callable[[], float] = wall_seconds,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stays = max(_LEAST, INTERVALS * interval)
        self._oldest = OLDEST + self.stays
        self._now = now
        self._steady = steady
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], deque[KeptBatch]] = {}
        self._version = 0

    def came(
        self,
        cluster: str,
        of: str,
        batch: pa.RecordBatch,
        tick: int | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Keep a batch that is of something of a cluster; `tick` (ms) where it has no timestamps.

        One that is all of that as a `whole` takes the place of those before it.
        """
        if not batch.num_rows:
            return
        last = pc.max(batch.column("timestamp")).value if tick is None else tick
        if last / 1000 < self._now() - self._oldest:
            return
        if tick is None and batch.num_rows > 1:
            batch = _of_last_ticks(batch, last, round(self._oldest * 1000))
        at = self._steady()
        with self._lock:
            kept = self._kept.setdefault((cluster, of), deque())
            if whole:
                kept.clear()
            kept.append(KeptBatch(at, batch))
            self._forget(kept, at)
            self._version += 1

    def version(self) -> tuple[int, float]:
        """Another number where something came, and when (as `steady` reports) something will be gone."""
        at = self._steady()
        with self._lock:
            for key, kept in list(self._kept.items()):
                if self._forget(kept, at):
                    self._version += 1
                if not kept:
                    del self._kept[key]
            first = min((kept[0].at for kept in self._kept.values()), default=at)
            return self._version, first + self.stays

    def kept(self) -> Mapping[str, Sequence[tuple[str, pa.RecordBatch]]]:
        """By what it is of: cluster and batch, each cluster's in the order in which they came."""
        found: dict[str, list[tuple[str, pa.RecordBatch]]] = {}
        with self._lock:
            for (cluster, of), kept in sorted(self._kept.items()):
                found.setdefault(of, []).extend((cluster, came.batch) for came in kept)
        return found

    def _forget(self, kept: deque[KeptBatch], at: float) -> bool:
        before = len(kept)
        while kept and kept[0].at <= at - self.stays:
            kept.popleft()
        return len(kept) < before


def _of_last_ticks(batch: pa.RecordBatch, last: int, span: int) -> pa.RecordBatch:
    """A batch without the ticks that are more than a span (ms) before its last one."""
    times = batch.column("timestamp")
    if pc.min(times).value >= last - span:
        return batch
    return batch.filter(pc.greater_equal(times.cast(pa.int64()), last - span))
