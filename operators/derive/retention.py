"""Columns of groups that say whether what they have not read will be lost."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from operators.derive.store import (
    NOWHERE,
    at,
    grown_between,
    match,
    nullable,
    numbers,
    seconds_between,
    with_columns,
)
from operators.outlook import NOT_KNOWN, STATES, Outlook, Standing, outlook, smoothed
from operators.schema.arrays import Flags, Floats, Ints

KEYS = ("group", "topic", "partition")

_WORDS = pa.array(STATES)


@dataclass(frozen=True, slots=True)
class Compared:
    """Commits beside those of the reading before; arrays with an entry a row of the commits."""

    rows: Ints
    """The row of the reading before, or NOWHERE."""
    seconds: Floats
    """Between the two readings; NaN where they are not compared."""
    consumed: Floats
    """Messages/s; NaN where it is not known."""
    produced: Floats
    """Messages/s that came; NaN where it is not known."""


def compared(commits: pa.RecordBatch, before: pa.RecordBatch, most: float) -> Compared:
    """Commits beside those of the reading before, if that is no more than `most` seconds ago."""
    rows = match(commits, before, KEYS)
    seconds = seconds_between(commits, before, rows, most)
    consumed, produced = (
        grown_between(commits, before, name, rows) / seconds for name in ("committed", "end")
    )
    return Compared(rows, seconds, consumed, produced)


def with_paces(commits: pa.RecordBatch, before: pa.RecordBatch, since: Compared) -> pa.RecordBatch:
    """The commits with the smoothed rates of what is read and of what comes."""
    rates = np.array([since.consumed, since.produced])
    earlier = [at(_floats(before, name), since.rows, np.nan) for name in ("pace", "produced")]
    values = smoothed(rates, np.array(earlier), since.seconds)
    values[:, np.isnan(since.seconds)] = np.nan
    pace, produced = values
    return with_columns(commits, {"pace": nullable(pace), "produced": nullable(produced)})


def outlook_of(
    commits: pa.RecordBatch,
    before: pa.RecordBatch,
    since: Compared,
    lag: Floats,
    age: Floats,
) -> tuple[Outlook, Floats]:
    """The outlook of each row of the commits, and the messages that it lost since the reading before.

    A message is lost that the log no longer holds and that was not committed. It counts in the
    reading in which the log's start passes it, so once, whether the commit moves later or not; NaN
    where there is no reading before.
    """
    start, end = (numbers(commits, name).astype(np.float64) for name in ("start", "end"))
    start[start < 0], end[end < 0] = np.nan, np.nan
    committed = numbers(commits, "committed")
    earlier = at(numbers(before, "start"), since.rows, NOWHERE).astype(np.float64)
    earlier[earlier < 0] = np.nan
    lost = np.maximum(0.0, start - np.maximum(committed, earlier))
    known = np.sort(since.seconds[~np.isnan(since.seconds)])
    interval = (
        float(known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if len(known) else 0.0
    )
    standing = Standing(
        lag=lag,
        retained=np.maximum(end - start, 0.0),
        age=age,
        consumed=since.consumed,
        pace=_floats(commits, "pace"),
        produced=_floats(commits, "produced"),
        lost=lost,
        retention=_floats(commits, "retention"),
        room=np.where(np.isnan(room := _floats(commits, "room")), np.inf, room),
        interval=interval,
    )
    return outlook(standing), lost


def joined(
    of_rows: Outlook, lost: Floats, led: Flags, place: Ints, count: int
) -> dict[str, pa.Array]:
    """Columns of what rows of commits are summed to, from the outlooks of those with a leader.

    `place` is where each row belongs among `count`, or NOWHERE. Messages are summed; of shares the
    greatest counts, of times the worst, of states the last in STATES. What is not known of one row
    leaves the others' word, but no sum.
    """
    chosen = led & (place != NOWHERE)
    to = place[chosen]
    o = of_rows
    if len(to) < len(place):
        o = replace(o, **{f.name: getattr(o, f.name)[chosen] for f in fields(o)})
    empty = np.bincount(to, minlength=count) == 0

    def reduced(how: np.ufunc, values: Floats, start: float = np.nan) -> Floats:
        found = np.full(count, start)
        how.at(found, to, values)
        found[empty] = np.nan
        return found

    with np.errstate(invalid="ignore"):
        margin = reduced(np.fmin, o.margin)
        catch_up = reduced(np.maximum, o.catch_up, 0.0)
        unread = reduced(np.add, o.unread, 0.0)
        of_messages, of_time = reduced(np.fmax, o.of_messages), reduced(np.fmax, o.of_time)
    margin[np.isinf(margin)], catch_up[np.isinf(catch_up)] = np.nan, np.nan
    state = np.full(count, NOT_KNOWN, np.int64)
    np.maximum.at(state, to, o.state)
    words = pa.DictionaryArray.from_arrays(
        pa.array(state, pa.int32(), mask=state == NOT_KNOWN), _WORDS
    )
    return {
        "consumerGroup.unreadMessages": _whole(unread),
        "consumerGroup.lostMessages": _whole(_known_sum(lost[chosen], to, count)),
        "consumerGroup.lagOfRetainedMessages": nullable(of_messages),
        "consumerGroup.lagOfRetentionTime": nullable(of_time),
        "consumerGroup.marginSeconds": nullable(margin),
        "consumerGroup.catchUpSeconds": nullable(catch_up),
        "consumerGroup.lagState": words,
    }


def _known_sum(values: Floats, to: Ints, count: int) -> Floats:
    """Sums of what is known; NaN where nothing is: a partition that is new has lost nothing."""
    known = ~np.isnan(values)
    to = to[known]
    sums = np.bincount(to, values[known], minlength=count).astype(np.float64)
    sums[np.bincount(to, minlength=count) == 0] = np.nan
    return sums


def _whole(values: Floats) -> pa.Array:
    unknown = np.isnan(values)
    return pa.array(np.where(unknown, 0, values).astype(np.int64), mask=unknown)


def _floats(batch: pa.RecordBatch, name: str) -> Floats:
    values: Floats = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
