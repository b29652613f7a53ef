"""Filled samples: rows that go on from what an entity last was.

Traffic follows the pattern f of the fleet that the cluster is `like` (constant without one).
From a row of tick s, the filled row of tick t has

- rates: value(s) · f(t) / f(s)
- end and committed offsets: value(s) + rate(s) · ∑ f(u) / f(s) · interval, over the ticks u in
  (s, t], so that an offset grows by the very rate that its row reports; those of a group on a topic,
  whose row reports no rate, stay
- a broker's processor: rest + (value(s) − rest) · f(t) / f(s), at most 100 % (or value(s), which of
  one processor can be more), where rest is what
  it uses without traffic: 10 %, or value(s) if that is less. Its handlers' idle share likewise,
  with a rest of 91 %, or value(s) if that is more. Both figures are the simulated brokers'
- counts of what happened since the last tick: 0
- everything else (topology, lag, memory, latency, states): value(s)

A metric that was null stays null.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.merge.levels import Times, times_of
from operators.schema.arrow import TIMESTAMP, entity_type_of, repeated, schema_of
from operators.schema.metrics import EntityType, Metric, MetricKind, Origin

Factors = npt.NDArray[np.float64]
Pattern = Callable[[Times], Factors]
"""Traffic's factor, above 0, at each of the given times (ms)."""

GROWS_BY = {
    "topic.offset": "topic.messagesInPerSecond",
    "consumerGroup.committedOffset": "consumerGroup.messagesConsumedPerSecond",
}
"""Offsets, and the rate at which they go on."""

CPU_AT_REST, HANDLERS_AT_REST = 10.0, 91.0
"""Use of the processor, and idle share of the handlers, of a simulated broker without traffic."""

_MOVING = frozenset({MetricKind.RATE, MetricKind.COUNT})
_LOADED = frozenset({"broker.cpuUsage", "request.handlerIdle"})
_NONE, _ALL = pa.scalar(0.0, pa.float64()), pa.scalar(100.0, pa.float64())
_CPU, _HANDLERS = (pa.scalar(v, pa.float64()) for v in (CPU_AT_REST, HANDLERS_AT_REST))


def constant(times: Times) -> Factors:
    """The pattern of a cluster that is like no fleet: always 1."""
    return np.ones(len(times))


class Course:
    """How traffic goes from one tick to another, by a pattern, with ticks `interval` ms apart."""

    def __init__(self, pattern: Pattern, interval: int) -> None:
        self._pattern = pattern
        self._at = lru_cache(maxsize=16)(self._factor_at)
        self.interval = interval
        self._base = 0
        self._sums: Factors = np.zeros(0)
        """Factor times seconds, summed over the ticks after `_base`."""

    def ratio(self, start: Times, end: Times) -> Factors:
        """f(end) / f(start), element by element; 1 where f(start) is 0."""
        before = self._factor(start)
        flat = before <= 0
        ratio: Factors = np.where(flat, 1.0, self._factor(end) / np.where(flat, 1.0, before))
        return ratio

    def seconds(self, start: Times, end: Times) -> Factors:
        """Seconds from start to end, each weighed by f / f(start), element by element."""
        if not len(start):
            return np.zeros(0)
        self._reach(int(start.min()), int(end.max()))
        grown = self._sums[self._index(end)] - self._sums[self._index(start)]
        before = self._factor(start)
        flat = before <= 0
        return np.where(flat, (end - start) / 1000, grown / np.where(flat, 1.0, before))

    def _factor(self, times: Times) -> Factors:
        if len(times) and (times == times[0]).all():
            # Of one tick, as mostly: each kind and each entity type asks for it.
            return np.full(len(times), self._at(int(times[0])))
        unique, inverse = np.unique(times, return_inverse=True)
        return self._pattern(unique)[inverse]

    def _factor_at(self, time: int) -> float:
        return float(self._pattern(np.array([time]))[0])

    def _index(self, times: Times) -> npt.NDArray[np.int64]:
        return (times - self._base) // self.interval

    def _reach(self, start: int, end: int) -> None:
        last = self._base + (len(self._sums) - 1) * self.interval
        if len(self._sums) and self._base <= start and end <= last:
            return
        # Twice the span that is asked for, so that a long fill extends it seldom.
        ahead = max(256, (end - start) // self.interval)
        self._base = start
        count = (end - start) // self.interval + ahead
        ticks = start + self.interval * np.arange(count + 1, dtype=np.int64)
        steps = self._pattern(ticks) * (self.interval / 1000)
        steps[0] = 0.0
        self._sums = np.cumsum(steps)


def filled(
    levels: pa.RecordBatch, ticks: Times, course: Course, environment: str
) -> pa.RecordBatch:
    """The filled samples of `ticks` (ms) that go on from `levels`, row by row.

    `levels` are rows of one entity type, each no later than its tick. The result has the same
    schema and order, with origin `filled`.
    """
    rows = levels.num_rows
    since = times_of(levels)
    ratio = pa.array(course.ratio(since, ticks))
    entity_type = entity_type_of(levels)
    columns, places = levels.columns, _places(entity_type)
    columns[places["timestamp"]] = pa.array(ticks, pa.int64()).view(TIMESTAMP)
    columns[places["origin"]] = repeated(Origin.FILLED.value, rows)
    columns[places["environment"]] = repeated(environment, rows)
    columns[places["anomaly"]] = repeated(None, rows)
    columns[places["late"]] = repeated(False, rows, pa.bool_())
    for metric in _moving(entity_type):
        place = places[metric.name]
        columns[place] = _continued(metric, columns[place], ratio)
    for offset, rate in GROWS_BY.items():
        if offset in places and rate in places:
            last = levels.column(places[rate])
            if last.null_count == rows:
                continue
            growth = pc.multiply(last, pa.array(course.seconds(since, ticks)))
            whole = pc.cast(pc.round(pc.coalesce(growth, _NONE)), pa.int64())
            columns[places[offset]] = pc.add(columns[places[offset]], whole)
    return pa.RecordBatch.from_arrays(columns, schema=levels.schema)


@cache
def _places(entity_type: EntityType) -> Mapping[str, int]:
    """Where each column is."""
    return {name: place for place, name in enumerate(schema_of(entity_type).names)}


@cache
def _moving(entity_type: EntityType) -> tuple[Metric, ...]:
    """The metrics that are not simply what they last were."""
    return tuple(m for m in entity_type.metrics if m.kind in _MOVING or m.name in _LOADED)


def _continued(metric: Metric, last: pa.Array, ratio: pa.DoubleArray) -> pa.Array:
    if last.null_count == len(last):
        return last
    if metric.kind is MetricKind.RATE:
        return pc.multiply(last, ratio)
    if metric.kind is MetricKind.COUNT:
        return pc.multiply(last, pa.scalar(0, last.type))
    if metric.name == "broker.cpuUsage":
        return _loaded(last, pc.min_element_wise(last, _CPU), ratio)
    if metric.name == "request.handlerIdle":
        return _loaded(last, pc.max_element_wise(last, _HANDLERS), ratio)
    return last


def _loaded(last: pa.DoubleArray, rest: pa.DoubleArray, ratio: pa.DoubleArray) -> pa.Array:
    """A percentage of which the part beside `rest` moves with traffic."""
    moved = pc.add(rest, pc.multiply(pc.subtract(last, rest), ratio))
    most = pc.max_element_wise(last, _ALL)
    bounded = pc.max_element_wise(pc.min_element_wise(moved, most), _NONE)
    return pc.if_else(pc.is_valid(moved), bounded, moved)
