"""The alert conditions that `mqpipe dashboard --alerts` ships, evaluated on samples.

They are read as NerdGraph gets them, so a condition that changes changes what is found. By
docs.newrelic.com (streaming alerts): a window of `aggregationWindow` is evaluated `aggregationDelay`
after its end; a threshold opens an incident when windows of `thresholdDuration` in a row (`ALL`), or one
of them (`AT_LEAST_ONCE`), violate it, and closes it when none of so many did; a signal without data for
`expirationDuration` is lost, and opens one until data comes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from operator import gt, lt
from typing import Any

import numpy as np
import polars as pl

from flows.dashboard.alerts import Condition, as_input, conditions
from flows.dashboard.nrql import Query
from flows.detectors.spells import Spell, as_alerts, filled, held, numbers, of_each
from flows.errors import UsageError
from flows.samples import Samples
from operators.schema.arrays import Ints
from operators.schema.metrics import CLUSTER, EntityType

_SELECT = re.compile(r"(\w+)\(([\w.*]+)\)")
_CONDITION = re.compile(r"(=|!=) '([^']*)'")
_SHARE = re.compile(r"percentage\(count\(\*\), WHERE ([\w.]+) = (\d+)\)")
_COMMON = {
    "clusterName": "cluster_name", "clusterId": "cluster_id", "entityPath": "entity_name",
    "environment": "environment", "origin": "origin", "provider": "provider",
}  # fmt: skip
_OVER_WINDOW = {
    "max": pl.Expr.max, "min": pl.Expr.min, "sum": pl.Expr.sum, "average": pl.Expr.mean,
    "percentage": pl.Expr.mean, "count": pl.Expr.sum,
}  # fmt: skip
_OPERATORS = {"ABOVE": gt, "BELOW": lt}


def newrelic_alerts(samples: Samples, shipped: Iterable[Condition] | None = None) -> pl.DataFrame:
    """What the conditions would have opened; shape: ALERTS.

    `shipped` is by default what `mqpipe dashboard --alerts` writes for the clusters of the samples.

    Raises:
        UsageError: a condition says what cannot be evaluated on samples.
    """
    interval = samples.interval() or 60_000
    chosen = conditions(_brokers(samples)) if shipped is None else shipped
    _, last = samples.span()
    spells: list[Spell] = []
    for condition in chosen:
        (entity_type,) = condition.query.of
        if entity_type in samples.files:
            frame = _rows(samples, condition.query, entity_type)
            spells += _opened(condition, as_input(condition, interval / 1000), frame, last)
    return as_alerts(spells)


def _brokers(samples: Samples) -> Mapping[str, int]:
    """How many brokers each cluster of the samples has, as it says itself."""
    known = pl.col("cluster.knownBrokerCount").max().alias("brokers")
    found = samples.scan(CLUSTER).group_by(pl.col("cluster_name").cast(pl.String)).agg(known)
    return {str(name): int(n) for name, n in found.collect().iter_rows() if n}


def _rows(samples: Samples, query: Query, entity_type: EntityType) -> pl.DataFrame:
    """The events that a query is of: `time`, `entity`, `facet`, and `value` where it asks for one."""
    has_metrics = pl.any_horizontal(pl.col(m.name).is_not_null() for m in entity_type.numeric)
    rows = samples.scan(entity_type).filter(has_metrics)  # one without is no event
    columns = _COMMON | {one.attribute: one.column for one in entity_type.identity}
    for attribute, rest in query.where:
        condition = _CONDITION.fullmatch(rest)
        if condition is None or attribute not in columns:
            raise UsageError(f"{query.select}: `{attribute} {rest}` cannot be evaluated on samples")
        equal = pl.col(columns[attribute]).cast(pl.String) == condition[2]
        rows = rows.filter(equal if condition[1] == "=" else ~equal)
    by = [pl.col(columns[name]).cast(pl.String) for name in query.facet]
    # A facet of a cluster is about the cluster, whichever of its entities it counts.
    whole = set(query.facet) == {"clusterName"} or not query.facet
    return rows.select(
        time=pl.col("timestamp").cast(pl.Int64),
        entity=pl.col("cluster_name" if whole else "entity_name").cast(pl.String),
        facet=pl.concat_str(by, separator="\0") if by else pl.lit(""),
        value=_value(query, entity_type),
    ).collect()


def _value(query: Query, entity_type: EntityType) -> pl.Expr:
    """What of a row goes into a window's value."""
    if (share := _SHARE.fullmatch(query.select)) is not None:
        return 100.0 * (pl.col(share[1]) == int(share[2]))
    found = _SELECT.fullmatch(query.select)
    if found is not None and found[1] == "count":
        return pl.lit(1.0)
    metric = next((m for m in entity_type.numeric if found and m.name == found[2]), None)
    if metric is None:
        raise UsageError(f"{query.select} of {entity_type.name}: cannot be evaluated on samples")
    return pl.col(metric.name) * metric.event_factor


def _over_window(query: Query) -> pl.Expr:
    """A window's value of its rows' values."""
    function = query.select.partition("(")[0]
    if function not in _OVER_WINDOW:
        raise UsageError(f"{query.select}: cannot be evaluated on samples")
    return _OVER_WINDOW[function](pl.col("value"))


def _opened(
    condition: Condition, said: Mapping[str, Any], rows: pl.DataFrame, last: int
) -> Iterator[Spell]:
    signal = said["signal"]
    window = 1000 * signal["aggregationWindow"]
    after = window + 1000 * signal["aggregationDelay"]
    windows = (
        rows.group_by("facet", time=pl.col("time") // window * window)
        .agg(pl.col("entity").first(), value=_over_window(condition.query))
        .drop_nulls("value")
    )
    for _, mine in of_each(windows, "facet"):
        entity, starts = str(mine["entity"][0]), numbers(mine, "time")
        for term in said["terms"]:
            broken = filled(_OPERATORS[term["operator"]](mine["value"], term["threshold"]))
            count = max(1, round(1000 * term["thresholdDuration"] / window))
            once = term["thresholdOccurrences"] == "AT_LEAST_ONCE"
            for first, end in held(broken, 1 if once else count, count):
                yield entity, int(starts[first]) + after, int(starts[end]) + after
    if "expiration" in said:
        expires = 1000 * said["expiration"]["expirationDuration"]
        for _, mine in of_each(rows, "facet"):
            yield from _silences(str(mine["entity"][0]), numbers(mine, "time"), expires, last)


def _silences(entity: str, times: Ints, expires: int, last: int) -> Iterator[Spell]:
    following = np.append(times[1:], last)
    for place in np.flatnonzero(following - times > expires).tolist():
        yield entity, int(times[place]) + expires, int(following[place])
