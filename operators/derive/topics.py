"""Columns of topics that are rates: messages, bytes, errors."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.collect.pages.dialects import (
    BYTES_IN,
    BYTES_OUT,
    FAILED_FETCHES,
    FAILED_PRODUCES,
    FETCHES,
    PRODUCES,
)
from operators.derive.counters import CounterGrowth, error_rate, growth, has_pages, kept_pages
from operators.derive.store import (
    NOWHERE,
    Raw,
    at,
    carried,
    differs,
    grown_between,
    match,
    nullable,
    numbers,
    seconds_between,
    with_columns,
)
from operators.schema.arrays import Floats
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER_TOPIC, CLUSTER, TOPIC

Rates = dict[str, float]
"""By topic; NaN where it is not known."""

_ABSENT = {
    "topic.messagesInPerSecond": np.nan,
    "topic.messagesOutPerSecond": np.nan,
    # Pages that all came, and know of topics, know of every one: any other had no traffic.
    "topic.bytesInPerSecond": 0.0,
    "topic.bytesOutPerSecond": 0.0,
    "topic.errorRate": 0.0,
}
"""What a topic has that is not among the rates."""


def derive_topics(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """Topics' rates, and the cluster's sums of them.

    `topic.messagesInPerSecond` is the growth of each partition's end offset over the time between
    its two readings, summed; partitions without a leader count 0, and it is null where another
    partition cannot be compared: a topic that is new, was recreated, truncated or grew in
    partitions starts over. `topic.messagesOutPerSecond` is the same of its groups' commits,
    without the groups whose commits went back; null where no group can be compared.
    `topic.bytesInPerSecond`, `topic.bytesOutPerSecond` and `topic.errorRate` come from the pages
    of all live brokers and are null where one is missing or started over, or reports no topic.
    `broker.bytesWrittenToTopicPerSecond` needs the page of its own broker alone; a row of a broker
    and topic of which nothing is known goes.
    The cluster's are sums over the topics whose rates are known. Readings that are more than
    `most` seconds apart are not compared.
    """
    rates: dict[str, Rates] = {}
    if "offsets" in now:
        rates["topic.messagesInPerSecond"] = _messages_in(now["offsets"], before["offsets"], most)
    if "consumption" in now:
        rates["topic.messagesOutPerSecond"] = _messages_out(
            now["consumption"], before["consumption"], most
        )
    grown = growth(now, before, most) if has_pages(now) else None
    if grown is not None and grown.complete:
        for column, name in (
            ("topic.bytesInPerSecond", BYTES_IN),
            ("topic.bytesOutPerSecond", BYTES_OUT),
        ):
            if grown.reports_topics(name):
                rates[column] = _per_second(grown, name)
        failures = (len(grown.of_brokers(name)) for name in (FAILED_PRODUCES, FAILED_FETCHES))
        if grown.reports_topics(PRODUCES) and grown.reports_topics(FETCHES) and all(failures):
            rates["topic.errorRate"] = _error_rates(grown)
    return tuple(
        _on_brokers(batch, grown)
        if entity_type_of(batch) is BROKER_TOPIC
        else _derived(batch, rates)
        for batch in batches
    )


def kept_topics(now: Raw, before: Raw, partial: bool, most: float) -> Raw:
    """What the next tick of topics needs: the last that was measured of each."""
    kept = dict(kept_pages(now, before))
    for name, keys, known in (
        ("offsets", ["topic", "partition"], "end"),
        ("consumption", ["group", "topic"], "committed"),
    ):
        fresh = name in now
        kept[name] = (
            carried(now[name], before[name], keys, known, partial, most) if fresh else before[name]
        )
    return kept


def _derived(batch: pa.RecordBatch, rates: dict[str, Rates]) -> pa.RecordBatch:
    if entity_type_of(batch) is TOPIC:
        topics = batch.column("topic").to_pylist()
        columns = {
            column: nullable(np.array([of.get(t, _ABSENT[column]) for t in topics], np.float64))
            for column, of in rates.items()
        }
        return with_columns(batch, columns)
    if entity_type_of(batch) is CLUSTER:
        sums = {
            f"cluster.{name}": pa.array([_total(rates[f"topic.{name}"], _ABSENT[f"topic.{name}"])])
            for name in ("messagesInPerSecond", "bytesInPerSecond")
            if f"topic.{name}" in rates
        }
        return with_columns(batch, sums)
    return batch


def _on_brokers(batch: pa.RecordBatch, grown: CounterGrowth | None) -> pa.RecordBatch:
    """Rows of topics on brokers with their rates, as far as something is known of them."""
    column = "broker.bytesWrittenToTopicPerSecond"
    if grown is not None and grown.reports_topics(BYTES_IN):
        rows, own = grown.of_topics(BYTES_IN), grown.of_brokers(BYTES_IN)
        pairs = zip(
            grown.broker[rows].tolist(), pc.take(grown.topic, rows).to_pylist(), strict=True
        )
        rates = dict(zip(pairs, (grown.grown[rows] / grown.seconds[rows]).tolist(), strict=True))
        # A page that knows of topics knows of every one: any other had no traffic there.
        known = set(grown.broker[own[~np.isnan(grown.grown[own])]].tolist())
        keys = zip(
            batch.column("broker_id").to_pylist(), batch.column("topic").to_pylist(), strict=True
        )
        values = [rates.get(key, 0.0 if key[0] in known else np.nan) for key in keys]
        batch = with_columns(batch, {column: nullable(np.array(values, np.float64))})
    reported = pc.or_(batch.column(column).is_valid(), batch.column("topic.diskSize").is_valid())
    return batch.filter(reported)


def _total(rates: Rates, absent: float) -> float | None:
    known = [rate for rate in rates.values() if not np.isnan(rate)]
    total = sum(known) if known else absent
    return None if np.isnan(total) else total


def _messages_in(now: pa.RecordBatch, before: pa.RecordBatch, most: float) -> Rates:
    rows = match(now, before, ["topic", "partition"])
    grown = grown_between(now, before, "end", rows)
    seconds = seconds_between(now, before, rows, most)
    # A lower epoch, start or end, or another id: the topic is not the one that it was.
    restarted = (rows != NOWHERE) & differs(now, before, rows, "topic_id")
    for name in ("epoch", "start"):
        earlier = at(numbers(before, name), rows, NOWHERE)
        restarted |= (rows != NOWHERE) & (numbers(now, name) < earlier) & (numbers(now, name) >= 0)
    grown[restarted] = np.nan
    leaderless = ~np.asarray(now.column("led"))
    rate = np.where(leaderless, 0.0, grown / seconds)
    return _summed(now.column("topic"), rate)


def _messages_out(now: pa.RecordBatch, before: pa.RecordBatch, most: float) -> Rates:
    rows = match(now, before, ["group", "topic"])
    rate = grown_between(now, before, "committed", rows) / seconds_between(now, before, rows, most)
    known = ~np.isnan(rate)
    topics = now.column("topic")
    if known.all():
        return _summed(topics, rate)
    return _summed(pc.filter(topics, pa.array(known)), rate[known])


def _summed(topics: pa.DictionaryArray, values: Floats) -> Rates:
    """Sums by topic; a NaN makes its topic's sum NaN."""
    sums = np.zeros(len(topics.dictionary))
    seen = np.zeros(len(topics.dictionary), np.bool_)
    codes = np.asarray(topics.indices)
    np.add.at(sums, codes, values)
    seen[codes] = True
    names = topics.dictionary.to_pylist()
    return {names[code]: float(sums[code]) for code in np.flatnonzero(seen)}


def _per_second(grown: CounterGrowth, name: str) -> Rates:
    rows = grown.of_topics(name)
    return _summed(pc.take(grown.topic, rows), grown.grown[rows] / grown.seconds[rows])


def _error_rates(grown: CounterGrowth) -> Rates:
    failed: defaultdict[str, float] = defaultdict(float)
    requests: defaultdict[str, float] = defaultdict(float)
    for names, sums in (
        ((FAILED_PRODUCES, FAILED_FETCHES), failed),
        ((PRODUCES, FETCHES), requests),
    ):
        for name in names:
            rows = grown.of_topics(name)
            of_topics = _summed(pc.take(grown.topic, rows), grown.grown[rows])
            for topic, value in of_topics.items():
                sums[topic] += value
    return {topic: error_rate(failed[topic], requests[topic]) for topic in requests}
