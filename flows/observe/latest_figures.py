"""What the latest samples say of clusters, consumer groups and queues, for the live table."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, QUEUE

_CLUSTER_COLUMNS = {
    "up": "cluster.activeBrokerCount",
    "known": "cluster.knownBrokerCount",
    "under_replicated": "cluster.underReplicatedPartitions",
    "offline": "cluster.offlinePartitionsCount",
    "messages": "cluster.messagesInPerSecond",
    "bytes": "cluster.bytesInPerSecond",
    "lag": "cluster.totalLag",
    "health": "cluster.healthScore",
    "running": "cluster.runningNodeCount",
    "nodes": "cluster.nodeCount",
    "queues": "cluster.queueCount",
    "available": "cluster.availability",
    "alarms": "cluster.alarmCount",
    "dead_lettered": "cluster.deadLetteredPerSecond",
}
_GROUP_COLUMNS = {
    "lag": "consumerGroup.totalLag",
    "seconds": "consumerGroup.lagSeconds",
    "trend": "consumerGroup.lagTrend",
    "margin": "consumerGroup.marginSeconds",
    "catch_up": "consumerGroup.catchUpSeconds",
    "lost": "consumerGroup.lostMessages",
    "members": "consumerGroup.activeConsumers",
}
_QUEUE_COLUMNS = {
    "depth": "queue.depth",
    "unacknowledged": "queue.messagesUnacknowledged",
    "in": "queue.messagesInPerSecond",
    "out": "queue.messagesOutPerSecond",
    "seconds": "queue.oldestMessageAge",
    "consumers": "queue.consumers",
}
_STATE, _QUEUE_STATE = "consumerGroup.lagState", "queue.state"


@dataclass(frozen=True, slots=True)
class Figures:
    """The last figures of one cluster; what was not measured is not a number."""

    up: float = nan
    """Brokers, or RabbitMQ's nodes."""
    known: float = nan
    """Brokers that were ever seen or are expected."""
    under_replicated: float = nan
    offline: float = nan
    """Partitions, or RabbitMQ's queues."""
    messages: float = nan
    bytes: float = nan
    """A second."""
    lag: float = nan
    """Messages, of all groups."""
    health: float = nan
    """0 to 100."""
    alarms: float = nan
    """Memory and disk alarms of RabbitMQ's nodes."""
    dead_lettered: float = nan
    """Messages a second."""


@dataclass(frozen=True)
class FigureTable:
    """The last figures of all consumer groups, or of all queues, a place in each array one of them."""

    names: Sequence[str] = ()
    """`<cluster>/<group>`, `<cluster>/<queue>`."""
    states: Sequence[str | None] = ()
    """Whether a group keeps up, how a queue is, in a word."""
    figures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of groups `lag` (messages), `seconds`, `trend` (messages/s), `margin` (s), `catch_up` (s), `members`;
    of queues `depth`, `unacknowledged` (messages), `in`, `out` (messages/s), `seconds`, `consumers`. What was not measured is not a number."""

    def figure(self, name: str, place: int) -> float:
        """One figure of a group."""
        values = self.figures.get(name)
        return nan if values is None else float(values[place])


class LatestFigures:
    """Keeps the latest tick's batches, and reads their figures when it is asked and they changed.

    Any thread may call its methods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, tuple[int, list[pa.RecordBatch]]]] = {
            CLUSTER.label: {},
            CONSUMER_GROUP.label: {},
            QUEUE.label: {},
        }
        self._changed = True
        self._clusters: Mapping[str, Figures] = {}
        self._groups = self._queues = FigureTable()

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

    def figures(self) -> tuple[Mapping[str, Figures], FigureTable, FigureTable]:
        """Of each cluster by name, of all groups, and of all queues."""
        with self._lock:
            if not self._changed:
                return self._clusters, self._groups, self._queues
            self._changed = False
            clusters = dict(self._kept[CLUSTER.label])
            groups = dict(self._kept[CONSUMER_GROUP.label])
            queues = dict(self._kept[QUEUE.label])
        self._clusters = {name: _cluster(*kept) for name, kept in clusters.items()}
        self._groups = _groups([_rows(*kept) for kept in groups.values()], _STATE, _GROUP_COLUMNS)
        self._queues = _groups(
            [_rows(*kept) for kept in queues.values()], _QUEUE_STATE, _QUEUE_COLUMNS
        )
        return self._clusters, self._groups, self._queues


def _rows(tick: int, batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """The rows of one tick, in which batches may have others too."""
    wanted = [
        "timestamp",
        "entity_name",
        _STATE,
        *_CLUSTER_COLUMNS.values(),
        *_GROUP_COLUMNS.values(),
        _QUEUE_STATE,
        *_QUEUE_COLUMNS.values(),
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
    of = {name: float(_numbers(rows, c)[-1]) for name, c in _CLUSTER_COLUMNS.items()}
    running, nodes, queues = (of.pop(name) for name in ("running", "nodes", "queues"))
    available = of.pop("available")
    if not isnan(nodes):
        down = round(queues * (1 - available / 100)) if not isnan(queues * available) else nan
        of |= {"up": running, "known": nodes, "offline": down}
    return Figures(**of)


def _groups(tables: Sequence[pa.Table], state: str, columns: Mapping[str, str]) -> FigureTable:
    names = [name for rows in tables for name in rows.column("entity_name").to_pylist()]
    states = [
        word
        for rows in tables
        for word in (
            rows.column(state).to_pylist() if state in rows.column_names else [None] * len(rows)
        )
    ]
    if not names:
        return FigureTable()
    # One that came after it was filled has two rows; the last one counts.
    last = list({name: place for place, name in enumerate(names)}.values())
    return FigureTable(
        [names[place] for place in last],
        [states[place] for place in last],
        {
            figure: np.concatenate([_numbers(rows, column) for rows in tables])[last]
            for figure, column in columns.items()
        },
    )
