"""Columns of brokers that are rates of their pages' counters."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.collect.dialects import (
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
)
from operators.derive.counters import Growth, error_rate, growth, tells
from operators.derive.store import Floats, Ints, Raw, nullable, numbers, with_columns
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
    `cluster.errorRate` is the share of produce and fetch requests that failed, over all brokers
    whose growth is known, in percent.
    """
    if not tells(now):
        return batches
    grown = growth(now, before, most)
    return tuple(_derived(batch, grown) for batch in batches)


def _derived(batch: pa.RecordBatch, grown: Growth) -> pa.RecordBatch:
    if entity_type_of(batch) is BROKER:
        return with_columns(batch, _rates(batch, grown))
    if entity_type_of(batch) is CLUSTER and (rate := _cluster_error_rate(grown)) is not None:
        return with_columns(batch, {"cluster.errorRate": [rate]})
    return batch


def _rates(batch: pa.RecordBatch, grown: Growth) -> dict[str, pa.Array]:
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


def _by_broker(grown: Growth, rows: Ints, values: Floats) -> dict[int, float]:
    return dict(zip(grown.broker[rows].tolist(), values.tolist(), strict=True))


def _means(grown: Growth, request: str) -> dict[int, float]:
    """By broker: the mean time (ms) of the requests between its two pages, where there were any."""
    sums, counts = (grown.of_brokers(f"{name}{request}") for name in (LATENCY_SUM, REQUESTS))
    requests = _by_broker(grown, counts, grown.grown[counts])
    spent = _by_broker(grown, sums, grown.grown[sums])
    return {
        broker: 1000 * seconds / requests[broker]
        for broker, seconds in spent.items()
        if requests.get(broker, 0) > 0
    }


def _percentiles(grown: Growth, request: str) -> dict[int, float]:
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


def _cluster_error_rate(grown: Growth) -> float | None:
    sums = {}
    for name in (FAILED_PRODUCES, FAILED_FETCHES, PRODUCES, FETCHES):
        known = grown.grown[grown.of_brokers(name)]
        known = known[~np.isnan(known)]
        if not len(known):
            return None
        sums[name] = float(known.sum())
    return error_rate(sums[FAILED_PRODUCES] + sums[FAILED_FETCHES], sums[PRODUCES] + sums[FETCHES])
