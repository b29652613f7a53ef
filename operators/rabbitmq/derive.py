"""Columns of queues that are rates of counters."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.derive.rules import Rule, Rules, each
from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    carried,
    concat,
    match,
    nullable,
    numbers,
    seconds_between,
    with_columns,
)
from operators.rabbitmq.detailed import ACKNOWLEDGED, DELIVERED, PUBLISHED, REDELIVERED
from operators.rabbitmq.measures import DEAD_LETTERS, KEYS, PRESENT, QUEUE_KEYS, READ, TALLIES
from operators.schema.arrays import Flags, Floats
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import CLUSTER, QUEUE

SELDOM = 200.0
"""Seconds between two counts of dead letters, at most: of many queues they are read once in a while."""

RATES = {
    PUBLISHED: "queue.messagesInPerSecond",
    DELIVERED: "queue.messagesOutPerSecond",
    ACKNOWLEDGED: "queue.acknowledgedPerSecond",
    REDELIVERED: "queue.redeliveredPerSecond",
}
COUNTS = {PUBLISHED: "queue.messagesPublished", DELIVERED: "queue.messagesDelivered"}


def derive_queues(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """Queues' rates, and the cluster's sums of them.

    A counter is a channel's: it is new with the channel, goes with it, and what it counted last, after
    the reading before, is not known. So a rate is what each channel's counter grew by over the seconds
    between two readings of its node, summed; one that is new, or lower than it was, began at 0. A rate
    is null for the first reading, where readings are more than `most` seconds apart, where a node that
    had channels of the queue was not read, and for a queue that never had any counter.
    """
    rows = [batch for batch in batches if entity_type_of(batch) is QUEUE]
    if not rows or "tallies" not in now:
        return batches
    grown = _RabbitGrowth(now, before, most)
    dead_lettered = _dead_lettered(now, before, max(most, SELDOM))
    return tuple(_derived(batch, rows[0], grown, dead_lettered) for batch in batches)


def _dead_lettered(now: Raw, before: Raw, most: float) -> float | None:
    """Messages dead-lettered in a second, of all nodes that run; None where it is not known of one.

    A count that is lower than it was is that of a node that started over, from 0.
    """
    counts, old = now["dead_letters"], before["dead_letters"]
    if not counts.num_rows or counts.column("value").null_count:
        return None
    rows = match(counts, old, ("node",))
    value = numbers(counts, "value")
    since = at(numbers(old, "value"), rows, 0)
    grown = np.where(value < since, value, value - since)
    rate = float((grown / seconds_between(counts, old, rows, most)).sum())
    return None if np.isnan(rate) else rate


def kept_queues(now: Raw, before: Raw, partial: bool, most: float) -> Raw:
    """What the next tick of queues needs: the last reading of each node, and which were ever used."""
    gone = pc.invert(_is_in(before["read"], now["read"], ("node",)))
    old = pc.invert(_is_in(before["tallies"], now["read"], ("node",)))
    used = _used(now, before)
    there = used.filter(_is_in(used, now["present"], QUEUE_KEYS))
    return {
        # Where a node was not read, its next reading is compared with the one before.
        "tallies": concat([now["tallies"], before["tallies"].filter(old)])
        if partial
        else now["tallies"],
        "read": concat([now["read"], before["read"].filter(gone)]) if partial else now["read"],
        "used": used if partial else there,
        "dead_letters": carried(
            now["dead_letters"],
            before["dead_letters"],
            ("node",),
            "value",
            True,
            max(most, SELDOM),
        ),
    }


def _used(now: Raw, before: Raw) -> pa.RecordBatch:
    counted = now["tallies"].select(list(QUEUE_KEYS))
    fresh = concat([before["used"], counted.cast(PRESENT)])
    first = match(fresh, fresh, QUEUE_KEYS) == np.arange(fresh.num_rows)
    return fresh.filter(pa.array(first))


def _is_in(rows: pa.RecordBatch, others: pa.RecordBatch, keys: tuple[str, ...]) -> pa.BooleanArray:
    return pa.array(match(rows, others, keys) != NOWHERE)


class _RabbitGrowth:
    """What counters grew by between two readings."""

    def __init__(self, now: Raw, before: Raw, most: float) -> None:
        tallies, read = now["tallies"], now["read"]
        earlier = match(tallies, before["tallies"], KEYS)
        value = numbers(tallies, "value")
        since = at(numbers(before["tallies"], "value"), earlier, 0)
        self._rows = tallies
        self._grown: Floats = np.where(value < since, value, value - since).astype(np.float64)
        places = match(read, before["read"], ("node",))
        seconds = seconds_between(read, before["read"], places, most)
        self._seconds: Floats = at(seconds, match(tallies, read, ("node",)), np.nan)
        self._counter = np.asarray(tallies.column("counter").cast(pa.string()))
        self._lost = before["tallies"].filter(pc.invert(_is_in(before["tallies"], read, ("node",))))
        self._compared = bool(len(seconds)) and not np.isnan(seconds).any()
        self._used = _used(now, before)

    def of(self, queues: pa.RecordBatch, counter: str, *, per_second: bool) -> Floats:
        """Of each queue; NaN where it is not known."""
        mine = pa.array(self._counter == counter)
        grown = self._grown / self._seconds
        if not per_second:
            grown = np.where(np.isnan(grown), np.nan, self._grown)
        places = match(self._rows.filter(mine), queues, QUEUE_KEYS)
        sums = np.zeros(queues.num_rows)
        there = places != NOWHERE
        np.add.at(sums, places[there], grown[np.asarray(mine)][there])
        if not self._compared:
            some = np.zeros(queues.num_rows, np.bool_)
            some[places[there]] = True
            sums[~some] = np.nan
        sums[~self._known(queues)] = np.nan
        return sums

    def _known(self, queues: pa.RecordBatch) -> Flags:
        """Whether there was ever a counter, and no node that had some is missing."""
        used = match(queues, self._used, QUEUE_KEYS) != NOWHERE
        lost = match(queues, self._lost, QUEUE_KEYS) != NOWHERE
        known: Flags = used & ~lost
        return known


def _derived(
    batch: pa.RecordBatch, queues: pa.RecordBatch, grown: _RabbitGrowth, dead_lettered: float | None
) -> pa.RecordBatch:
    if entity_type_of(batch) is QUEUE:
        columns = {
            column: nullable(grown.of(queues, counter, per_second=True))
            for counter, column in RATES.items()
        }
        columns |= {
            column: pc.cast(
                pc.round(nullable(grown.of(queues, counter, per_second=False))), "int64"
            )
            for counter, column in COUNTS.items()
        }
        return with_columns(batch, columns)
    if entity_type_of(batch) is CLUSTER:
        rates = grown.of(queues, PUBLISHED, per_second=True)
        known = rates[~np.isnan(rates)]
        columns = {"cluster.deadLetteredPerSecond": pa.array([dead_lettered], pa.float64())}
        if len(known):
            columns["cluster.messagesInPerSecond"] = pa.array([float(known.sum())])
        return with_columns(batch, columns)
    return batch


RABBIT_RULES: Rules = {
    "queues": Rule(
        each(derive_queues, kept_queues),
        {"tallies": TALLIES, "read": READ, "used": PRESENT, "dead_letters": DEAD_LETTERS},
    ),
}
