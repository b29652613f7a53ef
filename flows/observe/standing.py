"""What the latest samples say of clusters and consumer groups, for the live table."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP

_CLUSTER_COLUMNS = {
    "up": "cluster.activeBrokerCount",
    "known": "cluster.knownBrokerCount",
    "under_replicated": "cluster.underReplicatedPartitions",
    "offline": "cluster.offlinePartitionsCount",
    "messages": "cluster.messagesInPerSecond",
    "bytes": "cluster.bytesInPerSecond",
    "lag": "cluster.totalLag",
    "health": "cluster.healthScore",
}
_GROUP_COLUMNS = {
    "lag": "consumerGroup.totalLag",
    "seconds": "consumerGroup.lagSeconds",
    "trend": "consumerGroup.lagTrend",
    "margin": "consumerGroup.marginSeconds",
    "catch_up": "consumerGroup.catchUpSeconds",
    "members": "consumerGroup.activeConsumers",
}
_STATE = "consumerGroup.lagState"


@dataclass(frozen=True, slots=True)
class Figures:
    """The last figures of one cluster; what was not measured is not a number."""

    up: float = nan
    """Brokers."""
    known: float = nan
    """Brokers that were ever seen or are expected."""
    under_replicated: float = nan
    offline: float = nan
    """Partitions."""
    messages: float = nan
    bytes: float = nan
    """A second."""
    lag: float = nan
    """Messages, of all groups."""
    health: float = nan
    """0 to 100."""


@dataclass(frozen=True)
class Groups:
    """The last figures of all consumer groups, a place in each array a group."""

    names: Sequence[str] = ()
    """`<cluster>/<group>`."""
    states: Sequence[str | None] = ()
    """Whether it keeps up, in a word."""
    figures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """`lag` (messages), `seconds`, `trend` (messages/s), `margin` (s), `catch_up` (s), `members`;
    what was not measured is not a number."""

    def figure(self, name: str, place: int) -> float:
        """One figure of a group."""
        values = self.figures.get(name)
        return nan if values is None else float(values[place])


class Standing:
    """Keeps the latest tick's batches, and reads their figures when it is asked and they changed.

    Any thread may call its methods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, tuple[int, list[pa.RecordBatch]]]] = {
            CLUSTER.label: {},
            CONSUMER_GROUP.label: {},
        }
        self._changed = True
        self._clusters: Mapping[str, Figures] = {}
        self._groups = Groups()

    def saw(self, cluster: str, batch: pa.RecordBatch) -> None:
        """Keep a batch if no later tick came before; it is not looked into."""
        kept = self._kept.get(entity_type_of(batch).label)
        if kept is None or not batch.num_rows:
            return
        tick = pc.max(batch.column("timestamp")).value
        with self._lock:
            last, batches = kept.get(cluster, (tick - 1, []))
            if tick < last:
                return
            kept[cluster] = tick, [*batches, batch] if tick == last else [batch]
            self._changed = True

    def figures(self) -> tuple[Mapping[str, Figures], Groups]:
        """Of each cluster by name, and of all groups."""
        with self._lock:
            if not self._changed:
                return self._clusters, self._groups
            self._changed = False
            clusters = dict(self._kept[CLUSTER.label])
            groups = dict(self._kept[CONSUMER_GROUP.label])
        self._clusters = {name: _cluster(*kept) for name, kept in clusters.items()}
        self._groups = _groups([_rows(*kept) for kept in groups.values()])
        return self._clusters, self._groups


def _rows(tick: int, batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """The rows of one tick, in which batches may have others too."""
    wanted = [
        "timestamp",
        "entity_name",
        _STATE,
        *_CLUSTER_COLUMNS.values(),
        *_GROUP_COLUMNS.values(),
    ]
    parts = []
    for batch in batches:
        columns = [name for name in wanted if name in batch.schema.names]
        rows = batch.select(columns)
        times = rows.column("timestamp").cast(pa.int64())
        parts.append(rows.filter(pc.equal(times, tick)) if rows.num_rows > 1 else rows)
    return pa.Table.from_batches(parts).combine_chunks()


def _numbers(rows: pa.Table, column: str) -> NDArray[np.float64]:
    if column not in rows.column_names:
        return np.full(rows.num_rows, nan)
    values = rows.column(column).cast(pa.float64())
    found: NDArray[np.float64] = values.combine_chunks().to_numpy(zero_copy_only=False)
    return found


def _cluster(tick: int, batches: Sequence[pa.RecordBatch]) -> Figures:
    rows = _rows(tick, batches)
    return Figures(**{name: _numbers(rows, c)[-1] for name, c in _CLUSTER_COLUMNS.items()})


def _groups(tables: Sequence[pa.Table]) -> Groups:
    names = [name for rows in tables for name in rows.column("entity_name").to_pylist()]
    states = [
        state
        for rows in tables
        for state in (
            rows.column(_STATE).to_pylist() if _STATE in rows.column_names else [None] * len(rows)
        )
    ]
    if not names:
        return Groups()
    # One that came after it was filled has two rows; the last one counts.
    last = list({name: place for place, name in enumerate(names)}.values())
    return Groups(
        [names[place] for place in last],
        [states[place] for place in last],
        {
            figure: np.concatenate([_numbers(rows, column) for rows in tables])[last]
            for figure, column in _GROUP_COLUMNS.items()
        },
    )
