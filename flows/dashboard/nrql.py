"""NRQL queries of samples, which are events in New Relic.

An attribute that an event type does not have is refused when a query is made, for New Relic
itself would show an empty chart in silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from operators.schema.metrics import BY_NAME, CONSUMER_GROUP, EntityType, Metric, MetricKind
from sinks.newrelic.encode import event_attributes

_OVER_TIME = {
    MetricKind.GAUGE: "average",
    MetricKind.RATE: "average",
    MetricKind.COUNT: "sum",
    MetricKind.STATE: "latest",
}
"""How a metric's values of a piece of time become one."""

FILTER = "clusterName IN ({{cluster}}) AND environment IN ({{environment}})"
"""What the dashboard's variables choose."""


class UnknownAttributeError(ValueError):
    """A query names an attribute that its event types do not have."""

    def __init__(self, attribute: str, event_types: Sequence[str]) -> None:
        self.attribute = attribute
        self.event_types = tuple(event_types)
        super().__init__(attribute, self.event_types)

    def __str__(self) -> str:
        return f"no attribute `{self.attribute}` in {', '.join(self.event_types)}"


@dataclass(frozen=True, slots=True)
class Query:
    """One NRQL query of the events of some entity types.

    `where` holds conditions that all must hold, each with the attribute that it is on.
    """

    select: str
    of: tuple[EntityType, ...]
    attributes: tuple[str, ...] = ()
    """What `select` names."""
    where: tuple[tuple[str, str], ...] = ()
    facet: tuple[str, ...] = ()
    timeseries: bool = False
    limit: int | str | None = None
    filtered: bool = True
    """Whether the dashboard's variables filter it."""

    def __str__(self) -> str:
        """The query's text.

        Raises:
            UnknownAttributeError: see there.
        """
        self._check()
        conditions = [f"{attribute} {rest}" for attribute, rest in self.where]
        if len(self.of) == 1 and _shares_its_events(self.of[0]):
            conditions.insert(0, f"entityType = '{self.of[0].name}'")
        if self.of == (CONSUMER_GROUP,):
            # As for a group's rows of nri-kafka, which have no entityType: sums count each lag once.
            conditions.insert(1, "topic IS NULL")
        if self.filtered:
            conditions.append(FILTER)
        event_types = dict.fromkeys(
            name for entity_type in self.of for name in entity_type.event_types
        )
        parts = ["SELECT", self.select, "FROM", ", ".join(event_types)]
        if conditions:
            parts += ["WHERE", " AND ".join(conditions)]
        if self.facet:
            parts += ["FACET", ", ".join(self.facet)]
        if self.limit:
            parts += ["LIMIT", str(self.limit)]
        if self.timeseries:
            parts.append("TIMESERIES AUTO")
        return " ".join(parts)

    def _check(self) -> None:
        used = (*self.attributes, *(attribute for attribute, _ in self.where), *self.facet)
        for entity_type in self.of:
            known = set(event_attributes(entity_type))
            for attribute in used:
                if attribute not in known:
                    raise UnknownAttributeError(attribute, [entity_type.event_type])


@dataclass(frozen=True, slots=True)
class Total:
    """One number of many entities: a function of what `each` has as `value`."""

    function: str
    each: Query
    title: str

    def __str__(self) -> str:
        """The query's text; see `Query`."""
        select = f"{self.function}(value) AS '{self.title}'"
        return " ".join(["SELECT", select, "FROM", f"({self.each})"])


def over_time(metric: Metric) -> str:
    """A metric in a piece of time, as its kind asks for: a function for SELECT."""
    return f"{_OVER_TIME[metric.kind]}({metric.name})"


def now(metric: Metric) -> str:
    """A metric as it is: the latest value, of a count all that was counted."""
    return over_time(metric) if metric.kind is MetricKind.COUNT else f"latest({metric.name})"


def quoted(text: str) -> str:
    """A string for a condition."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _shares_its_events(entity_type: EntityType) -> bool:
    """Whether another entity type has events of the same name."""
    return sum(t.event_type == entity_type.event_type for t in BY_NAME.values()) > 1
