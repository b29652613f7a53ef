"""Columns of consumer groups that compare two ticks, and lag in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.derive.history import remembered, written_at
from operators.derive.retention import Compared, compared, joined, outlook_of, with_paces
from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    carried,
    match,
    nullable,
    numbers,
    same,
    with_columns,
)
from operators.health import stands_still
from operators.outlook import Outlook
from operators.schema.arrays import Flags, Floats, Ints
from operators.schema.arrow import entity_type_of, only
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, PARTITION_OFFSET

KEYS = ("group", "topic", "partition")

_METHODS = pa.array(["timestamps", "history"])
"""How a lag in seconds was found: by the brokers' timestamps, or by the history of end offsets."""


def derived_groups(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, partial: bool, most: float
) -> tuple[tuple[pa.RecordBatch, ...], Raw]:
    """Groups' rates, membership changes and lag in seconds; and what the next tick needs.

    `consumerGroup.messagesConsumedPerSecond` is the growth of each commit over the time between
    its two readings, summed over the partitions that had one before; null where a commit went
    back: the group was reset and starts over. `consumerGroup.lagTrend` is the growth of the total
    lag over that time. `consumerGroup.membershipChanges` counts members that joined or left.
    Readings that are more than `most` seconds apart are not compared.

    Lag in seconds is the age of the first message after the commit, 0 where none waits; a group's,
    and a group's on a topic, is that of its oldest partition. `consumerGroup.lagMethod` says how the age was found: by the
    brokers' timestamps, or by the history of end offsets where they do not report it. It is null where
    a partition's message was retained away or is older than what is known.

    The columns on loss and catching up are those of `outlook`, by partition, joined.

    The last that was measured of each is kept; of a `partial` tick what it lacks stays.
    """
    changes = _membership_changes(now["members"], before["members"])
    members = carried(now["members"], before["members"], ["group"], "group", partial, most)
    if "commits" not in now:
        derived = tuple(
            with_columns(batch, {_CHANGES: _changes_of(batch, changes)})
            if entity_type_of(batch) is CONSUMER_GROUP
            else batch
            for batch in batches
        )
        return derived, {**before, "members": members}
    since = compared(now["commits"], before["commits"], most)
    commits = with_paces(now["commits"], before["commits"], since)
    readings = _readings(commits, before, since)
    kept = {
        "members": members,
        "commits": carried(commits, before["commits"], KEYS, "committed", partial, most),
        "history": _history(commits, before["history"], readings.lag),
    }
    return tuple(_derived(batch, readings, changes) for batch in batches), kept


_CHANGES = "consumerGroup.membershipChanges"


@dataclass(frozen=True, slots=True)
class _Readings:
    """The commits of one tick, and what follows of them."""

    commits: pa.RecordBatch
    lag: Floats
    """By row of the commits, as the next four."""
    age: Floats
    outlook: Outlook
    lost: Floats
    led: Flags
    group: Ints
    """By row: its group's place in `groups`, in whose order are the arrays below."""
    groups: Sequence[str]
    consumed: Floats
    trend: Floats
    oldest: Floats
    by_history: Flags


def _readings(commits: pa.RecordBatch, before: Raw, since: Compared) -> _Readings:
    earlier, column = before["commits"], commits.column("group")
    groups, group = column.dictionary.to_pylist(), np.asarray(column.indices)
    lag, led = _lag(commits), np.asarray(commits.column("led"))
    age, by_history = _ages(commits, lag, before["history"])
    ahead, lost = outlook_of(commits, earlier, since, lag, age)
    trend = (lag - at(_lag(earlier), since.rows, np.nan)) / since.seconds
    of_led, count = group[led], len(groups)
    return _Readings(
        commits,
        lag,
        age,
        ahead,
        lost,
        led,
        group,
        groups,
        consumed=_sums(since.consumed, ~np.isnan(since.seconds), group, count),
        trend=_sums(trend, led, group, count),
        oldest=_greatest(age[led], of_led, count),
        by_history=np.bincount(of_led, by_history[led], count) > 0,
    )


