"""End offsets as mqpipe itself saw them over time: the second way to find when one was written.

Only partitions whose brokers do not report the times of messages are kept.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.collect.raw.schemas import COMMITS
from operators.derive.store import (
    NOWHERE,
    at,
    concat,
    match,
    numbers,
)
from operators.schema.arrays import Flags, Floats

KEYS = ("topic", "partition")

HISTORY = pa.schema([COMMITS.field(name) for name in ("topic", "partition", "end", "at")])
"""`history` of groups: one row a partition and moment; `at` is in ms."""

RESOLUTION = 0.25
"""A moment is dropped where its neighbours are then not further apart than this share of their
age: some twenty moments reach back a day, and a lag is known to a quarter."""


def remembered(history: pa.RecordBatch, commits: pa.RecordBatch, wanted: Flags) -> pa.RecordBatch:
    """The history with this tick's end offsets of the `wanted` rows of `commits` added.

    Shape: HISTORY. Partitions that are not wanted are dropped. An end offset that went back drops
    what was higher: the topic was recreated, or truncated.
    """
    if not wanted.any():
        return history.slice(0, 0)
    ends = commits.filter(pc.and_(pa.array(wanted), commits.column("end").is_valid()))
    ends = _first_of_each(ends.select(HISTORY.names))
    if not ends.num_rows:
        return history.slice(0, 0)
    # One moment a tick, so that partitions can be thinned together.
    moment = pc.max(ends.column("at"))
    ends = ends.set_column(3, HISTORY.field("at"), pa.repeat(moment, ends.num_rows))
    rows = match(history, ends, KEYS)
    now_end = at(numbers(ends, "end"), rows, NOWHERE)
    kept = history.filter(pa.array((rows != NOWHERE) & (numbers(history, "end") <= now_end)))
    return _thinned(concat([kept, ends]))


def written_at(history: pa.RecordBatch, commits: pa.RecordBatch) -> Floats:
    """When the first message after each commit was written, in ms; NaN where it is not known.

    Interpolated between the last moment at which the end offset was not beyond the commit and
    the first one at which it was.
    """
    found = np.full(commits.num_rows, np.nan)
    if not history.num_rows:
        return found
    distinct = _first_of_each(history)
    first, second = match(commits, distinct, KEYS), match(history, distinct, KEYS)
    order = np.lexsort((numbers(history, "at"), second))
    ends, times = numbers(history, "end")[order], numbers(history, "at")[order]
    keys = second[order]
    committed = numbers(commits, "committed")
    starts = np.searchsorted(keys, first, "left")
    stops = np.searchsorted(keys, first, "right")
    for row in np.flatnonzero(stops - starts > 1):
        of = slice(starts[row], stops[row])
        # The last moment whose end offset is the commit or less.
        i = int(np.searchsorted(ends[of], committed[row], "right")) - 1
        if 0 <= i < stops[row] - starts[row] - 1:
            low, high = ends[of][i], ends[of][i + 1]
            since, until = times[of][i], times[of][i + 1]
            found[row] = since + (until - since) * (committed[row] - low) / (high - low)
    return found


def _first_of_each(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The first row of each partition."""
    numbered = match(rows, rows, KEYS)
    return rows.filter(pa.array(numbered == np.arange(rows.num_rows)))


def _thinned(history: pa.RecordBatch) -> pa.RecordBatch:
    moments = sorted(set(pc.unique(history.column("at")).to_pylist()))
    kept = thinned_moments(moments)
    if len(kept) == len(moments):
        return history
    return history.filter(pc.is_in(history.column("at"), pa.array(kept, pa.int64())))


def thinned_moments(moments: Sequence[int]) -> list[int]:
    """The moments (ms, rising) that are worth keeping: the older, the fewer."""
    kept = list(moments)
    now = kept[-1] if kept else 0
    i = len(kept) - 2
    while i > 0:
        if kept[i + 1] - kept[i - 1] <= RESOLUTION * (now - kept[i]):
            del kept[i]
        i -= 1
    return kept
