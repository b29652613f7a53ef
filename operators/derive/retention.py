"""Columns of groups that say whether what they have not read will be lost."""

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa

from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    grown_between,
    match,
    nullable,
    numbers,
    seconds_between,
)
from operators.outlook import NOT_KNOWN, STATES, Outlook, Standing, outlook, smoothed
from operators.schema.arrays import Flags, Floats, Ints

KEYS = ("group", "topic", "partition")

_WORDS = pa.array(STATES)


def with_paces(now: Raw, before: Raw, most: float) -> Raw:
    """The measures of groups with the smoothed rates of their commits and of what comes."""
    if "commits" not in now:
        return now
    commits, earlier = now["commits"], before["commits"]
    rows = match(commits, earlier, KEYS)
    seconds = seconds_between(commits, earlier, rows, most)
    for name, of in (("pace", "committed"), ("produced", "end")):
        rate = grown_between(commits, earlier, of, rows) / seconds
        values = smoothed(rate, at(_floats(earlier, name), rows, np.nan), seconds)
        values[np.isnan(seconds)] = np.nan
        place = commits.schema.get_field_index(name)
        commits = commits.set_column(place, commits.schema.field(place), nullable(values))
    return {**now, "commits": commits}


def outlook_of(
    commits: pa.RecordBatch,
    before: pa.RecordBatch,
    rows: Ints,
    seconds: Floats,
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
    earlier = at(numbers(before, "start"), rows, NOWHERE).astype(np.float64)
    earlier[earlier < 0] = np.nan
    lost = np.maximum(0.0, start - np.maximum(committed, earlier))
    known = np.sort(seconds[~np.isnan(seconds)])
    interval = (
        float(known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if len(known) else 0.0
    )
    standing = Standing(
        lag=lag,
        retained=np.maximum(end - start, 0.0),
        age=age,
        consumed=grown_between(commits, before, "committed", rows) / seconds,
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
    there = np.bincount(to, minlength=count) > 0

    def reduced(how: np.ufunc, values: Floats, start: float = np.nan) -> Floats:
        found = np.full(count, start)
        with np.errstate(invalid="ignore"):
            how.at(found, to, values)
        found[~there] = np.nan
        return found

    margin = reduced(np.fmin, o.margin)
    catch_up = reduced(np.maximum, o.catch_up, 0.0)
    margin[np.isinf(margin)], catch_up[np.isinf(catch_up)] = np.nan, np.nan
    state = np.full(count, NOT_KNOWN, np.int64)
    np.maximum.at(state, to, o.state)
    words = pa.DictionaryArray.from_arrays(
        pa.array(state, pa.int32(), mask=state == NOT_KNOWN), _WORDS
    )
    return {
        "consumerGroup.unreadMessages": _whole(reduced(np.add, o.unread, 0.0)),
        "consumerGroup.lostMessages": _whole(_known_sum(lost[chosen], to, count)),
        "consumerGroup.lagOfRetainedMessages": nullable(reduced(np.fmax, o.of_messages)),
        "consumerGroup.lagOfRetentionTime": nullable(reduced(np.fmax, o.of_time)),
        "consumerGroup.marginSeconds": nullable(margin),
        "consumerGroup.catchUpSeconds": nullable(catch_up),
        "consumerGroup.lagState": words,
    }


def _known_sum(values: Floats, to: Ints, count: int) -> Floats:
    """Sums of what is known; NaN where nothing is: a partition that is new has lost nothing."""
    known = ~np.isnan(values)
    sums = np.bincount(to[known], values[known], minlength=count).astype(np.float64)
    sums[np.bincount(to[known], minlength=count) == 0] = np.nan
    return sums


def _whole(values: Floats) -> pa.Array:
    unknown = np.isnan(values)
    return pa.array(np.where(unknown, 0, values).astype(np.int64), mask=unknown)


def _floats(batch: pa.RecordBatch, name: str) -> Floats:
    values: Floats = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
