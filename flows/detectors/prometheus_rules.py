"""The alert rules of `docker/prometheus/alerts.yml` on clusters, evaluated on samples.

They are read from the file, so a rule that changes changes what is found. A rule's expression compares
a metric of the samples page with a number or with another metric of the same entity, or joins such
comparisons by `and`; the alert fires once that has been so for its `for`, evaluated at every tick. Source: prometheus.io, alerting rules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from flows.anomalies.spans import spans_of
from flows.detectors.spells import Spell, as_alerts, filled, numbers, of_each
from flows.errors import UsageError
from flows.observe.samples.names import PREFIX, families
from flows.samples import Samples
from operators.schema.metrics import CLUSTER, ENTITY_TYPES, EntityType
from operators.schema.nearest import suggestion
from operators.schema.units import parse_duration

SHIPPED = Path(__file__).parents[2] / "docker/prometheus/alerts.yml"

_COMPARISON = re.compile(r"(\w+)\s*(<=|>=|==|!=|<|>)\s*([\w.+-]+)")
_AND = re.compile(r"\s+and(?:\s+on\s*\(cluster\))?\s+")
_OPERATORS = {"<": lt, ">": gt, "<=": le, ">=": ge, "==": eq, "!=": ne}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule on an entity type's rows."""

    entity_type: EntityType
    broken: pl.Expr
    holds: int
    """ms for which it must be broken."""


def prometheus_rules(samples: Samples, file: Path = SHIPPED) -> pl.DataFrame:
    """What the rules on samples would have fired; shape: ALERTS.

    Rules on mqpipe's own metrics are passed over.

    Raises:
        UsageError: the file holds no such rules, or one that cannot be evaluated on samples.
    """
    spells: list[Spell] = []
    for rule in rules(file):
        if rule.entity_type in samples.files:
            rows = samples.scan(rule.entity_type).select(
                entity=pl.col("entity_name").cast(pl.String),
                time=pl.col("timestamp").cast(pl.Int64),
                broken=rule.broken,
            )
            for entity, mine in of_each(rows.collect(), "entity"):
                spells += _fired(entity, mine, rule.holds)
    return as_alerts(spells)


def rules(file: Path) -> list[AlertRule]:
    """The rules on samples that a file holds.

    Raises:
        UsageError: see `prometheus_rules`.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        every = [rule for group in content["groups"] for rule in group["rules"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: no alert rules of Prometheus: {error}") from error
    found = [_rule(file, rule) for rule in every if f"{PREFIX}_" in str(rule.get("expr", ""))]
    if not found:
        raise UsageError(f"{file}: none of its rules is on metrics of samples ({PREFIX}_…)")
    return found


def _rule(file: Path, said: Mapping[str, Any]) -> AlertRule:
    expression = str(said["expr"]).strip()
    parts = [_comparison(file, expression, part) for part in _AND.split(expression)]
    (entity_type, broken), *others = parts
    joined = " on " in expression and entity_type is not CLUSTER
    if joined or any(whose is not entity_type for whose, _ in others):
        raise UsageError(f"{file}: `{expression}` is of different entities")
    for _, more in others:
        broken &= more
    return AlertRule(entity_type, broken, round(1000 * parse_duration(said.get("for", "0s"))))


def _comparison(file: Path, expression: str, part: str) -> tuple[EntityType, pl.Expr]:
    comparison = _COMPARISON.fullmatch(part)
    if comparison is None:
        raise UsageError(
            f"{file}: `{expression}` cannot be evaluated on samples: compare a metric with a number or with "
            "a metric of the same entity, and join such comparisons by `and`"
        )
    name, operator, other = comparison.groups()
    entity_type, value = _metric(file, name)
    try:
        limit: float | pl.Expr = float(other)
    except ValueError:
        whose, limit = _metric(file, other)
        if whose is not entity_type:
            raise UsageError(f"{file}: `{name}` and `{other}` are of different entities") from None
    return entity_type, _OPERATORS[operator](value, limit)


def _metric(file: Path, name: str) -> tuple[EntityType, pl.Expr]:
    every = {family.name: (t, family) for t in ENTITY_TYPES for family in families(t)}
    if name not in every:
        raise UsageError(f"{file}: no metric `{name}`; {suggestion(name, every)}")
    entity_type, family = every[name]
    return entity_type, pl.col(family.column) / family.divisor


def _fired(entity: str, rows: pl.DataFrame, holds: int) -> Iterator[Spell]:
    times = numbers(rows, "time")
    for first, end in spans_of(filled(rows["broken"])).tolist():
        fires = int(times[first]) + holds
        if fires <= times[end - 1]:
            yield entity, fires, int(times[end - 1])