def _derived(batch: pa.RecordBatch, of: _Readings, changes: dict[str, int]) -> pa.RecordBatch:
    entity_type = entity_type_of(batch)
    if entity_type is CONSUMER_GROUP:
        return _on_groups(batch, of, changes)
    if entity_type is CLUSTER:
        stalled = int(stands_still(of.consumed, of.oldest).sum())
        return with_columns(batch, {"cluster.stalledGroupCount": pa.array([stalled], pa.int64())})
    if entity_type is GROUP_TOPIC:
        return _on_topics(batch, of)
    if entity_type is PARTITION_OFFSET and only(batch) is None:
        return _on_partitions(batch, of)
    return batch


def _on_groups(batch: pa.RecordBatch, of: _Readings, changes: dict[str, int]) -> pa.RecordBatch:
    places = {group: place for place, group in enumerate(of.groups)}
    names = batch.column("consumer_group").to_pylist()
    rows = np.array([places.get(name, NOWHERE) for name in names], np.int64)
    row_of = np.full(len(of.groups), NOWHERE)
    there = np.flatnonzero(rows != NOWHERE)
    row_of[rows[there]] = there
    consumed, trend, oldest = (at(v, rows, np.nan) for v in (of.consumed, of.trend, of.oldest))
    method = at(of.by_history, rows, False).astype(np.int32)
    columns = {
        "consumerGroup.messagesConsumedPerSecond": nullable(consumed),
        "consumerGroup.lagTrend": nullable(trend),
        "consumerGroup.lagSeconds": nullable(oldest),
        "consumerGroup.lagMethod": pa.DictionaryArray.from_arrays(
            pa.array(method, mask=~(oldest > 0)), _METHODS
        ),
        _CHANGES: _changes_of(batch, changes),
        **joined(of.outlook, of.lost, of.led, row_of[of.group], batch.num_rows),
    }
    return with_columns(batch, columns)


def _on_topics(batch: pa.RecordBatch, of: _Readings) -> pa.RecordBatch:
    """Samples of groups on topics; a lag in seconds is that of the oldest partition with a leader."""
    place = match(of.commits, _keys(batch, KEYS[:2]), KEYS[:2])
    counted = of.led & (place != NOWHERE)
    oldest = _greatest(of.age[counted], place[counted], batch.num_rows)
    columns = {
        "consumerGroup.lagSeconds": nullable(oldest),
        **joined(of.outlook, of.lost, of.led, place, batch.num_rows),
    }
    return with_columns(batch, columns)


def _on_partitions(batch: pa.RecordBatch, of: _Readings) -> pa.RecordBatch:
    rows = match(_keys(batch, KEYS), of.commits, KEYS)
    return with_columns(batch, {"consumer.lagSeconds": nullable(at(of.age, rows, np.nan))})


def _history(commits: pa.RecordBatch, history: pa.RecordBatch, lag: Floats) -> pa.RecordBatch:
    """The end offsets to remember. Once brokers report the times of a partition's messages, none are needed."""
    reported = np.asarray(commits.column("message_at").is_valid())
    tracked = match(commits, history, ("topic", "partition")) != NOWHERE
    return remembered(history, commits, ((lag > 0) | tracked) & ~reported)


def _lag(commits: pa.RecordBatch) -> Floats:
    """End minus committed offset, never negative; NaN where the end is not known.

    A share group's is what its coordinator reported, NaN where it did not.
    """
    end = numbers(commits, "end").astype(np.float64)
    end[end < 0] = np.nan
    lag: Floats = np.maximum(0.0, end - numbers(commits, "committed"))
    reported = commits.column("lag")
    if reported.null_count < len(reported):
        of_share = numbers(commits, "lag").astype(np.float64)
        of_share[of_share < 0] = np.nan
        lag = np.where(np.asarray(reported.is_valid()), of_share, lag)
    return lag


