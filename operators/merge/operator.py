"""The merge as a Bytewax step, keyed by cluster."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import bytewax.operators as op
import pyarrow as pa
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.drain import Drain
from operators.merge.cluster import ClusterMerge
from operators.merge.plan import Plan
from operators.merge.settings import FillSettings
from operators.merge.state import MergeState, cluster_of
from operators.schedule import awake_at
from operators.schema.clock import Clock, utc_now, wall_clock
from operators.schema.events import Listener, nobody
from operators.slack import attend
from operators.ticks import TickResult, Ticks

BLOCK_PAUSE = timedelta(milliseconds=100)
"""Between two blocks of a long gap, so that sinks keep up and other clusters get their turn."""


def merge(
    step_id: str,
    ticks: KeyedStream[Ticks],
    results: KeyedStream[TickResult],
    clusters: Mapping[str, Plan],
    fill: FillSettings | None,
    drain: Drain,
    listener: Listener = nobody,
    clock: Clock = wall_clock,
    catch_up: int | None = None,
) -> KeyedStream[pa.RecordBatch]:
    """Join each cluster's results tick by tick, and in hybrid mode fill what is missing.

    Unit of parallelism: the cluster. Both inputs are keyed by it: the targets' due times, for a
    silent cluster has no other clock, and what became of them. Collected samples pass on at
    once. Besides them come one MESSAGE_QUEUE_COLLECTION row for each result and for each run of
    missed ticks, and one MESSAGE_QUEUE_CLUSTER row for each tick.

    A tick settles when all kinds have a result, or at its deadline, its delay after the interval or,
    with `fill`, the smaller of interval and grace. With `fill` (hybrid mode) each expected entity then has
    exactly one sample of that tick, a filled one where none was collected. A collected sample
    that comes after its fill passes on with `late` true. Ticks that were missed at a stretch are
    filled as far back as `catch_up` ms. `listener` gets each settled tick's coverage.

    Its state is the last sample of each entity, the ticks that have not settled and the gaps
    that are not yet filled. State of a cluster that is not in `clusters` is dropped.

    Raises:
        KeyError: an item of a cluster that is not in `clusters`.
    """
    inputs: KeyedStream[Ticks | TickResult] = op.merge(f"{step_id}_inputs", ticks, results)

    def merge_of(cluster: str) -> ClusterMerge:
        if cluster not in clusters:
            raise KeyError(
                f"a tick of cluster `{cluster}`, of which the merge has no plan; it has plans of "
                f"{', '.join(sorted(clusters))}: give it one for every cluster that has targets"
            )
        return ClusterMerge(clusters[cluster], fill, listener, catch_up)

    def build(state: MergeState | None) -> _MergeLogic:
        if state is None or cluster_of(state) not in clusters:
            return _MergeLogic(merge_of, drain, clock, None, state)
        cluster = merge_of(cluster_of(state))
        cluster.restore(state)
        return _MergeLogic(merge_of, drain, clock, cluster)

    return op.stateful_batch(step_id, inputs, build)


class _MergeLogic(StatefulBatchLogic[Ticks | TickResult, pa.RecordBatch, MergeState | None]):
    def __init__(
        self,
        merge_of: Callable[[str], ClusterMerge],
        drain: Drain,
        clock: Clock,
        cluster: ClusterMerge | None = None,
        left_over: MergeState | None = None,
    ) -> None:
        self._merge_of = merge_of
        self._drain = drain
        self._clock = clock
        self._cluster = cluster
        self._left_over = left_over
        """State of a cluster that is no longer configured."""
        self._entered = 0
        self._account()

    def on_batch(self, values: list[Ticks | TickResult]) -> tuple[Iterable[pa.RecordBatch], bool]:
        attend()
        rows: list[pa.RecordBatch] = []
        for value in values:
            if isinstance(value, Ticks):
                rows += self._of(value.cluster).on_ticks(value)
            else:
                rows += self._of(value.tick.cluster).on_result(value)
        self._account()
        return rows, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[pa.RecordBatch], bool]:
        if self._cluster is None:
            return [], StatefulBatchLogic.DISCARD
        rows = self._cluster.on_time(self._clock())
        self._account()
        return rows, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        if self._cluster is None:
            # The state of a cluster that is no longer there: drop it at once.
            return utc_now()
        if self._cluster.has_gaps:
            return utc_now() + BLOCK_PAUSE
        due = self._cluster.due
        return None if due is None else awake_at(due, self._clock)

    def snapshot(self) -> MergeState | None:
        return self._left_over if self._cluster is None else self._cluster.snapshot()

    def _of(self, cluster: str) -> ClusterMerge:
        if self._cluster is None:
            self._cluster = self._merge_of(cluster)
        return self._cluster

    def _account(self) -> None:
        """Report to the drain how much is under way: what must be emitted before the end."""
        under_way = 0 if self._cluster is None else self._cluster.under_way
        if under_way > self._entered:
            self._drain.enter(under_way - self._entered)
        elif under_way < self._entered:
            self._drain.leave(self._entered - under_way)
        self._entered = under_way
