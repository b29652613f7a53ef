"""Running totals of counters: what a cumulative sum is, and since when.

Samples report how many there were in their interval. A cumulative sum reports how many there were since
its start, so each series' total is kept from sample to sample, and with the snapshot from run to
run. Totals are added before samples are written to the spool, where they come in order, and travel
with them: an outage, a lane that is overtaken or a redelivery changes none.

A series is what OpenTelemetry says it is: a resource, a metric, and the attributes of its points.
Its start is the beginning of the interval of its first sample. A sample that comes after a later
one of its series has no total (a sum never goes back); what it counted is in the next one.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from operators.schema.arrow import entity_type_of
from operators.schema.ipc import TOTALS, as_stream
from operators.schema.metrics import Metric, MetricKind
from sinks.otlp.attributes import series_of
from sinks.otlp.wire import BYTES

START = "start"
"""The field of `TOTALS` that says since when; milliseconds since the epoch."""

_FORGET = 86_400.0
"""Seconds after which a series that has no samples any more is forgotten."""

_KEY, _LAST = "series", "last"


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals that a batch's samples bear. `starts` are milliseconds since the epoch."""

    starts: npt.NDArray[np.int64]
    _columns: pa.StructArray

    def of(self, metric: Metric) -> pa.Array:
        """A metric's totals; null where it has none."""
        names = [field.name for field in self._columns.type]
        if metric.name not in names:
            return pa.nulls(len(self._columns), pa.float64())
        totals = pc.struct_field(self._columns, metric.name)
        return totals.cast(pa.int64()) if metric.kind is MetricKind.COUNT else totals


def totals_of(batch: pa.RecordBatch) -> Totals | None:
    """The totals of a batch that has any."""
    if TOTALS not in batch.schema.names:
        return None
    column = batch.column(TOTALS)
    if column.null_count == len(column):
        return None
    starts = pc.fill_null(pc.struct_field(column, START), 0)
    return Totals(starts.to_numpy(), column)


def counts_of(metric: Metric, values: pa.Array, interval: int) -> pa.Array:
    """How many there were over the interval (ms) that ends at the tick."""
    return pc.multiply(values, interval / 1000) if metric.kind is MetricKind.RATE else values


class RunningTotals:
    """The totals of all series whose samples come through here, one after the other.

    `interval` is the time between two ticks in milliseconds.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._series: dict[str, _TypeSeries] = {}

    def add(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, and where its entity type has counters the column `TOTALS` with theirs."""
        entity_type = entity_type_of(batch)
        counters = [metric for metric in entity_type.numeric if metric.counts]
        if not counters or not batch.num_rows:
            return batch
        series = self._series.setdefault(entity_type.name, _TypeSeries())
        return batch.append_column(TOTALS, series.add(batch, counters, self._interval))

    def state(self) -> dict[str, bytes]:
        """What a restart needs to go on: an Arrow stream for each entity type."""
        return {name: series.state() for name, series in self._series.items()}

    def resume(self, state: Mapping[str, bytes]) -> None:
        """Go on from a state."""
        self._series = {name: _TypeSeries(stream) for name, stream in state.items()}


class _TypeSeries:
    """The series of one entity type: since when they count, their last sample, their totals."""

    def __init__(self, state: bytes | None = None) -> None:
        self._keys = pa.array([], BYTES)
        self._starts = np.empty(0, np.int64)
        self._last = np.empty(0, np.int64)
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        if state is not None:
            with pa.ipc.open_stream(state) as reader:
                known = reader.read_next_batch()
            self._keys = known.column(_KEY)
            self._starts, self._last = (known.column(n).to_numpy().copy() for n in (START, _LAST))
            names = [n for n in known.schema.names if n not in (_KEY, START, _LAST)]
            self._sums = {name: known.column(name).to_numpy().copy() for name in names}
        self._seen = np.full(len(self._keys), time.monotonic())

    def state(self) -> bytes:
        self._forget()
        columns = {_KEY: self._keys, START: self._starts, _LAST: self._last, **self._sums}
        return as_stream([pa.RecordBatch.from_pydict(columns)], "zstd")

    def add(
        self, batch: pa.RecordBatch, counters: Sequence[Metric], interval: int
    ) -> pa.StructArray:
        times = batch.column("timestamp").cast(pa.int64()).to_numpy()
        series = self._found(series_of(batch), times - interval)
        order = np.lexsort((times, series))
        place, follows = _places(series[order], times[order], self._last)
        counts = {m.name: counts_of(m, batch.column(m.name), interval) for m in counters}
        totals = {name: np.zeros(len(batch)) for name in counts}
        for name, values in counts.items():
            sums = self._sums.setdefault(name, np.zeros(0))
            sums = self._sums[name] = np.append(sums, np.zeros(len(self._keys) - len(sums)))
            numbers = _finite(values)
            # One sample of each series after the other, as they would come by themselves.
            for turn in range(int(place.max()) + 1):
                rows = order[place == turn]
                sums[series[rows]] += numbers[rows]
                totals[name][rows] = sums[series[rows]]
        self._last[series[order]] = np.maximum(self._last[series[order]], times[order])
        self._seen[series] = time.monotonic()
        passed = np.empty(len(batch), bool)
        passed[order] = ~follows
        arrays = [pa.array(self._starts[series], mask=passed)]
        for name, values in counts.items():
            there = pc.fill_null(pc.is_finite(values), False).to_numpy(zero_copy_only=False)
            arrays.append(pa.array(totals[name], mask=passed | ~there))
        return pa.StructArray.from_arrays(arrays, [START, *counts])

    def _found(self, keys: pa.Array, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of each row's series; those that are new begin at the first of `starts`."""
        encoded = keys.dictionary_encode()
        words, rows = encoded.dictionary, encoded.indices.to_numpy()
        numbers = pc.index_in(words, value_set=self._keys).cast(pa.int64())
        new = numbers.is_null().to_numpy(zero_copy_only=False)
        found = pc.fill_null(numbers, 0).to_numpy().copy()
        if new.any():
            first = np.full(len(words), np.iinfo(np.int64).max)
            np.minimum.at(first, rows, starts)
            count = len(self._keys)
            found[new] = np.arange(count, count + new.sum())
            self._keys = pa.concat_arrays([self._keys, words.filter(pa.array(new))])
            self._starts = np.append(self._starts, first[new])
            self._last = np.append(self._last, np.full(new.sum(), np.iinfo(np.int64).min))
            self._seen = np.append(self._seen, np.zeros(new.sum()))
        numbered: npt.NDArray[np.int64] = found[rows]
        return numbered

    def _forget(self) -> None:
        kept = time.monotonic() - self._seen < _FORGET
        if not kept.all():
            self._keys = self._keys.filter(pa.array(kept))
            self._starts, self._last = self._starts[kept], self._last[kept]
            self._sums = {name: sums[kept] for name, sums in self._sums.items()}
            self._seen = self._seen[kept]


def _places(
    series: npt.NDArray[np.int64], times: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Of rows by series and time: which of its series each is, and whether it is the latest so far."""
    rows = np.arange(len(series))
    begins = np.append(True, series[1:] != series[:-1])
    place = rows - np.maximum.accumulate(np.where(begins, rows, 0))
    follows = (times > last[series]) & (begins | np.append(True, times[1:] > times[:-1]))
    return place, follows


def _finite(values: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers, 0 where there is none."""
    numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy()
    return np.where(np.isfinite(numbers), numbers, 0.0)