def _ages(
    commits: pa.RecordBatch, lag: Floats, history: pa.RecordBatch
) -> tuple[Floats, np.ndarray]:
    """By row: seconds that the first message after the commit waits; whether by history.

    0 where none waits, NaN where it is not known.
    """
    committed, start = numbers(commits, "committed"), numbers(commits, "start")
    retained_away = (start > committed) | (start < 0)
    message_at = numbers(commits, "message_at").astype(np.float64)
    message_at[message_at < 0] = np.nan
    unknown = (lag > 0) & np.isnan(message_at)
    by_history = np.zeros(commits.num_rows, np.bool_)
    if unknown.any():
        rows = np.flatnonzero(unknown)
        message_at[rows] = written_at(history, commits.take(pa.array(rows)))
        by_history[rows] = True
    age = np.maximum(0.0, (numbers(commits, "at") - message_at) / 1000)
    age[retained_away] = np.nan
    age[lag == 0] = 0.0
    age[np.isnan(lag)] = np.nan
    return age, by_history


def _greatest(age: Floats, to: Ints, count: int) -> Floats:
    """The greatest age of what belongs to each of `count`; NaN where nothing does, or one is not known."""
    oldest = np.full(count, -1.0)
    np.maximum.at(oldest, to, np.where(np.isnan(age), np.inf, age))
    oldest[np.isinf(oldest) | (oldest < 0)] = np.nan
    return oldest


def _sums(values: Floats, counted: Flags, to: Ints, count: int) -> Floats:
    """Sums of the counted values by what they belong to; NaN where nothing does, or one is not known."""
    to = to[counted]
    sums = np.bincount(to, values[counted], count).astype(np.float64)
    sums[np.bincount(to, minlength=count) == 0] = np.nan
    return sums


def _membership_changes(now: pa.RecordBatch, before: pa.RecordBatch) -> dict[str, int]:
    """By group that was described twice: members that joined or left between."""
    if same(now, before, ("group", "member")):
        return dict.fromkeys(_groups_of(now).to_pylist(), 0)
    now, before = _coded(now), _coded(before)
    current, earlier = _groups_of(now), _groups_of(before)
    there = pc.is_in(current, value_set=earlier)
    joined = _unmatched(now, before)
    left = _unmatched(before, now)
    return {
        group: joined.get(group, 0) + left.get(group, 0)
        for group in current.filter(there).to_pylist()
    }


def _changes_of(batch: pa.RecordBatch, changes: dict[str, int]) -> pa.Array:
    groups = batch.column("consumer_group").to_pylist()
    return pa.array([changes.get(group) for group in groups], pa.int64())


def _coded(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of members whose names are codes, so that they can be matched."""
    member = rows.column("member")
    if pa.types.is_dictionary(member.type):
        return rows
    names = member.dictionary_encode()
    return rows.set_column(rows.schema.get_field_index("member"), "member", names)


def _groups_of(rows: pa.RecordBatch) -> pa.Array:
    return pc.unique(rows.column("group")).dictionary_decode()


def _unmatched(rows: pa.RecordBatch, others: pa.RecordBatch) -> dict[str, int]:
    """By group: how many of its members are not among the others."""
    members = np.asarray(rows.column("member").is_valid())
    alone = members & (match(rows, others, ("group", "member")) == NOWHERE)
    if not alone.any():
        return {}
    found = pc.value_counts(rows.column("group").filter(pa.array(alone)))
    groups = found.field("values").dictionary_decode().to_pylist()
    return dict(zip(groups, found.field("counts").to_pylist(), strict=True))


def _keys(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The columns that identify samples, by their names in raw measures."""
    columns = [batch.column("consumer_group" if name == "group" else name) for name in names]
    return pa.RecordBatch.from_arrays(columns, names=list(names))
