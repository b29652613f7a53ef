"""Columns of brokers that are rates of their pages' counters."""

import numpy as np
import pyarrow as pa

from operators.collect.pages import (
    BROKER_COUNTERS,
    FAILED_FETCHES,
    FAILED_PRODUCES,
    FETCHES,
    PRODUCES,
)
from operators.derive.counters import Growth, error_rate, growth
from operators.derive.store import Raw, nullable, numbers, with_columns
from operators.schema.arrow import entity_type_of
from operators.schema.metrics import BROKER, CLUSTER


def derive_brokers(
    batches: tuple[pa.RecordBatch, ...], now: Raw, before: Raw, most: float
) -> tuple[pa.RecordBatch, ...]:
    """Brokers' rates, and `cluster.errorRate`, from the counters of two pages.

    A rate is a counter's growth over the seconds between the two pages. It is null for the first
    page, after a restart, and where the pages are more than `most` seconds apart.
    `cluster.errorRate` is the share of produce and fetch requests that failed, over all brokers
    whose growth is known, in percent.
    """
    grown = growth(now, before, most)
    return tuple(_derived(batch, grown) for batch in batches)


def _derived(batch: pa.RecordBatch, grown: Growth) -> pa.RecordBatch:
    if entity_type_of(batch) is BROKER:
        return with_columns(batch, _rates(numbers(batch, "broker_id").tolist(), grown))
    if entity_type_of(batch) is CLUSTER and (rate := _cluster_error_rate(grown)) is not None:
        return with_columns(batch, {"cluster.errorRate": [rate]})
    return batch


def _rates(brokers: list[int], grown: Growth) -> dict[str, pa.Array]:
    columns = {}
    for name, column in BROKER_COUNTERS.items():
        rows = grown.of_brokers(name)
        rates = grown.grown[rows] / grown.seconds[rows]
        by_broker = dict(zip(grown.broker[rows].tolist(), rates.tolist(), strict=True))
        columns[column] = nullable(np.array([by_broker.get(b, np.nan) for b in brokers]))
    return columns


def _cluster_error_rate(grown: Growth) -> float | None:
    sums = {}
    for name in (FAILED_PRODUCES, FAILED_FETCHES, PRODUCES, FETCHES):
        known = grown.grown[grown.of_brokers(name)]
        known = known[~np.isnan(known)]
        if not len(known):
            return None
        sums[name] = float(known.sum())
    return error_rate(sums[FAILED_PRODUCES] + sums[FAILED_FETCHES], sums[PRODUCES] + sums[FETCHES])
