"""Columns of consumer groups that compare two ticks, and lag in seconds."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.derive.history import remembered, written_at
from operators.derive.retention import joined, outlook_of
from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    carried,
    grown_between,
    match,
    nullable,
    numbers,
    same,
    seconds_between,
    with_columns,
)
from operators.health import stands_still
from operators.schema.arrays import Floats
from operators.schema.arrow import entity_type_of, only
from operators.schema.metrics import CLUSTER, CONSUMER_GROUP, GROUP_TOPIC, PARTITION_OFFSET

KEYS = ("group", "topic", "partition")
TIMESTAMPS = "timestamps"
HISTORY = "history"


def derive_groups(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """Groups' rates, membership changes and lag in seconds.

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
    """
    columns: dict[str, dict[str, float]] = {}
    if "commits" in now:
        commits = now["commits"]
        lag = _lag(commits)
        age, by_history = _ages(commits, lag, before["history"])
        rows = match(commits, before["commits"], KEYS)
        seconds = seconds_between(commits, before["commits"], rows, most)
        columns["consumerGroup.messagesConsumedPerSecond"] = _consumed(
            commits, before["commits"], rows, seconds
        )
        columns["consumerGroup.lagTrend"] = _lag_trend(
            commits, lag, before["commits"], rows, seconds
        )
        columns["consumerGroup.lagSeconds"], methods = _oldest(commits, age, by_history)
        ahead, lost = outlook_of(commits, before["commits"], rows, seconds, lag, age)
        led = np.asarray(commits.column("led"))
    changes = _membership_changes(now["members"], before["members"])
    derived = []
    for batch in batches:
        if entity_type_of(batch) is CONSUMER_GROUP:
            groups = batch.column("consumer_group").to_pylist()
            filled: dict[str, pa.Array] = {
                name: nullable(np.array([of.get(group, np.nan) for group in groups], np.float64))
                for name, of in columns.items()
            }
            filled["consumerGroup.membershipChanges"] = pa.array(
                [changes.get(group) for group in groups], pa.int64()
            )
            if columns:
                filled["consumerGroup.lagMethod"] = pa.array(
                    [methods.get(group) for group in groups], pa.string()
                )
                place = match(commits, _keys(batch, ("group",)), ("group",))
                filled |= joined(ahead, lost, led, place, batch.num_rows)
            derived.append(with_columns(batch, filled))
        elif entity_type_of(batch) is CLUSTER and columns:
            stalled = pa.array([_stalled(columns)], pa.int64())
            derived.append(with_columns(batch, {"cluster.stalledGroupCount": stalled}))
        elif entity_type_of(batch) is GROUP_TOPIC and columns:
            place = match(commits, _keys(batch, KEYS[:2]), KEYS[:2])
            filled = joined(ahead, lost, led, place, batch.num_rows)
            derived.append(with_columns(_on_topics(batch, commits, age, place), filled))
        elif entity_type_of(batch) is PARTITION_OFFSET and columns and only(batch) is None:
            derived.append(_partitions(batch, commits, age))
        else:
            derived.append(batch)
    return tuple(derived)


def kept_groups(now: Raw, before: Raw, partial: bool, most: float) -> Raw:
    """What the next tick of groups needs: the last that was measured of each."""
    members = carried(now["members"], before["members"], ["group"], "group", partial, most)
    kept = {"members": members}
    if "commits" not in now:
        return {**kept, "commits": before["commits"], "history": before["history"]}
    commits = now["commits"]
    waiting = _lag(commits) > 0
    reported = np.asarray(commits.column("message_at").is_valid())
    tracked = match(commits, before["history"], ("topic", "partition")) != NOWHERE
    # Once brokers report the times of a partition's messages, its history is not needed.
    wanted = (waiting | tracked) & ~reported
    return {
        **kept,
        "commits": carried(commits, before["commits"], KEYS, "committed", partial, most),
        "history": remembered(before["history"], commits, wanted),
    }


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


def _oldest(
    commits: pa.RecordBatch, age: Floats, by_history: np.ndarray
) -> tuple[dict[str, float], dict[str, str]]:
    """By group: the greatest age over its partitions with a leader, and how it was found."""
    led = np.asarray(commits.column("led"))
    codes = np.asarray(commits.column("group").indices)[led]
    names = commits.column("group").dictionary.to_pylist()
    oldest = np.full(len(names), -1.0)
    # A part that is not known makes the whole unknown.
    np.maximum.at(oldest, codes, np.where(np.isnan(age), np.inf, age)[led])
    oldest[np.isinf(oldest)] = np.nan
    of_history = np.zeros(len(names), np.bool_)
    np.logical_or.at(of_history, codes, by_history[led])
    ages = {names[code]: float(oldest[code]) for code in np.unique(codes)}
    methods = {
        names[code]: HISTORY if of_history[code] else TIMESTAMPS
        for code in np.unique(codes)
        if oldest[code] > 0
    }
    return ages, methods


def _consumed(
    commits: pa.RecordBatch, before: pa.RecordBatch, rows: np.ndarray, seconds: Floats
) -> dict[str, float]:
    grown = grown_between(commits, before, "committed", rows)
    went_back = (rows != NOWHERE) & np.isnan(grown)
    rate = grown / seconds
    rate[went_back] = np.nan
    counted = ~np.isnan(seconds)
    return _sums(commits, counted, rate)


def _lag_trend(
    commits: pa.RecordBatch, lag: Floats, before: pa.RecordBatch, rows: np.ndarray, seconds: Floats
) -> dict[str, float]:
    grown = lag - at(_lag(before), rows, np.nan)
    led = np.asarray(commits.column("led"))
    return _sums(commits, led, grown / seconds)


def _sums(commits: pa.RecordBatch, counted: np.ndarray, values: Floats) -> dict[str, float]:
    """Sums of the counted rows by group; a NaN among them makes the sum NaN."""
    names = commits.column("group").dictionary.to_pylist()
    codes = np.asarray(commits.column("group").indices)[counted]
    sums = np.zeros(len(names))
    np.add.at(sums, codes, values[counted])
    return {names[code]: float(sums[code]) for code in np.unique(codes)}


def _stalled(columns: dict[str, dict[str, float]]) -> int:
    """How many groups stand still, as far as is known."""
    consumed = columns["consumerGroup.messagesConsumedPerSecond"]
    oldest = columns["consumerGroup.lagSeconds"]
    both = [(consumed[group], oldest[group]) for group in consumed.keys() & oldest.keys()]
    return int(stands_still(*np.array(both).reshape(-1, 2).T).sum())


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


def _on_topics(
    batch: pa.RecordBatch, commits: pa.RecordBatch, age: Floats, pair: np.ndarray
) -> pa.RecordBatch:
    """The greatest age over the partitions with a leader of each group's topic.

    `pair` is the row of the batch to which each commit belongs, or NOWHERE.
    """
    counted = np.asarray(commits.column("led")) & (pair != NOWHERE)
    oldest = np.full(batch.num_rows, -1.0)
    # A part that is not known makes the whole unknown.
    np.maximum.at(oldest, pair[counted], np.where(np.isnan(age), np.inf, age)[counted])
    oldest[np.isinf(oldest) | (oldest < 0)] = np.nan
    return with_columns(batch, {"consumerGroup.lagSeconds": nullable(oldest)})


def _partitions(batch: pa.RecordBatch, commits: pa.RecordBatch, age: Floats) -> pa.RecordBatch:
    rows = match(_keys(batch, KEYS), commits, KEYS)
    return with_columns(batch, {"consumer.lagSeconds": nullable(at(age, rows, np.nan))})
