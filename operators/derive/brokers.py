"""Columns of brokers that are rates of their pages' counters."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.collect.pages.dialects import (
    BROKER_COUNTERS,
    FAILED_FETCHES,
    FAILED_PRODUCES,
    FETCHES,
    IDLE,
    LATENCIES,
    LATENCY_SUM,
    MEANS,
    PERCENTILES,
    PROCESSOR_SHARE,
    PRODUCES,
    REQUESTS,
    UNCLEAN_ELECTIONS,
)
from operators.derive.counters import CounterGrowth, error_rate, growth, has_pages, kept_pages
from operators.derive.store import (
    Raw,
    differs,
    grown_between,
    match,
    nullable,
    numbers,
    seconds_between,
    with_columns,
)
from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CLUSTER

_SHARES = (IDLE, PROCESSOR_SHARE)
"""Counters whose rates are percent of something."""


def derive_brokers(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """Brokers' rates, and `cluster.errorRate`, from the counters of two pages.

    A rate is a counter's growth over the seconds between the two pages. It is null for the first
    page, after a restart, and where the pages are more than `most` seconds apart.
    Where a page has histograms, a request's mean time and 99th percentile are those of the requests
    between the two pages. A column that the batch has already stays.
    `cluster.leaderElectionsPerSecond` is the growth of all partitions' leader epochs over the time
    between two readings; topics that are new, or recreated, do not count. Brokers without ZooKeeper do
    not count elections: theirs is 0, and that of the active controller the cluster's.
    `cluster.errorRate` is the share of produce and fetch requests that failed, over all brokers
    whose growth is known, in percent.
    """
    grown = growth(now, before, most) if has_pages(now) else None
    elected = _elected(now, before, most)
    return tuple(_derived(batch, grown, elected) for batch in batches)


def kept_brokers(now: Raw, before: Raw) -> Raw:
    """What the next tick of brokers needs: the last page of each, and all leader epochs."""
    return {**kept_pages(now, before), "epochs": now["epochs"]}


def _derived(
    batch: pa.RecordBatch, grown: CounterGrowth | None, elected: float | None
) -> pa.RecordBatch:
    if entity_type_of(batch) is BROKER and grown is not None:
        return _with_elections(with_columns(batch, _rates(batch, grown)), elected)
    if entity_type_of(batch) is CLUSTER:
        known = {
            "cluster.errorRate": None if grown is None else _cluster_error_rate(grown),
            "cluster.leaderElectionsPerSecond": elected,
            "cluster.uncleanLeaderElectionsPerSecond": None if grown is None else _unclean(grown),
        }
        return with_columns(
            batch, {name: [value] for name, value in known.items() if value is not None}
        )
    return batch


def _elected(now: Raw, before: Raw, most: float) -> float | None:
    """Leaders that were elected a second; None where no two readings can be compared."""
    fresh, old = now["epochs"], before["epochs"]
    rows = match(fresh, old, ("topic",))
    rates = grown_between(fresh, old, "epochs", rows) / seconds_between(fresh, old, rows, most)
    rates[differs(fresh, old, rows, "topic_id")] = np.nan
    known = rates[~np.isnan(rates)]
    return float(known.sum()) if len(known) else None


def _with_elections(batch: pa.RecordBatch, elected: float | None) -> pa.RecordBatch:
    column = "replication.leaderElectionPerSecond"
    if elected is None or batch.column(column).null_count < batch.num_rows:
        return batch
    controls = pc.cast(batch.column("broker.isController"), pa.float64())
    return with_columns(batch, {column: pc.multiply(controls, pa.scalar(elected))})


def _rates(batch: pa.RecordBatch, grown: CounterGrowth) -> dict[str, pa.Array]:
    brokers = numbers(batch, "broker_id").tolist()
    known: dict[str, dict[int, float]] = {}
    for name, column in BROKER_COUNTERS.items():
        rows = grown.of_brokers(name)
        rates = grown.grown[rows] / grown.seconds[rows]
        if name in _SHARES:
            rates = np.minimum(rates, 100)
        known.setdefault(column, {}).update(_by_broker(grown, rows, rates))
    for request in MEANS:
        known[MEANS[request]] = _means(grown, request)
    for request in PERCENTILES:
        known[PERCENTILES[request]] = _percentiles(grown, request)
    return {
        column: pc.coalesce(
            batch.column(column), nullable(np.array([of.get(b, np.nan) for b in brokers]))
        )
        for column, of in known.items()
        if of
    }


def _by_broker(grown: CounterGrowth, rows: Ints, values: Floats) -> dict[int, float]:
    return dict(zip(grown.broker[rows].tolist(), values.tolist(), strict=True))


def _means(grown: CounterGrowth, request: str) -> dict[int, float]:
    """By broker: the mean time (ms) of the requests between its two pages, where there were any."""
    sums, counts = (grown.of_brokers(f"{name}{request}") for name in (LATENCY_SUM, REQUESTS))
    requests = _by_broker(grown, counts, grown.grown[counts])
    spent = _by_broker(grown, sums, grown.grown[sums])
    return {
        broker: 1000 * seconds / requests[broker]
        for broker, seconds in spent.items()
        if requests.get(broker, 0) > 0
    }


def _percentiles(grown: CounterGrowth, request: str) -> dict[int, float]:
    """By broker: the time (ms) within which 99 of 100 requests were done.

    Within the bucket that holds it, it is interpolated as Prometheus' `histogram_quantile` does.
    """
    buckets: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for bound, rows in grown.of_brokers_by_end(f"{LATENCIES}{request}/"):
        for broker, count in _by_broker(grown, rows, grown.grown[rows]).items():
            buckets[broker].append((bound, count))
    found = {}
    for broker, of_broker in buckets.items():
        of_broker.sort()
        bounds, counts = (np.array(column) for column in zip(*of_broker, strict=True))
        counts = np.maximum.accumulate(counts)
        if np.isnan(counts).any() or not counts[-1] > 0:
            continue
        wanted = 0.99 * counts[-1]
        place = int(np.searchsorted(counts, wanted))
        low = bounds[place - 1] if place else 0.0
        if np.isinf(bounds[place]):
            found[broker] = 1000 * low
            continue
        before = counts[place - 1] if place else 0.0
        share = (wanted - before) / (counts[place] - before)
        found[broker] = 1000 * (low + share * (bounds[place] - low))
    return found


def _unclean(grown: CounterGrowth) -> float | None:
    """Unclean elections a second, of the brokers whose growth is known; None where none is."""
    rows = grown.of_brokers(UNCLEAN_ELECTIONS)
    rates = grown.grown[rows] / grown.seconds[rows]
    known = rates[~np.isnan(rates)]
    return float(known.sum()) if len(known) else None


def _cluster_error_rate(grown: CounterGrowth) -> float | None:
    sums = {}
    for name in (FAILED_PRODUCES, FAILED_FETCHES, PRODUCES, FETCHES):
        known = grown.grown[grown.of_brokers(name)]
        known = known[~np.isnan(known)]
        if not len(known):
            return None
        sums[name] = float(known.sum())
    return error_rate(sums[FAILED_PRODUCES] + sums[FAILED_FETCHES], sums[PRODUCES] + sums[FETCHES])
